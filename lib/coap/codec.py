"""Bytes -> CoAP message: RFC 7252 section 3, nothing else (no I/O, no clock, no asyncio); writer.py is the other way.

messages.py calls it for every datagram. A Message and an Options cursor point into a received buffer and copy
nothing. They own no buffers: about 100 bytes of objects each.
"""

from micropython import const

CON = const(0)
NON = const(1)
ACK = const(2)
RST = const(3)

_MARKER = const(0xFF)
_OBSERVE = const(6)
_BLOCK2 = const(23)
_BLOCK1 = const(27)


class CodecError(ValueError):
    """Bytes that are no CoAP message, or a message that does not fit its buffer."""


def _extended(buf, at, end, nibble):
    """(offset behind it, value) of an option delta or length that needs further bytes (section 3.1)."""
    size = nibble - 12  # 13 -> one more byte, 14 -> two, 15 is reserved
    if size == 3 or at + size > end:
        raise CodecError("option header")
    if size == 1:
        return at + 1, 13 + buf[at]
    return at + 2, 269 + (buf[at] << 8 | buf[at + 1])


class Options:
    """A cursor over the options in buf[at:end]: next(), then `number`, `value` (start) and `length`."""

    def __init__(self, buf=None, at=0, end=0):
        self.over(buf, at, end)

    def over(self, buf, at, end):
        """Point at other options; returns self."""
        self._buf = buf
        self._end = end
        self.number = 0
        self.value = at
        self.length = 0
        return self

    def next(self):
        """Step on. False when there is no further option; then `value` is where the payload begins.

        Raises CodecError on a reserved nibble, a value beyond the end, or a marker with nothing behind it.
        """
        buf = self._buf
        self.value += self.length
        self.length = 0
        if self.value >= self._end:
            return False
        head = buf[self.value]
        self.value += 1
        if head == _MARKER:
            if self.value == self._end:
                raise CodecError("payload marker without payload")
            return False
        delta = head >> 4
        length = head & 15
        if delta > 12:
            self.value, delta = _extended(buf, self.value, self._end, delta)
        if length > 12:
            self.value, length = _extended(buf, self.value, self._end, length)
        self.number += delta
        self.length = length
        if self.number > 0xFFFF or self.value + self.length > self._end:
            raise CodecError("option beyond the end")
        return True

    def uint(self):
        """The value as an unsigned integer; -1 when it is longer than 4 bytes, which no such option is."""
        if self.length > 4:
            return -1
        value = 0
        for i in range(self.value, self.value + self.length):
            value = value << 8 | self._buf[i]
        return value


class Message:
    """One received message, in place. Valid until its buffer is written again; made once and used again."""

    def __init__(self):
        self.type = self.code = self.mid = self.tkl = 0
        self.options_at = self.payload_at = 0
        self.observe = -1  # value of that option (RFC 7641), -1 without it
        self.critical = 0  # number of a critical option that a client does not know or that is malformed

    def parse(self, buf, n):
        """Read the message in buf[:n]; raises CodecError for every format error of RFC 7252 section 3."""
        if n < 4:
            raise CodecError("shorter than a header")
        first = buf[0]
        tkl = first & 15
        code = buf[1]
        if first >> 6 != 1:
            raise CodecError("version")
        if tkl > 8 or 4 + tkl > n:
            raise CodecError("token length")
        if code == 0:
            if n != 4:
                raise CodecError("empty message with content")
        elif code >> 5 in (1, 6, 7) or first >> 4 & 3 == RST:
            raise CodecError("reserved code")
        self.type = first >> 4 & 3
        self.code = code
        self.mid = buf[2] << 8 | buf[3]
        self.tkl = tkl
        self.options_at = self.payload_at = 4 + tkl
        self.observe = -1
        self.critical = 0
        if 4 + tkl < n:
            self._options(buf, 4 + tkl, n)

    def _options(self, buf, at, n):
        # The same walk as Options.next, in one loop of local variables: it runs for every datagram.
        number = last = 0
        while at < n:
            length = buf[at]
            at += 1
            if length == _MARKER:
                if at == n:
                    raise CodecError("payload marker without payload")
                break
            delta = length >> 4
            length &= 15
            if delta > 12:
                at, delta = _extended(buf, at, n, delta)
            if length > 12:
                at, length = _extended(buf, at, n, length)
            number += delta
            if number > 0xFFFF or at + length > n:
                raise CodecError("option beyond the end")
            if number & 1:
                if number not in (_BLOCK2, _BLOCK1) or number == last or length > 3:
                    self.critical = number
            elif number == _OBSERVE and length <= 3:
                self.observe = 0
                for i in range(at, at + length):
                    self.observe = self.observe << 8 | buf[i]
            last = number
            at += length
        self.payload_at = at

    def has_token(self, buf, token):
        """True when the message in `buf` carries exactly this token."""
        if self.tkl != len(token):
            return False
        for i in range(self.tkl):
            if buf[4 + i] != token[i]:
                return False
        return True
