"""CoAP resource /loc/ground-fix: position from cells and access points (facts 5.1, 5.2).

Reads the CBOR map of small integers or the JSON object, checks ranges, and answers in the fixed key
order and float64 that the NCS decoder insists on. Every fix is written to the location history.
Called by site.py; reading requests and finding places also by rest_location.py.
"""

import re

from . import location, payload
from .call import content
from .errors import BAD_REQUEST, ApiError, not_found

# cell key: (JSON name, lowest, highest, required, may be a fraction)
_CELL = {
    6: ("mcc", 0, 999, True, False),
    7: ("mnc", 0, 999, True, False),
    8: ("eci", 0, 268435455, True, False),
    9: ("tac", 0, 65535, True, False),
    1: ("earfcn", 0, 262143, False, False),
    10: ("adv", 0, 20512, False, False),
    3: ("rsrp", -157, -44, False, False),
    4: ("rsrq", -34.5, -3.5, False, True),
}
_NEIGHBOUR = {
    1: ("earfcn", 0, 262143, True, False),
    2: ("pci", 0, 503, True, False),
    3: ("rsrp", -157, -44, False, False),
    4: ("rsrq", -34.5, -3.5, False, True),
    5: ("timeDiff", -(2**31), 2**31, False, False),
}
_NMR_KEY = 11
_CELL_KEYS = {**{key: row[0] for key, row in _CELL.items()}, _NMR_KEY: "nmr"}
_AP_KEYS = {12: "macAddress", 13: "age", 14: "signalStrength", 15: "channel", 16: "frequency", 17: "ssid"}
_POINT = {  # access point: the numbers that say nothing about the place, but must be numbers
    13: ("age", 0, 2**53, False, True),
    14: ("signalStrength", -128, 0, False, True),
    15: ("channel", 0, 1000, False, True),
    16: ("frequency", 0, 100000, False, True),
}
_ANSWER = ("lat", "lon", "uncertainty", "fulfilledWith")
_FLAGS = {"doReply": True, "fallback": True, "hiConf": False, "alt": False}
_DISTANCE = re.compile(r"[0-9]{1,9}([.][0-9]{1,9})?")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")


class GroundFixApi:
    """Handler of /loc/ground-fix."""

    def __init__(self, locations):
        self._locations = locations

    def routes(self):
        """(method, pattern, handler) triples."""
        return [("FETCH", ("loc", "ground-fix"), self.fetch)]

    def fetch(self, call):
        """Answer with lat, lon, uncertainty, fulfilledWith; 4.04 when nothing is known."""
        default = payload.CBOR if call.is_cbor else payload.JSON
        form = payload.accepted(call.accept, (payload.JSON, payload.CBOR), default)
        options = read_options(call.parameters)
        cells, points = read_request(call.load(), call.is_cbor)
        fix = locate(self._locations, call.device, cells, points, options)
        if not options["doReply"]:
            return content()
        if form == payload.CBOR:
            # 1 lat, 2 lon, 3 uncertainty, 4 fulfilledWith, in this order; a device decoder takes nothing more
            fix = {key: fix[name] for key, name in enumerate(_ANSWER, 1)}
        return content(payload.dump(fix, form), form)


def locate(locations, device, cells, points, options, suffix=""):
    """The answer to a request, as JSON has it, written to the history of `device` (None: of nobody).

    `suffix` is put behind the name of the service ("_EVAL" for an evaluation token). Raises ApiError 4.04, or 4.00
    with 40005 beyond the plan's limit.
    """
    locations.limits.check("monthlyLocationServiceRequests")
    fix, other = location.ground_fix(cells, points, options["fallback"], options["hiConf"], options["dist"])
    if fix is None:
        raise not_found("position not found", 40499)
    for found in (fix, other):
        if found:
            found["fulfilledWith"] += suffix
    if device is not None:
        locations.add(device, fix["fulfilledWith"], fix["lat"], fix["lon"], fix["uncertainty"])
    if options["alt"] and other:
        return {**fix, "alt": {"loc": other, "dist": round(location.distance_m(fix, other), 1)}}
    return fix


def read_options(parameters):
    """Query flags with their defaults, out of {name: [text, ...]}. Raises ApiError 4.00."""
    options = {}
    for name, default in _FLAGS.items():
        text = parameters.get(name, [None])[-1]
        if text not in (None, "true", "false", "1", "0"):
            raise _bad(f"{name} is true or false")
        options[name] = default if text is None else text in ("true", "1")
    text = parameters.get("dist", ["0"])[-1]
    if not _DISTANCE.fullmatch(text):
        raise _bad("dist is a number of metres")
    options["dist"] = float(text)
    return options


def read_request(value, is_cbor):
    """(cells, usable access points) of a request, as lists of dicts with JSON names. Raises ApiError 4.00."""
    if not isinstance(value, dict):
        raise _bad("the body is not a map")
    if is_cbor:
        if not value.keys() <= {19, 20, 21}:
            raise _bad("keys are 19, 20, 21")
        if not payload.is_int(value.get(21, 0)) or value.get(21, 0) < 0:
            raise _bad("ts is an unsigned number of milliseconds")
        wifi = value.get(20)
        if wifi is not None and (not isinstance(wifi, dict) or wifi.keys() != {18}):
            raise _bad("wifi is a map with key 18")
        cells = [_renamed(cell, _CELL_KEYS) for cell in _list(value.get(19))]
        points = [_renamed(point, _AP_KEYS) for point in _list(wifi[18] if wifi else None)]
    else:
        cells = [cell for name in ("lte", "ltecatm", "nbiot") for cell in _list(value.get(name))]
        wifi = value.get("wifi")
        points = _list(wifi.get("accessPoints") if isinstance(wifi, dict) else wifi)
    if not cells and not points:
        raise _bad("neither cells nor access points")
    if len(cells) > 5 or len(points) == 1 or len(points) > 20:
        raise _bad("1..5 cells, 2..20 access points")
    return [_cell(cell, is_cbor) for cell in cells], [p for p in map(_access_point, points) if p]


def _bad(why):
    return ApiError(400, BAD_REQUEST, f"ground-fix: {why}")


def _list(value):
    if value is None:
        return []
    if not isinstance(value, (list, tuple)):
        raise _bad("an array is expected")
    return list(value)


def _renamed(item, names):
    if not isinstance(item, dict) or not all(payload.is_int(key) and key in names for key in item):
        raise _bad("unknown key")
    return {names[key]: value for key, value in item.items()}


def _checked(item, table, is_cbor=False):
    if not isinstance(item, dict):
        raise _bad("an object is expected")
    for name, low, high, required, fraction in table.values():
        value = item.get(name)
        if value is None:
            if required:
                raise _bad(f"{name} is missing")
            continue
        # dBm are whole numbers in CBOR, any in JSON
        fraction = fraction or (name == "rsrp" and not is_cbor)
        fits = payload.is_number(value) if fraction else payload.is_int(value)
        if not fits or not low <= value <= high:
            raise _bad(f"{name} is out of range")
    return item


def _cell(cell, is_cbor):
    if isinstance(cell, dict) and isinstance(cell.get("mnc"), str):  # REST writes "01"
        text = cell["mnc"]
        if not text.isascii() or not text.isdigit() or len(text) > 3:
            raise _bad("mnc is out of range")
        cell = {**cell, "mnc": int(text)}
    _checked(cell, _CELL, is_cbor)
    neighbours = _list(cell.get("nmr"))
    if len(neighbours) > 5:
        raise _bad("at most 5 neighbours")
    if is_cbor:
        names = {key: row[0] for key, row in _NEIGHBOUR.items()}
        neighbours = [_renamed(item, names) for item in neighbours]
    return {**cell, "nmr": [_checked(item, _NEIGHBOUR, is_cbor) for item in neighbours]}


def _access_point(point):
    """{"mac"} of a usable access point, None for one that says nothing about a place."""
    _checked(point, _POINT)
    mac = point.get("macAddress")
    if isinstance(mac, str) and _MAC.fullmatch(mac):
        mac = bytes.fromhex(mac.replace("-", ":").replace(":", ""))
    if not isinstance(mac, bytes) or len(mac) != 6:
        raise _bad("macAddress is 6 bytes")
    if mac[0] & 2 or mac[:3] == b"\x00\x00\x5e":  # locally administered, or VRRP and the like
        return None
    return {"mac": mac.hex()}
