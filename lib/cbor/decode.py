"""CBOR decoder (RFC 8949): complete, strict, bounded; one pass over a memoryview.

Called through `cbor.loads`. Every length claim is compared with the bytes that are left before anything is
allocated, nesting ends at 16 levels, the item count at a budget, and all that is wrong with the input is a
CBORError saying what and where. Accepts longer heads than needed (4.2 asks for shortest only from
deterministic encoders). Owns no RAM.
"""

import struct

from micropython import const

from cbor.float64 import widen
from cbor.item import CBORError, Simple, Tag, undefined

_MAX_DEPTH = const(16)  # nested arrays, maps and tags; a deeper recursion would overflow an ESP32's C stack
_MAX_ITEMS = const(1024)  # a one-byte item costs up to 48 bytes of heap: bounds what 8 KB of input can claim
_CONSTANTS = (False, True, None, undefined)  # simple values 20..23

_ANY = (0x80, 0xBF)
# Second bytes that keep these first bytes from overlong forms, surrogates and values over 10FFFF (RFC 3629, 4).
_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}


def loads(buf, floats=None, max_items=_MAX_ITEMS):
    """Decode the one item that fills `buf` (bytes, bytearray or memoryview); nothing of `buf` is kept.

    Byte strings come out as bytes, maps as dict, tags as Tag. With `floats` every half, single and double
    goes through floats(8 bytes of float64, big endian) instead of becoming a float: see `scaled`. Raises
    CBORError.
    """
    decoder = _Decoder(buf, floats, max_items)
    try:
        value = decoder.item(_MAX_DEPTH)
    except UnicodeError:
        decoder.fail("bad UTF-8")
    if decoder.pos != decoder.end:
        decoder.fail("trailing bytes")
    return value


class _Decoder:
    def __init__(self, buf, floats, max_items):
        self.buf = memoryview(buf)
        self.pos = 0
        self.end = len(buf)
        self.floats = floats
        self.left = max_items

    def fail(self, what):
        raise CBORError("%s at byte %d" % (what, self.pos))

    def take(self, n):
        pos = self.pos
        if n > self.end - pos:
            self.fail("truncated")
        self.pos = pos + n
        return self.buf[pos : pos + n]

    def argument(self, info):
        """The number that belongs to the additional information `info` of a head."""
        if info < 24:
            return info
        if info > 27:
            self.fail("reserved head")
        size = 1 << (info - 24)
        pos = self.pos
        if size > self.end - pos:
            self.fail("truncated")
        self.pos = pos + size
        buf = self.buf
        if size == 1:
            return buf[pos]
        if size == 2:
            return buf[pos] << 8 | buf[pos + 1]
        return struct.unpack_from(">I" if size == 4 else ">Q", buf, pos)[0]

    def at_break(self):
        """Whether the indefinite container ends here; then its break is consumed."""
        if self.pos >= self.end:
            self.fail("truncated")
        if self.buf[self.pos] != 0xFF:
            return False
        self.pos += 1
        return True

    def item(self, depth):
        """Decode one item; `depth` more levels may be opened inside the current one."""
        if self.pos >= self.end:
            self.fail("truncated")
        first = self.buf[self.pos]
        self.pos += 1
        self.left -= 1
        if self.left < 0:
            self.fail("too many items")
        major = first >> 5
        info = first & 31
        if major == 7:
            return self.simple(info)
        if info == 31 and 2 <= major <= 5:
            n = -1
        else:
            n = self.argument(info)
        if major < 2:
            return -1 - n if major else n
        if major < 4:
            return self.chunks(major) if n < 0 else self.string(major, n)
        if not depth:
            self.fail("nested too deeply")
        if major == 6:
            return self.tag(n, depth - 1)
        return self.array(n, depth - 1) if major == 4 else self.map(n, depth - 1)

    def tag(self, n, depth):  # not inside item(): its frame would grow from the C stack onto the heap
        return Tag(n, self.item(depth))

    def string(self, major, n):
        raw = self.take(n)
        if major == 2:
            return bytes(raw)
        text = str(raw, "utf-8")  # loads catches the UnicodeError: see encode about `try`
        if len(text) != n and not _strict(raw):
            self.fail("bad UTF-8")
        return text

    def chunks(self, major):
        """A string of indefinite length: definite chunks of the same major type, each valid by itself."""
        parts = []
        while not self.at_break():
            first = self.buf[self.pos]
            if first >> 5 != major or self.left <= 0:
                self.fail("bad chunk")
            self.left -= 1
            self.pos += 1
            parts.append(self.string(major, self.argument(first & 31)))
        return (b"" if major == 2 else "").join(parts)

    def array(self, n, depth):
        if n < 0:
            items = []
            while not self.at_break():
                items.append(self.item(depth))
            return items
        if n > self.end - self.pos or n > self.left:  # each item takes a byte: the claim is false or too much
            self.fail("array too long")
        items = [None] * n
        for i in range(n):
            items[i] = self.item(depth)
        return items

    def map(self, n, depth):
        out = {}
        while n and not (n < 0 and self.at_break()):
            key = self.item(depth)
            value = self.item(depth)
            try:
                if key in out:
                    self.fail("duplicate key")
                out[key] = value
            except TypeError:
                self.fail("unhashable key")
            n -= 1
        return out

    def simple(self, info):
        if info < 24:
            return _CONSTANTS[info - 20] if 20 <= info else Simple(info)
        if info == 24:
            value = self.argument(info)
            if value < 32:
                self.fail("two-byte simple value below 32")
            return Simple(value)
        if info > 27:
            self.fail("reserved head" if info < 31 else "stray break")
        raw = self.take(1 << (info - 24))
        if self.floats:
            return self.floats(bytes(raw) if info == 27 else widen(raw))
        if info == 26:
            return struct.unpack(">f", raw)[0]
        return struct.unpack(">d", raw if info == 27 else widen(raw))[0]


def _strict(raw):
    """Whether `raw`, which str() took for UTF-8, is so by RFC 3629: MicroPython checks the structure only."""
    for i in range(len(raw)):
        first = raw[i]
        if first < 0xC0:
            continue
        if first < 0xC2 or first > 0xF4:
            return False
        low, high = _SECOND.get(first, _ANY)
        if not low <= raw[i + 1] <= high:
            return False
    return True
