"""REST: devices, onboarding by JSON and CSV, bulk operations, shadow (facts 14.2).

CSV onboarding is validated as a whole and then done row by row, the result being a bulk operation whose
error summary names the rows; it is complete by the time it is answered.
Called through rest_app.py.
"""

import csv
import io
import re

from starlette.responses import JSONResponse, Response

from .errors import DEVICE_NOT_FOUND, NOT_FOUND, ApiError, invalid, not_found
from .rest_app import listing, query, query_flag, query_list, read_body, read_json, text_list
from .store import dumps, iso, loads, ulid

_MAX_ROWS = 1000
_COLUMNS = ("deviceId", "subType", "tags", "supportedFirmwareTypes", "certificate")
_NAME = re.compile(r"[a-zA-Z0-9.@:#-]{1,128}")
_VERSION = re.compile(r'(W/)?"?(\d{1,18})"?')


class DeviceRoutes:
    """Handlers of /v1/devices and /v1/bulk-ops-requests."""

    def __init__(self, store, devices):
        self._store = store
        self._devices = devices

    def routes(self):
        """(method, path, handler) triples; fixed paths before the ones with an id."""
        return [
            ("GET", "/v1/devices", self.list),
            ("POST", "/v1/devices", self.onboard_csv),
            ("POST", "/v1/devices/public-keys", self.register_keys),
            ("POST", "/v1/devices/certificates", self.register_certificates),
            ("GET", "/v1/devices/{device}", self.get),
            ("POST", "/v1/devices/{device}", self.onboard),
            ("DELETE", "/v1/devices/{device}", self.delete),
            ("PUT", "/v1/devices/{device}/name", self.rename),
            ("PATCH", "/v1/devices/{device}/state", self.patch_state),
            ("GET", "/v1/bulk-ops-requests", self.list_bulk),
            ("GET", "/v1/bulk-ops-requests/{bulk}", self.get_bulk),
            ("GET", "/v1/bulk-ops-requests/{bulk}/errors", self.get_bulk_errors),
        ]

    async def list(self, request):
        """Devices, newest first; deviceIds, deviceNameFuzzy and tags filter."""
        where, args = [], []
        ids, tags = query_list(request, "deviceIds"), query_list(request, "tags")
        if ids:
            where.append(f"id IN ({', '.join('?' * len(ids))})")
            args += ids
        if tags:
            tagged = self._devices.tagged(tags)
            where.append(f"id IN ({', '.join('?' * len(tagged))})")
            args += tagged
        fuzzy = request.query_params.get("deviceNameFuzzy")
        if fuzzy:
            where.append("instr(lower(name), lower(?))")
            args.append(fuzzy)
        rows, more = self._store.page("(SELECT rowid AS n, * FROM device)", "n", where, args, query(request))
        state, meta = query_flag(request, "includeState"), query_flag(request, "includeStateMeta")
        return listing([self._devices.render(row, state, meta) for row in rows], more)

    async def get(self, request):
        """One device with its state."""
        return self._devices.document(request.path_params["device"])

    async def onboard(self, request):
        """Onboard one device with a certificate or public key."""
        value = await read_json(request)
        self._devices.onboard(
            request.path_params["device"],
            value.get("certificate"),
            value.get("subType", ""),
            text_list(value.get("tags"), "tags"),
            text_list(value.get("supportedFirmwareTypes"), "supportedFirmwareTypes") or ("APP",),
        )
        return JSONResponse(self._devices.document(request.path_params["device"], False), status_code=201)

    async def delete(self, request):
        """Delete a device."""
        self._devices.delete(request.path_params["device"])
        return Response(status_code=204)

    async def rename(self, request):
        """PUT "name" (or ["name"], as the command line tools send it)."""
        device = request.path_params["device"]
        value = await read_json(request, (str, list))
        name = value[0] if isinstance(value, list) and value else value
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise invalid("name not valid")
        if not self._store.run("UPDATE device SET name = ? WHERE id = ?", name, device):
            raise not_found(f"device {device} not found", DEVICE_NOT_FOUND)
        return Response(status_code=202)

    async def patch_state(self, request):
        """Merge {"desired", "reported"} into the shadow."""
        value = await read_json(request)
        changes = {name: value[name] for name in ("desired", "reported") if name in value}
        if not changes or not all(isinstance(item, dict) for item in changes.values()):
            raise invalid("desired or reported must be an object")
        if_match = request.headers.get("if-match")
        version = None
        if if_match not in (None, "*"):
            found = _VERSION.fullmatch(if_match)
            if not found:
                raise invalid("If-Match is a version number")
            version = int(found[2])
        self._devices.patch(request.path_params["device"], changes, version)
        return Response(status_code=202)

    async def onboard_csv(self, request):
        """Bulk onboarding."""
        rows = _rows(await read_body(request))
        columns = _COLUMNS
        if rows and "deviceId" in rows[0] and "certificate" in rows[0]:
            columns = tuple(rows.pop(0))
        return self._bulk("ONBOARD_DEVICES", rows, lambda row: self._onboard_row(dict(zip(columns, row, strict=False))))

    async def register_keys(self, request):
        """deviceId,"PEM" rows: register keys, onboarding what is not known yet."""
        rows = _rows(await read_body(request))
        return self._bulk("REGISTER_PUBLIC_KEYS", rows, lambda row: self._key_row(row, "PUBLIC KEY"))

    async def register_certificates(self, request):
        """deviceId,"PEM" rows: the same with certificates."""
        rows = _rows(await read_body(request))
        return self._bulk("REGISTER_CERTIFICATES", rows, lambda row: self._key_row(row, "CERTIFICATE"))

    async def list_bulk(self, request):
        """Bulk operations, newest first."""
        status = request.query_params.get("status")
        where, args = (["status = ?"], [status]) if status else ([], [])
        rows, more = self._store.page("bulk", "n", where, args, query(request))
        return listing([_bulk_document(row) for row in rows], more)

    async def get_bulk(self, request):
        """One bulk operation."""
        return _bulk_document(self._bulk_row(request))

    async def get_bulk_errors(self, request):
        """The error summary that errorSummaryUrl points at."""
        return {"errors": loads(self._bulk_row(request)["errors"])}

    def _bulk_row(self, request):
        row = self._store.one("SELECT * FROM bulk WHERE id = ?", request.path_params["bulk"])
        if row is None:
            raise not_found("bulk operation not found", NOT_FOUND)
        return row

    def _bulk(self, endpoint, rows, work):
        errors = []
        now = self._store.now_ms()
        for index, row in enumerate(rows):
            try:
                work(row)
            except ApiError as exc:
                errors.append(f"[{index}]: {exc.message}")
        bulk = ulid(now)
        self._store.insert(
            "bulk", id=bulk, endpoint=endpoint, status="FAILED" if errors else "SUCCEEDED", requested_at=now,
            completed_at=self._store.now_ms(), errors=dumps(errors),
        )  # fmt: skip
        return JSONResponse({"bulkOpsRequestId": bulk}, status_code=202)

    def _key_row(self, row, label):
        if len(row) != 2 or f"BEGIN {label}" not in row[1]:
            raise invalid(f'a row is deviceId,"{label} in PEM"')
        self._devices.set_key(*row)

    def _onboard_row(self, row):
        if not row.get("deviceId") or not row.get("certificate"):
            raise invalid("deviceId and certificate are required (onboarding tokens are not served)")
        types = [item for item in row.get("supportedFirmwareTypes", "").split("|") if item]
        tags = [item for item in row.get("tags", "").split("|") if item]
        self._devices.onboard(row["deviceId"], row["certificate"], row.get("subType", ""), tags, types or ("APP",))


def _rows(body):
    try:
        rows = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError) as exc:
        raise invalid(f"not a CSV file: {exc}") from exc
    if not rows or not all(rows):
        raise invalid("no rows, or a blank line")
    if len(rows) > _MAX_ROWS:
        raise invalid(f"more than {_MAX_ROWS} rows")
    return rows


def _bulk_document(row):
    document = {
        "bulkOpsRequestId": row["id"],
        "endpoint": row["endpoint"],
        "status": row["status"],
        "requestedAt": iso(row["requested_at"]),
        "completedAt": iso(row["completed_at"]),
        "uploadedDataUrl": "",
    }
    if row["status"] == "FAILED":
        document["errorSummaryUrl"] = f"/v1/bulk-ops-requests/{row['id']}/errors"
    return document
