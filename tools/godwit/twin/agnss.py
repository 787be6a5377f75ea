"""A-GNSS binary, schema version 1: synthetic but range-valid elements of types 1..9 and 11..17.

Layouts are those of facts section 9.2. The constellation is made of evenly spread circular orbits, so that
"which satellites are in view" has a plausible answer for filtered requests. Type 6 (time of week)
comes before type 7 (clock), which is 16 bytes on the wire. Pure: time and place are arguments.
Called by agnss_api.py.
"""

import math
import struct

GPS_EPOCH = 315964800
LEAP_SECONDS = 18
_DAY, _WEEK = 86400, 604800
_SEMICIRCLE = 1 << 31
_GPS_RADIUS_M, _EARTH_RADIUS_M = 26560e3, 6371e3
_EARTH_RATE = 7.2921151467e-5
_GPS_MOTION = 2 * math.pi / 43077.5  # rad/s, half a sidereal day
_FILTERED_MAX = 16

_EPHEMERIS = struct.Struct("<BBHHbhibBBHihiiIhIiihhhhhh")
_ALMANAC = struct.Struct("<BBBBHhhBIiiihh")
_GAL_EPHEMERIS = struct.Struct("<BHbiihBHihiiIhIiihhhhhh")
_GAL_ALMANAC = struct.Struct("<BBHBHhhBhhhhhh")

GPS = tuple(range(1, 33))
QZSS = (193, 194, 195, 196, 199)
GALILEO = tuple(range(1, 31))


class Request:
    """What to generate. `position` is (lat, lon) in degrees or None; `mask_deg` applies when `filtered`."""

    def __init__(self, types, unix_s, position=None, filtered=False, mask_deg=5):
        self.types = types
        self.gps_s = unix_s - GPS_EPOCH + LEAP_SECONDS
        self.position = position
        self.filtered = filtered
        self.mask_deg = mask_deg

    @property
    def week(self):
        """Full GPS week number."""
        return self.gps_s // _WEEK

    @property
    def toe(self):
        """Time of the ephemerides, s of week: the even two hours nearest to now."""
        return (self.gps_s % _WEEK + 3600) // 7200 * 7200 % _WEEK

    def satellites(self):
        """GPS satellites to send ephemerides of: all, or at most 16 above the mask."""
        if not self.filtered or self.position is None:
            return GPS
        seen = [(elevation_deg(sv, self.gps_s, *self.position), sv) for sv in GPS]
        above = sorted((item for item in seen if item[0] >= self.mask_deg), reverse=True)
        return tuple(sorted(sv for _, sv in above[:_FILTERED_MAX]))


def build(request):
    """The whole body: schema byte, then one group per type in the order asked for (6 before 7)."""
    types = [kind for kind in request.types if kind != 6]
    if 6 in request.types:
        types.insert(types.index(7) if 7 in types else len(types), 6)
    groups = []
    for kind in types:
        records = _MAKERS[kind](request)
        if records:
            groups.append(struct.pack("<BH", kind, len(records)) + b"".join(records))
    return b"\x01" + b"".join(groups)


def elevation_deg(sv, gps_s, lat, lon):
    """Elevation of GPS satellite `sv` over a place on a round Earth."""
    inclination, node = math.radians(55), _node(sv)
    u = _phase(sv) + _GPS_MOTION * (gps_s % _WEEK)
    node -= _EARTH_RATE * (gps_s % _WEEK)
    x = math.cos(u) * math.cos(node) - math.sin(u) * math.cos(inclination) * math.sin(node)
    y = math.cos(u) * math.sin(node) + math.sin(u) * math.cos(inclination) * math.cos(node)
    z = math.sin(u) * math.sin(inclination)
    lat, lon = math.radians(lat), math.radians(lon)
    up = (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))
    height = _GPS_RADIUS_M * (x * up[0] + y * up[1] + z * up[2]) - _EARTH_RADIUS_M
    distance = math.dist(
        (x * _GPS_RADIUS_M, y * _GPS_RADIUS_M, z * _GPS_RADIUS_M), tuple(_EARTH_RADIUS_M * c for c in up)
    )
    return math.degrees(math.asin(height / distance))


def _node(sv):
    return math.tau * (sv % 6) / 6


def _phase(sv):
    return math.tau * ((sv // 6) / 6 + (sv % 6) / 24)


def _angle(radians, scale):
    """Angle in units of 1/scale semicircle, wrapped into [-scale, scale)."""
    return int((radians / math.pi * scale + scale) % (2 * scale)) - scale


def _jitter(sv, salt, size):
    """A small number in -size..size, fixed by satellite and field."""
    return (sv * 7919 + salt * 104729) % (2 * size + 1) - size


def _utc(request):
    week = request.week & 255
    tot = request.gps_s % _WEEK >> 12
    return [struct.pack("<iiBBbBbb", 2, -1, tot, week, LEAP_SECONDS, 137, 7, LEAP_SECONDS)]


def _ephemeris(request, satellites):
    toe = request.toe >> 4
    iodc = request.toe // 7200 % 240 + 1
    return [
        _EPHEMERIS.pack(
            sv, 0, iodc, toe, 0, _jitter(sv, 1, 90), _jitter(sv, 2, 900000), _jitter(sv, 3, 40), 0, 0, toe,
            _angle(sv * 0.4, _SEMICIRCLE), 13000 + _jitter(sv, 4, 900),
            _angle(_phase(sv) + _GPS_MOTION * request.toe, _SEMICIRCLE), -23500 + _jitter(sv, 5, 300),
            int((0.005 + 0.0001 * (sv % 60)) * 2**33), _jitter(sv, 6, 500), int(5153.65 * 2**19),
            _angle(math.radians(55), _SEMICIRCLE), _angle(_node(sv), _SEMICIRCLE),
            _jitter(sv, 7, 3000), _jitter(sv, 8, 100), _jitter(sv, 9, 5000), 7000 + _jitter(sv, 10, 3000),
            _jitter(sv, 11, 100), _jitter(sv, 12, 5000),
        )
        for sv in satellites
    ]  # fmt: skip


def _almanac(request, satellites):
    return [
        _ALMANAC.pack(
            sv, request.week & 255, (request.gps_s % _WEEK >> 12) & 255, 0,
            int((0.005 + 0.0001 * (sv % 60)) * 2**21), _jitter(sv, 13, 2000), -760 + _jitter(sv, 14, 20), 0,
            int(5153.65 * 2**11), _angle(_node(sv), 1 << 23), _angle(sv * 0.4, 1 << 23),
            _angle(_phase(sv), 1 << 23), _jitter(sv, 15, 500), _jitter(sv, 16, 5),
        )
        for sv in satellites
    ]  # fmt: skip


def _galileo_ephemeris(request):
    toe = request.toe // 60
    return [
        _GAL_EPHEMERIS.pack(
            sv, toe, 0, _jitter(sv, 1, 500), _jitter(sv, 2, 900000), _jitter(sv, 3, 40), 107, toe,
            _angle(sv * 0.7, _SEMICIRCLE), 9000 + _jitter(sv, 4, 300), _angle(sv * 0.21, _SEMICIRCLE),
            -16000 + _jitter(sv, 5, 300), int(0.0002 * 2**33) + sv, _jitter(sv, 6, 500), int(5440.6 * 2**19),
            _angle(math.radians(56), _SEMICIRCLE), _angle(sv % 3 * math.tau / 3, _SEMICIRCLE),
            _jitter(sv, 7, 3000), _jitter(sv, 8, 100), _jitter(sv, 9, 5000), 5000 + _jitter(sv, 10, 2000),
            _jitter(sv, 11, 100), _jitter(sv, 12, 5000),
        )
        for sv in GALILEO
    ]  # fmt: skip


def _galileo_almanac(request):
    return [
        _GAL_ALMANAC.pack(
            sv, request.week & 3, request.toe // 600, 1, 10 + sv % 8, _jitter(sv, 13, 300), -340, 0,
            _jitter(sv, 14, 20), _angle(sv % 3 * math.tau / 3, 1 << 15), _angle(sv * 0.7, 1 << 15),
            _angle(sv * 0.21, 1 << 15), _jitter(sv, 15, 500), _jitter(sv, 16, 5),
        )
        for sv in GALILEO
    ]  # fmt: skip


def _tow(request):
    return [struct.pack("<BHB", sv, 0x22C0 | sv % 16, 0) for sv in GPS]


def _clock(request):
    day, second = divmod(request.gps_s, _DAY)
    mask = sum(1 << sv - 1 for sv in GPS) if 6 in request.types else 0
    return [struct.pack("<HIHI4x", day, second, 0, mask)]


def _location(request):
    if request.position is None:
        return []  # no cell data in the request, so nothing is known
    lat, lon = request.position
    north, east = math.floor(lat * 2**23 / 90), math.floor(lon * 2**24 / 360)
    # K = 48 is 960 m (3GPP TS 23.032); the altitude's uncertainty 255 means "not given"
    return [struct.pack("<iihBBBBB", min(north, 2**23 - 1), min(east, 2**23 - 1), 0, 48, 48, 0, 255, 68)]


_MAKERS = {
    1: _utc,
    2: lambda request: _ephemeris(request, request.satellites()),
    3: lambda request: _almanac(request, GPS[:31]),
    4: lambda request: [struct.pack("<8b", 12, 2, -1, -1, 45, 1, -2, -3)],
    5: lambda request: [struct.pack("<hhhBB", 236, 150, -30, 0, 0)],
    6: _tow,
    7: _clock,
    8: _location,
    9: lambda request: [struct.pack("<I", 0)],  # set bit = unhealthy; all are well
    11: lambda request: _almanac(request, QZSS),
    12: lambda request: _ephemeris(request, QZSS),
    13: lambda request: [struct.pack("<I", 0)],
    14: _galileo_almanac,
    15: _galileo_ephemeris,
    16: lambda request: [struct.pack("<hhHH", 3, 0, request.toe // 3600, request.week & 63)],
    17: lambda request: [struct.pack("<Q", 0)],
}
TYPES = tuple(_MAKERS)
