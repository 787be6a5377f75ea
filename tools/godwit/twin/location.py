"""Where things are: the synthetic cell and Wi-Fi database, ground fix, location history (facts 5.1, 5.2, 6.2).

The database is a function: the country gives the region, a hash of network and tracking area a town in
it, a hash of the cell a place in the town. The same cell is always at the same place; codes of countries
that are not in the table are not found. Neighbours make it MCELL, two usable access points WIFI.
Called by ground_fix.py, agnss_api.py, inbox.py and rest_location.py.
"""

import hashlib
import math
import uuid

from . import payload
from .store import dumps, iso, loads

# mobile country code: (latitude, longitude) of the region's centre
_COUNTRIES = {
    204: (52.37, 4.90),
    208: (48.85, 2.35),
    214: (40.42, -3.70),
    222: (45.46, 9.19),
    228: (47.38, 8.54),
    232: (48.21, 16.37),
    234: (51.51, -0.13),
    238: (55.68, 12.57),
    240: (59.33, 18.07),
    242: (63.42, 10.40),
    244: (60.17, 24.94),
    260: (52.23, 21.01),
    262: (52.52, 13.40),
    272: (53.35, -6.26),
    302: (45.50, -73.57),
    310: (45.52, -122.68),
    311: (45.52, -122.68),
    440: (35.68, 139.69),
    505: (-33.87, 151.21),
    530: (-41.29, 174.78),
}
# cells that really were surveyed, (mcc, mnc, tac, eci): (lat, lon) of where their users are
_KNOWN = {
    (310, 120, 13601, 167899669): (45.524098, -122.688408),  # published with the API's samples
    # the desk's own coast, where the modem simulator travels: harbour, dyke, hallig, ferry, another operator
    (262, 1, 0x5A10, 0x01A2B3C4): (54.473100, 9.043200),
    (262, 1, 0x5A10, 0x01A2B30A): (54.470400, 8.927100),
    (262, 1, 0x5A12, 0x01A2C101): (54.600300, 8.815200),
    (262, 1, 0x5A12, 0x01A2C207): (54.725700, 8.698400),
    (262, 2, 0x5A11, 0x00C0FFEE): (54.490000, 9.010000),
}
# access points that were surveyed: where they stand does not follow the cell of whoever hears them
_ACCESS_POINTS = {
    "001839598c53": (63.421000, 10.437000),  # the API's own samples
    "00215561f30a": (63.421400, 10.437600),
}
# anchors: access points whose owner entered where they hang, to the metre
_ANCHORS = {"00a0deadbe01": (54.472900, 9.042600)}
_ANCHOR_RADIUS_M = 5
_SEVERAL_RADIUS_M = 300
_EARTH_RADIUS_M = 6371e3
_AREA_SPREAD_DEG = 0.15
_CELL_SPREAD_DEG = 0.02
_WIFI_SPREAD_DEG = 0.003
_AREA_RADIUS_M = 8000
_CONFIDENCE_95 = math.sqrt(math.log(0.05) / math.log(0.32))  # Rayleigh: radius of 95 % over that of 68 %


def area_position(cell):
    """(lat, lon) of the tracking area of {"mcc", "mnc", "tac"}, None for a country nobody surveyed."""
    centre = _COUNTRIES.get(cell["mcc"])
    if centre is None:
        return None
    return _near(centre, _AREA_SPREAD_DEG, "tac", cell["mcc"], cell["mnc"], cell["tac"])


def cell_position(cell):
    """(lat, lon, known) of a cell; `known` is False when only its tracking area is on file."""
    code = (cell["mcc"], cell["mnc"], cell["tac"], cell["eci"])
    if code in _KNOWN:
        return (*_KNOWN[code], True)
    area = area_position(cell)
    if area is None:
        return None
    # One eNodeB in sixteen has never been surveyed, so that the fallback is exercised.
    if _hash("surveyed", cell["eci"] >> 8) % 16 == 0:
        return (*area, False)
    return (*_near(area, _CELL_SPREAD_DEG, "eci", *code), True)


def cell_place(cell):
    """(lat, lon, radius of 68 % in m) of a cell or at least its tracking area, None in a country nobody surveyed."""
    at = cell_position(cell)
    if at is None:
        return None
    return (*at[:2], 800 + _hash("radius", cell["eci"]) % 900 if at[2] else _AREA_RADIUS_M)


def ground_fix(cells, access_points, fallback=True, high_confidence=False, dist=0):
    """(fix, other) for cells and usable access points: the fix chosen, and the one that was not (or None).

    A fix is {"lat", "lon", "uncertainty", "fulfilledWith"}; (None, None) when nothing is known. Wi-Fi goes before
    cells, unless the two are more than `dist` m apart (0: no such limit).
    """
    wifi = _wifi_fix(cells, access_points)
    cell = _cell_fix(cells, fallback)
    fixes = [fix for fix in (wifi, cell) if fix]
    if wifi and cell and dist and distance_m(wifi, cell) > dist:
        fixes.reverse()
    for fix in fixes if high_confidence else ():
        fix["uncertainty"] = math.ceil(fix["uncertainty"] * _CONFIDENCE_95)
    fixes += [None, None]
    return fixes[0], fixes[1]


def distance_m(one, other):
    """Metres between two fixes, on a round Earth."""
    lat1, lon1, lat2, lon2 = (math.radians(fix[name]) for fix in (one, other) for name in ("lat", "lon"))
    chord = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * _EARTH_RADIUS_M * math.asin(min(1, math.sqrt(chord)))


def nearest_region(lat, lon):
    """(mobile country code, (lat, lon) of its centre, metres to it) of the region nearest to a place."""
    here = {"lat": lat, "lon": lon}
    away = {code: distance_m(here, {"lat": at[0], "lon": at[1]}) for code, at in _COUNTRIES.items()}
    code = min(away, key=away.get)  # of equals the first one
    return code, _COUNTRIES[code], away[code]


def _wifi_fix(cells, access_points):
    if len(access_points) < 2:
        return None
    macs = sorted(point["mac"] for point in access_points)
    for mac in macs:
        if mac in _ANCHORS:
            lat, lon = _ANCHORS[mac]
            return {"lat": lat, "lon": lon, "uncertainty": _ANCHOR_RADIUS_M, "fulfilledWith": "ANCHOR"}
    known = [_ACCESS_POINTS[mac] for mac in macs if mac in _ACCESS_POINTS]
    at = cell_position(cells[0]) if cells else None
    centre = known[0] if known else at[:2] if at else _COUNTRIES[242]
    lat, lon = centre if known else _near(centre, _WIFI_SPREAD_DEG, "wifi", *macs)
    return {"lat": lat, "lon": lon, "uncertainty": 25 + _hash(*macs) % 30, "fulfilledWith": "WIFI"}


def _cell_fix(cells, fallback):
    at = cell_position(cells[0]) if cells else None
    if at is None or not (at[2] or fallback):
        return None
    lat, lon, radius = cell_place(cells[0])
    several = len(cells) > 1 or bool(cells[0].get("nmr"))
    if several and at[2]:
        radius = _SEVERAL_RADIUS_M
    return {"lat": lat, "lon": lon, "uncertainty": radius, "fulfilledWith": "MCELL" if several else "SCELL"}


class Locations:
    """Location history: one row per fix that the cloud made or was told. `limits` (limits.Limits) are the plan's."""

    def __init__(self, store, limits):
        self._store = store
        self.limits = limits

    def add(self, device, service, lat, lon, uncertainty, meta=None):
        """Insert one item; lat, lon and uncertainty are stored as text, as the API shows them."""
        self._store.insert(
            "location", id=str(uuid.uuid4()), device=device, service=service,
            inserted_at=self._store.now_ms(), lat=_text(lat), lon=_text(lon),
            uncertainty=_text(uncertainty), meta=dumps(meta or {}),
        )  # fmt: skip

    def add_gnss(self, device, data):
        """The position of a GNSS message's PVT object; anything else is no position and is left alone."""
        if not isinstance(data, dict):
            return
        lat, lon = data.get("lat"), data.get("lng", data.get("lon"))
        if not payload.is_number(lat) or not payload.is_number(lon) or abs(lat) > 90 or abs(lon) > 180:
            return
        meta = {key: data[key] for key in ("acc", "spd", "hdg", "alt") if payload.is_number(data.get(key))}
        self.add(device, "GNSS", lat, lon, meta.get("acc", 0), meta)


def location_document(row):
    """The REST view of a history row."""
    return {
        "id": row["id"],
        "deviceId": row["device"],
        "serviceType": row["service"],
        "insertedAt": iso(row["inserted_at"]),
        "lat": row["lat"],
        "lon": row["lon"],
        "uncertainty": row["uncertainty"],
        "meta": loads(row["meta"]),
    }


def _text(number):
    return f"{number:.7f}".rstrip("0").rstrip(".") if isinstance(number, float) else str(number)


def _hash(*parts):
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")


def _near(centre, spread_deg, *parts):
    """A point within `spread_deg` of latitude around `centre`, fixed by `parts`, to 1e-6 degree."""
    number = _hash(*parts)
    north = (number % 20001 - 10000) / 10000 * spread_deg
    east = (number // 20001 % 20001 - 10000) / 10000 * spread_deg / math.cos(math.radians(centre[0]))
    return round(centre[0] + north, 6), round(centre[1] + east, 6)
