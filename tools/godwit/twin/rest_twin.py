"""REST: the twin's own corner, /twin/*: health, records, switches, files. No API key: it is not the cloud's.

Called through rest_app.py.
"""

from starlette.responses import Response

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
            ("GET", "/twin/limits", self.limits),
            ("PUT", "/twin/limits", self.set_limits),
            ("PUT", "/twin/products/{deviceId}", self.set_product),
            ("GET", "/twin/downloads/{number}/{name}", self.download),
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

    async def limits(self, request):
        """The plan limits that are on."""
        return self._twin.limits.get()

    async def set_limits(self, request):
        """Switch plan limits: {"devices": 10}, null for off."""
        return self._twin.limits.set(await read_json(request))

    async def set_product(self, request):
        """A product of the factory; see products.py."""
        self._twin.products.register(request.path_params["deviceId"], await read_json(request))
        return Response(status_code=204)

    async def download(self, request):
        """A file that an answer pointed at."""
        kind, data = self._twin.downloads.get(request.path_params["number"], request.path_params["name"])
        return Response(data, media_type=kind)
