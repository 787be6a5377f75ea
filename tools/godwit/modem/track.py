"""A recorded track instead of the built-in day: where the node is, and which cell it sees there.

The file is CSV, one point a line: seconds since the start of the simulator, latitude, longitude in degrees, and
optionally altitude in metres and the RSRP in dBm that was measured (`-`: no coverage from here to the next point).
Positions between points are interpolated; after the last one the node stays. Cells: those of the built-in places as far
as they reach, everywhere else one tower in each square of a grid, with numbers made from the square.
"""

import bisect
import csv
import dataclasses
import math
import zlib

from godwit.modem.cells import PLACES, Cell, Spot, rsrp_dbm, rsrp_index

_REACH_KM = 12
_LAT_STEP, _LON_STEP = 0.06, 0.10  # a square is about 6.5 km wide in the middle of Europe
_LOSS_PER_DECADE = 30  # dB, beyond the first kilometre
_HOLE = "-"


class TrackError(ValueError):
    """A file that is not a track; str() says where."""


@dataclasses.dataclass(frozen=True)
class Point:
    """One line of the file; `rsrp` is dBm, None when it was not measured, or `-` in a hole."""

    at: float
    lat: float
    lon: float
    alt: float = 0.0
    rsrp: object = None


def load(path):
    """The points of a file. Raises TrackError, OSError."""
    try:
        with open(path, newline="") as stream:
            rows = list(csv.reader(stream))
    except (csv.Error, UnicodeDecodeError) as err:
        raise TrackError(f"{path}: not CSV") from err
    points = []
    for number, row in enumerate(rows, 1):
        if not row or row[0].startswith("#"):
            continue
        try:
            points.append(_point(row))
        except (ValueError, TypeError) as err:
            raise TrackError(f"{path}, line {number}: seconds,lat,lon[,alt[,rsrp]]") from err
        if len(points) > 1 and points[-1].at <= points[-2].at:
            raise TrackError(f"{path}, line {number}: time does not go on")
    if not points:
        raise TrackError(f"{path}: empty")
    return points


def _point(row):
    at, lat, lon, alt = (float(text) for text in [*row[:3], row[3] if len(row) > 3 and row[3] else "0"])
    rsrp = row[4].strip() if len(row) > 4 and row[4].strip() else None
    if not (abs(lat) <= 90 and abs(lon) <= 180 and math.isfinite(at) and math.isfinite(alt)) or len(row) > 5:
        raise ValueError
    return Point(at, lat, lon, alt, rsrp if rsrp in (None, _HOLE) else int(rsrp))


class Track:
    """Position and cell as a function of world time; beside cells.Route."""

    def __init__(self, points, start_ms):
        self._points = points
        self._times = [point.at for point in points]
        self._start_ms = start_ms

    def spot(self, now_ms):
        """The Spot at a world time in Unix milliseconds; its cell is None in a hole."""
        past = (now_ms - self._start_ms) / 1000
        i = max(bisect.bisect_right(self._times, past) - 1, 0)
        here, there = self._points[i], self._points[min(i + 1, len(self._points) - 1)]
        seconds = there.at - here.at
        part = min(max((past - here.at) / seconds, 0.0), 1.0) if seconds else 0.0
        lat, lon, alt = (a + (b - a) * part for a, b in ((here.lat, there.lat), (here.lon, there.lon),
                                                         (here.alt, there.alt)))
        north, east = _metres(here, there)
        speed = math.hypot(north, east) / seconds if seconds else 0.0
        heading = math.degrees(math.atan2(east, north)) % 360 if speed else 0.0
        cell, name = (None, "hole") if here.rsrp == _HOLE else serving(lat, lon)
        if cell and here.rsrp is not None:
            cell = _levelled(cell, here.rsrp)
        return Spot(lat, lon, alt, speed, heading, cell, name)


def _metres(here, there):
    north = (there.lat - here.lat) * 111_200
    return north, (there.lon - here.lon) * 111_200 * math.cos(math.radians(here.lat))


def _distance_km(lat, lon, lat2, lon2):
    north, east = _metres(Point(0, lat, lon), Point(0, lat2, lon2))
    return math.hypot(north, east) / 1000


def serving(lat, lon):
    """(cell, name of the place) that serves a position in degrees."""
    distance, name, cell = min((_distance_km(lat, lon, place[1], place[2]), place[0], place[4]) for place in PLACES)
    if distance <= _REACH_KM:
        return _faded(cell, distance), name
    row, column = math.floor(lat / _LAT_STEP), math.floor(lon / _LON_STEP)
    around = tuple(
        (_grid(row + i, column + j).earfcn, _grid(row + i, column + j).pci, *_seen(row + i, column + j, lat, lon), 0)
        for i, j in ((1, 0), (0, 1), (-1, 0), (0, -1)))
    cell = dataclasses.replace(_grid(row, column), neighbours=around)
    return _faded(cell, _distance_km(lat, lon, *_centre(row, column))), f"square {row} {column}"


def _centre(row, column):
    return (row + 0.5) * _LAT_STEP, (column + 0.5) * _LON_STEP


def _grid(row, column):
    number = zlib.crc32(f"{row} {column}".encode())
    return Cell("26201", 0x6000 + number % 0x0FFF, 0x02000000 | number % 0x00FFFFFF, 1300 if number % 3 else 6300,
                number % 504, 3 if number % 3 else 20, 55, 24, 44, number % 400)


def _seen(row, column, lat, lon):
    """(rsrp, rsrq) indices of a square's tower at a position."""
    cell = _faded(_grid(row, column), _distance_km(lat, lon, *_centre(row, column)))
    return cell.rsrp, max(cell.rsrq - 10, 1)


def _faded(cell, distance_km):
    loss = round(_LOSS_PER_DECADE * math.log10(max(distance_km, 1.0)))
    return dataclasses.replace(cell, rsrp=max(cell.rsrp - loss, 2), snr=max(cell.snr - loss // 2, 6))


def _levelled(cell, dbm):
    return dataclasses.replace(cell, rsrp=rsrp_index(dbm), snr=max(cell.snr + (dbm - rsrp_dbm(cell.rsrp)) // 2, 6))
