"""REST: onboarding by JSON and CSV, public keys and certificates, association, bulk operations (facts 14.2).

A CSV is refused as a whole (422) when it is none; what is wrong with single rows is in the errors of the bulk
operation, which is complete by the time it is answered.
Called through rest_app.py; onboarding.py knows rows, products.py ownership codes.
"""

from starlette.responses import JSONResponse, Response

from . import onboarding
from .errors import NOT_FOUND, ApiError, invalid, not_found
from .rest_app import listing, query, read_body
from .rest_query import milliseconds
from .store import dumps, iso, loads, ulid

_UPLOADED, _ERRORS = "upload.csv", "errors.json"
_CSV_TYPES = ("", "text/csv", "text/plain", "application/octet-stream")


class OnboardRoutes:
    """Handlers of onboarding and /v1/bulk-ops-requests."""

    def __init__(self, store, devices, products, downloads):
        self._store = store
        self._devices = devices
        self._products = products
        self._downloads = downloads

    def routes(self):
        """(method, path, handler) triples; fixed paths before the one with an id."""
        return [
            ("POST", "/v1/devices", self.onboard_csv),
            ("POST", "/v1/devices/public-keys", self.register_keys),
            ("POST", "/v1/devices/certificates", self.register_certificates),
            ("POST", "/v1/devices/{deviceId}", self.onboard),
            ("PUT", "/v1/association/{deviceId}", self.associate),
            ("GET", "/v1/bulk-ops-requests", self.list_bulk),
            ("GET", "/v1/bulk-ops-requests/{bulkOpsRequestId}", self.get_bulk),
        ]

    async def onboard(self, request):
        """Onboard one device with a certificate (or public key), or an onboarding token."""
        value = request.state.json
        self._onboard(
            request.path_params["deviceId"], value.get("certificate"), value.get("onboardingToken"),
            value.get("subType", ""), value.get("tags", []), value.get("supportedFirmwareTypes", []),
        )  # fmt: skip
        return Response(status_code=202)

    async def associate(self, request):
        """Take a product into the account."""
        code = (await read_body(request)).strip().decode("utf-8", "replace")
        if len(code) > 2 and code[0] == code[-1] == '"':  # a JSON string, as the specification's sample has it
            code = code[1:-1]
        if not code:
            raise invalid("the body is the ownership code")
        self._products.associate(request.path_params["deviceId"], code, request.state.values.get("subType"))
        return Response(status_code=202)

    async def onboard_csv(self, request):
        """Bulk onboarding."""
        body = await self._csv(request)
        rows = onboarding.with_columns(onboarding.read_rows(body))

        def work(row):
            tags, types = onboarding.pipes(row["tags"]), onboarding.pipes(row["supportedFirmwareTypes"])
            self._onboard(
                row["deviceId"], row["certificate"] or None, row["onboardingToken"] or None, row["subType"], tags, types
            )

        return self._bulk(request, "ONBOARD_DEVICES", body, rows, work)

    async def register_keys(self, request):
        """deviceId,"PEM" rows: register keys, onboarding what is not known yet."""
        body = await self._csv(request)

        def work(row):
            self._devices.set_key(*onboarding.pem_row(row, "PUBLIC KEY"))

        return self._bulk(request, "REGISTER_PUBLIC_KEYS", body, onboarding.read_rows(body), work)

    async def register_certificates(self, request):
        """deviceId,"PEM" rows: new certificates of devices that are onboarded."""
        body = await self._csv(request)

        def work(row):
            device, pem = onboarding.pem_row(row, "CERTIFICATE")
            self._devices.need(device)
            self._devices.set_key(device, pem)

        return self._bulk(request, "REGISTER_CERTIFICATES", body, onboarding.read_rows(body), work)

    async def list_bulk(self, request):
        """Bulk operations, newest first."""
        asked = request.state.values
        where, args = [], []
        for name, condition in (("startRequestedAt", ">="), ("endRequestedAt", "<")):
            if name in asked:
                where.append(f"requested_at {condition} ?")
                args.append(milliseconds(asked[name], name))
        if "status" in asked:
            where.append("status = ?")
            args.append(asked["status"])
        rows, more = self._store.page("bulk", "n", where, args, query(request))
        return listing([self._document(request, row) for row in rows], more)

    async def get_bulk(self, request):
        """One bulk operation."""
        row = self._store.one("SELECT * FROM bulk WHERE id = ?", request.path_params["bulkOpsRequestId"])
        if row is None:
            raise not_found("bulk operation not found", NOT_FOUND)
        return self._document(request, row)

    def _onboard(self, device, certificate, token, sub_type, tags, types):
        if (certificate is None) == (token is None):
            raise invalid("a device has either a certificate or an onboardingToken")
        if token is not None:
            # the key of its manufacture, which PUT /twin/identities tells
            identity = self._store.value("SELECT public_key FROM identity WHERE uuid = ?", device)
            now_s = self._store.now_ms() // 1000
            certificate = onboarding.token_key(token, device, self._store.tenant, identity, now_s)
        self._devices.onboard(device, certificate, sub_type, tags, types or ("APP",))

    @staticmethod
    async def _csv(request):
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in _CSV_TYPES:
            raise invalid(f"a CSV is sent as {', '.join(_CSV_TYPES[1:])}, not {kind}")
        return await read_body(request)

    def _bulk(self, request, endpoint, body, rows, work):
        errors, seen = [], set()
        now = self._store.now_ms()
        for index, row in enumerate(rows):
            device = row["deviceId"] if isinstance(row, dict) else row[0]
            try:
                if device in seen:
                    raise invalid(f"{device} is in this file twice")
                seen.add(device)
                work(row)
            except ApiError as exc:
                errors.append(f"[{index}]: {exc.message}")
        bulk = ulid(now)
        self._downloads.add(request, _UPLOADED, "text/csv", body, bulk)
        self._store.insert(
            "bulk", id=bulk, endpoint=endpoint, status="FAILED" if errors else "SUCCEEDED", requested_at=now,
            completed_at=self._store.now_ms(), errors=dumps(errors),
        )  # fmt: skip
        return JSONResponse({"bulkOpsRequestId": bulk}, status_code=202)

    def _document(self, request, row):
        """The REST view of a bulk row; its errors become a file when they are first shown."""
        document = {
            "bulkOpsRequestId": row["id"],
            "endpoint": row["endpoint"],
            "status": row["status"],
            "requestedAt": iso(row["requested_at"]),
            "completedAt": iso(row["completed_at"]),
            "uploadedDataUrl": self._downloads.url(request, row["id"], _UPLOADED),
        }
        if row["status"] == "FAILED":
            summary = dumps({"errors": loads(row["errors"])}).encode()
            document["errorSummaryUrl"] = self._downloads.url(request, row["id"], _ERRORS) or self._downloads.add(
                request, _ERRORS, "application/json", summary, row["id"]
            )
        return document
