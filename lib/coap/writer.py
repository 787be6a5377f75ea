"""CoAP message -> bytes: RFC 7252 section 3, nothing else (no I/O, no clock, no asyncio).

exchange.py loads it when a request is to be written; an application may drop it in between. A Writer fills a
buffer that its caller owns; it owns none itself.
"""

from micropython import const

from .codec import CON, NON, CodecError
from .options import Options

_MARKER = const(0xFF)
_PATH = const(11)
_FORMAT = const(12)
_QUERY = const(15)
_ACCEPT = const(17)


def compose(buf, mid, token, head, payload, blocks):
    """Write a request into buf; its length. head and blocks as in MessageLayer.exchange; raises CodecError."""
    method, path, query, content_format, accept, options, confirmable = head
    writer = Writer(buf)
    writer.begin(CON if confirmable else NON, method, mid, token)
    writer.parts(_PATH, path)
    if content_format is not None and len(payload):
        writer.option(_FORMAT, content_format)
    for item in query:
        writer.option(_QUERY, item)
    if accept is not None:
        writer.option(_ACCEPT, accept)
    for number, value in blocks:
        writer.option(number, value)
    for number, value in options:
        writer.option(number, value)
    writer.payload(payload)
    return writer.n


def _extend(value):
    """Nibble of an option delta or length."""
    return value if value < 13 else 13 if value < 269 else 14


def _uint_size(value):
    size = 0
    while value:
        size += 1
        value >>= 8
    return size


class Writer:
    """Writes one message into `buf`: begin(), option() in any order, payload(); `n` is the length so far.

    Options are kept in ascending order of number, and in the caller's order among equal numbers. Raises
    CodecError when the buffer is too small.
    """

    def __init__(self, buf):
        self._buf = buf
        self.n = 0
        self._options_at = 0
        self._last = 0

    def begin(self, mtype, code, mid, token=b""):
        """Header and token (0 to 8 bytes)."""
        buf = self._buf
        tkl = len(token)
        if tkl > 8 or 4 + tkl > len(buf):
            raise CodecError("token length")
        buf[0] = 0x40 | mtype << 4 | tkl
        buf[1] = code
        buf[2] = mid >> 8
        buf[3] = mid & 0xFF
        for i in range(tkl):
            buf[4 + i] = token[i]
        self.n = self._options_at = 4 + tkl
        self._last = 0

    def option(self, number, value=b""):
        """Add an option. An int is written in as few bytes as it needs (0: none), a str as UTF-8."""
        if not 0 < number <= 0xFFFF:
            raise CodecError("option number")
        if isinstance(value, str):
            value = value.encode()
        if number < self._last:
            self._insert(number, value)
        else:
            self._put(number - self._last, value)
            self._last = number

    def parts(self, number, text, separator=b"/"):
        """One option per part of `text`, as Uri-Path and Location-Path want it. A leading "/" is dropped."""
        raw = text.encode()
        size = len(raw)
        start = 1 if size and raw[0] == separator[0] else 0
        while start < size:
            end = raw.find(separator, start)
            if end < 0:
                end = size
            if number < self._last:
                self._insert(number, raw[start:end])
            else:
                at = self._head(number - self._last, end - start)
                self._last = number
                buf = self._buf
                while start < end:  # cheaper than a slice of a few bytes
                    buf[at] = raw[start]
                    at += 1
                    start += 1
            start = end + 1
            if start == size:
                self.option(number)  # "a/" has an empty last segment, which is not "a"

    def payload(self, data):
        """Marker and payload; nothing at all for an empty one."""
        size = len(data)
        if size:
            n = self.n
            if n + 1 + size > len(self._buf):
                raise CodecError("message does not fit %d bytes" % len(self._buf))
            self._buf[n] = _MARKER
            self._buf[n + 1 : n + 1 + size] = data
            self.n = n + 1 + size

    def _put(self, delta, value):
        if isinstance(value, int):
            if value < 0 or value > 0xFFFFFFFF:
                raise CodecError("option value")
            size = _uint_size(value)
            at = self._head(delta, size) + size
            while size:
                at -= 1
                size -= 1
                self._buf[at] = value & 0xFF
                value >>= 8
        else:
            size = len(value)
            at = self._head(delta, size)
            if size:
                self._buf[at : at + size] = value

    def _head(self, delta, size):
        """Write an option header at `n`, move `n` behind the value to come; returns where that begins."""
        at = self.n
        if delta < 13 and size < 13:  # nearly all of them
            self.n = end = at + 1 + size
            if end > len(self._buf):
                raise CodecError("message does not fit %d bytes" % len(self._buf))
            self._buf[at] = delta << 4 | size
            return at + 1
        high = _extend(delta)
        low = _extend(size)
        end = at + 1 + max(0, high - 12) + max(0, low - 12) + size
        buf = self._buf
        if end > len(buf) or size > 65804:
            raise CodecError("message does not fit %d bytes" % len(buf))
        buf[at] = high << 4 | low
        at = self._tail(at + 1, high, delta)
        at = self._tail(at, low, size)
        self.n = end
        return at

    def _tail(self, at, nibble, value):
        if nibble == 13:
            self._buf[at] = value - 13
            return at + 1
        if nibble == 14:
            value -= 269
            self._buf[at] = value >> 8
            self._buf[at + 1] = value & 0xFF
            return at + 2
        return at

    def _insert(self, number, value):
        """Put an option in front of the first one with a higher number, whose delta shrinks by that."""
        options = Options(self._buf, self._options_at, self.n)
        start = options.value
        before = 0
        while options.next() and options.number <= number:
            before = options.number
            start = options.value + options.length
        size = options.length
        rest = bytes(self._buf[options.value : self.n])  # value of the displaced option, and what follows
        self.n = start
        self._put(number - before, value)
        at = self._head(options.number - number, size)
        self.n = at + len(rest)
        if self.n > len(self._buf):
            raise CodecError("message does not fit %d bytes" % len(self._buf))
        self._buf[at : self.n] = rest
