"""Predicted ephemerides of nRF Cloud (P-GPS): the file's header, which prediction serves when, and what is made of one
for a receiver (nrfcloud.md 10, 9.2).

Pure. A prediction holds the 32 ephemerides of GPS at its epoch and serves from two hours before it to two hours after.
Times are GPS seconds (gps_time) in integers, which on a 32-bit board are long ones: none of this runs in a loop.
"""

import struct

from micropython import const

_HEADER = const(16)
_SIZE = const(2006)  # of one prediction
_PERIOD_S = const(14400)
_PERIOD_MIN = const(240)
_MOST = const(42)
_HALF_S = const(7200)

_EPOCH = const(315964800)  # 1980-01-06 in Unix time
_LEAP_S = const(18)  # GPS is ahead of UTC by the leap seconds since then, since 2017
_DAY_S = const(86400)

_CLOCK = b"\x07\x01\x00"  # section headers: type, count
_LOCATION = b"\x08\x01\x00"
_EPHEMERIDES = b"\x02\x20\x00"
_CLOCK_BYTES = const(19)  # with their section headers
_LOCATION_BYTES = const(18)
_AT = const(22)  # of the first ephemeris in a prediction
_SATELLITES = const(32)
_EPHEMERIS = const(62)
_AHEAD = const(19)  # room that elements() needs before a prediction

_NEED_TIME = const(0x08)
_NEED_POSITION = const(0x10)
_GPS = const(1)
_UNCERTAIN_MAX = const(127)
_CONFIDENCE = const(68)
_DRIFT_MM_S = const(10000)  # what a position loses with age: nodes travel, by road or by ship


class PgpsError(ValueError):
    """Not a file of predictions, or not the one that was asked for; `reason` is one word."""

    def __init__(self, reason, detail=None):
        super().__init__("predictions: %s" % reason if detail is None else "predictions: %s %s" % (reason, detail))
        self.reason = reason


def gps_time(unix_s):
    """-> seconds since the GPS epoch, leap seconds included."""
    return unix_s - _EPOCH + _LEAP_S


def day_and_time(gps_s):
    """-> (days since the GPS epoch, seconds of that day)."""
    return gps_s // _DAY_S, gps_s % _DAY_S


def nearest(gps_s):
    """-> the epoch whose prediction serves at `gps_s`."""
    return (gps_s + _HALF_S) // _PERIOD_S * _PERIOD_S


def parse_header(raw):
    """-> (epoch of the first prediction, how many) from the first 16 bytes of a file; PgpsError when it is none."""
    if len(raw) < _HEADER:
        raise PgpsError("short", len(raw))
    schema, kind, items, count, size, period, day, second = struct.unpack("<BBHHHHhi", raw[:_HEADER])
    for reason, value, wanted in (
        ("schema", schema, 1),
        ("type", kind, 10),
        ("items", items, 1),
        ("size", size, _SIZE),
        ("period", period, _PERIOD_MIN),
    ):
        if value != wanted:
            raise PgpsError(reason, value)
    if not 0 < count <= _MOST:
        raise PgpsError("count", count)
    if day < 0 or not 0 <= second < _DAY_S:
        raise PgpsError("start", "%d, %d" % (day, second))
    return day * _DAY_S + second, count


def select(start, gps_s):
    """-> number of the prediction that serves at `gps_s`, of those from epoch `start` on: negative before the first,
    as many as there are, or more, after the last."""
    return (gps_s + _HALF_S - start) // _PERIOD_S


def check(prediction, epoch):
    """Raise PgpsError unless the bytes (22 are enough) begin the prediction of this epoch: its clock says so, and 32
    ephemerides follow."""
    day, second = struct.unpack("<HI", prediction[3:9])
    if bytes(prediction[:3]) != _CLOCK or bytes(prediction[_CLOCK_BYTES:_AT]) != _EPHEMERIDES:
        raise PgpsError("record", epoch)
    if day * _DAY_S + second != epoch:
        raise PgpsError("epoch", day * _DAY_S + second)


def elements(buf, held, need, unix_ms, place):
    """Make assistance (schema 1) of what a receiver needs, without a network; -> (from, to) of it in `buf`, (0, 0) if
    there is nothing that would help.

    `buf`: memoryview of 2025 bytes or more; when `held`, with a prediction at byte 19. `need`: modem.base. `unix_ms`:
    now. `place`: {"lat", "lon", "acc_mm", "time"}, where the receiver was at that Unix time, or None. Order: time,
    position, ephemerides, which is what every receiver takes (modems.md 3.2)."""
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
