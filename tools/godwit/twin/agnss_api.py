"""CoAP resource /loc/agnss (and its old name /loc/agps): assistance data (facts 5.3, 9).

FETCH carries CBOR with small integer keys or JSON, GET the same names as query parameters. The answer is
raw binary with Content-Format 42 even when the device asks for CBOR, cut into blocks.
Called by site.py.
"""

from . import agnss, location, payload
from .call import content
from .errors import invalid

_DEFAULT_TYPES = (1, 2, 3, 4, 6, 7, 9)
_KEYS = {1: "types", 2: "eci", 3: "filtered", 4: "mask", 5: "mcc", 6: "mnc", 7: "rsrp", 8: "tac"}
_RANGES = {"eci": (0, 268435455), "mcc": (0, 999), "mnc": (0, 999), "tac": (0, 65535), "rsrp": (-157, -44)}
_CELL = ("mcc", "mnc", "tac", "eci")
_ACCEPTED = (payload.OCTETS, payload.CBOR, payload.JSON)


class AgnssApi:
    """Handlers of /loc/agnss and /loc/agps."""

    def __init__(self, world):
        self._world = world

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
        value = {}
        if "types" in call.parameters:
            texts = [text for item in call.parameters["types"] for text in item.split(",")]
            value["types"] = [_number(text) for text in texts]
        for name in (*_RANGES, "mask"):
            text = call.parameter(name)
            if text is not None:
                value[name] = _number(text)
        if call.parameter("filtered") is not None:
            value["filtered"] = call.flag("filtered", False)
        return self._answer(call, value)

    def _answer(self, call, value):
        payload.accepted(call.accept, _ACCEPTED, payload.OCTETS)
        request = read_request(value, self._world.now_s())
        return content(agnss.build(request), payload.OCTETS)


def read_request(value, unix_s):
    """agnss.Request out of {"types", "eci", "filtered", ...}. Raises ApiError 4.00 (nRF code 42200)."""
    types = value.get("types", _DEFAULT_TYPES)
    if not isinstance(types, (list, tuple)) or not 1 <= len(types) <= len(agnss.TYPES):
        raise invalid("agnss: types is an array of 1..16 numbers")
    if not all(payload.is_int(kind) and kind in agnss.TYPES for kind in types) or len(set(types)) != len(types):
        raise invalid("agnss: type not known or given twice")
    for name, (low, high) in _RANGES.items():
        number = value.get(name)
        if number is not None and (not payload.is_int(number) or not low <= number <= high):
            raise invalid(f"agnss: {name} is out of range")
    filtered, mask = value.get("filtered", False), value.get("mask", 5)
    if not isinstance(filtered, bool) or not payload.is_int(mask) or not 0 <= mask <= 90:
        raise invalid("agnss: filtered is a bool, mask 0..90")
    cell = {name: value[name] for name in _CELL if value.get(name) is not None}
    if filtered and len(cell) < len(_CELL):
        raise invalid("agnss: filtered needs eci, mcc, mnc and tac")
    place = location.cell_position(cell) if len(cell) == len(_CELL) else None
    return agnss.Request(tuple(types), unix_s, place[:2] if place else None, filtered, mask)


def _number(text):
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10:
        raise invalid(f"agnss: {text[:20]!r} is not a number")
    return int(text)
