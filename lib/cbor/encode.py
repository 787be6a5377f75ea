"""CBOR encoder (RFC 8949, 3 and 4.2.1 but for sorting): one pass into the caller's buffer, shortest heads.

Called through `cbor.dumps` and `cbor.dump_into`. Integers, constants, floats, decimals, byte strings up to 32 bytes
and the containers around them encode without heap (as long as the numbers are small ints on the port at hand); a str
or a longer byte string costs one block. Owns no RAM.
"""

import struct

from micropython import const

from cbor import float64
from cbor.item import F32, F64, CBORError, Decimal, Map, NoRoom, Simple, Tag

_MAX_DEPTH = const(16)  # nested arrays, maps and tags; bounds the C stack and ends cycles
_SHORT = const(32)  # byte strings up to here are copied by a loop, which allocates nothing
_NATIVE = 0xFB if float("16777217") != float("16777216") else 0xFA  # initial byte of this build's own floats

_pack = struct.pack_into  # one stack slot less than the attribute: see _VALUE_ERRORS

# What an object of the wrong kind or range raises inside the writers (lone surrogates on CPython only). It is caught
# once, at the top: a `try` lengthens a function's frame, and MicroPython puts frames over 11 words on the heap.
_VALUE_ERRORS = (OverflowError, TypeError, UnicodeError, getattr(struct, "error", TypeError))


def dumps(obj):
    """Encode `obj`; -> bytes. Raises CBORError. Use dump_into where the heap matters."""
    size = 64
    while True:
        buf = bytearray(size)
        try:
            return bytes(memoryview(buf)[: dump_into(obj, buf)])
        except NoRoom:
            size *= 2


def dump_into(obj, buf, pos=0):
    """Encode `obj` into the bytearray or byte memoryview `buf` from offset `pos`; -> the offset after it.

    Takes None, bool, int (64 bits and sign), float (float64, or float32 on single-precision builds, exact either
    way), bytes-likes, str, list, tuple, dict (its iteration order) and this package's classes. Raises NoRoom when
    `buf` is too small and CBORError for anything else that cannot be encoded.
    """
    if pos < 0:
        raise NoRoom("no room")
    try:
        return _item(buf, pos, obj, _MAX_DEPTH)
    except _VALUE_ERRORS as error:
        raise CBORError("cannot encode: %s" % error)


def _item(buf, pos, obj, depth):
    if type(obj) is int and 0 <= obj < 24 and pos < len(buf):  # most map keys: worth a short cut
        buf[pos] = obj
        return pos + 1
    writer = _WRITERS.get(type(obj)) or _base_writer(obj)
    return writer(buf, pos, obj, depth)


def _base_writer(obj):
    """The writer for an instance of a subclass: OrderedDict and namedtuple among them."""
    for base in (int, str, bytes, dict, list, tuple):
        if isinstance(obj, base):
            return _WRITERS[base]
    raise CBORError("cannot encode %s" % type(obj).__name__)


def _room(buf, pos, n):
    if n > len(buf) - pos:
        raise NoRoom("no room")


def _head(buf, pos, major, n):
    """Write initial byte and argument (RFC 8949, 3) in the shortest form; `major` is shifted by 5 already."""
    if n < 24:
        if pos >= len(buf):
            raise NoRoom("no room")
        buf[pos] = major | n
        return pos + 1
    if n < 0x100:
        _room(buf, pos, 2)
        buf[pos] = major | 24
        buf[pos + 1] = n
        return pos + 2
    if n < 0x10000:
        _room(buf, pos, 3)
        _pack(">BH", buf, pos, major | 25, n)
        return pos + 3
    if n <= 0xFFFFFFFF:
        _room(buf, pos, 5)
        _pack(">BI", buf, pos, major | 26, n)
        return pos + 5
    if n > 0xFFFFFFFFFFFFFFFF:
        raise CBORError("integer needs more than 64 bits")
    _room(buf, pos, 9)
    _pack(">BQ", buf, pos, major | 27, n)
    return pos + 9


def _deeper(depth):
    if not depth:
        raise CBORError("nested too deeply")
    return depth - 1


# One writer per type: (buf, pos, obj, depth) -> the position after what it wrote.


def _int(buf, pos, n, depth):
    return _head(buf, pos, 0, n) if n >= 0 else _head(buf, pos, 0x20, -1 - n)


def _constant(buf, pos, obj, depth):
    return _head(buf, pos, 0xE0, 22 if obj is None else 20 + obj)


def _simple(buf, pos, obj, depth):
    n = obj.value
    if not 0 <= n < 256 or 24 <= n < 32:
        raise CBORError("no such simple value")
    return _head(buf, pos, 0xE0, n)


def _bytes(buf, pos, data, depth):
    n = len(data)
    pos = _head(buf, pos, 0x40, n)
    if n > len(buf) - pos:
        raise NoRoom("no room")
    if n > _SHORT:
        buf[pos : pos + n] = data  # a slice object is one block of heap
    else:
        for i in range(n):
            buf[pos + i] = data[i]
    return pos + n


def _str(buf, pos, text, depth):
    data = text.encode()  # one block of heap on MicroPython, which shares the characters
    n = len(data)
    pos = _head(buf, pos, 0x60, n)
    if n > len(buf) - pos:
        raise NoRoom("no room")
    buf[pos : pos + n] = data
    return pos + n


def _list(buf, pos, items, depth):
    n = len(items)
    pos = _head(buf, pos, 0x80, n)
    depth = _deeper(depth)
    for i in range(n):
        pos = _item(buf, pos, items[i], depth)
    return pos


def _dict(buf, pos, obj, depth):
    pos = _head(buf, pos, 0xA0, len(obj))
    depth = _deeper(depth)
    for key in obj:  # items() would allocate a tuple per pair
        pos = _item(buf, _item(buf, pos, key, depth), obj[key], depth)
    return pos


def _map(buf, pos, obj, depth):
    pos = _head(buf, pos, 0xA0, len(obj.value))
    depth = _deeper(depth)
    for key, value in obj.value:
        pos = _item(buf, _item(buf, pos, key, depth), value, depth)
    return pos


def _tag(buf, pos, obj, depth):
    if obj.number < 0:
        raise CBORError("no such tag")
    return _item(buf, _head(buf, pos, 0xC0, obj.number), obj.value, _deeper(depth))


def _float(buf, pos, value, depth):
    return _ieee(buf, pos, _NATIVE, value)


def _f32(buf, pos, obj, depth):
    return _ieee(buf, pos, 0xFA, obj.value)


def _f64(buf, pos, obj, depth):
    if isinstance(obj.value, int):
        return _decimal(buf, pos, Decimal(obj.value, 0), depth)
    return _ieee(buf, pos, 0xFB, obj.value)


def _ieee(buf, pos, first, value):
    n = 9 if first == 0xFB else 5
    _room(buf, pos, n)
    _pack(">Bd" if n == 9 else ">Bf", buf, pos, first, value)
    return pos + n


def _decimal(buf, pos, obj, depth):
    _room(buf, pos, 9)
    buf[pos] = 0xFB
    float64.put(buf, pos + 1, obj.mantissa, obj.exponent)
    return pos + 9


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
