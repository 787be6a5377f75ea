"""REST: MQTT team devices (facts 14.2); team.py makes their certificates.

Called through rest_app.py.
"""

from starlette.responses import JSONResponse, Response


class TeamRoutes:
    """Handlers of /v1/devices/mqtt-team."""

    def __init__(self, team):
        self._team = team

    def routes(self):
        """(method, path, handler) triples."""
        return [
            ("POST", "/v1/devices/mqtt-team", self.create),
            ("GET", "/v1/devices/mqtt-team/{deviceId}", self.get),
            ("PATCH", "/v1/devices/mqtt-team/{deviceId}", self.rotate),
            ("DELETE", "/v1/devices/mqtt-team/{deviceId}", self.delete),
        ]

    async def create(self, request):
        """A new one."""
        return JSONResponse(self._team.create(), status_code=201)

    async def get(self, request):
        """Its certificate."""
        return self._team.get(request.path_params["deviceId"])

    async def rotate(self, request):
        """A new certificate and key."""
        return JSONResponse(self._team.rotate(request.path_params["deviceId"]), status_code=201)

    async def delete(self, request):
        """Delete it."""
        self._team.delete(request.path_params["deviceId"])
        return Response(status_code=202)
