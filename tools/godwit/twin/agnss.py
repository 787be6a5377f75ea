"""A-GNSS binary, schema version 1: types 1..9 and 11..17 in the real layouts, for satellites that do not exist.

Layouts are those of facts section 9.2, the motion is orbits.py's, so that who is in view, the ephemerides and the
almanac agree. Type 6 (time of week) comes before type 7 (clock), which is 16 bytes on the wire. Time and place are
arguments. Pure.
Called by agnss_api.py, rest_location.py and pgps.py.
"""

import math
import struct

from .orbits import GPS, SATELLITES, WEEK, elements, elevation_deg, jitter

GPS_EPOCH = 315964800
LEAP_SECONDS = 18
DAY = 86400
RESERVED = 10  # marks a prediction file; may be asked for, makes no group
_SEMICIRCLE = 1 << 31
_FILTERED_MAX = 16
# almanacs count from these; semicircles
_INCLINATION_GPS, _INCLINATION_QZSS, _INCLINATION_GALILEO = 0.30, 0.25, 56 / 180
_ECCENTRICITY_QZSS = 0.06
_SQRT_A_GALILEO = math.sqrt(29600000)

_EPHEMERIS = struct.Struct("<BBHHbhibBBHihiiIhIiihhhhhh")
_ALMANAC = struct.Struct("<BBBBHhhBIiiihh")
_GAL_EPHEMERIS = struct.Struct("<BHbiihBHihiiIhIiihhhhhh")
_GAL_ALMANAC = struct.Struct("<BBHBHhhBhhhhhh")


class Request:
    """What to generate. `place` is (lat, lon, radius m) or None; `mask_deg` applies when `filtered`."""

    def __init__(self, types, unix_s, place=None, filtered=False, mask_deg=5):
        self.types = types
        self.gps_s = gps_seconds(unix_s)
        self.place = place
        self.filtered = filtered
        self.mask_deg = mask_deg

    @property
    def week(self):
        """Full GPS week number."""
        return self.gps_s // WEEK

    @property
    def toe(self):
        """Time of the ephemerides, s since the GPS epoch: the even two hours nearest to now."""
        return (self.gps_s + 3600) // 7200 * 7200

    @property
    def toa(self):
        """Time of the almanacs, s since the GPS epoch: a multiple of 2^12 s of the week that now is."""
        return self.gps_s - self.gps_s % WEEK % 4096

    def satellites(self, system):
        """Orbits to send ephemerides of: all of a system, or at most 16 above the mask, the highest ones."""
        orbits = SATELLITES[system]
        if not self.filtered or self.place is None:
            return orbits
        seen = [(elevation_deg(orbit, self.gps_s, *self.place[:2]), orbit) for orbit in orbits]
        above = sorted((item for item in seen if item[0] >= self.mask_deg), reverse=True)
        return sorted(orbit for _, orbit in above[:_FILTERED_MAX])


def gps_seconds(unix_s):
    """Seconds since the GPS epoch."""
    return unix_s - GPS_EPOCH + LEAP_SECONDS


def build(request):
    """The whole body: schema byte, then one group per type in the order asked for (6 before 7)."""
    types = [kind for kind in request.types if kind != 6]
    if 6 in request.types:
        types.insert(types.index(7) if 7 in types else len(types), 6)
    return b"\x01" + b"".join(group(kind, _MAKERS[kind](request)) for kind in types)


def group(kind, records):
    """One group: type, count, records; nothing without records."""
    return struct.pack("<BH", kind, len(records)) + b"".join(records) if records else b""


def split(body):
    """[(type, bytes of the group)] of a body that build() made."""
    groups, at = [], 1
    while at < len(body):
        kind, count = struct.unpack_from("<BH", body, at)
        size = 3 + count * SIZES[kind]
        groups.append((kind, body[at : at + size]))
        at += size
    return groups


def ephemeris(orbit, toe_s):
    """62 bytes of a GPS or QZSS ephemeris for an epoch in seconds since the GPS epoch (toe counts in 16 s)."""
    toe_s -= toe_s % 16
    now, toe = elements(orbit, toe_s), toe_s % WEEK >> 4
    return _EPHEMERIS.pack(
        orbit.sv, 0, toe_s // 7200 % 240 + 1, toe, 0, now.af1, round(now.af0), jitter(orbit.sv, 3, 40), 0, 0, toe,
        _angle(orbit.perigee, _SEMICIRCLE), orbit.delta_n, _angle(now.m0, _SEMICIRCLE), orbit.omega_dot,
        round(orbit.e * 2**33), now.idot, round(orbit.sqrt_a * 2**19), _angle(now.i0, _SEMICIRCLE),
        _angle(now.omega0, _SEMICIRCLE), *orbit.harmonics,
    )  # fmt: skip


def clock(gps_s, sv_mask=0):
    """16 bytes of the GPS system clock (type 7) for a time in seconds since the GPS epoch."""
    day, second = divmod(gps_s, DAY)
    return struct.pack("<HIHI4x", day, second, 0, sv_mask)


def tow(sv, tlm, flags):
    """4 bytes of a time-of-week record (type 6)."""
    return struct.pack("<BHB", sv, tlm, flags)


def location(lat, lon, radius_m, altitude_m=0):
    """15 bytes of a location (type 8): degrees, m; 68 % confidence, the altitude's uncertainty is not given."""
    north, east = math.floor(lat * 2**23 / 90), math.floor(lon * 2**24 / 360)
    # 3GPP TS 23.032 section 6.2: the circle in code K is 10 x (1.1^K - 1) m
    k = min(127, math.ceil(math.log(1 + radius_m / 10) / math.log(1.1) - 1e-3))
    latitude, longitude = min(north, 2**23 - 1), min(east, 2**23 - 1)
    return struct.pack("<iihBBBBB", latitude, longitude, altitude_m, k, k, 0, 255, 68)


def _angle(radians, scale):
    """Angle in units of 1/scale semicircle, wrapped into [-scale, scale)."""
    return (round(radians / math.pi * scale) + scale) % (2 * scale) - scale


def _almanac(request, orbits, inclination, eccentricity):
    """31-byte records; `inclination` (semicircles) and `eccentricity` are what the system's almanac counts from."""
    toa = request.toa
    return [
        _ALMANAC.pack(
            orbit.sv, request.week & 255, toa % WEEK >> 12, 0, max(0, round((orbit.e - eccentricity) * 2**21)),
            round((now.i0 / math.pi - inclination) * 2**19), orbit.omega_dot >> 5, 0, round(orbit.sqrt_a * 2**11),
            _angle(now.omega0, 1 << 23), _angle(orbit.perigee, 1 << 23), _angle(now.m0, 1 << 23),
            round(now.af0 / 2**11), round(now.af1 / 2**5),
        )
        for orbit, now in ((orbit, elements(orbit, toa)) for orbit in orbits)
    ]  # fmt: skip


def _qzss_almanac(request):
    round_ones = [orbit for orbit in SATELLITES["qzss"] if orbit.e < _ECCENTRICITY_QZSS]
    others = [orbit for orbit in SATELLITES["qzss"] if orbit.e >= _ECCENTRICITY_QZSS]
    # the geostationary satellite's almanac counts from 0, the others' from 0.06 and 45 degrees (IS-QZSS-PNT)
    return [
        *_almanac(request, others, _INCLINATION_QZSS, _ECCENTRICITY_QZSS),
        *_almanac(request, round_ones, 0, 0),
    ]


def _galileo_ephemeris(request):
    toe = request.toe % WEEK // 60
    return [
        _GAL_EPHEMERIS.pack(
            orbit.sv, toe, 0, now.af1 << 3, round(now.af0 * 2**3), jitter(orbit.sv, 3, 40), 107, toe,
            _angle(orbit.perigee, _SEMICIRCLE), orbit.delta_n, _angle(now.m0, _SEMICIRCLE), orbit.omega_dot,
            round(orbit.e * 2**33), now.idot, round(orbit.sqrt_a * 2**19), _angle(now.i0, _SEMICIRCLE),
            _angle(now.omega0, _SEMICIRCLE), *orbit.harmonics,
        )
        for orbit, now in ((orbit, elements(orbit, request.toe)) for orbit in request.satellites("galileo"))
    ]  # fmt: skip


def _galileo_almanac(request):
    toa = request.gps_s - request.gps_s % WEEK % 600
    return [
        _GAL_ALMANAC.pack(
            orbit.sv, request.week & 3, toa % WEEK // 600, 1, round(orbit.e * 2**16),
            round((now.i0 / math.pi - _INCLINATION_GALILEO) * 2**14), orbit.omega_dot >> 10, 0,
            round((orbit.sqrt_a - _SQRT_A_GALILEO) * 2**9), _angle(now.omega0, 1 << 15),
            _angle(orbit.perigee, 1 << 15), _angle(now.m0, 1 << 15), round(now.af0 / 2**12), round(now.af1 / 2**5),
        )
        for orbit, now in ((orbit, elements(orbit, toa)) for orbit in SATELLITES["galileo"])
    ]  # fmt: skip


def _utc(request):
    week, tot = request.week & 255, request.gps_s % WEEK >> 12
    return [struct.pack("<iiBBbBbb", 2, -1, tot, week, LEAP_SECONDS, 137, 7, LEAP_SECONDS)]


def _clock(request):
    mask = sum(1 << sv - 1 for sv in GPS) if 6 in request.types else 0
    return [clock(request.gps_s, mask)]


def _ephemerides(system):
    return lambda request: [ephemeris(orbit, request.toe) for orbit in request.satellites(system)]


_MAKERS = {
    1: _utc,
    2: _ephemerides("gps"),
    3: lambda request: _almanac(request, SATELLITES["gps"][:31], _INCLINATION_GPS, 0),
    4: lambda request: [struct.pack("<8b", 12, 2, -1, -1, 45, 1, -2, -3)],
    5: lambda request: [struct.pack("<hhhBB", 236, 150, -30, 0, 0)],
    6: lambda request: [tow(sv, 0x22C0 | sv % 16, 0) for sv in GPS],
    7: _clock,
    8: lambda request: [location(*request.place)] if request.place else [],  # no cell data: nothing is known
    9: lambda request: [struct.pack("<I", 0)],  # set bit = unhealthy; all are well
    RESERVED: lambda request: [],
    11: _qzss_almanac,
    12: _ephemerides("qzss"),
    13: lambda request: [struct.pack("<I", 0)],
    14: _galileo_almanac,
    15: _galileo_ephemeris,
    16: lambda request: [struct.pack("<hhHH", 3, 0, request.gps_s % WEEK // 3600, request.week & 63)],
    17: lambda request: [struct.pack("<Q", 0)],
}
TYPES = tuple(_MAKERS)
SIZES = {1: 14, 2: 62, 3: 31, 4: 8, 5: 8, 6: 4, 7: 16, 8: 15, 9: 4, 11: 31, 12: 62, 13: 4, 14: 24, 15: 61, 16: 8, 17: 8}
