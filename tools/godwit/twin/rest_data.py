"""REST: account, messages, location history (facts 14.2).

Called through rest_app.py.
"""

import datetime

from starlette.responses import Response

from .errors import NOT_FOUND, invalid, not_found
from .inbox import message_document
from .location import location_document
from .rest_app import listing, query, query_flag, query_list


class DataRoutes:
    """Handlers of /v1/account, /v1/messages and /v1/location/history."""

    def __init__(self, store, devices):
        self._store = store
        self._devices = devices

    def routes(self):
        """(method, path, handler) triples."""
        return [
            ("GET", "/v1/account", self.account),
            ("GET", "/v1/messages", self.messages),
            ("GET", "/v1/location/history", self.history),
            ("DELETE", "/v1/location/history/{device}/{item}", self.delete_location),
        ]

    async def account(self, request):
        """The team."""
        limits = {"devices": 10, "monthlyLocationServiceRequests": 500, "monthlyFOTAJobExecutions": 50,
                  "monthlyStoredDeviceMessages": 3000, "messageRoutingServiceDestinations": 1}  # fmt: skip
        return {
            "mqttEndpoint": "mqtt.nrfcloud.com",
            "mqttTopicPrefix": self._devices.prefix,
            "team": {"name": "Cloud twin", "tenantId": self._store.tenant},
            "role": "owner",
            "userId": self._store.user,
            "tags": [],
            "plan": {"name": "DEVELOPER", "currentMonthCosts": [], "currentMonthTotalCost": 0, "limits": limits},
        }

    async def messages(self, request):
        """Stored messages, newest first. appId and topic exclude each other, as in the real service."""
        app_id, topic = request.query_params.get("appId"), request.query_params.get("topic")
        if app_id is not None and topic is not None:
            raise invalid("appId and topic cannot be combined")
        where, args = _range(request, "received_at")
        for column, value in (("app_id", app_id), ("topic", topic), ("device", request.query_params.get("deviceId"))):
            if value is not None:
                where.append(f"{column} = ?")
                args.append(value)
        rows, more = self._store.page("message", "id", where, args, query(request))
        return listing([message_document(row, self._store.tenant) for row in rows], more)

    async def history(self, request):
        """Location history, newest first; latest=true keeps one item per device."""
        where, args = _range(request, "inserted_at")
        device = request.query_params.get("deviceId") or request.query_params.get("deviceIdentifier")
        if device:
            where.append("device = ?")
            args.append(device)
        tags = query_list(request, "tags")
        if tags:
            tagged = self._devices.tagged(tags)
            where.append(f"device IN ({', '.join('?' * len(tagged))})")
            args += tagged
        if query_flag(request, "latest"):
            where.append("n IN (SELECT MAX(n) FROM location GROUP BY device)")
        rows, more = self._store.page("location", "n", where, args, query(request))
        return listing([location_document(row) for row in rows], more)

    async def delete_location(self, request):
        """Delete one item."""
        device, item = request.path_params["device"], request.path_params["item"]
        if not self._store.run("DELETE FROM location WHERE device = ? AND id = ?", device, item):
            raise not_found("no such location", NOT_FOUND)
        return Response(status_code=204)


def _range(request, column):
    """WHERE parts of start/end and their older names."""
    where, args = [], []
    bounds = (("start", ">="), ("inclusiveStart", ">="), ("end", "<"), ("exclusiveEnd", "<"), ("inclusiveEnd", "<="))
    for name, operator in bounds:
        text = request.query_params.get(name)
        if text is not None:
            where.append(f"{column} {operator} ?")
            args.append(_milliseconds(text, name))
    return where, args


def _milliseconds(text, name):
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError) as exc:
        raise invalid(f"{name} is not an ISO-8601 date") from exc
