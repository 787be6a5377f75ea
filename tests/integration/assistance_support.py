"""Reads A-GNSS bodies and P-GPS files, and computes satellite positions from ephemerides.

Written from the tables of facts 9.2 and 10, IS-GPS-200 table 20-IV and the Galileo OS-SIS-ICD section 5.1.1 alone; it
shares nothing with the twin that makes these bytes. Used by test_twin_agnss.py, test_twin_pgps.py and others.
"""

import math
import struct

WEEK, DAY = 604800, 86400
GPS_EPOCH, LEAP_SECONDS = 315964800, 18
EARTH_RATE = 7.2921151467e-5
GM_GPS, GM_GALILEO = 3.986005e14, 3.986004418e14
_SC = math.pi  # rad in a semicircle

# type: [(field, struct code, scale)]; a scale of None leaves the number alone
_EPHEMERIS = [
    ("sv", "B", None), ("health", "B", None), ("iodc", "H", None), ("toc", "H", 16), ("af2", "b", 2**-55),
    ("af1", "h", 2**-43), ("af0", "i", 2**-31), ("tgd", "b", 2**-31), ("ura", "B", None), ("fit", "B", None),
    ("toe", "H", 16), ("w", "i", 2**-31 * _SC), ("delta_n", "h", 2**-43 * _SC), ("m0", "i", 2**-31 * _SC),
    ("omega_dot", "i", 2**-43 * _SC), ("e", "I", 2**-33), ("idot", "h", 2**-43 * _SC), ("sqrt_a", "I", 2**-19),
    ("i0", "i", 2**-31 * _SC), ("omega0", "i", 2**-31 * _SC), ("crs", "h", 2**-5), ("cis", "h", 2**-29),
    ("cus", "h", 2**-29), ("crc", "h", 2**-5), ("cic", "h", 2**-29), ("cuc", "h", 2**-29),
]  # fmt: skip
_ALMANAC = [
    ("sv", "B", None), ("wn", "B", None), ("toa", "B", 4096), ("ioda", "B", None), ("e", "H", 2**-21),
    ("delta_i", "h", 2**-19 * _SC), ("omega_dot", "h", 2**-38 * _SC), ("health", "B", None), ("sqrt_a", "I", 2**-11),
    ("omega0", "i", 2**-23 * _SC), ("w", "i", 2**-23 * _SC), ("m0", "i", 2**-23 * _SC), ("af0", "h", 2**-20),
    ("af1", "h", 2**-38),
]  # fmt: skip
_MASK = [("mask", "I", None)]
LAYOUTS = {
    1: [
        ("a1", "i", 2**-50), ("a0", "i", 2**-30), ("tot", "B", 4096), ("wn_t", "B", None), ("delta_tls", "b", None),
        ("wn_lsf", "B", None), ("dn", "b", None), ("delta_tlsf", "b", None),
    ],
    2: _EPHEMERIS,
    3: _ALMANAC,
    4: [(f"{name}{n}", "b", None) for name in ("alpha", "beta") for n in range(4)],
    5: [("ai0", "h", 2**-2), ("ai1", "h", 2**-8), ("ai2", "h", 2**-15), ("storm", "B", None), ("valid", "B", None)],
    6: [("sv", "B", None), ("tlm", "H", None), ("flags", "B", None)],
    7: [("day", "H", None), ("second", "I", None), ("ms", "H", None), ("sv_mask", "I", None), ("pad", "I", None)],
    8: [
        ("lat", "i", 90 / 2**23), ("lon", "i", 360 / 2**24), ("alt", "h", None), ("major", "B", None),
        ("minor", "B", None), ("orientation", "B", None), ("unc_alt", "B", None), ("confidence", "B", None),
    ],
    9: _MASK,
    11: _ALMANAC,
    12: _EPHEMERIS,
    13: _MASK,
    14: [
        ("sv", "B", None), ("wn", "B", None), ("toa", "H", 600), ("ioda", "B", None), ("e", "H", 2**-16),
        ("delta_i", "h", 2**-14 * _SC), ("omega_dot", "h", 2**-33 * _SC), ("health", "B", None),
        ("sqrt_a", "h", 2**-9), ("omega0", "h", 2**-15 * _SC), ("w", "h", 2**-15 * _SC), ("m0", "h", 2**-15 * _SC),
        ("af0", "h", 2**-19), ("af1", "h", 2**-38),
    ],
    15: [
        ("sv", "B", None), ("toc", "H", 60), ("af2", "b", 2**-59), ("af1", "i", 2**-46), ("af0", "i", 2**-34),
        ("tgd", "h", 2**-32), ("sisa", "B", None), ("toe", "H", 60), *_EPHEMERIS[11:],
    ],
    16: [("a0", "h", 2**-35), ("a1", "h", 2**-51), ("t0g", "H", 3600), ("wn", "H", None)],
    17: [("mask", "Q", None)],
}  # fmt: skip
SIZES = {1: 14, 2: 62, 3: 31, 4: 8, 5: 8, 6: 4, 7: 16, 8: 15, 9: 4, 11: 31, 12: 62, 13: 4, 14: 24, 15: 61, 16: 8, 17: 8}


def record(kind, data):
    """One record as {field: number}, in the units of the scales."""
    layout = LAYOUTS[kind]
    numbers = struct.unpack("<" + "".join(code for _, code, _ in layout), data)
    return {name: n if scale is None else n * scale for (name, _, scale), n in zip(layout, numbers, strict=True)}


def groups(body):
    """[(type, [record bytes, ...])] of a body; fails when it does not come out even or a type is not known."""
    assert body[0] == 1, "schema version"
    at, result = 1, []
    while at < len(body):
        kind, count = struct.unpack_from("<BH", body, at)
        at += 3
        size = SIZES[kind]
        result.append((kind, [body[at + i * size : at + (i + 1) * size] for i in range(count)]))
        at += count * size
    assert at == len(body), "bytes missing at the end"
    return result


def decode(body):
    """{type: [{field: number}, ...]} of a body."""
    return {kind: [record(kind, data) for data in records] for kind, records in groups(body)}


def position(eph, tow, gm=GM_GPS):
    """Earth-fixed (x, y, z) in m of an ephemeris at `tow` seconds of its week, harmonics included."""
    tk = (tow - eph["toe"] + WEEK / 2) % WEEK - WEEK / 2
    motion = math.sqrt(gm) / eph["sqrt_a"] ** 3 + eph["delta_n"]
    mean = eph["m0"] + motion * tk
    anomaly = mean
    for _ in range(12):
        anomaly -= (anomaly - eph["e"] * math.sin(anomaly) - mean) / (1 - eph["e"] * math.cos(anomaly))
    true = 2 * math.atan(math.sqrt((1 + eph["e"]) / (1 - eph["e"])) * math.tan(anomaly / 2))
    phi = true + eph["w"]
    s, c = math.sin(2 * phi), math.cos(2 * phi)
    u = phi + eph["cus"] * s + eph["cuc"] * c
    r = eph["sqrt_a"] ** 2 * (1 - eph["e"] * math.cos(anomaly)) + eph["crs"] * s + eph["crc"] * c
    i = eph["i0"] + eph["idot"] * tk + eph["cis"] * s + eph["cic"] * c
    node = eph["omega0"] + (eph["omega_dot"] - EARTH_RATE) * tk - EARTH_RATE * eph["toe"]
    x, y = r * math.cos(u), r * math.sin(u)
    return (
        x * math.cos(node) - y * math.cos(i) * math.sin(node),
        x * math.sin(node) + y * math.cos(i) * math.cos(node),
        y * math.sin(i),
    )


def elevation(place, lat, lon):
    """Elevation in degrees of a position over (lat, lon), on a sphere of 6371 km."""
    lat, lon = math.radians(lat), math.radians(lon)
    up = (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))
    line = [a - 6371e3 * b for a, b in zip(place, up, strict=True)]
    return math.degrees(math.asin(sum(a * b for a, b in zip(line, up, strict=True)) / math.hypot(*line)))


def gps_seconds(unix_s):
    """Seconds since the GPS epoch."""
    return unix_s - GPS_EPOCH + LEAP_SECONDS


HEADER = struct.Struct("<BBHHHHhi")


def predictions(data):
    """((schema, type, items, count, size, period, day, second), [(clock, [62 bytes, ...]), ...]) of a P-GPS file."""
    head = HEADER.unpack_from(data)
    count, size = head[3], head[4]
    assert len(data) == HEADER.size + count * size
    result = []
    for n in range(count):
        part = data[HEADER.size + n * size :][:size]
        assert part[:3] == b"\x07\x01\x00" and part[19:22] == b"\x02\x20\x00"
        records = [part[22 + 62 * i : 22 + 62 * (i + 1)] for i in range(32)]
        result.append((record(7, part[3:19]), records))
    return head, result
