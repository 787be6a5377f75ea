"""Building blocks of the OpenAPI document: parameters, answers, error bodies, one call per operation.

An area (account.py, devices.py ...) is a list of op(...) and a dict of schemas; __init__.py puts them together.
Pure.
"""

import re

UUID = "^[a-f0-9]{8}-?[a-f0-9]{4}-?[a-f0-9]{4}-?[a-f0-9]{4}-?[a-f0-9]{12}$"
DEVICE_ID = "^[A-Za-z0-9:_-]{1,128}$"
ULID = "^[0-9A-HJKMNP-TV-Z]{26}$"
TAG = "^[a-zA-Z0-9_.@:#-]+$"
SUB_TYPE = "^[a-zA-Z0-9_.,@/:#-]{0,799}$"
FIRMWARE_TYPES = ["APP", "MODEM", "BOOT", "SOFTDEVICE", "BOOTLOADER", "MDM_FULL", "SMP", "CUSTOM"]

KEY, DEVICE, SERVICE = "simpleToken", "jsonWebToken", "serviceEvaluationToken"
TEXT = {"type": "string"}
NUMBER = {"type": "number"}
INTEGER = {"type": "integer"}
FLAG = {"type": "boolean"}
DATE = {"type": "string", "format": "date-time"}
OBJECT = {"type": "object"}
ANYTHING = {}
PAYLOAD_LIMIT = 1333333  # characters of RestApiPayload, which is a megabyte in base64

_ERRORS = {
    400: "Bad request",
    401: "Access denied",
    403: "Access denied",
    404: "Not found",
    409: "Version conflict",
    413: "Too large",
    415: "Media type not supported",
    416: "Range not satisfiable",
    422: "Validation failed",
}
# what stands between braces in a path: its schema
_IN_PATH = {
    "deviceId": {"$ref": "#/components/schemas/DeviceId"},
    "jobId": {"$ref": "#/components/schemas/UUID"},
    "id": {"$ref": "#/components/schemas/UUID"},
    "bulkOpsRequestId": {"$ref": "#/components/schemas/ULID"},
    "bundleId": {"type": "string", "minLength": 1},
}


def ref(name):
    """A reference to one of the schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def array(items, **limits):
    """An array schema."""
    return {"type": "array", "items": items, **limits}


def record(required, optional=None, **more):
    """An object schema of required and optional properties."""
    properties = {**required, **(optional or {})}
    schema = {"type": "object", "properties": properties, **more}
    return {**schema, "required": list(required)} if required else schema


def page_of(items):
    """What every list answers."""
    total = {"type": "integer", "format": "int32", "minimum": 0}
    return record({"items": array(items), "total": total}, {"pageNextToken": TEXT})


def query(name, schema, text="", required=False, **more):
    """A query parameter."""
    result = {"name": name, "in": "query", "required": required, "schema": schema, **more}
    return {**result, "description": text} if text else result


def header(name, schema, text="", required=False):
    """A header parameter."""
    return {"name": name, "in": "header", "required": required, "schema": schema, "description": text}


PAGE = [
    query("pageLimit", {"type": "integer", "format": "int32", "minimum": 1, "maximum": 100, "default": 10},
          "Maximum number of items in the answer"),
    query("pageNextToken", {"type": "string", "pattern": "^[0-9a-f]{1,15}$"}, "Where the answer before ended"),
]  # fmt: skip
SORT = query("pageSort", {"type": "string", "enum": ["asc", "desc"], "default": "desc"}, "Order of the items")


def dates(*names):
    """Query parameters that are ISO-8601 dates (a date alone is its beginning)."""
    return [query(name, DATE, "ISO-8601; without a time it is 00:00:00") for name in names]


def json_body(schema, required=True):
    """A request body of JSON."""
    return {"required": required, "content": {"application/json": {"schema": schema}}}


def raw_body(types, schema, required=True):
    """A request body of other types."""
    return {"required": required, "content": {kind: {"schema": schema} for kind in types}}


def answer(text, schema=None, kind="application/json", headers=None):
    """One answer, without a body when there is no schema."""
    result = {"description": text}
    if schema is not None:
        result["content"] = {kind: {"schema": schema}}
    if headers:
        result["headers"] = headers
    return result


def op(method, path, name, text, answers, tag=None, parameters=(), body=None, errors=(), security=(KEY,), **more):
    """One operation: (path, method, object). `answers` is {status: answer()}; 401 and 422 come by themselves.

    `security` names who may call; () is everybody. Path parameters are read from the path.
    """
    in_path = [
        {"name": part, "in": "path", "required": True, "schema": _IN_PATH[part]}
        for part in re.findall(r"\{(\w+)\}", path)
    ]
    statuses = {*errors, *((401,) if security else ()), *((422,) if in_path or parameters or body else ())}
    if body and "application/json" in body["content"]:
        statuses.add(400)
    if body:
        statuses.add(413)
    responses = {str(status): value for status, value in answers.items()}
    for status in sorted(statuses - answers.keys()):
        responses[str(status)] = {"$ref": f"#/components/responses/Error{status}"}
    operation = {"operationId": name, "summary": text, "responses": responses, **more}
    if tag:
        operation["tags"] = [tag]
    if in_path or parameters:
        operation["parameters"] = [*in_path, *parameters]
    if body:
        operation["requestBody"] = body
    operation["security"] = [{scheme: []} for scheme in security]
    return path, method.lower(), operation


def error_responses():
    """components/responses: one body for all errors."""
    return {f"Error{status}": answer(text, ref("Error")) for status, text in _ERRORS.items()}


COMMON = {
    "Error": record(
        {"code": {"type": "integer", "description": "nRF code, such as 42200"}, "message": TEXT},
        description="Every error has this body",
    ),
    "UUID": {"type": "string", "pattern": UUID},
    "ULID": {"type": "string", "pattern": ULID},
    "DeviceId": {"type": "string", "pattern": DEVICE_ID},
    "DeviceTag": {"type": "string", "pattern": TAG},
    "FirmwareType": {"type": "string", "enum": FIRMWARE_TYPES},
    "Transformed": {"description": "Whatever the JSONata expression of the request makes"},
}
