"""Fault switches of the twin: one table, set from the command line, PUT /twin/faults or a scenario file (facts 15.10).

A switch is a value that stays (`int`, `float`, `bool`, a choice), a count that is used up ("count"), a list of
numbers of things to come ("at", counted from when it was set, the next one is 1), or an action that is done
once ("once"). What each one does is in FAULTS.md; what it did so far is counted in `struck`.
Called by link.py for every datagram, by site.py for every request, and where the fault is.
"""

import asyncio

from aiocoap.numbers import codes

from .call import content
from .errors import USAGE_LIMIT, ApiError

_BIG = 10**6
# switch: (kind, smallest, largest, value when off); a choice has the allowed values instead of smallest and largest
SWITCHES = {
    # the line
    "drop": (float, 0, 1, 0.0),
    "delay_ms": (int, 0, 60_000, 0),
    "drop_up": ("at", 1, _BIG, ()),
    "drop_down": ("at", 1, _BIG, ()),
    "repeat_up": ("at", 1, _BIG, ()),
    "repeat_down": ("at", 1, _BIG, ()),
    "repeat_answer": ("at", 1, _BIG, ()),
    "swap_up": ("at", 1, _BIG, ()),
    "swap_down": ("at", 1, _BIG, ()),
    # sessions and authentication
    "max_age": (int, 1, 2**32 - 1, 2592000),
    "auth_503": ("count", 0, _BIG, 0),
    "auth_500": ("count", 0, _BIG, 0),
    "expire_sessions": ("once", 0, 1, False),
    "drop_sessions": ("once", 0, 1, False),
    "lose_session": ("at", 1, _BIG, ()),
    "suspend": (bool, 0, 1, False),
    # requests
    "unauthorized": ("at", 1, _BIG, ()),
    "quota": ("count", 0, _BIG, 0),
    "rest_quota": ("count", 0, _BIG, 0),
    "separate_ms": (int, 0, 60_000, 0),
    # blocks and files
    "shrink_szx": (int, 0, 6, 6),
    "shrink_after": (int, 0, 2**31 - 1, 2048),
    "corrupt_block": ("at", 1, _BIG, ()),
    "size2_error": (int, -(2**31), 2**31 - 1, 0),
    "proxy_status": ("choice", (0, 404, 502), None, 0),
    # services
    "no_job": ("choice", ("4.04", "empty"), None, "4.04"),
    "cancel_at": (int, 0, 100, 0),
    "pad_shadow": ("once int", 0, 8000, 0),
    "invalid_control": ("once", 0, 1, False),
    "agnss_truncate": (int, 0, 65535, 0),
    "agnss_unknown": (int, 0, 255, 0),
    "pgps_stale_days": (int, 0, 365, 0),
    "pgnss_host": (bool, 0, 1, False),
}
_CURRENT_JOB = ("fota", "exec", "current")


class FaultError(ValueError):
    """A switch that does not exist or a value out of its range."""


class Faults:
    """Current values as attributes named like the switches.

    `lose` is called with a session that is to be forgotten; `watchers` with every Call before anything else.
    """

    def __init__(self, drop=0.0, max_age=2592000):
        for name, (kind, _, _, off) in SWITCHES.items():
            if not _is_once(kind):
                setattr(self, name, off)
        self.drop = drop
        self.max_age = max_age
        self.struck = {}
        self.watchers = []
        self.lose = lambda session: None

    def set(self, changes):
        """Apply {switch: value}; returns {switch: value} of the actions asked for. Raises FaultError."""
        checked = {name: check(name, value) for name, value in changes.items()}
        once = {name: checked.pop(name) for name in list(checked) if _is_once(SWITCHES[name][0])}
        for name, value in checked.items():
            setattr(self, name, value)
        return {name: value for name, value in once.items() if value is not False}

    def take(self, name):
        """True when the count `name` had something left; uses it up by one."""
        left = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
            self.note(name)
        return left > 0

    def due(self, name):
        """One more of the things that the list `name` counts: is this one to be struck?"""
        numbers = getattr(self, name)
        if not numbers:
            return False
        setattr(self, name, tuple(number - 1 for number in numbers if number > 1))
        if 1 in numbers:
            self.note(name)
        return 1 in numbers

    def value(self, name):
        """The value of a switch; counted as struck unless it is off."""
        value = getattr(self, name)
        if value != SWITCHES[name][3]:
            self.note(name)
        return value

    def note(self, name):
        """Count that a switch did something."""
        self.struck[name] = self.struck.get(name, 0) + 1

    def as_dict(self):
        """The values that stay until changed, and how often each switch did something."""
        values = {name: getattr(self, name) for name, row in SWITCHES.items() if not _is_once(row[0])}
        return {**{name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}, "struck": self.struck}

    # --- a request (site.py) ---

    def before(self, call):
        """Called for every request before it is looked at. Raises the ApiError that a fault answers with."""
        for watcher in self.watchers:
            watcher(call)
        if self.due("lose_session"):
            self.lose(call.session)
            raise ApiError(503, 50300, "session lost")  # which nobody will hear
        if call.path[:1] == ("auth",) or call.path == ("p", "auth-jwt"):
            return
        if self.due("unauthorized"):
            call.session.device = None
            call.session.expires_at = 0
        if call.method == "POST" and call.path[:1] != ("p",) and self.take("quota"):
            raise ApiError(400, USAGE_LIMIT, "usage limit of the plan exceeded")

    def after(self, call, answer):
        """The answer that is sent instead of `answer`."""
        if call.path == _CURRENT_JOB and answer.code == codes.NOT_FOUND and self.value("no_job") == "empty":
            return content()
        return answer

    async def hold(self):
        """Wait before a separate response; the empty ACK went out already (coap_transport.py)."""
        if self.separate_ms:
            self.note("separate_ms")
            await asyncio.sleep(self.separate_ms / 1000)

    # --- a block of an answer (blocks.py, proxy.py) ---

    def block(self, number, exponent):
        """(number, exponent) of the block to send instead, which starts at the same byte: sizes shrink underway."""
        start = number << exponent + 4
        if exponent <= self.shrink_szx or start < self.shrink_after:
            return number, exponent
        self.note("shrink_szx")
        return start >> self.shrink_szx + 4, self.shrink_szx

    def spoil(self, data):
        """The bytes of a block, one bit of them wrong when it is its turn."""
        if data and self.due("corrupt_block"):
            middle = len(data) // 2
            return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]
        return data


def check(name, value):
    """The value of a switch as it is kept. Raises FaultError."""
    if name not in SWITCHES:
        raise FaultError(f"no such fault: {name}")
    kind, low, high, _ = SWITCHES[name]
    if kind == "choice":
        if isinstance(value, bool) or value not in low:
            raise FaultError(f"{name} is one of {', '.join(map(str, low))}")
        return value
    if kind in (bool, "once"):
        if not isinstance(value, bool):
            raise FaultError(f"{name} is true or false")
        return value
    if kind == "at":
        numbers = value if isinstance(value, list) else [value]
        if len(numbers) > 1000 or not all(_fits(number, int, low, high) for number in numbers):
            raise FaultError(f"{name} is a list of numbers in {low}..{high}")
        return tuple(sorted(set(numbers)))
    kind = float if kind is float else int
    if not _fits(value, kind, low, high):
        raise FaultError(f"{name} is {kind.__name__} in {low}..{high}")
    return kind(value)


def _is_once(kind):
    return kind in ("once", "once int")


def _fits(value, kind, low, high):
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and low <= value <= high and (kind is float or value == int(value))
