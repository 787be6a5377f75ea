"""Devices: list, fetch, delete, name, tags, image, state; MQTT team devices (facts 14.2, 7)."""

from .parts import (
    DATE,
    FLAG,
    INTEGER,
    OBJECT,
    PAGE,
    PAYLOAD_LIMIT,
    SUB_TYPE,
    TEXT,
    answer,
    array,
    header,
    json_body,
    op,
    page_of,
    query,
    raw_body,
    record,
    ref,
)

_TAG, _TEAM = "All Devices", "Mqtt Team Devices"
_OR_TRANSFORMED = {"anyOf": [ref("Device"), ref("Transformed")]}
_NAME = {"type": "string", "pattern": "^[a-zA-Z0-9.@:#-]{1,128}$"}
_TRANSFORM = query(
    "transform", {"type": "string", "minLength": 1, "maxLength": 4096},
    'A JSONata expression on the device, such as id or {"id": id, "type": type}',
)  # fmt: skip
_IF_MATCH = header(
    "If-Match", {"type": "string", "pattern": r'^(\*|(W/)?"?[0-9]{1,18}"?)$'}, "Version of the shadow that is meant"
)

SCHEMAS = {
    "DeviceFirmware": record(
        {}, {"supports": array(ref("FirmwareType")), "app": record({}, {"name": TEXT, "version": TEXT}),
             "boot": TEXT, "modem": TEXT, "smpDeviceAppVer": TEXT},
    ),
    "DeviceState": record(
        {"desired": OBJECT, "reported": OBJECT, "version": INTEGER}, {"delta": OBJECT, "metadata": OBJECT}
    ),
    "Device": record(
        {
            "id": ref("DeviceId"),
            "name": _NAME,
            "subType": {"type": "string", "pattern": SUB_TYPE},
            "tags": array(ref("DeviceTag")),
            "tenantId": ref("UUID"),
            "type": {"type": "string", "const": "Generic"},
            "$meta": record({"createdAt": DATE, "updatedAt": DATE, "version": INTEGER}),
        },
        {"firmware": ref("DeviceFirmware"), "image": {"type": "string", "format": "uri"}, "state": ref("DeviceState")},
    ),
    "DeviceCertificate": record(
        {"caCert": TEXT, "clientCert": TEXT, "clientId": ref("DeviceId")}, {"privateKey": TEXT}
    ),
}  # fmt: skip

_TYPES = array(ref("FirmwareType"))
OPERATIONS = [
    op("GET", "/devices", "ListDevices", "Devices of the team, newest first",
       {200: answer("Devices", page_of(_OR_TRANSFORMED))}, _TAG, [
           query("deviceIds", array(ref("DeviceId")), "Only these"),
           query("deviceNameFuzzy", TEXT, "Only names that contain this, in whatever case"),
           query("firmwareSupport", _TYPES, "Only devices that take one of these firmware types"),
           query("firmwareSupportExclude", _TYPES, "Only devices that take none of these"),
           query("includeState", {**FLAG, "default": False}, "With the shadow", deprecated=True),
           query("includeStateMeta", {**FLAG, "default": False}, "With the shadow's time stamps", deprecated=True),
           query("subTypes", array({"type": "string", "pattern": SUB_TYPE}), "Only these; repeat the parameter"),
           query("tags", array(ref("DeviceTag")), "Only devices with one of these tags"),
           _TRANSFORM, *PAGE]),
    op("GET", "/devices/tags", "ListDeviceTags", "All device tags",
       {200: answer("Tags", page_of({"anyOf": [ref("DeviceTag"), ref("Transformed")]}))}, _TAG,
       [{**PAGE[0], "required": True}, PAGE[1]]),
    op("GET", "/devices/{deviceId}", "FetchDevice", "A device with its state",
       {200: answer("The device", {"anyOf": [ref("Device"), ref("Transformed")]})}, _TAG, [_TRANSFORM], errors=(404,)),
    op("DELETE", "/devices/{deviceId}", "DeleteDevice", "Delete a device", {202: answer("Deleted")}, _TAG,
       body=raw_body(["text/plain"], TEXT, False), errors=(404,)),
    op("PUT", "/devices/{deviceId}/name", "UpdateDeviceName", "Name a device", {202: answer("Done")}, _TAG,
       body=json_body({"anyOf": [_NAME, array(_NAME, minItems=1, maxItems=1)]}), errors=(404,)),
    op("PUT", "/devices/{deviceId}/tags", "UpdateDeviceTags", "Set a device's tags", {202: answer("Done")}, _TAG,
       body=json_body(array(ref("DeviceTag"), maxItems=100)), errors=(404,)),
    op("PUT", "/devices/{deviceId}/image", "UpdateDeviceImage", "Set the picture: a URL, or a JPEG or PNG",
       {202: answer("Done")}, _TAG,
       [query("sourceUrl", {"type": "string", "pattern": r"^https?://[^\s/]+(/\S*)?$"}, "A picture on the Web")],
       raw_body(["application/octet-stream", "image/jpeg", "image/png"],
                {"type": "string", "maxLength": PAYLOAD_LIMIT}, False), errors=(404,)),
    op("DELETE", "/devices/{deviceId}/image", "DeleteDeviceImage", "Forget the picture", {202: answer("Done")}, _TAG,
       errors=(404,)),
    op("PATCH", "/devices/{deviceId}/state", "UpdateDeviceState", "Merge into the shadow", {202: answer("Done")},
       "IP Devices", [_IF_MATCH],
       json_body(record({}, {"desired": OBJECT, "reported": OBJECT},
                        anyOf=[{"required": ["desired"]}, {"required": ["reported"]}])), errors=(404, 409)),
    op("POST", "/devices/mqtt-team", "CreateTeamDevice", "A team device with a new certificate",
       {201: answer("Certificate and key", ref("DeviceCertificate"))}, _TEAM),
    op("GET", "/devices/mqtt-team/{deviceId}", "GetTeamDeviceCertificate", "Its certificate",
       {200: answer("The certificate", ref("DeviceCertificate"))}, _TEAM, errors=(404,)),
    op("PATCH", "/devices/mqtt-team/{deviceId}", "RotateTeamDeviceCertificate", "A new certificate and key",
       {201: answer("Certificate and key", ref("DeviceCertificate"))}, _TEAM, errors=(404,)),
    op("DELETE", "/devices/mqtt-team/{deviceId}", "DeleteTeamDevice", "Delete it", {202: answer("Deleted")}, _TEAM,
       errors=(404,)),
]  # fmt: skip
