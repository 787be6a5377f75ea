"""Fault switches of the twin, and the link that loses and delays its datagrams.

Set from the command line (--drop, --seed, --max-age) and by PUT /twin/faults while it runs.
Called by dtls.py for every datagram, by auth.py for every authentication.
"""

import asyncio
import random

# switch: (type, smallest, largest)
_SWITCHES = {
    "drop": (float, 0, 1),
    "delay_ms": (int, 0, 60_000),
    "max_age": (int, 1, 2**32 - 1),
    "auth_503": (int, 0, 10**6),
    "quota": (int, 0, 10**6),
    "expire_sessions": (bool, 0, 1),
    "drop_sessions": (bool, 0, 1),
}


class FaultError(ValueError):
    """A switch that does not exist or a value out of its range."""


class Faults:
    """Current values: `drop` (probability per datagram and direction), `delay_ms` (each answer), `max_age`
    (s, of the next authentications), `auth_503` and `quota` (how many of the next authentications are
    answered 5.03, of the next POSTs to msg/* 4.00 with nRF code 40005). `expire_sessions` and
    `drop_sessions` act once; see Twin.set_faults."""

    def __init__(self, drop=0.0, max_age=2592000):
        self.drop = drop
        self.delay_ms = 0
        self.max_age = max_age
        self.auth_503 = 0
        self.quota = 0

    def set(self, changes):
        """Apply {switch: value}; returns the set of one-shot switches asked for. Raises FaultError."""
        checked = {name: _check(name, value) for name, value in changes.items()}
        once = {name for name in ("expire_sessions", "drop_sessions") if checked.pop(name, False)}
        for name, value in checked.items():
            setattr(self, name, value)
        return once

    def take(self, name):
        """True when the counter `name` had something left; uses it up by one."""
        left = getattr(self, name)
        if left:
            setattr(self, name, left - 1)
        return left > 0

    def as_dict(self):
        """The values that stay until changed."""
        return dict(vars(self))


def _check(name, value):
    if name not in _SWITCHES:
        raise FaultError(f"no such fault: {name}")
    kind, low, high = _SWITCHES[name]
    if kind is bool:
        if not isinstance(value, bool):
            raise FaultError(f"{name} is true or false")
        return value
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not low <= value <= high or (kind is int and value != int(value)):
        raise FaultError(f"{name} is {kind.__name__} in {low}..{high}")
    return kind(value)


class Link:
    """Lets datagrams through, loses or delays them; counts both directions, lost ones too."""

    def __init__(self, faults, seed=None):
        self.faults = faults
        self._random = random.Random(seed)
        self._timers = set()
        self.counters = {f"{what}_{way}": 0 for way in ("up", "down") for what in ("datagrams", "bytes", "dropped")}

    def deliver(self, way, size, action):
        """Count a datagram of `size` bytes going "up" or "down" and run `action`, now, later or never."""
        self.counters[f"datagrams_{way}"] += 1
        self.counters[f"bytes_{way}"] += size
        if self.faults.drop and self._random.random() < self.faults.drop:
            self.counters[f"dropped_{way}"] += 1
        elif way == "down" and self.faults.delay_ms:
            self._later(self.faults.delay_ms / 1000, action)
        else:
            action()

    def close(self):
        """Forget the datagrams that are still under way."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _later(self, delay_s, action):
        def fire():
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(timer)
