"""What a receiver can be given without a network: the time, where it was, and the ephemerides predicted for now
(nrfcloud.md 9.2, 10).

Pure. Made in place, in the buffer that the prediction was read into. Integers only, on a 32-bit board long ones.
"""

import struct

from micropython import const

from gnss.pgps import day_and_time, gps_time

_CLOCK = b"\x07\x01\x00"  # section headers: type, count
_LOCATION = b"\x08\x01\x00"
_CLOCK_BYTES = const(19)  # with their section headers
_LOCATION_BYTES = const(18)
_SATELLITES = const(32)
_EPHEMERIS = const(62)
_AHEAD = const(19)  # room that elements() needs before a prediction

_NEED_TIME = const(0x08)
_NEED_POSITION = const(0x10)
_GPS = const(1)
_UNCERTAIN_MAX = const(127)
_CONFIDENCE = const(68)
_DRIFT_MM_S = const(10000)  # what a position loses with age: nodes travel, by road or by ship


def elements(buf, held, need, unix_ms, place):
    """Make assistance (schema 1) of what a receiver needs, without a network; -> (from, to) of it in `buf`, (0, 0) if
    there is nothing that would help.

    `buf`: memoryview of 2025 bytes or more (64 without a prediction); when `held`, with one at byte 19. `need`:
    modem.base. `unix_ms`: now. `place`: {"lat", "lon", "acc_mm", "time"}, where the receiver was at that Unix time, or
    None. Order: time, position, ephemerides, which is what every receiver takes (modems.md 3.2)."""
    start = end = _AHEAD + _CLOCK_BYTES
    wanted = need["systems"].get(_GPS, (0, 0))[0]
    if held and wanted:
        end = _pack(buf, start, wanted)
    if need["flags"] & _NEED_POSITION and place:
        start -= _LOCATION_BYTES
        buf[start : start + 3] = _LOCATION
        write_location(buf, start + 3, place, unix_ms // 1000)
    if need["flags"] & _NEED_TIME:
        start -= _CLOCK_BYTES
        buf[start : start + 3] = _CLOCK
        day, second = day_and_time(gps_time(unix_ms // 1000))
        struct.pack_into("<HIHII", buf, start + 3, day, second, unix_ms % 1000, 0, 0)
    if start == end:
        return 0, 0
    start -= 1
    buf[start] = 1
    return start, end


def _pack(buf, at, wanted):
    """Leave the ephemerides that are `wanted` (mask) and there: an empty record, zero but for its number, is that of a
    satellite without data; -> end. The section header is at `at`."""
    count = 0
    end = start = at + 3
    for _ in range(_SATELLITES):
        prn = buf[start]
        if 1 <= prn <= _SATELLITES and wanted >> (prn - 1) & 1 and not _empty(buf, start):
            if end != start:
                buf[end : end + _EPHEMERIS] = buf[start : start + _EPHEMERIS]
            end += _EPHEMERIS
            count += 1
        start += _EPHEMERIS
    buf[at + 1] = count
    return end if count else at


def _empty(buf, at):
    for i in range(at + 1, at + _EPHEMERIS):
        if buf[i]:
            return False
    return True


def write_location(buf, at, place, now_s):
    """Write a location element (type 8, 15 bytes) at `at`. Its altitude is not known; its radius grows with age."""
    lat = min((place["lat"] << 23) // 900000000, (1 << 23) - 1)
    lon = min((place["lon"] << 24) // 3600000000, (1 << 23) - 1)
    code = uncertainty(place["acc_mm"] + _DRIFT_MM_S * max(now_s - (place.get("time") or now_s), 0))
    struct.pack_into("<iihBBBBB", buf, at, lat, lon, 0, code, code, 0, 255, _CONFIDENCE)


def uncertainty(radius_mm):
    """-> smallest code K of 3GPP TS 23.032 with 10 m x (1.1 ** K - 1) not below the radius, at most 127 (1,800 km)."""
    reach = 10000 * 1000000  # nanometres: what eleven tenths loses in 127 steps does not show
    wanted = (radius_mm + 10000) * 1000000
    code = 0
    while reach < wanted and code < _UNCERTAIN_MAX:
        reach = reach * 11 // 10
        code += 1
    return code
