"""Predicted ephemerides of nRF Cloud (P-GPS): the file's header, and which prediction serves when (nrfcloud.md 10).

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

_CLOCK = b"\x07\x01\x00"  # section headers of a prediction: type, count
_EPHEMERIDES = b"\x02\x20\x00"
_CLOCK_BYTES = const(19)  # with its section header
_AT = const(22)  # of the first ephemeris


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
