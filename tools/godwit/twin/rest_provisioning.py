"""REST: claimed devices, their provisioning, rules and tags (facts 13.3), and the factory's identities.

The service has these under a host of its own (api.provisioning.nrfcloud.com/v1); here they are on the same port.
Called through rest_app.py.
"""

import csv
import io

from starlette.responses import JSONResponse, Response

from . import payload
from .errors import BAD_REQUEST, ApiError, invalid, not_found
from .rest_app import listing, query, query_flag, query_list, read_body, read_json, text_list
from .store import dumps, iso, loads, ulid

_MAX_ROWS = 1000
_CLAIMS = "/v1/claimed-devices"
_RULES = "/v1/provisioning-rules"


class ProvisioningRoutes:
    """Handlers; `provisioning` is the service's state."""

    def __init__(self, store, provisioning):
        self._store = store
        self._provisioning = provisioning

    def routes(self):
        """(method, path, handler) triples; fixed paths before the ones with an id."""
        return [
            ("POST", _CLAIMS, self.claim),
            ("GET", _CLAIMS, self.list_claims),
            ("POST", "/v1/identities/claimed-devices", self.claim),
            ("GET", "/v1/identities/claimed-devices", self.list_claims),
            ("POST", _CLAIMS + "/bulk", self.claim_bulk),
            ("GET", _CLAIMS + "/{device}", self.get_claim),
            ("DELETE", _CLAIMS + "/{device}", self.unclaim),
            ("POST", _CLAIMS + "/{device}/provisioning", self.add_command),
            ("GET", _CLAIMS + "/{device}/provisioning", self.list_commands),
            ("GET", _CLAIMS + "/{device}/provisioning/{command}", self.get_command),
            ("DELETE", _CLAIMS + "/{device}/provisioning/{command}", self.discard_command),
            ("POST", _RULES, self.add_rule),
            ("GET", _RULES, self.list_rules),
            ("GET", _RULES + "/{rule}", self.get_rule),
            ("DELETE", _RULES + "/{rule}", self.delete_rule),
            ("POST", "/v1/provisioning/tags", self.add_tag),
            ("GET", "/v1/provisioning/tags", self.list_tags),
            ("PUT", "/twin/identities/{device}", self.register),
        ]

    # --- claims

    async def claim(self, request):
        """Claim one device (JSON {claimToken, tags}; dryrun=true only asks), or many (CSV rows `token,"tags"`)."""
        body = await read_body(request)
        if not body.lstrip().startswith(b"{"):  # tools send CSV without saying so in Content-Type
            claimed, failed = self._claim_rows(body)
            status = 201 if claimed or not failed else 422
            return JSONResponse({"claimedIds": claimed, "failed": failed}, status_code=status)
        value = payload.load_json(body)
        token, tags = value.get("claimToken"), text_list(value.get("tags"), "tags", 100)
        if not isinstance(token, str):
            raise invalid("claimToken is missing")
        dry_run = query_flag(request, "dryrun")
        device = self._provisioning.claim(token, tags, dry_run)
        if dry_run:
            return Response(status_code=202)
        return JSONResponse(self._provisioning.claim_document(device), status_code=201)

    async def claim_bulk(self, request):
        """The same CSV, answered as older documentation has it: a bulk operation, finished by then."""
        now = self._store.now_ms()
        _, failed = self._claim_rows(await read_body(request))
        bulk = ulid(now)
        self._store.insert(
            "bulk", id=bulk, endpoint="BULK_CLAIM_DEVICES", status="FAILED" if failed else "SUCCEEDED",
            requested_at=now, completed_at=self._store.now_ms(),
            errors=dumps([f"[{row['row']}]: {row['message']}" for row in failed]),
        )  # fmt: skip
        return JSONResponse({"bulkOpsRequestId": bulk}, status_code=202)

    def _claim_rows(self, body):
        try:
            rows = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
        except (csv.Error, UnicodeDecodeError) as exc:
            raise invalid(f"not a CSV file: {exc}") from exc
        if not rows or not all(rows) or len(rows) > _MAX_ROWS:
            raise invalid(f"1 to {_MAX_ROWS} rows without blank lines are needed")
        claimed, failed = [], []
        for index, (token, *tags) in enumerate(rows):
            try:
                claimed.append(self._provisioning.claim(token, [tag for tag in tags if tag]))
            except ApiError as exc:
                failed.append({"row": index, "code": exc.code, "message": exc.message})
        return claimed, failed

    async def list_claims(self, request):
        """Claimed devices, newest first; `tags` filters."""
        tags = query_list(request, "tags")
        where, args = [], []
        if tags:
            found = [row["uuid"] for row in self._store.all("SELECT uuid, tags FROM claim")
                     if set(loads(row["tags"])) & set(tags)]  # fmt: skip
            where, args = [f"uuid IN ({', '.join('?' * len(found))})"], found
        rows, more = self._store.page("claim", "n", where, args, query(request))
        return listing([self._provisioning.render_claim(row) for row in rows], more)

    async def get_claim(self, request):
        """One claimed device."""
        return self._provisioning.claim_document(request.path_params["device"])

    async def unclaim(self, request):
        """Give a claim up."""
        self._provisioning.unclaim(request.path_params["device"])
        return Response(status_code=204)

    # --- commands

    async def add_command(self, request):
        """Queue a command: {description, request: {kind: {..}}}."""
        value = await read_json(request)
        device = request.path_params["device"]
        command = self._provisioning.add(device, value.get("request"), value.get("description") or "")
        return JSONResponse(self._provisioning.command(device, command), status_code=201)

    async def list_commands(self, request):
        """Commands of a device, newest first; `status` filters."""
        device, status = request.path_params["device"], request.query_params.get("status")
        self._provisioning.claim_document(device)
        where, args = ["uuid = ?"], [device]
        if status:
            where, args = [*where, "status = ?"], [*args, status]
        rows, more = self._store.page("prov_command", "n", where, args, query(request))
        return listing([self._provisioning.render_command(row) for row in rows], more)

    async def get_command(self, request):
        """One command with its status and response."""
        return self._provisioning.command(request.path_params["device"], request.path_params["command"])

    async def discard_command(self, request):
        """Take a waiting command back."""
        self._provisioning.discard(request.path_params["device"], request.path_params["command"])
        return Response(status_code=204)

    # --- rules and tags

    async def add_rule(self, request):
        """Store a rule: {name, description, active, commands: [{request}], tags}."""
        value = await read_json(request)
        rule = self._provisioning.add_rule(
            value.get("name"), value.get("description", ""), value.get("active", True), value.get("commands"),
            text_list(value.get("tags"), "tags", 100),
        )  # fmt: skip
        return JSONResponse(self._rule(rule), status_code=201)

    async def list_rules(self, request):
        """Rules, newest first."""
        rows, more = self._store.page("prov_rule", "n", [], [], query(request))
        return listing([_rule_document(row) for row in rows], more)

    async def get_rule(self, request):
        """One rule."""
        return self._rule(request.path_params["rule"])

    async def delete_rule(self, request):
        """Forget a rule; what it has queued stays."""
        self._rule(request.path_params["rule"])
        self._store.run("DELETE FROM prov_rule WHERE id = ?", request.path_params["rule"])
        return Response(status_code=204)

    def _rule(self, rule):
        row = self._store.one("SELECT * FROM prov_rule WHERE id = ?", rule)
        if row is None:
            raise not_found("no such provisioning rule")
        return _rule_document(row)

    async def add_tag(self, request):
        """Name a tag: {tag, description}."""
        value = await read_json(request)
        tag, description = value.get("tag"), value.get("description") or ""
        if not isinstance(tag, str) or not 1 <= len(tag) <= 128 or not isinstance(description, str):
            raise invalid("tag and description are texts")
        if self._store.one("SELECT 1 FROM prov_tag WHERE tag = ?", tag):
            raise ApiError(409, BAD_REQUEST, f"tag {tag} exists")
        self._store.insert("prov_tag", tag=tag, description=description)
        return JSONResponse({"tag": tag, "description": description}, status_code=201)

    async def list_tags(self, request):
        """Tags, newest first."""
        rows, more = self._store.page("prov_tag", "n", [], [], query(request))
        return listing([{"tag": row["tag"], "description": row["description"]} for row in rows], more)

    async def register(self, request):
        """The factory's record of a modem: {publicKey: PEM, imei?}."""
        value = await read_json(request)
        imei = value.get("imei")
        if imei is not None and not isinstance(imei, str):
            raise invalid("imei is a text")
        self._provisioning.register(request.path_params["device"], value.get("publicKey"), imei)
        return Response(status_code=204)


def _rule_document(row):
    return {
        "id": row["id"],
        "name": row["name"],
        "description": row["description"],
        "active": bool(row["active"]),
        "commands": loads(row["commands"]),
        "tags": loads(row["tags"]),
        "createdAt": iso(row["created_at"]),
    }
