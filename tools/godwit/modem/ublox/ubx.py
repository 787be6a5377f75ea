"""UBX frames as the modem's `+UGUBX` tunnel carries them: parsed and made by pyubx2, assistance turned into items.

An item is what `gnss.Receiver.inject` takes: (kind, fields), the kinds and raw fields of `agnss.py`. Frame layout and
messages: modems.md 3.5 and 3.6. Pure functions; what the receiver does with a frame is `receiver.py`'s.
"""

import datetime
import math

from pyubx2 import GET, SET, VALCKSUM, VALNONE, UBXMessage, UBXReader
from pyubx2.exceptions import UBXMessageError, UBXParseError, UBXTypeError

from godwit.modem.agnss import GPS_EPOCH, LEAP_SECONDS

SYNC = b"\xb5\x62"
MGA = 0x13
_FRAME_MIN = 8
_QZSS_OFFSET = 192
_DAY_S, _WEEK_S = 86400, 604800
_EARTH_M, _FLATTENING = 6378137.0, 1 / 298.257223563

# Messages of the MGA class: identity -> length of the payload.
LENGTHS = {
    "MGA-GPS-EPH": 68, "MGA-GPS-ALM": 36, "MGA-GPS-HEALTH": 40, "MGA-GPS-UTC": 20, "MGA-GPS-IONO": 16,
    "MGA-QZSS-EPH": 68, "MGA-QZSS-ALM": 36, "MGA-QZSS-HEALTH": 12, "MGA-INI-TIME-UTC": 24, "MGA-INI-TIME-GNSS": 24,
    "MGA-INI-POS-LLH": 20, "MGA-INI-POS-XYZ": 20,
}


class UbxError(ValueError):
    """Not a UBX frame, or not one this receiver knows."""


def parse(frame, check):
    """The UBXMessage of one whole frame; `check` is whether its checksum counts. Raises UbxError."""
    if len(frame) < _FRAME_MIN or frame[:2] != SYNC:
        raise UbxError("not a frame")
    if len(frame) != _FRAME_MIN + int.from_bytes(frame[4:6], "little"):
        raise UbxError("wrong length")
    empty = len(frame) == _FRAME_MIN
    try:
        # A frame without payload is a poll of what GET describes.
        return UBXReader.parse(frame, msgmode=GET if empty else SET, validate=VALCKSUM if check else VALNONE)
    except (UBXParseError, UBXMessageError, UBXTypeError) as err:
        raise UbxError(str(err).splitlines()[0]) from err
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as err:
        raise UbxError(f"does not decode: {type(err).__name__}") from err  # what pyubx2 lets through of odd payloads


def values(message):
    """Decoded fields of a message by name, scaled as pyubx2 scales them (s, semicircles, degrees, m)."""
    return {key: value for key, value in vars(message).items() if not key.startswith("_")}


def known(message):
    """Is it an assistance message with the length that its type wants?"""
    return len(message.payload or b"") == LENGTHS.get(message.identity)


def items(message):
    """Assistance items of an MGA message; empty for what only passes through. Raises UbxError."""
    maker = _MAKERS.get(message.identity)
    try:
        return [maker(message)] if maker else []
    except (ValueError, OverflowError) as err:
        raise UbxError(f"bad content: {err}") from err


def make(group, name, **fields):
    """Bytes of one output frame of the receiver."""
    return UBXMessage(group, name, GET, **fields).serialize()


def ack(number, payload, code):
    """MGA-ACK-DATA0 for the message `number` of the MGA class: info code 0 accepted, else why not (modems.md 3.6)."""
    body = bytes((int(code == 0), 0, code, number)) + payload[:4].ljust(4, b"\0")
    return UBXMessage(bytes((MGA,)), b"\x60", GET, payload=body).serialize()


def unix_of(fields):
    """Unix seconds of INI-TIME-UTC or INI-TIME-GNSS fields. Raises ValueError for a date that is none."""
    if "week" in fields:
        return GPS_EPOCH - LEAP_SECONDS + fields["week"] * _WEEK_S + fields["tow"]
    parts = (fields[key] for key in ("year", "month", "day", "hour", "minute"))
    # Second 60 of a leap second is the next minute's first here.
    return int(datetime.datetime(*parts, tzinfo=datetime.UTC).timestamp()) + fields["second"]


def geodetic(x_m, y_m, z_m):
    """(latitude, longitude in degrees, height in m) of earth-centred coordinates (WGS 84, Bowring's formula)."""
    polar = _EARTH_M * (1 - _FLATTENING)
    squared = 1 - (1 - _FLATTENING) ** 2
    from_axis = math.hypot(x_m, y_m)
    theta = math.atan2(z_m * _EARTH_M, from_axis * polar)
    second = squared * _EARTH_M**2 / polar**2
    lat = math.atan2(z_m + second * polar * math.sin(theta) ** 3, from_axis - squared * _EARTH_M * math.cos(theta) ** 3)
    normal = _EARTH_M / math.sqrt(1 - squared * math.sin(lat) ** 2)
    return math.degrees(lat), math.degrees(math.atan2(y_m, x_m)), from_axis / math.cos(lat) - normal


def _clock(message):
    gps = unix_of(values(message)) - GPS_EPOCH + LEAP_SECONDS
    if gps < 0:
        raise ValueError("before GPS time")
    return "clock", {"date_day": gps // _DAY_S, "time_full_s": gps % _DAY_S, "time_frac_ms": 0, "sv_mask": 0}


def _location(lat, lon, alt_m, acc_m):
    code = math.ceil(math.log(max(acc_m, 0) / 10 + 1, 1.1))
    return "location", {"lat": math.floor(lat * (1 << 23) / 90), "lon": math.floor(lon * (1 << 24) / 360),
                        "alt": round(alt_m), "unc_major": min(code, 127), "unc_minor": min(code, 127),
                        "orientation": 0, "unc_alt": 255, "confidence": 68}


def _llh(message):
    return _location(message.lat, message.lon, message.alt / 100, message.posAcc / 100)


def _xyz(message):
    centimetres = (message.ecefX, message.ecefY, message.ecefZ)
    lat, lon, alt = geodetic(*(value / 100 for value in centimetres))
    return _location(lat, lon, alt, message.posAcc / 100)


def _ephemeris(offset):
    def make_item(message):
        return "ephemeris", {"sv_id": message.svId + offset, "health": message.svHealth, "iodc": message.iodc,
                             "toe": round(message.toe) // 16, "fit_int": message.fitInterval}

    return make_item


def _almanac(offset):
    return lambda message: ("almanac", {"sv_id": message.svId + offset, "wn": getattr(message, "almWNa", 0)})


def _health(message):
    codes = message.payload[4:36]
    return "integrity", {"mask": sum(1 << i for i, code in enumerate(codes) if code)}


_MAKERS = {
    "MGA-INI-TIME-UTC": _clock,
    "MGA-INI-TIME-GNSS": _clock,
    "MGA-INI-POS-LLH": _llh,
    "MGA-INI-POS-XYZ": _xyz,
    "MGA-GPS-EPH": _ephemeris(0),
    "MGA-QZSS-EPH": _ephemeris(_QZSS_OFFSET),
    "MGA-GPS-ALM": _almanac(0),
    "MGA-QZSS-ALM": _almanac(_QZSS_OFFSET),
    "MGA-GPS-HEALTH": _health,
    "MGA-GPS-IONO": lambda message: ("klobuchar", {}),
    "MGA-GPS-UTC": lambda message: ("utc", {}),
}
