"""Synthetic satellites: Kepler orbits that never end, and what their broadcast elements are at any time.

GPS has six planes, Galileo three, QZSS stands over East Asia. Everything is a function of GPS time, so ephemerides and
predictions of any two epochs describe the same motion, over week ends too, when they are evaluated as IS-GPS-200
(20.3.3.4.3) and the Galileo OS-SIS-ICD (5.1.1) say. Rates that would run away over the years swing with a period of
two weeks. Pure. Called by agnss.py and pgps.py.
"""

import math
from typing import NamedTuple

WEEK = 604800
GPS = tuple(range(1, 33))
QZSS = (193, 194, 195, 196, 199)
GALILEO = tuple(range(1, 31))

_EARTH_RATE = 7.2921151467e-5  # rad/s, WGS 84
_EARTH_RADIUS_M = 6371e3
_GM_GPS, _GM_GALILEO = 3.986005e14, 3.986004418e14
_SC_S = math.pi * 2**-43  # rad/s in one unit of delta_n, omega_dot and idot
_SWING = math.tau / (2 * WEEK)  # rad/s
_KEPLER_STEPS = 6


class Orbit(NamedTuple):
    """A satellite for ever. Angles in rad (node: right ascension at the GPS epoch), rates in units of the message."""

    sv: int
    gm: float
    sqrt_a: float
    e: float
    inclination: float
    node: float
    perigee: float
    phase: float  # mean anomaly at the GPS epoch
    delta_n: int
    omega_dot: int
    idot: int  # amplitude of the swing
    af0: int
    af1: int  # amplitude of the swing
    harmonics: tuple  # crs, cis, cus, crc, cic, cuc

    @property
    def motion(self):
        """Mean motion, rad/s, corrected."""
        return math.sqrt(self.gm) / self.sqrt_a**3 + self.delta_n * _SC_S


class Elements(NamedTuple):
    """Broadcast elements of one epoch: angles in rad, rates and clock in units of the message."""

    m0: float
    omega0: float
    i0: float
    idot: int
    af0: float
    af1: int


def elements(orbit, gps_s):
    """The elements whose time of ephemeris is `gps_s` (seconds since the GPS epoch)."""
    swing, rate = math.sin(_SWING * gps_s), math.cos(_SWING * gps_s)
    return Elements(
        m0=(orbit.phase + orbit.motion * gps_s) % math.tau,
        omega0=(orbit.node + orbit.omega_dot * _SC_S * gps_s - _EARTH_RATE * (gps_s - gps_s % WEEK)) % math.tau,
        i0=orbit.inclination + orbit.idot * _SC_S / _SWING * swing,
        idot=round(orbit.idot * rate),
        af0=orbit.af0 + orbit.af1 * 2.0**-12 / _SWING * swing,  # af1 is in 2^-43, af0 in 2^-31
        af1=round(orbit.af1 * rate),
    )


def position(orbit, gps_s):
    """Earth-fixed (x, y, z) in m at a time, without the harmonic corrections (some hundred metres)."""
    now = elements(orbit, gps_s)
    anomaly = now.m0
    for _ in range(_KEPLER_STEPS):
        anomaly = now.m0 + orbit.e * math.sin(anomaly)
    true = math.atan2(math.sqrt(1 - orbit.e**2) * math.sin(anomaly), math.cos(anomaly) - orbit.e)
    radius = orbit.sqrt_a**2 * (1 - orbit.e * math.cos(anomaly))
    along = true + orbit.perigee
    node = now.omega0 - _EARTH_RATE * (gps_s % WEEK)
    x, y = radius * math.cos(along), radius * math.sin(along)
    flat = y * math.cos(now.i0)
    return (
        x * math.cos(node) - flat * math.sin(node),
        x * math.sin(node) + flat * math.cos(node),
        y * math.sin(now.i0),
    )


def elevation_deg(orbit, gps_s, lat, lon):
    """Elevation of a satellite over a place in degrees, on a round Earth."""
    lat, lon = math.radians(lat), math.radians(lon)
    up = (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))
    line = [s - _EARTH_RADIUS_M * u for s, u in zip(position(orbit, gps_s), up, strict=True)]
    return math.degrees(math.asin(sum(a * b for a, b in zip(line, up, strict=True)) / math.hypot(*line)))


def jitter(sv, salt, size):
    """A small number in -size..size, fixed by satellite and field."""
    return (sv * 7919 + salt * 104729) % (2 * size + 1) - size


def _common(sv, crc):
    """Fields that look alike in all systems."""
    sizes = (3000, 100, 5000, None, 100, 5000)
    return {
        "idot": jitter(sv, 6, 300),
        "af0": jitter(sv, 2, 200000),
        "af1": jitter(sv, 1, 60) or 7,
        "harmonics": tuple(
            crc + jitter(sv, 10, 2000) if size is None else jitter(sv, 7 + n, size) for n, size in enumerate(sizes)
        ),
    }


def _gps(sv):
    return Orbit(
        sv=sv, gm=_GM_GPS, sqrt_a=round(5153.65 * 2**19 + jitter(sv, 20, 4000)) * 2.0**-19,
        e=round((0.002 + 0.0003 * (sv % 32)) * 2**33) * 2.0**-33,
        inclination=math.radians(55 + jitter(sv, 21, 90) / 100),
        node=math.tau * (sv % 6) / 6, perigee=sv * 0.4 % math.tau,
        # evenly spread in the plane; the argument of latitude is perigee + anomaly
        phase=math.tau * ((sv // 6) / 6 + (sv % 6) / 24) - sv * 0.4,
        delta_n=13000 + jitter(sv, 4, 900), omega_dot=-23500 + jitter(sv, 5, 300), **_common(sv, 7000),
    )  # fmt: skip


def _qzss(sv):
    """Quasi-zenith: one sidereal day, apogee in the north over 135 E; 199 stands still over 127 E."""
    fixed = sv == 199
    omega_dot = -1000
    motion = _EARTH_RATE - omega_dot * _SC_S  # the ground track closes
    node = math.tau * (sv % 4) / 4
    perigee = 0.0 if fixed else math.radians(270)
    return Orbit(
        sv=sv, gm=_GM_GPS, sqrt_a=round((math.sqrt(_GM_GPS) / motion) ** (1 / 3) * 2**19) * 2.0**-19,
        e=round((0.0002 if fixed else 0.075) * 2**33) * 2.0**-33, inclination=math.radians(0.1 if fixed else 41),
        node=node, perigee=perigee, phase=math.radians(127 if fixed else 135) - node - perigee,
        delta_n=0, omega_dot=omega_dot, **_common(sv, 0),
    )  # fmt: skip


def _galileo(sv):
    plane, slot = sv % 3, sv // 3
    return Orbit(
        sv=sv, gm=_GM_GALILEO, sqrt_a=round(5440.612 * 2**19 + jitter(sv, 20, 400)) * 2.0**-19,
        e=round((0.0001 + 0.00001 * sv) * 2**33) * 2.0**-33, inclination=math.radians(56 + jitter(sv, 21, 40) / 100),
        node=math.tau * plane / 3, perigee=sv * 0.7 % math.tau,
        phase=math.tau * (slot / 10 + plane / 30) - sv * 0.7,
        delta_n=9000 + jitter(sv, 4, 300), omega_dot=-16000 + jitter(sv, 5, 300), **_common(sv, 5000),
    )  # fmt: skip


SATELLITES = {
    "gps": tuple(_gps(sv) for sv in GPS),
    "qzss": tuple(_qzss(sv) for sv in QZSS),
    "galileo": tuple(_galileo(sv) for sv in GALILEO),
}
