"""REST: the twin's own corner, /twin/records, /twin/health, /twin/faults. No API key: it is not the cloud's.

Called through rest_app.py.
"""

from .errors import invalid
from .faults import FaultError
from .rest_app import read_json


class TwinRoutes:
    """Handlers of /twin/*. `twin` is the running server (server.Twin)."""

    def __init__(self, twin):
        self._twin = twin

    def routes(self):
        """(method, path, handler) triples."""
        return [
            ("GET", "/twin/health", self.health),
            ("GET", "/twin/records", self.records),
            ("GET", "/twin/faults", self.faults),
            ("PUT", "/twin/faults", self.set_faults),
        ]

    async def health(self, request):
        """Ports, number of sessions, world time, errors of the twin so far."""
        return self._twin.health()

    async def records(self, request):
        """Everything that happened; see summary.py."""
        return self._twin.summary()

    async def faults(self, request):
        """The switches as they are, what they did so far, and the scenario's rules that did not act yet."""
        return self._twin.fault_state()

    async def set_faults(self, request):
        """Change switches: {"drop": 0.05, "expire_sessions": true, ...}."""
        changes = await read_json(request)
        try:
            self._twin.set_faults(changes)
        except FaultError as exc:
            raise invalid(str(exc)) from exc
        return self._twin.fault_state()
