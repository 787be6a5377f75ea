"""REST: firmware bundles, FOTA jobs and executions (facts 14.2).

Called through rest_app.py; the work is done by bundles.py and fota.py.
"""

from starlette.responses import JSONResponse, Response

from .bundles import MAX_ZIP, bundle_document
from .errors import ApiError, invalid, not_found
from .fota import STATUSES
from .rest_app import listing, query, query_flag, read_body, read_json, text_list
from .store import iso

_MAX_NAME, _MAX_DESCRIPTION = 64, 1024


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
            ("DELETE", "/v1/firmwares/{bundle:path}", self.delete_bundle),
            ("POST", "/v1/fota-jobs", self.create_job),
            ("GET", "/v1/fota-jobs", self.list_jobs),
            ("GET", "/v1/fota-jobs/{job}", self.get_job),
            ("DELETE", "/v1/fota-jobs/{job}", self.delete_job),
            ("POST", "/v1/fota-jobs/{job}/apply", self.apply_job),
            ("PUT", "/v1/fota-jobs/{job}/cancel", self.cancel_job),
            ("GET", "/v1/fota-jobs/{job}/executions", self.list_statuses),
            ("GET", "/v1/fota-job-executions/{device}", self.list_executions),
            ("GET", "/v1/fota-job-executions/{device}/current", self.current),
            ("GET", "/v1/fota-job-executions/{device}/{job}", self.get_execution),
            ("PATCH", "/v1/fota-job-executions/{device}/{job}", self.patch_execution),
        ]

    async def upload(self, request):
        """A bundle, binary or base64."""
        body = await read_body(request)
        if len(body) > MAX_ZIP:
            raise ApiError(413, 40000, "bundle too large")
        return {"uris": self._bundles.upload(body)}

    async def list_bundles(self, request):
        """Bundles, newest first; there is no modem firmware here."""
        if query_flag(request, "modemOnly"):
            return listing([], {"total": 0})
        rows, more = self._store.page("bundle", "n", [], [], query(request))
        return listing([bundle_document(row) for row in rows], more)

    async def delete_bundle(self, request):
        """Delete a bundle."""
        self._bundles.delete(request.path_params["bundle"])
        return Response(status_code=204)

    async def create_job(self, request):
        """A job for a bundle and devices or tags."""
        value = await read_json(request)
        devices, tags = text_list(value.get("deviceIds"), "deviceIds", 100), text_list(value.get("tags"), "tags", 100)
        if bool(devices) == bool(tags):
            raise invalid("deviceIds or tags, 1..100 of them")
        bundle, apply = value.get("bundleId"), value.get("autoApply", True)
        if apply in ("true", "false"):  # the published default is a text
            apply = apply == "true"
        if not isinstance(bundle, str) or not isinstance(apply, bool):
            raise invalid("bundleId is a text, autoApply a boolean")
        name, description = value.get("name", ""), value.get("description", "")
        if not isinstance(name, str) or len(name) > _MAX_NAME:
            raise invalid("name is a text of at most 64 characters")
        if not isinstance(description, str) or len(description) > _MAX_DESCRIPTION:
            raise invalid("description is a text of at most 1024 characters")
        return {"jobId": self._fota.create_job(bundle, devices, tags, name, description, apply)}

    async def list_jobs(self, request):
        """Jobs, newest first."""
        rows, more = self._store.page("job", "n", [], [], query(request))
        return listing([self._fota.job_document(row) for row in rows], more)

    async def get_job(self, request):
        """One job."""
        return self._fota.job_document(self._fota.job(request.path_params["job"]))

    async def apply_job(self, request):
        """Start a job that was created with autoApply false."""
        self._fota.apply_job(request.path_params["job"])
        return Response(status_code=202)

    async def cancel_job(self, request):
        """Cancel a job."""
        self._fota.cancel_job(request.path_params["job"], request.query_params.get("reason"))
        return Response(status_code=202)

    async def delete_job(self, request):
        """Delete a job, not its executions."""
        self._fota.delete_job(request.path_params["job"])
        return Response(status_code=204)

    async def list_statuses(self, request):
        """Execution statuses of a job."""
        job, status = request.path_params["job"], request.query_params.get("status")
        self._fota.job(job)
        where, args = ["job = ?"], [job]
        if status is not None:
            if status not in STATUSES:
                raise invalid("status not valid")
            where, args = [*where, "status = ?"], [*args, status]
        rows, more = self._store.page("execution", "n", where, args, query(request))
        return listing([_status_document(row) for row in rows], more)

    async def list_executions(self, request):
        """Executions of a device, newest first."""
        device = request.path_params["device"]
        rows, more = self._store.page("execution", "n", ["device = ?"], [device], query(request))
        return listing([self._fota.execution_document(row) for row in rows], more)

    async def current(self, request):
        """The pending execution, 404 when there is none."""
        row = self._fota.current(request.path_params["device"], request.query_params.get("firmwareType"))
        if row is None:
            raise not_found("no pending FOTA job execution", 40499)
        return self._fota.execution_document(row)

    async def get_execution(self, request):
        """One execution."""
        row = self._fota.execution(request.path_params["device"], request.path_params["job"])
        return self._fota.execution_document(row)

    async def patch_execution(self, request):
        """Set the status of an execution on the device's behalf."""
        value = await read_json(request)
        self._fota.update(request.path_params["device"], request.path_params["job"], value, "operator")
        return JSONResponse({}, status_code=202)


def _status_document(row):
    document = {"deviceId": row["device"], "status": row["status"], "lastUpdatedAt": iso(row["updated_at"])}
    if row["status_detail"]:
        document["statusDetail"] = row["status_detail"]
    return document
