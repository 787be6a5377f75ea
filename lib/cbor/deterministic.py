"""Core deterministic encoding (RFC 8949, 4.2.1), and decoding that accepts nothing else.

For what is signed or compared: equal values give equal bytes. Shortest heads, maps sorted by the bytes of their encoded
keys, shortest floats, one NaN. Loaded when it is asked for (`import cbor.deterministic`), holds no state and owns no
RAM; builds the message from its parts and so takes about three times its size. cbor.dumps is what a link wants.
"""

from cbor.decode import loads as decode
from cbor.encode import dumps as encode
from cbor.item import F32, F64, CBORError, Decimal, Map, Tag
from cbor.rare import F16, Indefinite, Shortest, pack

_MAX_DEPTH = 16
_FLOATS = (float, F32, F64, Decimal, F16, Shortest)


def dumps(obj, widths=False):
    """Encode `obj`; -> bytes. Raises CBORError, for two keys that encode alike too.

    Takes what cbor.dumps takes but Indefinite. Every float is as short as keeps its value, whatever its class says;
    with `widths` only Python's own floats and Shortest are, for a CDDL that asks for `float .size 8` in a sorted map.
    """
    try:
        return _part(obj, widths, _MAX_DEPTH)
    except (OverflowError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, CBORError):
            raise
        raise CBORError("cannot encode: %s" % error)


def loads(buf, floats=None, max_items=1024, views=False, max_depth=_MAX_DEPTH):
    """cbor.loads, but raises CBORError ("not deterministic") unless `dumps` would have made these bytes."""
    buf = memoryview(buf)
    value = decode(buf, _Exact, max_items, True, max_depth)
    again = dumps(value)
    if again != buf:
        _differ(again, buf)
    return decode(buf, floats, max_items, views, max_depth)


def _differ(raw, buf):
    pos = 0
    while pos < min(len(raw), len(buf)) and raw[pos] == buf[pos]:
        pos += 1
    error = CBORError("not deterministic at byte %d" % pos)
    error.reason = "not deterministic"
    raise error


class _Exact(F64):
    """A float as its eight bytes, which no build rounds."""


def _part(obj, widths, depth):
    if isinstance(obj, _FLOATS) and (not widths or isinstance(obj, (float, _Exact))):
        return pack(obj)
    if isinstance(obj, Indefinite):
        raise CBORError("indefinite length")
    if isinstance(obj, (dict, Map)):
        return _map(obj.value if isinstance(obj, Map) else obj.items(), widths, _deeper(depth))
    if isinstance(obj, (list, tuple)):
        depth = _deeper(depth)
        return _head(0x80, len(obj)) + b"".join([_part(item, widths, depth) for item in obj])
    if isinstance(obj, Tag):
        return encode(Tag(obj.number, 0))[:-1] + _part(obj.value, widths, _deeper(depth))
    return encode(obj)


def _deeper(depth):
    if not depth:
        raise CBORError("nested too deeply")
    return depth - 1


def _head(major, n):
    head = bytearray(encode(n))
    head[0] |= major
    return bytes(head)


def _map(pairs, widths, depth):
    parts = [(_part(key, widths, depth), _part(value, widths, depth)) for key, value in pairs]
    parts.sort()  # no two keys are equal, so values are not compared and the sort need not be stable
    last = None
    for key, _ in parts:
        if key == last:
            raise CBORError("duplicate key")
        last = key
    return _head(0xA0, len(parts)) + b"".join([part for pair in parts for part in pair])
