"""CoAP resource /fota/exec: the pending execution, and its status (facts 11.1, 11.2).

No job is 4.04. The answer is JSON; CBOR of the same object when the device asks for it.
Called by site.py.
"""

from . import payload
from .call import changed, content
from .errors import not_found


class FotaApi:
    """Handlers of /fota/exec."""

    def __init__(self, fota):
        self._fota = fota

    def routes(self):
        """(method, pattern, handler) triples."""
        return [
            ("GET", ("fota", "exec", "current"), self.current),
            ("PATCH", ("fota", "exec", "*"), self.update),
        ]

    def current(self, call):
        """The oldest pending execution."""
        form = payload.accepted(call.accept, (payload.JSON, payload.CBOR), payload.JSON)
        row = self._fota.current(call.device)
        if row is None:
            raise not_found("no pending FOTA job execution", 40499)
        return content(payload.dump(self._fota.execution_document(row), form), form)

    def update(self, call):
        """{"status": ..., "details": ...}"""
        self._fota.update(call.device, call.rest[0], call.load(), "device")
        return changed()
