"""A second reading of RFC 7252 section 3, to which the fuzz compares lib/coap/codec.py: what is a message, and which
options has it. Written from the RFC's text, in one pass and without looking at the codec; shares nothing with it.
"""

KNOWN_CRITICAL = (23, 27)  # Block2 and Block1, which a client understands: 3 bytes at most, once
NONE = -1


class Reading:
    """The last datagram read: `valid`, and if so `first` (byte of the first option), `payload`, `critical`, `count`.

    numbers[i], starts[i], lengths[i] for i < count are the options (the first 200; the others are only checked).
    """

    def __init__(self):
        self.valid = False
        self.first = self.payload = self.critical = self.count = 0
        self.numbers = [0] * 200
        self.starts = [0] * 200
        self.lengths = [0] * 200

    def read(self, data, n):
        """Read the datagram data[:n]; gives `valid`."""
        self.valid = self._header(data, n) and self._options(data, n)
        return self.valid

    def _header(self, data, n):
        if n < 4 or data[0] & 0xC0 != 0x40:  # version 1
            return False
        tkl = data[0] & 0x0F
        if tkl > 8 or n < 4 + tkl:
            return False
        self.first = 4 + tkl
        if data[1] == 0:  # empty: nothing may follow
            return n == 4
        if data[0] & 0x30 == 0x30:  # a reset has to be empty
            return False
        return data[1] >= 0x20 and data[1] >> 5 in (2, 3, 4, 5) or data[1] < 0x20  # classes 1, 6, 7 are reserved

    def _options(self, data, n):
        at = self.first
        number = self.critical = self.count = 0
        while at < n and data[at] != 0xFF:
            delta, length = data[at] >> 4, data[at] & 0x0F
            at += 1
            if delta == 15 or length == 15:
                return False
            if delta >= 13:
                size = delta - 12
                if at + size > n:
                    return False
                delta = data[at] + 13 if size == 1 else data[at] * 256 + data[at + 1] + 269
                at += size
            if length >= 13:
                size = length - 12
                if at + size > n:
                    return False
                length = data[at] + 13 if size == 1 else data[at] * 256 + data[at + 1] + 269
                at += size
            number += delta
            if number > 65535 or at + length > n:
                return False
            self._note(number, at, length, delta == 0 and self.count > 0)
            at += length
        self.payload = n
        if at < n:
            if at + 1 == n:
                return False  # a marker in front of nothing
            self.payload = at + 1
        return True

    def _note(self, number, at, length, again):
        i = self.count
        if i < 200:
            self.numbers[i], self.starts[i], self.lengths[i] = number, at, length
            self.count = i + 1
        if number % 2 and (number not in KNOWN_CRITICAL or length > 3 or again):
            self.critical = number

    def observe(self, data):
        """Value of the first Observe option (RFC 7641 2), -1 without it or when it is too long for one."""
        for i in range(self.count):
            if self.numbers[i] == 6:
                if self.lengths[i] > 3:
                    return NONE
                return int.from_bytes(data[self.starts[i] : self.starts[i] + self.lengths[i]], "big")
        return NONE

    def value(self, data, number):
        """Value of the first option of that number, or None."""
        for i in range(self.count):
            if self.numbers[i] == number:
                return bytes(data[self.starts[i] : self.starts[i] + self.lengths[i]])
        return None

    def values(self, data, number):
        """All of them."""
        return [
            bytes(data[self.starts[i] : self.starts[i] + self.lengths[i]])
            for i in range(self.count)
            if self.numbers[i] == number
        ]
