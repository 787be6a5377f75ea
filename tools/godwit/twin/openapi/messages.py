"""Messages, alerts, binary logs (facts 6, 14.2)."""

from .parts import (
    DATE,
    OBJECT,
    PAGE,
    SORT,
    TEXT,
    answer,
    array,
    dates,
    json_body,
    op,
    page_of,
    query,
    record,
    ref,
)

_ALERT_STATUS = {"type": "string", "enum": ["ACTIVE", "ARCHIVED"]}

SCHEMAS = {
    "DeviceMessage": record(
        {"tenantId": ref("UUID"), "topic": TEXT, "deviceId": ref("DeviceId"), "receivedAt": DATE, "message": {}}
    ),
    "SendMessage": record(
        {"message": {"anyOf": [OBJECT, array(OBJECT, minItems=1), TEXT]}},
        {"topic": {"type": "string", "minLength": 1, "maxLength": 256}},
    ),
    "DeviceAlert": record(
        {
            "id": ref("UUID"),
            "deviceId": ref("DeviceId"),
            "receivedAt": DATE,
            "status": _ALERT_STATUS,
            "originalMessage": OBJECT,
        },
        {"createdAt": DATE, "statusChangedAt": DATE, "statusChangedBy": ref("UUID")},
    ),
    "ArchivedAlert": {
        "allOf": [
            ref("DeviceAlert"),
            {"required": ["statusChangedAt", "statusChangedBy"], "properties": {"status": {"const": "ARCHIVED"}}},
        ]
    },
    "FileDownload": record({"contentLength": {"type": "number"}, "url": {"type": "string", "format": "uri"}}),
}

_DEVICE = query("deviceId", ref("DeviceId"), "Of this device")
OPERATIONS = [
    op("GET", "/messages", "ListMessages", "Stored messages, newest first; appId and topic exclude each other",
       {200: answer("Messages", page_of(ref("DeviceMessage")))}, "Messages", [
           query("appId", {"type": "string", "maxLength": 64}, "Of this appId"), _DEVICE,
           query("topic", TEXT, "Of this topic"),
           *dates("start", "end", "inclusiveStart", "exclusiveEnd"), *PAGE, SORT]),
    op("POST", "/devices/{deviceId}/messages", "SendDeviceMessage", "Publish a message on a device's behalf",
       {202: answer("Published")}, "Messages", body=json_body(ref("SendMessage")), errors=(404,)),
    op("GET", "/alerts", "ListDeviceAlerts", "Alerts, newest first",
       {200: answer("Alerts", page_of(ref("DeviceAlert")))}, "Alerts", [
           query("deviceIds", array(ref("DeviceId")), "Of these devices"),
           query("status", _ALERT_STATUS, "Of this status"), *PAGE, SORT]),
    op("PATCH", "/alerts/{id}/archive", "ArchiveDeviceAlert", "Archive an alert",
       {200: answer("The alert", ref("ArchivedAlert"))}, "Alerts", errors=(404,)),
    op("PATCH", "/alerts/{id}/restore", "RestoreDeviceAlert", "Make an archived alert active again",
       {200: answer("The alert", ref("DeviceAlert"))}, "Alerts", errors=(404,)),
    op("GET", "/binary-logs/url", "FetchBinaryLogsUrl", "Where the binary logs of up to 24 hours are, as a zip",
       {200: answer("The file", ref("FileDownload"))}, "Binary Logs",
       [{**_DEVICE, "required": True}, *dates("start", "end")], errors=(404,)),
]  # fmt: skip
