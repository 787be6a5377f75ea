"""Onboarding by JSON and CSV, association by ownership code, bulk operations (facts 14.2)."""

from .parts import PAGE, SUB_TYPE, TEXT, answer, array, dates, json_body, op, page_of, query, raw_body, record, ref

_TAG, _BULK = "IP Devices", "Bulk Ops Requests"
_STATUS = {"type": "string", "enum": ["IN_PROGRESS", "FAILED", "SUCCEEDED"]}
_CSV = ["text/csv", "text/plain", "application/octet-stream"]
_SUB_TYPE = {"type": "string", "pattern": SUB_TYPE}
_COMMON = {"subType": _SUB_TYPE, "tags": array(ref("DeviceTag")), "supportedFirmwareTypes": array(ref("FirmwareType"))}
_ACCEPTED = {202: answer("Accepted", record({"bulkOpsRequestId": ref("ULID")}))}

SCHEMAS = {
    "OnboardDevice": {
        "oneOf": [
            record({"certificate": {"type": "string", "minLength": 1}}, {**_COMMON, "onboardingToken": False}),
            record({"onboardingToken": {"type": "string", "minLength": 1}}, {**_COMMON, "certificate": False}),
        ]
    },
    "BulkOpsRequest": record(
        {
            "bulkOpsRequestId": ref("ULID"),
            "endpoint": {
                "type": "string",
                "enum": ["REGISTER_PUBLIC_KEYS", "REGISTER_CERTIFICATES", "ONBOARD_DEVICES", "BULK_CLAIM_DEVICES"],
            },
            "requestedAt": {"type": "string", "format": "date-time"},
            "status": _STATUS,
            "uploadedDataUrl": TEXT,
        },
        {"completedAt": {"type": "string", "format": "date-time"}, "errorSummaryUrl": TEXT},
    ),
}  # fmt: skip

OPERATIONS = [
    op("POST", "/devices", "OnboardDevices",
       "Onboard up to 1000 devices: rows of deviceId, subType, tags, supportedFirmwareTypes, certificate, "
       "onboardingToken; with a header in any order, without one the first five", _ACCEPTED, _TAG,
       body=raw_body(_CSV, TEXT)),
    op("POST", "/devices/{deviceId}", "OnboardDevice", "Onboard one device by certificate or onboarding token",
       {202: answer("Onboarded")}, _TAG, body=json_body(ref("OnboardDevice"))),
    op("POST", "/devices/public-keys", "RegisterPublicKeys", 'Rows of deviceId,"public key in PEM", no header',
       _ACCEPTED, _TAG, body=raw_body(_CSV, TEXT)),
    op("POST", "/devices/certificates", "RegisterCertificates", 'Rows of deviceId,"certificate in PEM", no header',
       _ACCEPTED, _TAG, body=raw_body(_CSV, TEXT)),
    op("PUT", "/association/{deviceId}", "AssociateDevice", "Add a product to the account by its ownership code",
       {202: answer("Associated")}, _TAG, [query("subType", _SUB_TYPE, "A type of one's own")],
       raw_body(["text/plain"], {"type": "string", "pattern": "\\S"}), errors=(400, 404)),
    op("GET", "/bulk-ops-requests", "ListBulkOpsRequests", "Bulk operations, newest first",
       {200: answer("Bulk operations", page_of(ref("BulkOpsRequest")))}, _BULK,
       [query("status", _STATUS, "Only these"), *dates("startRequestedAt", "endRequestedAt"), *PAGE]),
    op("GET", "/bulk-ops-requests/{bulkOpsRequestId}", "FetchBulkOpsRequest", "One bulk operation",
       {200: answer("The bulk operation", ref("BulkOpsRequest"))}, _BULK, errors=(404,)),
]  # fmt: skip
