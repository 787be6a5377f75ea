"""Bytes -> CoAP message: RFC 7252 section 3, nothing else (no I/O, no clock, no asyncio); writer.py is the other way.

messages.py calls it for every datagram. A Message points into a received buffer and copies nothing; options.py looks
for a single option. It owns no buffer: about 100 bytes.
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


def extended(buf, at, end, size):
    """An option delta or length that needs `size` further bytes, which begin at `at` (section 3.1)."""
    if size == 3 or at + size > end:  # 3 is reserved
        raise CodecError("option header")
    if size == 1:
        return 13 + buf[at]
    return 269 + (buf[at] << 8 | buf[at + 1])


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
                size = delta - 12
                delta = extended(buf, at, n, size)
                at += size
            if length > 12:
                size = length - 12
                length = extended(buf, at, n, size)
                at += size
            number += delta
            if number > 0xFFFF or at + length > n:
                raise CodecError("option beyond the end")
            if number & 1:
                if number not in (_BLOCK2, _BLOCK1) or number == last or length > 3:
                    self.critical = number
            elif number == _OBSERVE and length <= 3 and number != last:
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
