"""CoAP resource /loc/agnss (and its old name /loc/agps): assistance data (facts 5.3, 9).

FETCH carries CBOR with small integer keys or JSON, GET the same names as query parameters. The answer is
raw binary with Content-Format 42 even when the device asks for CBOR, cut into blocks.
Called by site.py; reading requests and making the body also by rest_location.py.
"""

import re
import struct

from . import agnss, location, payload
from .call import content
from .errors import invalid

_DEFAULT_TYPES = (1, 2, 3, 4, 6, 7, 9)
_LOCATION_TYPES = (8,)
_KEYS = {1: "types", 2: "eci", 3: "filtered", 4: "mask", 5: "mcc", 6: "mnc", 7: "rsrp", 8: "tac"}
# name: (lowest, highest, may be a fraction)
_RANGES = {
    "eci": (0, 268435455, False),
    "mcc": (0, 999, False),
    "mnc": (0, 999, False),
    "tac": (0, 65535, False),
    "rsrp": (-157, -44, True),
    "mask": (0, 90, True),
}
_CELL = ("mcc", "mnc", "tac", "eci")
_MAX_TYPES = 32
_NUMBER = re.compile(r"-?[0-9]{1,10}([.][0-9]{1,17})?")
_ACCEPTED = (payload.OCTETS, payload.CBOR, payload.JSON)
# deprecated requestType: what it means
_REQUEST_TYPES = {"rtLocation": _LOCATION_TYPES, "rtAssistance": _DEFAULT_TYPES, "custom": None}


class AgnssApi:
    """Handlers of /loc/agnss and /loc/agps."""

    def __init__(self, world, faults):
        self._world = world
        self._faults = faults

    def routes(self):
        """(method, pattern, handler) triples."""
        return [
            (method, ("loc", name), handler)
            for name in ("agnss", "agps")
            for method, handler in (("FETCH", self.fetch), ("GET", self.get))
        ]

    def fetch(self, call):
        """Parameters in the body."""
        value = call.load()
        if not isinstance(value, dict):
            raise invalid("agnss: the body is not a map")
        if call.is_cbor:
            if not all(payload.is_int(key) and key in _KEYS for key in value):
                raise invalid("agnss: unknown key")
            value = {_KEYS[key]: item for key, item in value.items()}
        return self._answer(call, value)

    def get(self, call):
        """Parameters in the query; types repeated or comma separated."""
        return self._answer(call, read_query(call.parameters))

    def _answer(self, call, value):
        payload.accepted(call.accept, _ACCEPTED, payload.OCTETS)
        return content(make_body(read_request(value, self._world.now_s()), self._faults), payload.OCTETS)


def make_body(request, faults):
    """The binary of an agnss.Request; faults may put a type in that nobody knows, or cut off the end."""
    body = agnss.build(request)
    unknown, cut = faults.value("agnss_unknown"), faults.value("agnss_truncate")
    if unknown:
        groups = [part for _, part in agnss.split(body)]
        # with a length of its own that no parser can guess: 13 bytes in one record
        groups.insert((len(groups) + 1) // 2, struct.pack("<BH", unknown, 1) + bytes(range(13)))
        body = body[:1] + b"".join(groups)
    return body[: max(1, len(body) - cut)] if cut else body


def read_query(parameters):
    """The request's JSON object out of {name: [text, ...]}. Raises ApiError 4.00 (nRF code 42200)."""
    value = {}
    for name in ("types", "customTypes"):
        if name in parameters:
            texts = [text for item in parameters[name] for text in item.split(",")]
            value["types"] = [_number(text) for text in texts]
    kind = parameters.get("requestType", [None])[-1]
    if kind is not None:
        if kind not in _REQUEST_TYPES:
            raise invalid("agnss: requestType is rtLocation, rtAssistance or custom")
        if _REQUEST_TYPES[kind]:
            value.setdefault("types", list(_REQUEST_TYPES[kind]))
    for name in _RANGES:
        if name in parameters:
            value[name] = _number(parameters[name][-1])
    if "filtered" in parameters:
        text = parameters["filtered"][-1]
        if text not in ("true", "false", "1", "0"):
            raise invalid("agnss: filtered is true or false")
        value["filtered"] = text in ("true", "1")
    return value


def read_request(value, unix_s):
    """agnss.Request out of {"types", "eci", "filtered", ...}. Raises ApiError 4.00 (nRF code 42200)."""
    types = value.get("types", _DEFAULT_TYPES)
    if not isinstance(types, (list, tuple)) or not 1 <= len(types) <= _MAX_TYPES:
        raise invalid("agnss: types is an array of numbers")
    if not all(payload.is_int(kind) and kind in agnss.TYPES for kind in types):
        raise invalid("agnss: type not known")
    if isinstance(value.get("mnc"), str):  # REST writes "01"
        value = {**value, "mnc": _number(value["mnc"])}
    for name, (low, high, fraction) in _RANGES.items():
        number = value.get(name)
        fits = payload.is_number(number) if fraction else payload.is_int(number)
        if number is not None and (not fits or not low <= number <= high):
            raise invalid(f"agnss: {name} is out of range")
    filtered, mask = value.get("filtered", False), value.get("mask", 5)
    if not isinstance(filtered, bool) or mask is None:
        raise invalid("agnss: filtered is a bool, mask 0..90")
    cell = {name: value[name] for name in _CELL if value.get(name) is not None}
    if filtered and len(cell) < len(_CELL):
        raise invalid("agnss: filtered needs eci, mcc, mnc and tac")
    place = location.cell_place(cell) if len(cell) == len(_CELL) else None
    return agnss.Request(tuple(dict.fromkeys(types)), unix_s, place, filtered, mask)


def _number(text):
    if not _NUMBER.fullmatch(text):
        raise invalid(f"agnss: {text[:20]!r} is not a number")
    return float(text) if "." in text else int(text)
