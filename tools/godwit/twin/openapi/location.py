"""Location services, assistance data, location history (facts 5, 9, 10, 14.2). Their handlers check for themselves."""

from .parts import (
    DATE,
    DEVICE,
    FLAG,
    INTEGER,
    KEY,
    NUMBER,
    OBJECT,
    PAGE,
    SERVICE,
    SORT,
    TEXT,
    answer,
    array,
    dates,
    header,
    json_body,
    op,
    page_of,
    query,
    record,
    ref,
)

_ANYBODY = (KEY, DEVICE, SERVICE)
_SERVICES = ["MCELL", "SCELL", "WIFI", "MCELL_EVAL", "SCELL_EVAL", "WIFI_EVAL"]
_LAT, _LON = {**NUMBER, "minimum": -90, "maximum": 90}, {**NUMBER, "minimum": -180, "maximum": 180}
_MNC = {"anyOf": [{**INTEGER, "minimum": 0, "maximum": 999}, {"type": "string", "pattern": "^[0-9]{1,3}$"}]}
_CELL_ID = {
    "mcc": {**INTEGER, "minimum": 1, "maximum": 999},
    "mnc": _MNC,
    "tac": {**INTEGER, "minimum": 0, "maximum": 65535},
    "eci": {**INTEGER, "minimum": 0, "maximum": 268435455},
}
_ANY_CELL_ID = {**_CELL_ID, "mcc": {**INTEGER, "minimum": 0, "maximum": 999}}
_RSRP = {**NUMBER, "minimum": -157, "maximum": -44}
_TYPE = {"type": "integer", "enum": [*range(1, 10), *range(11, 18)]}
_BYTES = {"type": "string", "format": "binary"}
_OCTETS = "application/octet-stream"

SCHEMAS = {
    "LteCell": record(
        _CELL_ID,
        {"rsrp": _RSRP, "rsrq": NUMBER, "pci": INTEGER, "earfcn": INTEGER, "adv": INTEGER, "nmr": array(OBJECT)},
    ),
    "AccessPoint": record(
        {"macAddress": {"type": "string", "pattern": "^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$"}},
        {"ssid": TEXT, "signalStrength": NUMBER, "age": NUMBER, "signalToNoiseRatio": NUMBER, "frequency": NUMBER,
         "channel": NUMBER},
    ),
    "Place": record({"lat": _LAT, "lon": _LON, "uncertainty": NUMBER}),
    "Fix": record(
        {"lat": _LAT, "lon": _LON, "uncertainty": NUMBER, "fulfilledWith": {"type": "string", "enum": _SERVICES}},
        {"alt": record({"loc": OBJECT, "dist": NUMBER})},
    ),
    "PredictionFile": record({"host": TEXT, "path": TEXT}),
    "LocationItem": record(
        {"id": ref("UUID"), "deviceId": ref("DeviceId"), "serviceType": TEXT, "insertedAt": DATE, "lat": TEXT,
         "lon": TEXT, "uncertainty": TEXT, "meta": OBJECT}
    ),
    "Address": record(
        {
            "lat": _LAT,
            "lon": _LON,
            "uncertainty": NUMBER,
            "formatted": TEXT,
            "address": record({"country": TEXT, "state": TEXT}, {"countryCode": TEXT, "stateCode": TEXT, "city": TEXT}),
        }
    ),
    "AssistanceRequest": record(
        {}, {"types": array(_TYPE, minItems=1, maxItems=17), **_ANY_CELL_ID, "rsrp": _RSRP, "filtered": FLAG,
             "mask": {**NUMBER, "minimum": 0, "maximum": 90}},
    ),
}  # fmt: skip

_CELLS = {name: array(ref("LteCell"), minItems=1) for name in ("lte", "ltecatm", "nbiot")}
_POINTS = array(ref("AccessPoint"), minItems=2)
_ONE_CELL = [{"required": [name]} for name in _CELLS]
_CUSTOM = header("x-custom-device-id", ref("DeviceId"), "The device, where the token does not say it")
_RANGE = header("range", {"type": "string", "pattern": "^bytes=([0-9]{1,9}-[0-9]{0,9}|-[0-9]{1,9})$"}, "Bytes wanted")
_REPLY = query("doReply", {"enum": ["true", "false", "0", "1"]}, "false or 0: recorded, answered with an empty body")
_CONFIDENT = query("hiConf", {**FLAG, "default": False}, "A radius of 95 % instead of 68 %")
_FALLBACK = query("fallback", {**FLAG, "default": True}, "Whether the tracking area will do")
_FLAGS = [_REPLY, _CONFIDENT, _FALLBACK]
_AGNSS = [
    query("types", array(_TYPE), "Kinds of assistance data"),
    *(query(name, schema) for name, schema in _ANY_CELL_ID.items()),
    query("rsrp", _RSRP), query("filtered", FLAG), query("mask", {**NUMBER, "minimum": 0, "maximum": 90}),
]  # fmt: skip
_PREDICTIONS = [
    query("predictionCount", {**INTEGER, "minimum": 1, "maximum": 42}),
    query("predictionIntervalMinutes", {**INTEGER, "enum": [240]}),
    query("startGpsDay", INTEGER),
    query("startGpsTimeOfDaySeconds", {**INTEGER, "minimum": 0, "maximum": 86399}),
    _CUSTOM,
]
_ASSISTANCE = {200: answer("All of it", _BYTES, _OCTETS), 206: answer("The range asked for", _BYTES, _OCTETS)}
_FILE = {200: answer("Where the file is", ref("PredictionFile"))}


def _op(method, path, name, text, answers, tag, parameters=(), body=None, errors=(400, 404, 422), security=_ANYBODY):
    return op(method, "/location/" + path, name, text, answers, tag, parameters, body, errors, security,
              **{"x-checks-itself": True})  # fmt: skip


OPERATIONS = [
    _op("POST", "ground-fix", "GetLocationFromCellsOrWifiNetworks", "A place from cells and access points",
        {200: answer("The place", ref("Fix"))}, "Ground Fix",
        [*_FLAGS, query("alt", FLAG), query("dist", {**NUMBER, "minimum": 0}), _CUSTOM],
        json_body(record({}, {**_CELLS, "wifi": {"anyOf": [_POINTS, record({"accessPoints": _POINTS})]}},
                         anyOf=[*_ONE_CELL, {"required": ["wifi"]}]))),
    _op("POST", "cell", "GetLocationFromCells", "A place from cells", {200: answer("The place", ref("Fix"))},
        "Cell Location", [*_FLAGS, _CUSTOM], json_body(record({}, _CELLS, anyOf=_ONE_CELL))),
    _op("POST", "wifi", "GetLocationFromWifiNetworks", "A place from access points",
        {200: answer("The place", ref("Place"))}, "Wi-Fi Location", [_REPLY, _CONFIDENT, _CUSTOM],
        json_body(record({"accessPoints": _POINTS}))),
    _op("GET", "single-cell", "GetSingleCellLocation", "A place from one cell (older form)",
        {200: {"description": "The place", "content": {
            "application/json": {"schema": ref("Place")}, _OCTETS: {"schema": _BYTES}}}}, "Single Cell",
        [*(query(name, schema, "", True) for name, schema in _CELL_ID.items()), query("rsrp", _RSRP),
         query("format", {"type": "string", "enum": ["json", "binary"]}), _CUSTOM]),
    _op("POST", "gnss", "RecordGnssCoordinates", "Record where a device found itself to be",
        {202: answer("Recorded")}, "GNSS", [_CUSTOM],
        json_body(record({"lat": _LAT, "lon": _LON}, dict.fromkeys(("acc", "alt", "hdg", "spd"), NUMBER)))),
    _op("POST", "agnss", "GetAssistanceData", "Assistance data", _ASSISTANCE, "GNSS", [_RANGE, _CUSTOM],
        json_body(ref("AssistanceRequest"), False), (400, 416, 422)),
    _op("HEAD", "agnss", "GetAssistanceDataSize", "Its size, in Content-Length", {200: answer("No body")}, "GNSS",
        _AGNSS, errors=(400, 422)),
    _op("GET", "agps", "GetAgpsData", "Assistance data (older form)", _ASSISTANCE, "Assisted GPS",
        [*_AGNSS, _RANGE, _CUSTOM], errors=(400, 416, 422)),
    _op("HEAD", "agps", "GetFileSize", "Its size, in Content-Length", {200: answer("No body")}, "Assisted GPS",
        _AGNSS, errors=(400, 422)),
    _op("GET", "pgnss", "GetPredictionData", "Where a file of predictions is", _FILE, "GNSS", _PREDICTIONS,
        errors=(400, 422)),
    _op("GET", "pgps", "GetPredictedAssistanceData", "The same (older form)", _FILE, "Predicted GPS", _PREDICTIONS,
        errors=(400, 422)),
    _op("GET", "geo", "GetAddressDataFromCoordinates", "The address of coordinates",
        {200: answer("The address", ref("Address"))}, "Geocoding",
        [query("lat", _LAT, "", True), query("lon", _LON, "", True), _CUSTOM]),
    op("GET", "/location/history", "GetLocationHistory", "Where devices were, newest first",
       {200: answer("Places", page_of(ref("LocationItem")))}, "Location History",
       [query("deviceId", ref("DeviceId")), query("deviceIdentifier", ref("DeviceId"), deprecated=True),
        *dates("start", "end", "inclusiveStart", "exclusiveEnd", "inclusiveEnd"),
        query("latest", {**FLAG, "default": False}), query("tags", array(ref("DeviceTag"))), *PAGE, SORT]),
    op("DELETE", "/location/history/{deviceId}/{id}", "DeleteLocationHistory", "Delete one item",
       {202: answer("Deleted")}, "Location History", errors=(404,)),
]  # fmt: skip
