"""Decoders of assistance data: nRF Cloud's binary schema v1 (#XAGNSSP) and the modem structs (#XAGNSS).

Sources: nrfcloud.md 9.2, modems.md 3.3 and 3.4. Pure functions; the receiver decides what an item is worth.
An item is (kind, fields): kind is a word, fields a dict of raw integers (scale factors are not applied).
"""

import struct

GPS_EPOCH = 315964800
LEAP_SECONDS = 18
WEEK = 604800

_EPHEMERIS = ("sv_id health iodc toc af2 af1 af0 tgd ura fit_int toe w delta_n m0 omega_dot e idot sqrt_a i0 omega0 "
              "crs cis cus crc cic cuc").split()
_ALMANAC = "sv_id wn toa ioda e delta_i omega_dot health sqrt_a omega0 w m0 af0 af1".split()
_UTC = "a1 a0 tot wn_t dt_ls wn_lsf dn dt_lsf".split()
_KLOBUCHAR = "a0 a1 a2 a3 b0 b1 b2 b3".split()
_NEQUICK = "ai0 ai1 ai2 storm_cond storm_valid".split()
_CLOCK = "date_day time_full_s time_frac_ms sv_mask".split()
_LOCATION = "lat lon alt unc_major unc_minor orientation unc_alt confidence".split()

# Element type of schema v1 -> (kind, packed little-endian format, field names). Type 7 has 4 bytes nobody reads.
ELEMENTS = {
    1: ("utc", "<iiBBbBbb", _UTC),
    2: ("ephemeris", "<BBHHbhibBBHihiiIhIiihhhhhh", _EPHEMERIS),
    3: ("almanac", "<BBBBHhhBIiiihh", _ALMANAC),
    4: ("klobuchar", "<8b", _KLOBUCHAR),
    5: ("nequick", "<hhhBB", _NEQUICK),
    6: ("tow", "<BHB", ["sv_id", "tlm", "flags"]),
    7: ("clock", "<HIHI4x", _CLOCK),
    8: ("location", "<iihBBBBB", _LOCATION),
    9: ("integrity", "<I", ["mask"]),
    11: ("almanac", "<BBBBHhhBIiiihh", _ALMANAC),
    12: ("ephemeris", "<BBHHbhibBBHihiiIhIiihhhhhh", _EPHEMERIS),
    13: ("integrity", "<I", ["mask"]),
}

# Type of #XAGNSS -> the same, in the modem's natural alignment (padding as x).
STRUCTS = {
    1: ("utc", "<iiBBbBbb2x", _UTC),
    2: ("ephemeris", "<BBHHbxh2xibBBxH2xih2xiiIh2xIiihhhhhh", _EPHEMERIS),
    3: ("almanac", "<BBBBHhhBxIiiihh", _ALMANAC),
    4: ("klobuchar", "<8b", _KLOBUCHAR),
    5: ("nequick", "<hhhBB", _NEQUICK),
    6: ("clock", "<H2xIH2xI128x", _CLOCK),
    7: ("location", "<iihBBBBBx", _LOCATION),
    8: ("integrity", "<I", ["mask"]),
}


class AgnssError(ValueError):
    """Data that cannot be used from here on; `.items` holds what came before."""

    def __init__(self, reason, items=()):
        super().__init__(reason)
        self.items = list(items)


def decode(blob):
    """All items of a schema v1 blob. Raises AgnssError at the first thing it does not understand."""
    if not blob or blob[0] != 1:
        raise AgnssError("JSON error instead of data" if blob[:1] == b"{" else "not schema 1")
    items, pos = [], 1
    while pos < len(blob):
        if pos + 3 > len(blob):
            raise AgnssError("truncated header", items)
        kind_number, count = blob[pos], int.from_bytes(blob[pos + 1 : pos + 3], "little")
        pos += 3
        if kind_number not in ELEMENTS:
            raise AgnssError(f"unknown type {kind_number}", items)
        kind, layout, names = ELEMENTS[kind_number]
        size = struct.calcsize(layout)
        if pos + count * size > len(blob):
            raise AgnssError(f"truncated {kind}", items)
        for _ in range(count):
            items.append((kind, dict(zip(names, struct.unpack_from(layout, blob, pos)))))
            pos += size
    return items


def decode_struct(number, data):
    """One item in the modem's own layout. Raises AgnssError: unknown type, wrong size, padding not zero."""
    if number not in STRUCTS:
        raise AgnssError(f"unknown type {number}")
    kind, layout, names = STRUCTS[number]
    if len(data) != struct.calcsize(layout):
        raise AgnssError(f"{kind}: {len(data)} bytes")
    values = struct.unpack(layout, data)
    # The modem refuses garbage in the holes; the TOW table of the clock (the last 128 bytes) is not a hole.
    head = len(data) - 128 if number == 6 else len(data)
    if struct.pack(layout, *values)[:head] != data[:head]:
        raise AgnssError(f"{kind}: padding is not zero")
    return kind, dict(zip(names, values))


def clock_unix(fields):
    """Unix seconds of a clock item."""
    return GPS_EPOCH - LEAP_SECONDS + fields["date_day"] * 86400 + fields["time_full_s"]


def age_of(toe, now_s):
    """Seconds since the reference time of an ephemeris (toe in units of 16 s of the week); negative: ahead."""
    tow = (now_s - GPS_EPOCH + LEAP_SECONDS) % WEEK
    return (tow - toe * 16 + WEEK / 2) % WEEK - WEEK / 2


def degrees(fields):
    """(latitude, longitude) of a location item in degrees."""
    return fields["lat"] * 90 / (1 << 23), fields["lon"] * 360 / (1 << 24)
