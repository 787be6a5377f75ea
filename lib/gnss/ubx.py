"""UBX, the binary protocol of u-blox receivers: frames, and the messages that we read.

Pure. Sources: modems.md 3.5, 3.6; u-blox's interface descriptions for NAV-PVT and NAV-ORB. Used over a UART
(gnss.ublox) and through +UGUBX (modem.sara_r5). RAM: none.
"""

import struct

from micropython import const

from gnss.date import received

_SYNC = const(0xB5)
_SYNC2 = const(0x62)
_FRAME = const(8)  # sync, class, id, length and checksum

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
        "heading_mdeg": (heading + 50) // 100 % 360000,
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
