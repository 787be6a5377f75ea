"""REST: account and messages (facts 14.2).

Called through rest_app.py.
"""

import datetime

from .errors import invalid
from .inbox import message_document
from .rest_app import listing, query


class DataRoutes:
    """Handlers of /v1/account and /v1/messages."""

    def __init__(self, store, devices):
        self._store = store
        self._devices = devices

    def routes(self):
        """(method, path, handler) triples."""
        return [
            ("GET", "/v1/account", self.account),
            ("GET", "/v1/messages", self.messages),
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
