"""Payloads: strict JSON and CBOR in, JSON or CBOR out, and the Content-Format / Accept rules.

Anything malformed is ApiError 4.00, an unknown Content-Format 4.15, an Accept that cannot be met 4.06.
Depth is limited, duplicate keys, trailing bytes, NaN and infinities are refused.
Called by every CoAP handler; pure.
"""

import io
import json
import math

import cbor2

from .errors import BAD_REQUEST, ApiError

TEXT, OCTETS, JSON, CBOR = 0, 42, 50, 60
_DEPTH = 16


def load(body, content_format):
    """Decode a JSON or CBOR body (bytes). No Content-Format is read as JSON. Raises ApiError."""
    if content_format not in (None, JSON, CBOR):
        raise ApiError(415, BAD_REQUEST, f"Content-Format {int(content_format)} not supported")
    if not body:
        raise ApiError(400, BAD_REQUEST, "empty payload")
    return load_cbor(body) if content_format == CBOR else load_json(body)


def load_json(body):
    """Decode JSON text in UTF-8 (bytes). Raises ApiError 4.00."""
    try:
        value = json.loads(body.decode(), parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as exc:
        raise ApiError(400, BAD_REQUEST, f"invalid JSON: {exc}") from exc
    _check(value, 0)
    return value


def load_cbor(body):
    """Decode exactly one CBOR item, of definite or indefinite lengths. Raises ApiError 4.00."""
    stream = io.BytesIO(body)
    decoder = cbor2.CBORDecoder(stream, read_size=1, max_depth=_DEPTH, allow_duplicate_keys=False)
    try:
        value = decoder.decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as exc:
        raise ApiError(400, BAD_REQUEST, f"invalid CBOR: {exc}") from exc
    if stream.tell() != len(body):
        raise ApiError(400, BAD_REQUEST, "invalid CBOR: bytes after the item")
    return value


def to_json_value(value, depth=0):
    """A CBOR value as JSON has it (string keys, no bytes, no tags). Raises ApiError 4.00."""
    if depth > _DEPTH:
        raise ApiError(400, BAD_REQUEST, "nested too deeply")
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ApiError(400, BAD_REQUEST, "keys must be text")
        return {key: to_json_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json_value(item, depth + 1) for item in value]
    if value is None or isinstance(value, (bool, str)) or is_number(value):
        return value
    raise ApiError(400, BAD_REQUEST, f"no JSON for {type(value).__name__}")


def is_int(value):
    """True for an integer that is not a bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value):
    """True for a finite number that is not a bool."""
    return is_int(value) or (isinstance(value, float) and math.isfinite(value))


def accepted(accept, offered, default):
    """The Content-Format to answer in: `default` without Accept, else the Accept option when offered.

    Raises ApiError 4.06.
    """
    if accept is None:
        return default
    if int(accept) not in offered:
        raise ApiError(406, BAD_REQUEST, f"cannot answer as {int(accept)}")
    return int(accept)


def dump(value, content_format):
    """Encode a value as JSON or CBOR bytes."""
    if content_format == CBOR:
        return cbor2.dumps(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _no_constant(name):
    raise ValueError(f"{name} is not JSON")


def _no_duplicates(pairs):
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate key")
    return value


def _check(value, depth):
    if depth > _DEPTH:
        raise ApiError(400, BAD_REQUEST, "invalid JSON: nested too deeply")
    if isinstance(value, float) and not math.isfinite(value):
        raise ApiError(400, BAD_REQUEST, "invalid JSON: number out of range")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check(child, depth + 1)
