"""P-GPS prediction files, made on demand out of their name (facts 10).

`public/<day>-<second>[_<day>-<second>].bin` names the first and the last prediction of a file by GPS day and second of
the day; one prediction when there is no second half. A file is a header of 16 bytes and 2006 bytes per prediction of
four hours: the clock of its epoch, then 32 ephemerides whose time of ephemeris that epoch is. In every prediction one
or two satellites have no data: their record is zero but for the number. Pure.
Called by pgps_api.py, rest_location.py and proxy.py.
"""

import re
import struct
from functools import lru_cache

from . import agnss
from .orbits import SATELLITES

HOST, OTHER_HOST = "pgps.nrfcloud.com", "pgnss.nrfcloud.com"
PERIOD_MIN = 240
MAX_COUNT = 42
SIZE = 2006
HEADER = struct.Struct("<BBHHHHhi")
_SCHEMA, _ARRAY_TYPE = 1, 10
_LONGEST = 84  # a client may put two answers together in one name
_MAX_DAY = 32767  # the header's day is an i16
_NAME = re.compile(r"public/([0-9]{1,5})-([0-9]{1,5})(?:_([0-9]{1,5})-([0-9]{1,5}))?[.]bin")
_PERIOD_S = PERIOD_MIN * 60


def path(day, second, count):
    """Path of the file of `count` predictions from a GPS day and second of the day."""
    last_day, last_second = divmod(day * agnss.DAY + second + (count - 1) * _PERIOD_S, agnss.DAY)
    tail = f"_{last_day}-{last_second}" if count > 1 else ""
    return f"public/{day}-{second}{tail}.bin"


def read_path(text):
    """(day, second, count) of a path; None when no file can have this name."""
    found = _NAME.fullmatch(text)
    if not found:
        return None
    day, second = int(found[1]), int(found[2])
    last_day, last_second = (int(found[3]), int(found[4])) if found[3] else (day, second)
    if day > _MAX_DAY or max(second, last_second) >= agnss.DAY:
        return None
    span = (last_day - day) * agnss.DAY + last_second - second
    if span < 0 or span % _PERIOD_S or span // _PERIOD_S >= _LONGEST:
        return None
    return day, second, span // _PERIOD_S + 1


def header(day, second, count):
    """The 16 bytes at the beginning of a file."""
    return HEADER.pack(_SCHEMA, _ARRAY_TYPE, 1, count, SIZE, PERIOD_MIN, day, second)


def prediction(gps_s):
    """2006 bytes for an epoch in seconds since the GPS epoch."""
    missing = _without_data(gps_s // agnss.DAY)
    records = [
        bytes([orbit.sv]) + bytes(61) if orbit.sv in missing else agnss.ephemeris(orbit, gps_s)
        for orbit in SATELLITES["gps"]
    ]
    return agnss.group(7, [agnss.clock(gps_s)]) + agnss.group(2, records)


@lru_cache(maxsize=8)
def file(name):
    """The bytes of the file of this path, or None."""
    found = read_path(name)
    if found is None:
        return None
    day, second, count = found
    start = day * agnss.DAY + second
    return header(day, second, count) + b"".join(prediction(start + n * _PERIOD_S) for n in range(count))


class Files:
    """Prediction files as proxy.py wants its origins."""

    def size(self, host, name):
        """Length of a file in bytes, or None."""
        found = read_path(name) if host == HOST else None
        return None if found is None else HEADER.size + found[2] * SIZE

    def read(self, host, name, offset, size):
        """Part of a file that size() knows."""
        return file(name)[offset : offset + size]


def _without_data(day):
    """Satellites that nobody predicts on a day: one that never comes back, and another one every day."""
    return {23, day * 7 % 32 + 1}
