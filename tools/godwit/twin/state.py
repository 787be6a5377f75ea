"""CoAP resource /state: the device's side of its shadow (facts 7.2-7.4).

GET state is the unwrapped delta, with delta=false all of desired; nothing to tell is 2.05 without payload.
GET state/{path} is a JSON pointer. PATCH state means reported. `transform` is JSONata on {"state": {"desired",
"reported", "delta"}}, the answer always JSON; an expression that is none is 4.00.
Called by site.py.
"""

import base64
import binascii

from . import payload, shadow
from .call import changed, content
from .errors import BAD_REQUEST, ApiError
from .transform import compiled, transform

_BODY_FORMATS = (payload.JSON, payload.CBOR)


class StateApi:
    """Handlers of /state."""

    def __init__(self, devices):
        self._devices = devices

    def routes(self):
        """(method, pattern, handler) triples."""
        return [
            ("GET", ("state",), self.get),
            ("GET", ("state", "**"), self.get_path),
            ("PATCH", ("state",), self.patch),
            ("PATCH", ("state", "reported"), self.patch),
            ("PATCH", ("state", "desired"), self.patch),
        ]

    def get(self, call):
        """Delta (default), desired, or a transformation."""
        state = self._devices.state(call.device)
        expression = call.parameter("transform")
        if expression is not None:
            return _answer(transform(compiled(expression), {"state": state}), payload.JSON)
        want_delta = call.flag("delta", True)
        form = payload.accepted(call.accept, _BODY_FORMATS, payload.JSON)
        return _answer(state["delta" if want_delta else "desired"], form)

    def get_path(self, call):
        """One value; a missing one is 2.05 and empty, an impossible conversion 4.06."""
        form = payload.accepted(call.accept, (*_BODY_FORMATS, payload.OCTETS), payload.JSON)
        found, value = shadow.pointer(self._devices.state(call.device), call.rest)
        if not found:
            return content()
        if form == payload.OCTETS:
            return content(_octets(value), form)
        return content(payload.dump(value, form), form)

    def patch(self, call):
        """Merge the body into a section."""
        section = call.path[1] if len(call.path) > 1 else "reported"
        changes = call.load()
        if not isinstance(changes, dict):
            raise ApiError(400, BAD_REQUEST, "the body is not an object")
        if call.is_cbor:
            changes = payload.to_json_value(changes)
        self._devices.patch(call.device, {section: changes})
        return changed()


def _answer(value, form):
    return content(payload.dump(value, form) if value not in ({}, None) else b"", form)


def _octets(value):
    if not isinstance(value, str):
        raise ApiError(406, BAD_REQUEST, "not a base64 string")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ApiError(406, BAD_REQUEST, "not a base64 string") from exc
