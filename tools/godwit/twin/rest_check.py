"""Requests checked against the OpenAPI document: path, query and header parameters, JSON bodies.

What does not fit is ApiError 422 (nRF code 42200) with the place and the reason in its message; JSON that is none is
400. Query parameters that the document does not know are let through, as the service does. Operations marked
x-checks-itself (location, provisioning) are left to their handlers, but for x-custom-device-id.
Called by rest_app.py before a handler; the values it read are request.state.values and request.state.json.
"""

import re

from jsonschema import Draft202012Validator, ValidationError, validators

from . import payload
from .errors import BAD_REQUEST, ApiError, invalid

_INTEGER = re.compile(r"-?\d{1,18}")
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,20})?([eE][+-]?\d{1,3})?")
_MAX_MESSAGE = 200


def _whole_pattern(validator, pattern, instance, schema):
    """`pattern` with the end of ECMA-262: Python's $ also matches before a last line feed."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$(?=$|\))", r"\\Z", pattern), instance):
        yield ValidationError(f"does not match {pattern}")


_Validator = validators.extend(Draft202012Validator, {"pattern": _whole_pattern})


class Checks:
    """The compiled document."""

    def __init__(self, document):
        self._operations = {}
        for path, item in document["paths"].items():
            for method, operation in item.items():
                body = operation.get("requestBody")
                key = (method.upper(), _bare(document["servers"][0]["url"] + path))
                if operation.get("x-checks-itself"):
                    ids = [item for item in operation.get("parameters", ()) if item["name"] == "x-custom-device-id"]
                    operation, body = {"parameters": ids}, None
                self._operations[key] = _Operation(operation, body, document["components"])

    def find(self, method, path):
        """The operation of a route (its path template), None when there is nothing to check."""
        return self._operations.get((method, _bare(path)))


class _Operation:
    def __init__(self, operation, body, components):
        def validator(schema):
            return _Validator({**schema, "components": components})

        self._parameters = [
            (item["in"], item["name"], item["required"], item["schema"], validator(item["schema"]))
            for item in operation.get("parameters", ())
        ]
        json = body and body["content"].get("application/json")
        self._json = json and validator(json["schema"])
        self._json_needed = bool(json and body["required"])

    async def check(self, request, read_body):
        """Read and check what the document says of this request. Raises ApiError 400, 413, 422."""
        values = {}
        for place, name, required, schema, validator in self._parameters:
            value = _read(request, place, name, schema)
            if value is None:
                if required and place != "path":
                    raise invalid(f"{place} parameter {name} is missing")
                continue
            _validate(validator, value, f"{place} parameter {name}")
            values[name] = value
        request.state.values = values
        if self._json is not None:
            body = request.state.body = await read_body(request)
            if not body:
                if self._json_needed:
                    raise ApiError(400, BAD_REQUEST, "empty body")
                return
            request.state.json = payload.load_json(body)
            _validate(self._json, request.state.json, "body")


def _read(request, place, name, schema):
    """The value of a parameter in the type of its schema (its text where it is not of that type), or None."""
    if place == "path":
        # routes may name their parts otherwise; the last part that is left over is never asked for
        return request.path_params.get(name)
    if place == "header":
        return request.headers.get(name)
    texts = request.query_params.getlist(name)
    if not texts:
        return None
    if schema.get("type") == "array":
        if name != "subTypes":  # whose items may hold a comma
            texts = [item for text in texts for item in text.split(",")]
        return texts
    return _typed(texts[-1], schema.get("type"))


def _typed(text, kind):
    if kind == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "number" and _NUMBER.fullmatch(text):
        return float(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    return text


def _validate(validator, value, what):
    error = next(iter(validator.iter_errors(value)), None)
    if error is None:
        return
    while error.context:  # anyOf and oneOf: the branch that came closest
        error = max(error.context, key=lambda item: (len(item.absolute_path), item.validator != "type"))
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    text = error.message if len(error.message) <= _MAX_MESSAGE else error.message[:_MAX_MESSAGE] + "..."
    raise invalid(f"{what}{where}: {text}")


def _bare(path):
    """A path template without the names of its parts."""
    return re.sub(r"\{[^}]*\}", "{}", path)
