"""UBX, the binary protocol of u-blox receivers: frames, a stream of them, and the messages that we read.

Pure. Sources: modems.md 3.5, 3.6; u-blox's interface descriptions for NAV-PVT and NAV-ORB. Used over a UART
(gnss.ublox) and through +UGUBX (modem.sara_r5). RAM: the buffer of a Parser.
"""

import struct

from micropython import const

from gnss.date import received

_SYNC = const(0xB5)
_SYNC2 = const(0x62)
_FRAME = const(8)  # sync, class, id, length and checksum
_SIZE = const(760)  # NAV-ORB of 124 satellites

NAV = const(0x01)
ACK = const(0x05)
MGA = const(0x13)
PVT = const(0x07)
ORB = const(0x34)
MGA_ACK = const(0x60)

POLL_PVT = b"\xb5\x62\x01\x07\x00\x00\x08\x19"
POLL_ORB = b"\xb5\x62\x01\x34\x00\x00\x35\xa0"

_FRESH = const(2)  # quarters of an hour that an ephemeris has to serve still, to count


def checksum(buf, start, end):
    """-> the two bytes of the checksum over buf[start:end], the first one in the lower half."""
    a = b = 0
    for i in range(start, end):
        a = a + buf[i] & 255
        b = b + a & 255
    return a | b << 8


def frame(buf, cls, ident, n):
    """Make a frame of the payload of `n` bytes that stands at buf[6:], in place; -> its size, n + 8."""
    buf[0] = _SYNC
    buf[1] = _SYNC2
    buf[2] = cls
    buf[3] = ident
    buf[4] = n & 255
    buf[5] = n >> 8
    total = checksum(buf, 2, n + 6)
    buf[n + 6] = total & 255
    buf[n + 7] = total >> 8
    return n + _FRAME


def unpack(raw):
    """One whole frame, nothing around it -> (class, id, payload as memoryview), or None: it is none."""
    n = len(raw) - _FRAME
    if n < 0 or raw[0] != _SYNC or raw[1] != _SYNC2 or raw[4] | raw[5] << 8 != n:
        return None
    if checksum(raw, 2, n + 6) != raw[n + 6] | raw[n + 7] << 8:
        return None
    return raw[2], raw[3], memoryview(raw)[6 : n + 6]


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


def when(payload):
    """NAV-PVT -> Unix time in s as the receiver knows it, or None."""
    if len(payload) < 84 or payload[11] & 3 != 3:
        return None
    return received(payload[4] | payload[5] << 8, *payload[6:11])


def fix(payload):
    """NAV-PVT -> fix record (modem.base), or None while there is no fix. A fix in two dimensions has no height."""
    if len(payload) < 84 or payload[20] not in (2, 3, 4) or not payload[21] & 1 or payload[78] & 1:
        return None
    lon, lat, height, _, accuracy = struct.unpack_from("<iiiiI", payload, 24)
    speed, heading = struct.unpack_from("<ii", payload, 60)
    return {
        "lat": lat,
        "lon": lon,
        "alt_mm": None if payload[20] == 2 else height,
        "acc_mm": accuracy,
        "speed_mm_s": speed,
        "heading_mdeg": heading // 100 % 360000,
        "time": when(payload),
    }


def orbits(payload):
    """NAV-ORB -> {1: mask of GPS, 3: of QZSS} of the satellites whose ephemeris the receiver holds and can use for a
    while (bit 0 is the first PRN), or None when malformed."""
    if len(payload) < 8 or len(payload) != 8 + 6 * payload[5]:
        return None
    held = {1: 0, 3: 0}
    for at in range(8, len(payload), 6):
        system = {0: 1, 5: 3}.get(payload[at])
        if system and 1 <= payload[at + 1] <= 32 and payload[at + 3] & 31 >= _FRESH:
            held[system] |= 1 << (payload[at + 1] - 1)
    return held


def accepted(payload, sent):
    """MGA-ACK, and the frame that was sent -> what the receiver says of it: 0 taken, 1 it needs the time first, 5 not
    ready yet, other refusals by their numbers, -1 refused without a reason; None: this is about another frame."""
    if len(payload) < 8 or payload[3] != sent[3] or bytes(payload[4:8]) != bytes(sent[6:10]):
        return None
    return 0 if payload[0] == 1 else payload[2] or -1
