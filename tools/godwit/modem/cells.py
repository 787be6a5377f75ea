"""The radio world: cells along a route on the Wadden coast, and the index conversions of modems.md 2A.4.

A node spends the night in the harbour, visits three places during the day and comes home in the evening; which cell
serves it and where the receiver says it is both follow from the time of day, so that cell records and fixes agree.
Cells hold reported indices; formatters and tests derive dBm and dB. The harbour cell is the parity vector of
modems.md 2A.5 (vectors A and B), value for value.
"""

import bisect
import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell as the modem measures it; rsrp, rsrq, snr are the reported indices."""

    plmn: str
    tac: int
    eci: int
    earfcn: int
    pci: int
    band: int
    rsrp: int
    rsrq: int
    snr: int
    ta: int
    neighbours: tuple = ()  # (earfcn, pci, rsrp, rsrq, time_diff)
    others: tuple = ()  # further cells a GCI search finds, with full identity
    act: int = 7  # LTE-M


_OTHER_OPERATOR = Cell("26202", 0x5A11, 0x00C0FFEE, 6300, 33, 20, 41, 15, 20, 65535)

# (name, latitude, longitude in degrees, altitude in metres, serving cell)
PLACES = (
    ("harbour", 54.471600, 9.044700, 4.0, Cell(
        "26201", 0x5A10, 0x01A2B3C4, 1300, 417, 3, 49, 20, 39, 50,
        ((1300, 251, 33, 4, 0), (6300, 107, 26, 14, 25)), (_OTHER_OPERATOR,))),
    ("dyke", 54.472000, 8.925000, 7.5, Cell(
        "26201", 0x5A10, 0x01A2B30A, 1300, 88, 3, 43, 18, 35, 212,
        ((1300, 417, 36, 9, 0), (6300, 107, 31, 15, -12), (6300, 402, 24, 8, 31)), (_OTHER_OPERATOR,))),
    ("hallig", 54.599000, 8.817000, 3.2, Cell(
        "26201", 0x5A12, 0x01A2C101, 6300, 402, 20, 34, 15, 29, 845,
        ((6300, 311, 22, 6, 9),), (_OTHER_OPERATOR,))),
    ("ferry", 54.727000, 8.696000, 5.1, Cell(
        "26201", 0x5A12, 0x01A2C207, 6300, 219, 20, 52, 22, 41, 131,
        ((6300, 402, 27, 10, 4), (1300, 12, 19, 3, -40)), (_OTHER_OPERATOR,))),
)

# The day: (second of the day, index of the place); between two entries of different places the node moves.
_DAY = ((0, 0), (28800, 0), (32400, 1), (43200, 1), (46800, 2), (57600, 2), (61200, 3), (72000, 3), (79200, 0),
        (86400, 0))


@dataclasses.dataclass(frozen=True)
class Spot:
    """Where the node is: position, speed in m/s, heading in degrees, serving cell, name of the place."""

    lat: float
    lon: float
    alt: float
    speed: float
    heading: float
    cell: Cell
    place: str


class Route:
    """Position as a function of world time. `fixed` stays in the harbour."""

    def __init__(self, fixed=False):
        self._fixed = fixed

    def spot(self, now_ms):
        """The Spot at a world time in Unix milliseconds."""
        second = 0 if self._fixed else (now_ms // 1000) % 86400
        i = bisect.bisect_right(_DAY, (second, len(PLACES))) - 1
        (t0, here), (t1, there) = _DAY[i], _DAY[min(i + 1, len(_DAY) - 1)]
        if here == there:
            name, lat, lon, alt, cell = PLACES[here]
            return Spot(lat, lon, alt, 0.0, 0.0, cell, name)
        return self._moving((second - t0) / (t1 - t0), t1 - t0, PLACES[here], PLACES[there])

    @staticmethod
    def _moving(part, seconds, here, there):
        def between(a, b):
            return a + (b - a) * part

        # Equirectangular is good to a metre over these 30 km; 0.58 = cos(54.5 degrees).
        north, east = (there[1] - here[1]) * 111_200, (there[2] - here[2]) * 111_200 * 0.58
        cell, name = (here[4], here[0]) if part < 0.5 else (there[4], there[0])
        # The signal sinks towards the border of the cell, by 14 dB at most.
        faded = dataclasses.replace(cell, rsrp=cell.rsrp - round(28 * min(part, 1 - part)))
        return Spot(between(here[1], there[1]), between(here[2], there[2]), between(here[3], there[3]),
                    (north**2 + east**2) ** 0.5 / seconds, _heading(north, east), faded, "near " + name)


def _heading(north, east):
    return math.degrees(math.atan2(east, north)) % 360


def rsrp_dbm(index):
    """RSRP index to dBm (modems.md 2A.4); None for 255."""
    if index == 255:
        return None
    return index - 141 if index > 0 else index - 140


def rsrp_index(dbm):
    """dBm to RSRP index, within 1..97."""
    return min(max(dbm + 141, 1), 97)


def rssi_dbm(rsrp):
    """RSSI that fits an RSRP in dBm: -92 gives -62, -108 gives -75, -115 gives -80 (modems.md 2B.3)."""
    return round(0.8 * rsrp + 11.6)


def sinr_db(rsrp):
    """SINR of a neighbour that fits its RSRP in dBm: -108 gives 3, -115 gives 0, -92 gives 15 (modems.md 2B.3)."""
    return max(0, round(0.75 * (rsrp + 112)))


def rsrq_db(index):
    """RSRQ index to dB in steps of 0.5; None for 255."""
    if index == 255:
        return None
    if index < 0:
        return (index - 39) / 2
    return (index - 40) / 2 if index < 35 else (index - 41) / 2


def snr_db(index):
    """SNR index of %XMONITOR to dB; None for 127."""
    return None if index == 127 else index - 24
