"""CoAP resource /loc/pgps: where the predictions of the coming days are (facts 5.4, 10).

GET takes the parameters in the query and answers JSON, FETCH takes and gives CBOR or JSON. The file is fetched
through /proxy.
Called by site.py; reading requests also by rest_location.py.
"""

import re

from . import agnss, payload, pgps
from .call import content
from .errors import invalid

# CBOR key, JSON name
_KEYS = {1: "predictionCount", 2: "predictionIntervalMinutes", 3: "startGpsDay", 4: "startGpsTimeOfDaySeconds"}
# spellings of the CDDL and of older texts
_OTHER_NAMES = {"startGPSDay": "startGpsDay", "startGPSTimeOfDaySeconds": "startGpsTimeOfDaySeconds"}
_DAYS_AHEAD = 6
_NUMBER = re.compile(r"-?[0-9]{1,9}([.]0{1,9})?")


class PgpsApi:
    """Handlers of /loc/pgps."""

    def __init__(self, world, faults):
        self._world = world
        self._faults = faults

    def routes(self):
        """(method, pattern, handler) triples."""
        return [("FETCH", ("loc", "pgps"), self.fetch), ("GET", ("loc", "pgps"), self.get)]

    def fetch(self, call):
        """Parameters in the body; the answer in the format asked for, or that of the request."""
        default = payload.CBOR if call.is_cbor else payload.JSON
        form = payload.accepted(call.accept, (payload.JSON, payload.CBOR), default)
        value = call.load()
        if not isinstance(value, dict):
            raise invalid("pgps: the body is not a map")
        if call.is_cbor:
            if value.keys() != _KEYS.keys():
                raise invalid("pgps: keys are 1, 2, 3, 4")
            value = {_KEYS[key]: item for key, item in value.items()}
        return self._answer(value, form)

    def get(self, call):
        """Parameters in the query."""
        form = payload.accepted(call.accept, (payload.JSON, payload.CBOR), payload.JSON)
        return self._answer(read_query(call.parameters), form)

    def _answer(self, value, form):
        where = answer(value, self._world.now_s(), self._faults)
        if form == payload.CBOR:
            where = {1: where["host"], 2: where["path"]}  # in this order
        return content(payload.dump(where, form), form)


def read_query(parameters):
    """The request's JSON object out of {name: [text, ...]}. Raises ApiError 4.00 (nRF code 42200)."""
    value = {}
    for name in (*_KEYS.values(), *_OTHER_NAMES):
        if name in parameters:
            text = parameters[name][-1]
            if not _NUMBER.fullmatch(text):
                raise invalid(f"pgps: {name} is not a number")
            value[name] = int(text.partition(".")[0])
    return value


def answer(value, unix_s, faults, host=pgps.HOST):
    """{"host", "path"} for {"predictionCount", ...}; what is missing has its default.

    Raises ApiError 4.00 (nRF code 42200) when a value is out of its limits.
    """
    value = {_OTHER_NAMES.get(name, name): item for name, item in value.items()}
    today = agnss.gps_seconds(unix_s) // agnss.DAY
    limits = {
        "predictionCount": (pgps.MAX_COUNT, 1, pgps.MAX_COUNT),
        "predictionIntervalMinutes": (pgps.PERIOD_MIN, pgps.PERIOD_MIN, pgps.PERIOD_MIN),
        "startGpsDay": (today, today, today + _DAYS_AHEAD),
        "startGpsTimeOfDaySeconds": (0, 0, agnss.DAY - 1),
    }
    numbers = []
    for name, (default, low, high) in limits.items():
        number = value.get(name, default)
        if isinstance(number, float) and payload.is_number(number) and number == int(number):
            number = int(number)  # 42.0 is a number of the REST schema
        if not payload.is_int(number) or not low <= number <= high:
            raise invalid(f"pgps: {name} is not in {low}..{high}")
        numbers.append(number)
    count, _, day, second = numbers
    day -= faults.value("pgps_stale_days")
    return {"host": host, "path": pgps.path(day, second, count)}
