"""Scenario files: which fault is switched when (facts 15.10).

A list of {"when": ..., "do": {switch: value, ...}}, as JSON or, below `[[rules]]`, as TOML. `when` is one of
{"request": n} (the n-th CoAP request since the start), {"path": "loc/*", "method": "GET", "nth": 2} (the n-th request
that fits; "*" is one segment, "**" the rest), {"at": seconds} (of world time since the start) or {"progress": percent}
(of any download through /proxy). `do` is what PUT /twin/faults takes. Each rule acts once.
Called by command.py (read) and server.py (act).
"""

from ..rules import ScenarioError, kind_of, read
from . import faults
from .call import match

# key of `when`: (its further keys, smallest, largest)
_KINDS = {
    "request": ((), 1, 10**9),
    "path": (("method", "nth"), None, None),
    "at": ((), 0, 10**9),
    "progress": ((), 0, 100),
}
_METHODS = ("GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "IPATCH")


class Rule:
    """One `when` and `do`. `kind` is the key of `when` that decides, `value` its value."""

    def __init__(self, when, do):
        self.when, self.do = when, do
        self.kind = next(kind for kind in _KINDS if kind in when)
        self.value = when[self.kind]
        self.pattern = tuple(self.value.strip("/").split("/")) if self.kind == "path" else ()
        self.left = when.get("nth", 1)

    def hit(self, call, number):
        """Does request `number` set this rule off?"""
        if self.kind == "request":
            return number == self.value
        if self.kind != "path" or match(self.pattern, call.path) is None:
            return False
        if call.method != self.when.get("method", call.method):
            return False
        self.left -= 1
        return not self.left


class Scenario:
    """The rules of a running twin. `apply(changes)` is Twin.set_faults, `now_ms` the world's clock at the start."""

    def __init__(self, rules, apply, now_ms):
        self._rules = list(rules)
        self._apply = apply
        self._start = now_ms
        self._requests = 0

    def on_request(self, call):
        """A request came in: rules act before anything else looks at it."""
        self._requests += 1
        self._fire([rule for rule in self._rules if rule.hit(call, self._requests)])

    def on_progress(self, percent):
        """A block of a file went out."""
        self._fire([rule for rule in self._rules if rule.kind == "progress" and percent >= rule.value])

    def tick(self, now_ms):
        """Time went by."""
        past_s = (now_ms - self._start) / 1000
        self._fire([rule for rule in self._rules if rule.kind == "at" and past_s >= rule.value])

    def left(self):
        """The rules that did not act yet, as {"when", "do"}."""
        return [{"when": rule.when, "do": rule.do} for rule in self._rules]

    def _fire(self, rules):
        for rule in rules:
            self._rules.remove(rule)
            self._apply(rule.do)


def load(path):
    """The rules of a scenario file. Raises ScenarioError, OSError."""
    return read(path, _rule)


def _rule(when, do, place):
    kind = kind_of(when, {kind: more for kind, (more, _, _) in _KINDS.items()}, place)
    _check_when(when, kind, *_KINDS[kind][1:], place)
    try:
        for name, value in do.items():
            faults.check(name, value)
    except faults.FaultError as exc:
        raise ScenarioError(f"{place}: {exc}") from exc
    return Rule(when, do)


def _check_when(when, kind, low, high, place):
    value = when[kind]
    if kind == "path":
        if not isinstance(value, str) or not value.strip("/"):
            raise ScenarioError(f"{place}: path is a text")
        if when.get("method", "GET") not in _METHODS:
            raise ScenarioError(f"{place}: method is one of {', '.join(_METHODS)}")
        value, low, high = when.get("nth", 1), 1, 10**9
    allowed = (int, float) if kind in ("at", "progress") else (int,)
    if isinstance(value, bool) or not isinstance(value, allowed) or not low <= value <= high:
        raise ScenarioError(f"{place}: {kind} is a number in {low}..{high}")
