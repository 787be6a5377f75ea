"""CBOR decoder (RFC 8949): complete, strict, bounded; one pass over a memoryview.

Called through `cbor.loads` and `cbor.load_from`. Every length claim is compared with the bytes that are left before
anything is allocated, nesting ends at 16 levels, the item count at a budget, and all that is wrong with the input is a
CBORError saying what (`reason`) and where. Accepts longer heads than needed (4.2 asks for shortest only from
deterministic encoders; cbor.deterministic checks it). Owns no RAM.
"""

from struct import unpack_from

from micropython import const

from cbor.item import CBORError, Simple, Tag, undefined

_MAX_DEPTH = const(16)  # nested arrays, maps and tags; a deeper recursion would overflow an ESP32's C stack
_MAX_ITEMS = const(1024)  # a one-byte item costs up to 64 bytes of heap: bounds what 8 KB of input can claim
_MAX_BIGNUM = const(128)  # bytes: printing one takes time that grows with the square of its length
_CONSTANTS = (False, True, None, undefined)  # simple values 20..23

_ANY = (0x80, 0xBF)
# Second bytes that keep these first bytes from overlong forms, surrogates and values over 10FFFF (RFC 3629, 4).
_SECOND = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}


def loads(buf, floats=None, max_items=_MAX_ITEMS, views=False, max_depth=_MAX_DEPTH):
    """Decode the one item that fills `buf` (bytes, bytearray or memoryview); nothing of `buf` is kept.

    Byte strings come out as bytes, or with `views` as memoryviews into `buf`, maps as dict, bignums as int, other
    tags as Tag. With `floats` every half, single and double goes through floats(8 bytes of float64, big endian)
    instead of becoming a float: see `scaled`. `max_items` bounds the items of the whole, `max_depth` (at most 16) the
    arrays, maps and tags around one. Raises CBORError.
    """
    decoder = _Decoder(buf, floats, max_items, views)
    buf = decoder.decode(max_depth)  # one name more would put this frame on the heap: see cbor.encode
    if decoder.pos != len(decoder.buf):
        decoder.fail("trailing bytes")
    return buf


def load_from(buf, pos=0, floats=None, max_items=_MAX_ITEMS, views=False, max_depth=_MAX_DEPTH):
    """Decode the item at offset `pos` of a CBOR sequence (RFC 8742) -> (value, offset after it); see `loads`.

    At the end of `buf` and beyond it raises CBORError ("truncated")."""
    decoder = _Decoder(buf, floats, max_items, views)
    decoder.pos = pos
    return decoder.decode(max_depth), decoder.pos


class _Decoder:
    views = False

    def __init__(self, buf, floats, max_items, views):  # four attributes: a fifth would move them all
        self.buf = memoryview(buf)
        self.pos = 0
        self.left = max_items
        self.floats = floats
        if views:
            self.views = True

    def decode(self, depth):
        if not 0 <= depth <= _MAX_DEPTH or self.pos < 0:
            raise ValueError("max_depth or pos")
        self.take(1)
        try:
            return self.item(depth)
        except IndexError:  # every read past the end is one: the readers need not compare
            self.fail("truncated")
        except UnicodeError:
            self.fail("bad UTF-8")

    def fail(self, reason):
        error = CBORError("%s at byte %d" % (reason, self.pos))
        error.reason = reason
        raise error

    def take(self, n):
        """Take `n` items from the budget."""
        self.left -= n
        if self.left < 0:
            self.fail("too many items")

    def item(self, depth):
        """Decode one item; `depth` more levels may be opened inside the current one."""
        first = self.buf[self.pos]
        self.pos += 1
        return first if first < 24 else _READERS[first >> 5](self, first & 31, depth)

    def argument(self, info):
        """The number that belongs to the additional information `info` >= 24 of a head."""
        pos = self.pos
        buf = self.buf
        if info == 24:
            self.pos = pos + 1
            return buf[pos]
        if info == 25:
            self.pos = pos + 2
            return buf[pos] << 8 | buf[pos + 1]
        if info > 27:
            self.fail("reserved head")
        size = info * 4 - 100  # 4 or 8
        buf[pos + size - 1]  # raises IndexError, where unpack_from has no error of its own
        self.pos = pos + size
        return unpack_from(">I" if info == 26 else ">Q", buf, pos)[0]

    def read(self, info):
        """The memoryview of a definite string."""
        if info > 23:
            info = self.argument(info)
        pos = self.pos
        if info > len(self.buf) - pos:
            self.fail("truncated")
        self.pos = info = pos + info
        return self.buf[pos:info]

    def chunks(self, major, kind):
        """A string of indefinite length: definite chunks of the same major type, each valid by itself."""
        parts = []
        while not self.at_break():
            first = self.buf[self.pos]
            if first >> 5 != major or first & 31 == 31 or self.left <= 0:
                self.fail("bad chunk")
            self.left -= 1
            self.pos += 1
            parts.append(kind(self, first & 31, 0))
        return parts

    def at_break(self):
        """Whether the indefinite item ends here; then its break is consumed."""
        if self.buf[self.pos] != 0xFF:
            return False
        self.pos += 1
        return True

    def open(self, info, depth):
        """The count of a container, None when it is indefinite."""
        if not depth:
            self.fail("nested too deeply")
        if info == 31:
            return None
        if info > 23:
            info = self.argument(info)
        if info > len(self.buf) - self.pos:  # an item takes a byte at least
            self.fail("truncated")
        return info


# One reader per major type: (decoder, additional information, depth) -> value.


def _unsigned(decoder, info, depth):
    return decoder.argument(info)  # below 24 it is read by whoever found it


def _negative(decoder, info, depth):
    return -1 - (info if info < 24 else decoder.argument(info))


def _bytes(decoder, info, depth):
    if info == 31:
        return b"".join([bytes(part) for part in decoder.chunks(2, _bytes)])
    raw = decoder.read(info)
    return raw if decoder.views else bytes(raw)


def _text(decoder, info, depth):
    if info == 31:
        return "".join(decoder.chunks(3, _text))
    raw = decoder.read(info)
    text = str(raw, "utf-8")
    if len(text) != len(raw) and not _strict(raw):
        decoder.fail("bad UTF-8")
    return text


def _array(decoder, n, depth):
    n = decoder.open(n, depth)
    if n is None:
        items = []
        while not decoder.at_break():
            decoder.take(1)
            items.append(decoder.item(depth - 1))
        return items
    decoder.take(n)
    items = [None] * n
    for i in range(n):
        items[i] = decoder.item(depth - 1)
    return items


def _map(decoder, n, depth):
    n = decoder.open(n, depth)
    if n is not None:
        decoder.take(2 * n)
    out = {}
    depth -= 1
    i = 0
    while i != n:
        if n is None:
            if decoder.at_break():
                break
            decoder.take(2)
        _pair(decoder, out, depth)
        i += 1
    if len(out) != i:
        decoder.fail("duplicate key")
    return out


def _pair(decoder, out, depth):
    key = decoder.buf[decoder.pos]
    if key < 24:
        decoder.pos += 1
    elif key < 0x80:
        key = decoder.item(depth)
        if decoder.views and isinstance(key, memoryview):
            key = bytes(key)
    else:
        key = decoder.item(depth)
        _hashable(decoder, key)
    first = decoder.buf[decoder.pos]  # as _item does, without the call
    decoder.pos += 1
    out[key] = first if first < 24 else _READERS[first >> 5](decoder, first & 31, depth)


def _hashable(decoder, key):
    try:
        hash(key)
    except TypeError:
        decoder.fail("unhashable key")


def _tag(decoder, info, depth):
    number = info if info < 24 else decoder.argument(info)
    if not depth:
        decoder.fail("nested too deeply")
    decoder.take(1)
    value = decoder.item(depth - 1)
    if not 2 <= number <= 3:
        return Tag(number, value)
    if not isinstance(value, (bytes, memoryview)) or len(value) > _MAX_BIGNUM:
        decoder.fail("not a bignum")
    value = int.from_bytes(value, "big")
    return value if number == 2 else -1 - value


def _simple(decoder, info, pos):
    if 25 < info < 28:
        pos = decoder.pos
        decoder.pos = pos + (8 if info == 27 else 4)
        decoder.buf[decoder.pos - 1]  # raises IndexError, where unpack_from has no error of its own
        if not decoder.floats:
            return unpack_from(">d" if info == 27 else ">f", decoder.buf, pos)[0]
        pos = bytes(decoder.buf[pos : decoder.pos])
        return decoder.floats(pos if info == 27 else _widen(pos))
    if info < 24:
        return _CONSTANTS[info - 20] if 20 <= info else Simple(info)
    if info > 27:
        decoder.fail("reserved head" if info < 31 else "stray break")
    pos = decoder.argument(info)
    if info == 24:
        if pos < 32:
            decoder.fail("two-byte simple value below 32")
        return Simple(pos)
    pos = _widen(pos.to_bytes(2, "big"))
    return decoder.floats(pos) if decoder.floats else unpack_from(">d", pos, 0)[0]


_READERS = (_unsigned, _negative, _bytes, _text, _array, _map, _tag, _simple)


def _widen(raw):
    from cbor.floats import widen

    return widen(raw)


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
