"""CBOR encoder (RFC 8949, 3 and 4.1): one pass into the caller's buffer, shortest heads.

Called through `cbor.dumps` and `cbor.dump_into`. Integers, constants, floats, decimals, byte strings up to 32 bytes
and the containers around them encode without heap (as long as the numbers are small ints on the port at hand); a str
or a longer byte string costs one or two blocks. Owns no RAM.

The writers do not compare with the end of the buffer: they write their last byte first, whose IndexError becomes
NoRoom at the top. Before a slice is assigned its end is tried too: a bytearray would grow.
"""

import struct

from micropython import const

from cbor.float64 import put
from cbor.item import F32, F64, CBORError, Decimal, Map, NoRoom, Simple, Tag

_MAX_DEPTH = const(16)  # nested arrays, maps and tags; bounds the C stack and ends cycles
_SHORT = const(32)  # byte strings up to here are copied by a loop, which allocates nothing
# This build's own floats: how they are packed, initial byte, size.
_FORMAT, _FIRST, _SIZE = (">Bd", 0xFB, 8) if float("16777217") != float("16777216") else (">Bf", 0xFA, 4)

_pack = struct.pack_into

# What an object of the wrong kind or range raises inside the writers. It is caught once, at the top: a `try`
# lengthens a function's frame, and MicroPython puts frames over 11 words (locals, stack, 3 a `try`) on the heap.
_PROBLEMS = (LookupError, OverflowError, TypeError, ValueError, AttributeError, getattr(struct, "error", TypeError))


def dumps(obj):
    """Encode `obj`; -> bytes. Raises CBORError. Use dump_into where the heap matters."""
    size = 64
    while True:
        buf = bytearray(size)
        end = _from_start(obj, buf)
        if end:
            return bytes(memoryview(buf)[:end])
        size *= 2


def _from_start(obj, buf):
    """dump_into(obj, buf), but -> None when there is no room. With two arguments its frame is one of 11 words."""
    try:
        return _WRITERS[type(obj)](buf, 0, obj, _MAX_DEPTH)
    except _PROBLEMS:
        pass
    try:
        return dump_into(obj, buf)
    except NoRoom:
        return None


def dump_into(obj, buf, pos=0, depth=_MAX_DEPTH):
    """Encode `obj` into the bytearray or byte memoryview `buf` from offset `pos`; -> the offset after it.

    Takes None, bool, int (a bignum when it is over 64 bits), float (float64, or float32 on single-precision builds,
    exact either way), bytes-likes, str, list, tuple, dict (its iteration order), this package's classes, and whatever
    has a method dump_into(buf, pos, depth) -> end; `depth` is what such a method hands on. Raises NoRoom when `buf` is
    too small and CBORError for anything else that cannot be encoded.
    """
    if pos < 0:
        raise NoRoom("no room")
    try:
        return _WRITERS[type(obj)](buf, pos, obj, depth)
    except IndexError:
        raise NoRoom("no room")
    except CBORError:
        raise
    except _PROBLEMS:
        return _explain(obj, buf, pos, depth)


def _explain(obj, buf, pos, depth):
    """Encode what holds an object of a class that is not in the table; or say what is wrong with it."""
    try:
        return _WRITERS[type(obj)](buf, pos, obj, depth)
    except KeyError as error:
        kind = error.args[0]
    except _PROBLEMS as error:
        raise CBORError("cannot encode: %s" % error)
    if not isinstance(kind, type) or kind in _WRITERS:
        raise CBORError("cannot encode: KeyError")
    _WRITERS[kind] = _base_writer(kind)
    try:
        return dump_into(obj, buf, pos, depth)
    finally:
        del _WRITERS[kind]


def _base_writer(kind):
    """The writer for a class that is not in the table: OrderedDict and namedtuple among them."""
    if hasattr(kind, "dump_into"):
        return _own
    for base in (int, str, bytes, dict, list, tuple):
        if issubclass(kind, base):
            return _WRITERS[base]
    raise CBORError("cannot encode %s" % kind.__name__)


def _head(buf, pos, major, n):
    """Write initial byte and argument (RFC 8949, 3) in the shortest form; `major` is shifted by 5 already."""
    if n < 24:
        buf[pos] = major | n
        return pos + 1
    if n < 0x100:
        buf[pos + 1] = n
        buf[pos] = major | 24
        return pos + 2
    if n < 0x10000:
        buf[pos + 2] = n & 0xFF
        buf[pos + 1] = n >> 8
        buf[pos] = major | 25
        return pos + 3
    if n <= 0xFFFFFFFF:
        buf[pos + 4] = 0
        _pack(">BI", buf, pos, major | 26, n)
        return pos + 5
    if n > 0xFFFFFFFFFFFFFFFF:
        from cbor.rare import bignum

        return bignum(buf, pos, major, n)
    buf[pos + 8] = 0
    _pack(">BQ", buf, pos, major | 27, n)
    return pos + 9


def _begin(buf, pos, major, n, depth):
    """The head of a container, when one may be opened here."""
    if not depth:
        raise CBORError("nested too deeply")
    if n < 24:
        buf[pos] = major | n
        return pos + 1
    return _head(buf, pos, major, n)


# One writer per type: (buf, pos, obj, depth) -> the position after what it wrote.


def _int(buf, pos, n, depth):
    if 0 <= n < 24:  # most map keys
        buf[pos] = n
        return pos + 1
    return _head(buf, pos, 0x20, -1 - n) if n < 0 else _head(buf, pos, 0, n)


def _constant(buf, pos, obj, depth):
    buf[pos] = 0xF6 if obj is None else 0xF4 + obj
    return pos + 1


def _simple(buf, pos, obj, depth):
    n = obj.value
    if not 0 <= n < 256 or 24 <= n < 32:
        raise CBORError("no such simple value")
    return _head(buf, pos, 0xE0, n)


def _bytes(buf, pos, data, n):
    n = len(data)
    pos = _head(buf, pos, 0x40, n)
    if n > _SHORT:
        return _copy(buf, pos, data)
    for i in range(n):
        buf[pos + i] = data[i]
    return pos + n


def _str(buf, pos, text, n):
    text = text.encode()  # one block of heap on MicroPython, which shares the characters
    n = len(text)
    if n > 23:
        pos = _head(buf, pos, 0x60, n)
        return _copy(buf, pos, text)
    buf[pos + n] = 0
    buf[pos] = 0x60 | n
    pos += 1
    buf[pos : pos + n] = text  # a slice object is one block of heap
    return pos + n


def _copy(buf, pos, data):
    end = pos + len(data)
    if end > len(buf):
        raise NoRoom("no room")
    buf[pos:end] = data
    return end


def _list(buf, pos, items, depth):
    pos = _begin(buf, pos, 0x80, len(items), depth)
    depth -= 1
    i = 0
    while i < len(items):  # `for` takes four words, a name for the item one
        pos = _WRITERS[type(items[i])](buf, pos, items[i], depth)
        i += 1
    return pos


def _dict(buf, pos, obj, depth):
    pos = _begin(buf, pos, 0xA0, len(obj), depth)
    depth -= 1
    for item in obj:  # items() would allocate a tuple per pair
        pos = _WRITERS[type(item)](buf, pos, item, depth)
        item = obj[item]
        pos = _WRITERS[type(item)](buf, pos, item, depth)
    return pos


def _map(buf, pos, pairs, depth):
    pairs = pairs.value
    pos = _begin(buf, pos, 0xA0, len(pairs), depth)
    i = 0
    while i < len(pairs):
        pos = _pair(buf, pos, pairs[i], depth - 1)
        i += 1
    return pos


def _pair(buf, pos, key, depth):
    key, value = key
    pos = _WRITERS[type(key)](buf, pos, key, depth)
    return _WRITERS[type(value)](buf, pos, value, depth)


def _tag(buf, pos, obj, depth):
    if obj.number < 0:
        raise CBORError("no such tag")
    pos = _begin(buf, pos, 0xC0, obj.number, depth)
    obj = obj.value
    return _WRITERS[type(obj)](buf, pos, obj, depth - 1)


def _float(buf, pos, value, depth):
    buf[pos + _SIZE] = 0
    _pack(_FORMAT, buf, pos, _FIRST, value)
    return pos + _SIZE + 1


def _f32(buf, pos, obj, depth):
    buf[pos + 4] = 0
    _pack(">Bf", buf, pos, 0xFA, obj.value)
    return pos + 5


def _f64(buf, pos, obj, depth):
    obj = obj.value
    if isinstance(obj, int):
        return _decimal(buf, pos, Decimal(obj, 0), depth)
    buf[pos + 8] = 0
    _pack(">Bd", buf, pos, 0xFB, obj)
    return pos + 9


def _decimal(buf, pos, obj, depth):
    buf[pos + 8] = 0
    buf[pos] = 0xFB
    put(buf, pos + 1, obj.mantissa, obj.exponent)
    return pos + 9


def _own(buf, pos, obj, depth):
    return obj.dump_into(buf, pos, depth)


_WRITERS = {
    int: _int,
    bool: _constant,
    type(None): _constant,
    Simple: _simple,
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: _bytes,
    str: _str,
    list: _list,
    tuple: _list,
    dict: _dict,
    Map: _map,
    Tag: _tag,
    float: _float,
    F32: _f32,
    F64: _f64,
    Decimal: _decimal,
}
