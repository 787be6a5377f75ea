"""UBX frames in a stream of bytes, among NMEA and noise (modems.md 3.5).

Pure. RAM: the buffer of a Parser.
"""

from micropython import const

from gnss.ubx import checksum

_SYNC = const(0xB5)
_SYNC2 = const(0x62)
_FRAME = const(8)  # sync, class, id, length and checksum
_SIZE = const(760)  # NAV-ORB of 124 satellites


class Parser:
    """A stream of frames among other bytes. Feed chunks of any size.

    `sink(class, id, payload)` gets each frame with a right checksum, `other(bytes)` all that is outside of frames
    (NMEA); both as memoryviews valid during the call. What began like a frame and is none, or one larger than `size`,
    is counted in `lost`, and looked through again from its second byte on.
    """

    def __init__(self, sink, other=None, size=_SIZE):
        self._sink = sink
        self._other = other
        self._buf = bytearray(size)
        self._fill = 0
        self.lost = 0

    def feed(self, chunk):
        """Take bytes in."""
        mv = memoryview(chunk)
        buf = self._buf
        while mv:
            n = min(len(mv), len(buf) - self._fill)
            buf[self._fill : self._fill + n] = mv[:n]
            self._fill += n
            mv = mv[n:]
            self._scan()

    def _scan(self):
        """Hand over what is whole, and keep the rest at the front."""
        buf = self._buf
        mv = memoryview(buf)
        at = 0
        end = self._fill
        while at < end:
            start = at
            while at < end and buf[at] != _SYNC:
                at += 1
            if at > start and self._other:
                self._other(mv[start:at])
            n = self._length(at, end)
            if n is None:
                break
            if n:
                self._sink(buf[at + 2], buf[at + 3], mv[at + 6 : at + n - 2])
                at += n
            elif at < end:
                if self._other:
                    self._other(mv[at : at + 1])
                at += 1
        if at:
            self._fill = end - at
            for i in range(self._fill):  # in place: a slice would be copied first
                buf[i] = buf[at + i]

    def _length(self, at, end):
        """-> bytes of the whole frame at `at`, 0 when there is none, None when more bytes will tell."""
        buf = self._buf
        if end - at < 6:
            return None if at == end or end - at == 1 or buf[at + 1] == _SYNC2 else 0
        if buf[at + 1] != _SYNC2:
            return 0
        n = (buf[at + 4] | buf[at + 5] << 8) + _FRAME
        if n <= len(buf):
            if end - at < n:
                return None
            if checksum(buf, at + 2, at + n - 2) == buf[at + n - 2] | buf[at + n - 1] << 8:
                return n
        self.lost += 1
        return 0
