"""REST: firmware bundles, FOTA jobs and executions (facts 14.2).

Called through rest_app.py; the work is done by bundles.py and fota.py.
"""

from starlette.responses import JSONResponse, Response

from .bundles import MAX_TEXT, MAX_ZIP, bundle_document
from .errors import ACCESS_DENIED, ApiError, invalid, not_found
from .rest_app import listing, query, read_body
from .rest_caller import API, DEVICE
from .store import iso

_BOTH = (API, DEVICE)
_ZIP_TYPES = ("", "application/zip", "application/octet-stream", "text/plain")


class FotaRoutes:
    """Handlers of /v1/firmwares, /v1/fota-jobs and /v1/fota-job-executions."""

    def __init__(self, store, bundles, fota):
        self._store = store
        self._bundles = bundles
        self._fota = fota

    def routes(self):
        """(method, path, handler) triples."""
        return [
            ("POST", "/v1/firmwares", self.upload),
            ("GET", "/v1/firmwares", self.list_bundles),
            ("DELETE", "/v1/firmwares/{bundleId}", self.delete_bundle),
            ("POST", "/v1/fota-jobs", self.create_job),
            ("GET", "/v1/fota-jobs", self.list_jobs),
            ("GET", "/v1/fota-jobs/{jobId}", self.get_job),
            ("DELETE", "/v1/fota-jobs/{jobId}", self.delete_job),
            ("POST", "/v1/fota-jobs/{jobId}/apply", self.apply_job),
            ("PUT", "/v1/fota-jobs/{jobId}/cancel", self.cancel_job),
            ("GET", "/v1/fota-job-execution-statuses/{jobId}", self.list_statuses),
            ("GET", "/v1/fota-job-executions/{deviceId}", self.list_executions),
            ("GET", "/v1/fota-job-executions/{deviceId}/current", self.current, _BOTH),
            ("GET", "/v1/fota-job-executions/{deviceId}/{jobId}", self.get_execution),
            ("PATCH", "/v1/fota-job-executions/{deviceId}/{jobId}", self.patch_execution, _BOTH),
        ]

    async def upload(self, request):
        """A bundle, binary or base64."""
        kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in _ZIP_TYPES:
            raise invalid(f"a bundle is sent as {', '.join(_ZIP_TYPES[1:])}, not {kind}")
        body = await read_body(request)
        if len(body) > (MAX_ZIP if body.startswith(b"PK") else MAX_TEXT):
            raise ApiError(413, 40000, "bundle too large")
        return JSONResponse({"uris": self._bundles.upload(body)}, status_code=202)

    async def list_bundles(self, request):
        """Bundles, newest first; there is no modem firmware here."""
        if request.state.values.get("modemOnly"):
            return listing([], {"total": 0})
        rows, more = self._store.page("bundle", "n", [], [], query(request))
        return listing([bundle_document(row) for row in rows], more)

    async def delete_bundle(self, request):
        """Delete a bundle."""
        self._bundles.delete(request.path_params["bundleId"])
        return Response(status_code=202)

    async def create_job(self, request):
        """A job for a bundle and devices or tags."""
        value = request.state.json
        apply = value.get("autoApply", True) in (True, "true")  # the published default is a text
        job = self._fota.create_job(
            value["bundleId"], value.get("deviceIds", []), value.get("tags", []), value.get("name", ""),
            value.get("description", ""), apply,
        )  # fmt: skip
        return JSONResponse({"jobId": job}, status_code=201)

    async def list_jobs(self, request):
        """Jobs, newest first."""
        rows, more = self._store.page("job", "n", [], [], query(request))
        return listing([self._fota.job_document(row) for row in rows], more)

    async def get_job(self, request):
        """One job."""
        return self._fota.job_document(self._fota.job(request.path_params["jobId"]))

    async def apply_job(self, request):
        """Start a job that was created with autoApply false."""
        self._fota.apply_job(request.path_params["jobId"])
        return Response(status_code=202)

    async def cancel_job(self, request):
        """Cancel a job."""
        self._fota.cancel_job(request.path_params["jobId"], request.state.values.get("reason"))
        return Response(status_code=202)

    async def delete_job(self, request):
        """Delete a job, not its executions."""
        self._fota.delete_job(request.path_params["jobId"])
        return Response(status_code=202)

    async def list_statuses(self, request):
        """Execution statuses of a job."""
        job, status = request.path_params["jobId"], request.state.values.get("status")
        self._fota.job(job)
        where, args = ["job = ?"], [job]
        if status is not None:
            where, args = [*where, "status = ?"], [*args, status]
        rows, more = self._store.page("execution", "n", where, args, query(request))
        return listing([_status_document(row) for row in rows], more)

    async def list_executions(self, request):
        """Executions of a device, newest first."""
        device = request.path_params["deviceId"]
        rows, more = self._store.page("execution", "n", ["device = ?"], [device], query(request))
        return listing([self._fota.execution_document(row) for row in rows], more)

    async def current(self, request):
        """The pending execution, 404 when there is none."""
        row = self._fota.current(_device(request), request.state.values.get("firmwareType"))
        if row is None:
            raise not_found("no pending FOTA job execution", 40499)
        return self._fota.execution_document(row)

    async def get_execution(self, request):
        """One execution."""
        row = self._fota.execution(request.path_params["deviceId"], request.path_params["jobId"])
        return self._fota.execution_document(row)

    async def patch_execution(self, request):
        """Set the status of an execution, by the device itself or on its behalf."""
        by = "device" if request.state.caller.kind == DEVICE else "operator"
        self._fota.update(_device(request), request.path_params["jobId"], request.state.json, by)
        return Response(status_code=202)


def _device(request):
    """The device of the path; a device's own token is only good for itself. Raises ApiError 403."""
    device, caller = request.path_params["deviceId"], request.state.caller
    if caller.kind == DEVICE and caller.device != device:
        raise ApiError(403, ACCESS_DENIED, f"the token is that of {caller.device}")
    return device


def _status_document(row):
    document = {"deviceId": row["device"], "status": row["status"], "lastUpdatedAt": iso(row["updated_at"])}
    if row["status_detail"]:
        document["statusDetail"] = row["status_detail"]
    return document
