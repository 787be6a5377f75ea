"""FOTA jobs and executions (facts 11): one execution per device, statuses with history.

A job is CREATED or IN_PROGRESS, COMPLETED when every execution is terminal, CANCELLED on request. A device that
does not take the bundle's type gets no execution (facts 7.1). An execution moves freely between QUEUED, IN_PROGRESS
and DOWNLOADING; SUCCEEDED, FAILED, TIMED_OUT, CANCELLED and REJECTED are final (repeating the same one is harmless).
Who moved it is kept.
Called by fota_api.py (device) and rest_fota.py (operator).
"""

import uuid

from .errors import NOT_FOUND, ApiError, invalid, not_found
from .store import dumps, iso, loads

PENDING = ("QUEUED", "IN_PROGRESS", "DOWNLOADING")
TERMINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")
STATUSES = PENDING + TERMINAL
_COUNTERS = {
    "QUEUED": "queued",
    "IN_PROGRESS": "inProgress",
    "DOWNLOADING": "downloading",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "TIMED_OUT": "timedOut",
    "CANCELLED": "cancelled",
    "REJECTED": "rejected",
}
_MAX_DETAIL = 1024


class Fota:
    """The job and execution tables. `on_change(job, device, status, detail)` hears every new status."""

    def __init__(self, store, devices, bundles, limits, on_change):
        self._store = store
        self._limits = limits
        self._devices = devices
        self._bundles = bundles
        self._on_change = on_change

    def create_job(self, bundle, device_ids, tags, name="", description="", apply=True):
        """A new job for devices and tags; returns its id. Raises ApiError 404 for an unknown bundle or device."""
        document = self._bundles.job_document(bundle)
        targets = list(dict.fromkeys([*device_ids, *(self._devices.tagged(tags) if tags else ())]))
        for device in targets:
            if not self._devices.exists(device):
                raise not_found(f"device {device} not found")
        self._limits.check("monthlyFOTAJobExecutions", len(targets))
        job, now = str(uuid.uuid4()), self._store.now_ms()
        self._store.insert(
            "job", id=job, bundle=bundle, firmware=dumps(document), name=name, description=description,
            target=dumps({"deviceIds": targets, "tags": list(tags)}), status="CREATED", status_detail=None,
            created_at=now, updated_at=now,
        )  # fmt: skip
        if apply:
            self.apply_job(job)
        return job

    def apply_job(self, job):
        """CREATED -> IN_PROGRESS: every device gets its execution. Raises ApiError 404, 400."""
        row = self.job(job)
        if row["status"] != "CREATED":
            raise ApiError(400, 40000, f"job is {row['status']}")
        self._set_job(job, "IN_PROGRESS")
        now, kind = self._store.now_ms(), loads(row["firmware"])["firmwareType"]
        for device in loads(row["target"])["deviceIds"]:
            if not self._devices.exists(device) or kind not in self._devices.supports(device):
                continue
            self._store.insert(
                "execution", id=str(uuid.uuid4()), job=job, device=device, document=row["firmware"],
                status="QUEUED", created_at=now, updated_at=now,
            )  # fmt: skip
            self._note(job, device, "QUEUED", None, "service")
        self._finish(job)

    def cancel_job(self, job, reason=None):
        """Cancel a job; its pending executions become CANCELLED. Raises ApiError 404, 400."""
        if self.job(job)["status"] not in ("CREATED", "IN_PROGRESS"):
            raise ApiError(400, 40000, "job is over")
        for row in self.executions(job):
            if row["status"] in PENDING:
                self._set_execution(row, "CANCELLED", reason, "operator")
        self._set_job(job, "CANCELLED", reason)

    def delete_job(self, job):
        """Delete the job record; its executions are left alone."""
        self.job(job)
        self._store.run("DELETE FROM job WHERE id = ?", job)

    def forget_device(self, device):
        """A device was deleted: its pending executions go, and count as removed in their jobs."""
        for row in self._store.all("SELECT * FROM execution WHERE device = ?", device):
            if row["status"] in PENDING:
                self._store.run("DELETE FROM execution WHERE n = ?", row["n"])
                self._note(row["job"], device, "REMOVED", None, "operator")
                self._finish(row["job"])

    def job(self, job):
        """The row of a job. Raises ApiError 404."""
        row = self._store.one("SELECT * FROM job WHERE id = ?", job)
        if row is None:
            raise not_found(f"job {job} not found", NOT_FOUND)
        return row

    def executions(self, job):
        """All execution rows of a job."""
        return self._store.all("SELECT * FROM execution WHERE job = ? ORDER BY n", job)

    def execution(self, device, job):
        """One execution row. Raises ApiError 404."""
        row = self._store.one("SELECT * FROM execution WHERE device = ? AND job = ?", device, job)
        if row is None:
            raise not_found(f"no execution of job {job} for {device}", NOT_FOUND)
        return row

    def current(self, device, firmware_type=None):
        """The oldest pending execution of a device, or None."""
        rows = self._store.all("SELECT * FROM execution WHERE device = ? ORDER BY created_at, n", device)
        for row in rows:
            if row["status"] in PENDING and firmware_type in (None, loads(row["document"])["firmwareType"]):
                return row
        return None

    def update(self, device, job, value, by):
        """Apply {"status", "details"?} of the device or an operator. Raises ApiError 400, 404, 422."""
        if not isinstance(value, dict):
            raise ApiError(400, 40000, "the body is not an object")
        status, detail = value.get("status"), value.get("details")
        if not isinstance(status, str) or status not in STATUSES:
            raise invalid("status not valid")
        if detail is not None and (not isinstance(detail, str) or len(detail) > _MAX_DETAIL):
            raise invalid("details is a short text")
        row = self.execution(device, job)
        if row["status"] in TERMINAL:
            if row["status"] != status:
                raise ApiError(400, 40000, f"execution is {row['status']}")
            return
        self._set_execution(row, status, detail, by)
        self._finish(job)

    def _set_execution(self, row, status, detail, by):
        self._store.run(
            "UPDATE execution SET status = ?, status_detail = ?, updated_at = ? WHERE n = ?",
            status, detail, self._store.now_ms(), row["n"],
        )  # fmt: skip
        self._note(row["job"], row["device"], status, detail, by)

    def _note(self, job, device, status, detail, by):
        self._store.insert(
            "execution_history", job=job, device=device, t=self._store.now_ms(), status=status,
            status_detail=detail, by=by,
        )  # fmt: skip
        self._on_change(job, device, status, detail)

    def _finish(self, job):
        """COMPLETED as soon as nothing is pending."""
        row = self._store.one("SELECT status FROM job WHERE id = ?", job)
        if row and row["status"] == "IN_PROGRESS":
            if all(execution["status"] in TERMINAL for execution in self.executions(job)):
                self._set_job(job, "COMPLETED")

    def _set_job(self, job, status, detail=None):
        now = self._store.now_ms()
        over = now if status in ("COMPLETED", "CANCELLED") else None
        self._store.run(
            "UPDATE job SET status = ?, status_detail = ?, updated_at = ?, completed_at = ? WHERE id = ?",
            status, detail, now, over, job,
        )  # fmt: skip

    def job_document(self, row):
        """The REST view of a job row."""
        executions = self.executions(row["id"])
        stats = dict.fromkeys(_COUNTERS.values(), 0)
        for execution in executions:
            stats[_COUNTERS[execution["status"]]] += 1
        firmware = loads(row["firmware"])
        target = loads(row["target"])
        document = {
            "jobId": row["id"],
            "name": row["name"],
            "description": row["description"],
            "status": row["status"],
            "statusDetail": row["status_detail"],
            "createdAt": iso(row["created_at"]),
            "lastUpdatedAt": iso(row["updated_at"]),
            "completedAt": iso(row["completed_at"]),
            "target": target,
            "firmware": {
                "bundleId": row["bundle"],
                "host": firmware["host"],
                "fileSize": firmware["fileSize"],
                "firmwareType": firmware["firmwareType"],
                "version": firmware["version"],
                "uris": [f"https://{firmware['host']}/{path}" for path in firmware["path"].split(" ")],
            },
            "executionStats": {
                **stats,
                "executions": len(executions),
                "devices": len(target["deviceIds"]),
                "removed": self._store.value(
                    "SELECT COUNT(*) FROM execution_history WHERE job = ? AND status = 'REMOVED'", row["id"]
                ),
                "completedExecutions": sum(row["status"] in TERMINAL for row in executions),
            },
        }
        return {key: value for key, value in document.items() if value is not None}

    def execution_document(self, row):
        """The execution object, as device and operator see it."""
        document = {
            "status": row["status"],
            "deviceId": row["device"],
            "createdAt": iso(row["created_at"]),
            "executionId": row["id"],
            "jobDocument": loads(row["document"]),
            "jobId": row["job"],
            "lastUpdatedAt": iso(row["updated_at"]),
            "tenantId": self._store.tenant,
        }
        if row["status_detail"]:
            document["statusDetail"] = row["status_detail"]
        return document
