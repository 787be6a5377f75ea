"""REST: account, tags, service tokens, system status, the OpenAPI document (facts 14.2).

Called through rest_app.py.
"""

from .limits import PLAN
from .openapi import document
from .rest_app import listing, query
from .store import dumps, loads


class AccountRoutes:
    """Handlers of /v1/account, /v1/status, /v1/openapi.json and of the lists of tags."""

    def __init__(self, store, devices, tokens, limits):
        self._store = store
        self._devices = devices
        self._tokens = tokens
        self._limits = limits

    def routes(self):
        """(method, path, handler) triples; None as the fourth is for everybody."""
        return [
            ("GET", "/v1/account", self.account),
            ("GET", "/v1/account/tags", self.tags),
            ("GET", "/v1/devices/tags", self.tags),
            ("POST", "/v1/account/service-key-and-token", self.new_service_token),
            ("GET", "/v1/account/service-token", self.service_token),
            ("POST", "/v1/account/service-evaluation-token", self.new_evaluation_token),
            ("GET", "/v1/account/service-evaluation-token", self.evaluation_token),
            ("GET", "/v1/status", self.status, None),
            ("GET", "/v1/openapi.json", self.openapi, None),
        ]

    async def account(self, request):
        """The team and its plan: the developer plan's limits, or those that are switched on."""
        limits = {name: figures[0] for name, figures in PLAN.items()}
        return {
            "mqttEndpoint": "mqtt.nrfcloud.com",
            "mqttTopicPrefix": self._devices.prefix,
            "team": {"name": "Cloud twin", "tenantId": self._store.tenant},
            "role": "owner",
            "userId": self._store.user,
            "tags": [],
            "plan": {
                "name": "DEVELOPER",
                "currentMonthCosts": [],
                "currentMonthTotalCost": 0,
                "limits": {**limits, "messageRoutingServiceDestinations": 1, **self._limits.get()},
            },
        }

    async def tags(self, request):
        """Tags in use, in the order of the alphabet."""
        tags = sorted({tag for row in self._store.all("SELECT tags FROM device") for tag in loads(row["tags"])})
        # numbered, so that the pages are those of every other list
        table = "(SELECT key + 1 AS n, value FROM json_each(?))"
        rows, more = self._store.page(table, "n", [], [dumps(tags)], query(request), descending=False)
        return listing([row["value"] for row in rows], more)

    async def new_service_token(self, request):
        """A new key pair and its token."""
        return self._tokens.new_service_token()

    async def service_token(self, request):
        """The token made last."""
        return self._tokens.service_token()

    async def new_evaluation_token(self, request):
        """A fresh evaluation token."""
        return self._tokens.new_evaluation_token()

    async def evaluation_token(self, request):
        """The evaluation token made last."""
        return self._tokens.evaluation_token()

    async def status(self, request):
        """The twin is there while it answers."""
        return {"status": "online", "login": True}

    async def openapi(self, request):
        """The whole document."""
        return document()
