"""What few messages hold: half and shortest floats, indefinite lengths, bignums (RFC 8949, 3.2, 3.4.3, 4.1).

Loaded when it is asked for, as cbor.F16 and so on. Each class encodes itself by the method that cbor.encode looks for,
and holds no state: an application may drop the module in between. Owns no RAM.
"""

import struct

from cbor.encode import dump_into
from cbor.floats import narrow, shortest, widen, word_of
from cbor.item import F32, F64, CBORError, NoRoom


def put(buf, pos, data):
    """Copy the bytes-like `data` to `buf`; -> the offset after it. Raises NoRoom."""
    end = pos + len(data)
    if end > len(buf):
        raise NoRoom("no room")
    buf[pos:end] = data
    return end


def pack(value):
    """-> the item of a float, int, Decimal, F32, F64, F16, Shortest or the 8 bytes of a float64, as short as keeps its
    value (RFC 8949, 4.1). Raises CBORError, OverflowError."""
    if isinstance(value, F16):
        return value.encode()
    while isinstance(value, (F64, Shortest)):
        value = value.value
    if isinstance(value, F32):
        value = widen(struct.pack(">f", value.value))
    first, size, word = shortest(word_of(value))
    return bytes((first,)) + word.to_bytes(size, "big")


class F16:
    """A number (float, int, Decimal) that must travel as 2 bytes: the nearest half, ties to even.

    Encoding raises CBORError when it is too large for one (65520 and above)."""

    def __init__(self, value):
        self.value = value

    def encode(self):
        word = word_of(self.value)
        half, _ = narrow(word, 5, 10)
        if half & 0x7FFF == 0x7C00 and word >> 52 & 2047 != 2047:
            raise CBORError("too large for a half")
        return b"\xf9" + half.to_bytes(2, "big")

    def dump_into(self, buf, pos, depth):
        return put(buf, pos, self.encode())


class Shortest:
    """A number (float, int, Decimal) that travels as the shortest float that keeps its float64 value."""

    def __init__(self, value):
        self.value = value

    def dump_into(self, buf, pos, depth):
        return put(buf, pos, pack(self.value))


_FIRSTS = {list: b"\x9f", dict: b"\xbf", bytes: b"\x5f", str: b"\x7f"}


class Indefinite:
    """A container or string whose length is not known beforehand, from any iterable (RFC 8949, 3.2).

    Indefinite(items) is an array, Indefinite(pairs, dict) a map, Indefinite(chunks, bytes) and Indefinite(chunks, str)
    strings. The iterable is read anew whenever a buffer was too small, so a generator will not do."""

    def __init__(self, items, kind=list):
        if kind not in _FIRSTS:
            raise CBORError("list, dict, bytes or str")
        if iter(items) is items:
            raise CBORError("can be read only once")
        self.items = items
        self.kind = kind

    def dump_into(self, buf, pos, depth):
        kind = self.kind
        if kind in (list, dict):
            if not depth:
                raise CBORError("nested too deeply")
            depth -= 1
        pos = put(buf, pos, _FIRSTS[kind])
        for item in self.items:
            if kind is dict:
                key, item = item
                pos = dump_into(key, buf, pos, depth)
            elif kind is not list and not isinstance(item, kind):
                raise CBORError("chunk of another type")
            pos = dump_into(item, buf, pos, depth)
        return put(buf, pos, b"\xff")


def bignum(buf, pos, major, n):
    """Write n (or -1 - n: `major` 0x20) of more than 64 bits as tag 2 or 3; -> the offset after it."""
    if major > 0x20:
        raise CBORError("no such tag")
    size = 9
    while n >> 8 * size:
        size += 1
    pos = put(buf, pos, b"\xc3" if major else b"\xc2")
    return dump_into(n.to_bytes(size, "big"), buf, pos)
