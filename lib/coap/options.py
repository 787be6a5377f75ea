"""A cursor over the options of a CoAP message (RFC 7252 3.1): no I/O, no clock, no asyncio.

response.py, transfer.py and writer.py load it when there is something to look for; codec.py walks over the options of
every datagram by itself. Points into a buffer and copies nothing.
"""

from micropython import const

from .codec import CodecError, extended

_MARKER = const(0xFF)


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
            size = delta - 12
            delta = extended(buf, self.value, self._end, size)
            self.value += size
        if length > 12:
            size = length - 12
            length = extended(buf, self.value, self._end, size)
            self.value += size
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
