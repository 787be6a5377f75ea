"""A-GNSS of nRF Cloud as UBX-MGA frames, and what we know ourselves as such frames (modems.md 3.3, 3.5, 3.6).

Pure. Integers are moved byte by byte, as both sides are little-endian and have the same scales: no long ints, no
structs. RAM: one frame (76 bytes), one element (62), and a short list of sections.
"""

import struct

from micropython import const

from gnss.answer import Answer
from gnss.date import fields
from gnss.ubx import frame
from gnss.walk import SIZES

_MGA = const(0x13)
_GPS = const(0x00)
_QZSS = const(0x05)
_INI = const(0x40)
_QZSS_PRN = const(192)  # nRF Cloud's numbers are PRNs, u-blox's begin with 1

_TIME_ACC_S = const(2)  # a UART or an AT channel is not prompt (modems.md 3.6)
_UNKNOWN_LEAP = const(-128)
_WEEK_MS = const(604800000)
_CM_MIN = const(100)
_CM_MAX = const(2000000000)
_UNCERTAIN_MAX = const(127)
_UNHEALTHY = const(0x3F)

_Z = const(255)  # zeros

# Payloads of 3.6 from their byte 2 on, as pairs: where the element (nrfcloud.md 9.2) has it, how many bytes.
_EPHEMERIS = bytes(
    (0, 1, _Z, 1, 15, 1, 14, 1, 1, 1, 13, 1, 2, 2, 4, 2, _Z, 1, 6, 1, 7, 2, 9, 4)  # sv_id, fit_int, ura .. af0
    + (50, 2, 22, 2, 24, 4, 60, 2, 54, 2, 32, 4, 38, 4, 16, 2)  # crs, delta_n, m0, cuc, cus, e, sqrt_a, toe
    + (58, 2, 46, 4, 52, 2, 56, 2, 42, 4, 18, 4, 28, 4, 36, 2, _Z, 2)  # cic, omega0, cis, crc, i0, w, omega_dot, idot
)
_ALMANAC = bytes((0, 1, 10, 1, 4, 2, 1, 2, 6, 4, 11, 16, 27, 4, _Z, 4))  # sv_id, health, e, wn and toa, ..
_UTC = bytes((_Z, 2, 4, 4, 0, 4, 10, 1, 8, 2, 11, 3, _Z, 2))  # a0, a1, dt_ls, tot and wn_t, ..
_IONO = bytes((_Z, 2, 0, 8, _Z, 4))

# In the order in which a receiver wants them: element type -> (message id, type in it, payload), or how it is made.
_ORDER = (7, 8, 1, 4, 2, 12, 3, 11, 9, 13)
_MOVED = {
    1: (_GPS, 5, _UTC),
    4: (_GPS, 6, _IONO),
    2: (_GPS, 1, _EPHEMERIS),
    12: (_QZSS, 1, _EPHEMERIS),
    3: (_GPS, 2, _ALMANAC),
    11: (_QZSS, 2, _ALMANAC),
}
_COVERED = {3: 2, 11: 12}  # almanacs by the ephemerides that make them useless, when complete


def frames(blob, age_ms=0):
    """Generator of whole frames, each a memoryview valid until the next one, in the order of modems.md 3.6.

    `blob`: an answer of schema 1 as bytes-like, or the list of its chunks. `age_ms`: how old it is. Elements that have
    no counterpart are left out, as are empty ephemerides (of predictions), a location of unknown accuracy, and almanacs
    when each of their satellites has an ephemeris. ValueError, before the first frame: no schema 1, or cut off."""
    answer = Answer(blob)
    buf = bytearray(76)
    mv = memoryview(buf)
    seen = {}  # element type -> satellites
    for kind in _COVERED:
        for of in (kind, _COVERED[kind]):
            seen[of] = 0
            for element in answer.each(of):
                if not _empty(element, SIZES[of]):
                    seen[of] |= 1 << (element[0] & 63)
    for kind in _ORDER:
        if kind in _COVERED and not seen[kind] & ~seen[_COVERED[kind]]:
            continue
        for element in answer.each(kind):
            n = _make(buf, kind, element, age_ms)
            if n:
                yield mv[:n]


def _empty(element, n):
    """Whether it is that of a satellite without data: zero but for its number (nrfcloud.md 10)."""
    for i in range(1, n):
        if element[i]:
            return False
    return True


def _make(buf, kind, element, age_ms):
    """-> size of the frame made in `buf`, 0 when there is none for this element."""
    if kind == 7:
        day, second, millis = struct.unpack_from("<HIH", element, 0)
        return _time_gnss(buf, day, second * 1000 + millis + age_ms)
    if kind == 8:
        lat, lon, alt, code = struct.unpack_from("<iihB", element, 0)
        if code > _UNCERTAIN_MAX or not (-1 << 23 <= lat <= 1 << 23 and -1 << 23 <= lon <= 1 << 23):
            return 0
        lat = (lat * 900000000 + (1 << 22)) >> 23
        lon = (lon * 3600000000 + (1 << 23)) >> 24
        return _position(buf, lat, lon, alt * 100, 1000 * (11**code - 10**code) // 10**code)
    if kind in (9, 13):
        return _health(buf, kind, element)
    ident, number, moves = _MOVED[kind]
    last = 32 if ident == _GPS else 10
    if number < 3:
        if ident == _QZSS:
            element[0] = max(element[0] - _QZSS_PRN, 0)
        if not 1 <= element[0] <= last or _empty(element, SIZES[kind]):
            return 0
    buf[6] = number
    buf[7] = 0
    at = 8
    for i in range(0, len(moves), 2):
        start, n = moves[i], moves[i + 1]
        for j in range(n):
            buf[at + j] = 0 if start == _Z else element[start + j]
        at += n
    return frame(buf, _MGA, ident, at - 6)


def _time_gnss(buf, day, ms):
    """MGA-INI-TIME-GNSS, `ms` of GPS day `day`; they may be more than a day has."""
    ms += day % 7 * 86400000
    week = day // 7 + ms // _WEEK_MS
    ms %= _WEEK_MS
    ns = ms % 1000 * 1000000
    struct.pack_into("<BBBBHHIIHHI", buf, 6, 0x11, 0, 0, 0, 0, week, ms // 1000, ns, _TIME_ACC_S, 0, 0)
    return frame(buf, _MGA, _INI, 24)


def _position(buf, lat, lon, alt_cm, acc_cm):
    """MGA-INI-POS-LLH."""
    struct.pack_into("<BBHiiiI", buf, 6, 0x01, 0, 0, lat, lon, alt_cm, min(max(acc_cm, _CM_MIN), _CM_MAX))
    return frame(buf, _MGA, _INI, 20)


def _health(buf, kind, element):
    """MGA-GPS-HEALTH for 32 satellites, MGA-QZSS-HEALTH for five."""
    ident, count, n = (_GPS, 32, 40) if kind == 9 else (_QZSS, 5, 12)
    for i in range(6, 6 + n):
        buf[i] = 0
    buf[6] = 4
    for i in range(count):
        if element[i >> 3] >> (i & 7) & 1:
            buf[10 + i] = _UNHEALTHY
    return frame(buf, _MGA, ident, n)


def hints(unix_s, place):
    """Generator of frames as frames() gives them: the time, unless `unix_s` is None, and where the receiver is, unless
    `place` is None: {"lat", "lon" (1e-7 degree), "acc_mm", and "alt_mm" if it is known}."""
    buf = bytearray(32)
    mv = memoryview(buf)
    if unix_s is not None:
        year, *rest = fields(unix_s)
        struct.pack_into("<BBBbHBBBBBxIHHI", buf, 6, 0x10, 0, 0, _UNKNOWN_LEAP, year, *rest, 0, _TIME_ACC_S, 0, 0)
        yield mv[: frame(buf, _MGA, _INI, 24)]
    if place:
        yield mv[: _position(buf, place["lat"], place["lon"], (place.get("alt_mm") or 0) // 10, place["acc_mm"] // 10)]
