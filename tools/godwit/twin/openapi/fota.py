"""Firmware bundles, FOTA jobs, executions (facts 11, 14.2)."""

from .parts import (
    DATE,
    DEVICE,
    FLAG,
    KEY,
    NUMBER,
    PAGE,
    PAYLOAD_LIMIT,
    TEXT,
    answer,
    array,
    json_body,
    op,
    page_of,
    query,
    raw_body,
    record,
    ref,
)

_BUNDLES, _JOBS, _EXECUTIONS = "Firmware Bundles", "FOTA Jobs", "FOTA Job Executions"
_COUNTERS = ("completedExecutions", "executions", "devices", "timedOut", "removed", "downloading", "inProgress",
             "queued", "rejected", "failed", "succeeded", "cancelled")  # fmt: skip
_JOB_OPTIONS = {
    "autoApply": {"anyOf": [FLAG, {"enum": ["true", "false"]}], "default": True},
    "description": {"type": "string", "maxLength": 1024},
    "name": {"type": "string", "maxLength": 64},
}
_BUNDLE_ID = {"type": "string", "minLength": 1, "maxLength": 200}

SCHEMAS = {
    "Firmware": record(
        {
            "bundleId": TEXT,
            "type": ref("FirmwareType"),
            "version": TEXT,
            "filenames": array(TEXT),
            "size": NUMBER,
            "lastModified": DATE,
        },
        {"name": TEXT, "description": TEXT},
    ),
    "CreateJob": {
        "oneOf": [
            record(
                {"bundleId": _BUNDLE_ID, "deviceIds": array(ref("DeviceId"), minItems=1, maxItems=100)},
                {**_JOB_OPTIONS, "tags": {"type": "array", "maxItems": 0}},
            ),
            record(
                {"bundleId": _BUNDLE_ID, "tags": array(ref("DeviceTag"), minItems=1, maxItems=100)},
                {**_JOB_OPTIONS, "deviceIds": {"type": "array", "maxItems": 0}},
            ),
        ]
    },
    "JobStatus": {
        "type": "string",
        "enum": ["CREATED", "IN_PROGRESS", "CANCELLED", "DELETION_IN_PROGRESS", "COMPLETED"],
    },
    "ExecutionStatus": {
        "type": "string",
        "enum": ["QUEUED", "IN_PROGRESS", "FAILED", "SUCCEEDED", "TIMED_OUT", "CANCELLED", "REJECTED", "DOWNLOADING"],
    },
    "Job": record(
        {
            "jobId": ref("UUID"),
            "status": ref("JobStatus"),
            "target": record({"deviceIds": array(ref("DeviceId")), "tags": array(ref("DeviceTag"))}),
            "executionStats": record(dict.fromkeys(_COUNTERS, NUMBER)),
            "firmware": record(
                {
                    "bundleId": TEXT,
                    "host": TEXT,
                    "fileSize": NUMBER,
                    "firmwareType": ref("FirmwareType"),
                    "version": TEXT,
                    "uris": array(TEXT),
                }
            ),
        },
        {"name": TEXT, "description": TEXT, "statusDetail": TEXT, "createdAt": DATE, "lastUpdatedAt": DATE,
         "completedAt": DATE},
    ),
    "JobDocument": record(
        {"path": TEXT, "host": TEXT, "firmwareType": ref("FirmwareType"), "fileSize": NUMBER, "version": TEXT}
    ),
    "Execution": record(
        {
            "status": ref("ExecutionStatus"),
            "deviceId": ref("DeviceId"),
            "createdAt": DATE,
            "executionId": ref("UUID"),
            "jobDocument": ref("JobDocument"),
            "jobId": ref("UUID"),
            "lastUpdatedAt": DATE,
            "tenantId": ref("UUID"),
        },
        {"statusDetail": TEXT},
    ),
    "ExecutionState": record(
        {"deviceId": ref("DeviceId"), "status": ref("ExecutionStatus"), "lastUpdatedAt": DATE}, {"statusDetail": TEXT}
    ),
}  # fmt: skip

_BOTH = (KEY, DEVICE)
_DEVICE_JOB = "/fota-job-executions/{deviceId}/{jobId}"
OPERATIONS = [
    op("POST", "/firmwares", "UploadFirmware", "A bundle: a zip with manifest.json, binary or as base64 text",
       {202: answer("Where its files are", record({"uris": array(TEXT)}))}, _BUNDLES,
       body=raw_body(["application/zip", "application/octet-stream", "text/plain"],
                     {"type": "string", "maxLength": PAYLOAD_LIMIT}), errors=(400,)),
    op("GET", "/firmwares", "ListFirmware", "Bundles, newest first",
       {200: answer("Bundles", page_of(ref("Firmware")))}, _BUNDLES,
       [query("modemOnly", {**FLAG, "default": False}, "Modem firmware instead of the team's own"), *PAGE]),
    op("DELETE", "/firmwares/{bundleId}", "DeleteFirmware", "Delete a bundle", {202: answer("Deleted")}, _BUNDLES,
       errors=(404,)),
    op("POST", "/fota-jobs", "CreateFOTAJob", "A job for devices or for tags",
       {201: answer("Created", record({"jobId": ref("UUID")}))}, _JOBS, body=json_body(ref("CreateJob")),
       errors=(404,)),
    op("GET", "/fota-jobs", "ListFOTAJobs", "Jobs, newest first", {200: answer("Jobs", page_of(ref("Job")))}, _JOBS,
       PAGE),
    op("GET", "/fota-jobs/{jobId}", "FetchFOTAJob", "A job", {200: answer("The job", ref("Job"))}, _JOBS,
       errors=(404,)),
    op("DELETE", "/fota-jobs/{jobId}", "DeleteFOTAJob", "Delete a job, not its executions", {202: answer("Deleted")},
       _JOBS, errors=(404,)),
    op("POST", "/fota-jobs/{jobId}/apply", "ApplyFOTAJob", "Start a job that is CREATED", {202: answer("Started")},
       _JOBS, errors=(400, 404)),
    op("PUT", "/fota-jobs/{jobId}/cancel", "CancelFOTAJob", "Cancel a job and its pending executions",
       {202: answer("Cancelled")}, _JOBS,
       [query("reason", {"type": "string", "maxLength": 1024}, "Becomes statusDetail")], errors=(400, 404)),
    op("GET", "/fota-job-execution-statuses/{jobId}", "ListFOTAJobExecutionStatuses", "How far a job's devices are",
       {200: answer("Statuses", page_of(ref("ExecutionState")))}, _EXECUTIONS,
       [query("status", ref("ExecutionStatus"), "Only these"), *PAGE], errors=(404,)),
    op("GET", "/fota-job-executions/{deviceId}", "ListFOTAJobExecutionsForDevice", "Executions of a device",
       {200: answer("Executions", page_of(ref("Execution")))}, _EXECUTIONS, PAGE),
    op("GET", "/fota-job-executions/{deviceId}/current", "FetchCurrentPendingFOTAJobExecution",
       "The oldest pending execution", {200: answer("The execution", ref("Execution"))}, _EXECUTIONS,
       [query("firmwareType", ref("FirmwareType"), "Of this type")], errors=(403, 404), security=_BOTH),
    op("GET", _DEVICE_JOB, "FetchFOTAJobExecution", "One execution", {200: answer("The execution", ref("Execution"))},
       _EXECUTIONS, errors=(404,)),
    op("PATCH", _DEVICE_JOB, "UpdateFOTAJobExecutionStatus", "Set the status of an execution",
       {202: answer("Done")}, _EXECUTIONS,
       body=json_body(record({"status": ref("ExecutionStatus")}, {"details": {"type": "string", "maxLength": 1024}})),
       errors=(400, 403, 404), security=_BOTH),
]  # fmt: skip
