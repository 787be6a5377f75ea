"""A-GNSS elements as the structs that an nRF91 modem takes one by one with AT#XAGNSS (modems.md 3.2, 3.4).

For Serial Modem builds without the bulk command. Padding is zero: the modem rejects anything else. TOW elements (6)
are collected until the clock (7) comes, as one struct holds both. Pure. RAM: the 144-byte clock struct.
"""

import struct

from gnss.agnss import CLOCK, TOW

# cloud type -> (modem type, how it is packed, how the modem wants it; x is padding)
_EPHEMERIS = (2, "<BBHHbhibBBHihiiIhIiihhhhhh", "<BBHHbxhxxibBBxHxxihxxiiIhxxIiihhhhhh")
_ALMANAC = (3, "<BBBBHhhBIiiihh", "<BBBBHhhBxIiiihh")
_LAYOUTS = {
    1: (1, "<iiBBbBbb", "<iiBBbBbbxx"),
    2: _EPHEMERIS,
    12: _EPHEMERIS,
    3: _ALMANAC,
    11: _ALMANAC,
    4: (4, "<8b", "<8b"),
    5: (5, "<hhhBB", "<hhhBB"),
    8: (7, "<iihBBBBB", "<iihBBBBBx"),
    9: (8, "<I", "<I"),
}
_CLOCK = 6


class Converter:
    """`convert(type, element)` in the order of the answer -> (modem type, bytes), or None when nothing is due yet."""

    def __init__(self):
        self._clock = bytearray(144)
        self._mask = 0

    def convert(self, kind, element):
        if kind == TOW:
            self._tow(element)
            return None
        if kind == CLOCK:
            day, seconds, millis, mask = struct.unpack("<HIHI", element[:12])
            struct.pack_into("<HxxIHxxI", self._clock, 0, day, seconds, millis, mask | self._mask)
            return _CLOCK, bytes(self._clock)
        layout = _LAYOUTS.get(kind)
        if layout is None:
            return None
        return layout[0], struct.pack(layout[2], *struct.unpack(layout[1], element))

    def _tow(self, element):
        sv, tlm, flags = struct.unpack("<BHB", element)
        if 1 <= sv <= 32:
            struct.pack_into("<HBx", self._clock, 16 + 4 * (sv - 1), tlm, flags)
            if tlm or flags:
                self._mask |= 1 << (sv - 1)
