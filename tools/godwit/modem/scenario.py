"""Scenario files: which fault is set when (modems.md 7.3).

A list of {"when": ..., "do": {fault: value, ...}}, as JSON or, below `[[rules]]`, as TOML. `when` is one of
{"at": seconds of world time since the start}, {"command": "AT+CASEND", "nth": 2} (the n-th command that begins so),
{"phase": "dtls", "nth": 1} (PHASES), {"event": name of the log, "nth": 1} and {"byte": n, "direction": "out"} (before
the n-th byte since the start, of output or "in"put). `do` has faults of the catalogue: true, an argument, or
{"arg": ..., "count": ...}; false clears. Each rule acts once. Called by command.py; acts through the FaultBoard.
"""

import asyncio
import json

from godwit.modem.faults import CATALOGUE, FaultError, convert
from godwit.rules import ScenarioError, each, kind_of, read

# What a node is doing -> the event that begins it.
PHASES = {"boot": "boot", "attach": "search", "socket": "socket_open", "dtls": "dtls_start", "gnss": "gnss_start",
          "sleep": "psm"}  # fmt: skip
_KINDS = {"at": (), "command": ("nth",), "phase": ("nth",), "event": ("nth",), "byte": ("direction",)}


class Rule:
    """One `when` and `do`; `kind` is the key of `when` that decides, `value` its value."""

    def __init__(self, when, do):
        self.when, self.do = when, do
        self.kind = next(kind for kind in _KINDS if kind in when)
        self.value = when[self.kind]
        self.left = when.get("nth", 1)
        self.direction = when.get("direction", "out")

    def hit(self):
        """It has happened once more: is it our turn?"""
        self.left -= 1
        return not self.left


class Scenario:
    """The rules of a running simulator."""

    def __init__(self, rules, faults, clock):
        self._rules = list(rules)
        self._faults = faults
        self._seen = {"out": 0, "in": 0}
        for rule in rules:
            if rule.kind == "at":
                clock.later(rule.value, self._fire, [rule], drives=False)

    def on_command(self, text):
        """A command (upper case, without AT) is about to be executed; True when a rule has acted."""
        return self._fire([rule for rule in self._rules if rule.kind == "command"
                           and text.startswith(rule.value.upper().removeprefix("AT")) and rule.hit()])

    def on_event(self, name):
        """Something is in the log."""
        self._fire([rule for rule in self._rules
                    if name == {"event": rule.value, "phase": PHASES.get(rule.value)}.get(rule.kind) and rule.hit()])

    def next_byte(self, direction, n):
        """`n` bytes are about to pass: how many pass before a rule is due, None when none is."""
        due = [rule.value - 1 - self._seen[direction] for rule in self._rules
               if rule.kind == "byte" and rule.direction == direction]
        due = [left for left in due if left < n]
        return max(min(due), 0) if due else None

    def passed(self, direction, n):
        """`n` bytes have passed."""
        self._seen[direction] += n

    def at_byte(self, direction):
        """The byte of next_byte() is next."""
        self._fire([rule for rule in self._rules if rule.kind == "byte" and rule.direction == direction
                    and rule.value - 1 <= self._seen[direction]])

    def left(self):
        """The rules that did not act yet, as {"when", "do"}."""
        return [{"when": rule.when, "do": rule.do} for rule in self._rules]

    def _fire(self, rules):
        for rule in rules:
            self._rules.remove(rule)
            for name, value in rule.do.items():
                self._do(name, value, rule.kind == "byte")
        return bool(rules)

    def _do(self, name, value, now):
        if value is False:
            self._faults.clear(name)
            return
        arg, count = _unpacked(value)
        if CATALOGUE[name][0] == "action" and not now:
            # Whoever set us off is in the middle of something: after it.
            asyncio.get_running_loop().call_soon(self._faults.apply, name, arg)
        else:
            self._faults.apply(name, arg, count)


def _unpacked(value):
    if isinstance(value, dict):
        return value.get("arg"), value.get("count")
    return (None if value is True else value), None


def load(path):
    """The rules of a scenario file. Raises ScenarioError, OSError."""
    return read(path, _rule)


def load_rules(rules, path):
    """The rules of a list of {"when", "do"}; `path` is for the error. Raises ScenarioError."""
    return each(rules, path, _rule)


def _rule(when, do, place):
    _check_when(when, kind_of(when, _KINDS, place), place)
    for name, value in do.items():
        _check_do(name, value, place)
    return Rule(when, do)


def _check_when(when, kind, place):
    value, nth = when[kind], when.get("nth", 1)
    good = {
        "at": _number(value, (int, float), 0),
        "byte": _number(value, (int,), 1),
        "phase": isinstance(value, str) and value in PHASES,
        "command": isinstance(value, str) and bool(value),
        "event": isinstance(value, str) and bool(value),
    }[kind]
    if not good or not _number(nth, (int,), 1) or when.get("direction", "out") not in ("in", "out"):
        raise ScenarioError(f"{place}: cannot be: {json.dumps(when)}")


def _number(value, kinds, low):
    return isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= 10**9


def _check_do(name, value, place):
    if name not in CATALOGUE:
        raise ScenarioError(f"{place}: no such fault: {name}")
    if value is False:
        return
    if isinstance(value, dict) and (value.keys() - {"arg", "count"} or not _number(value.get("count", 1), (int,), 1)):
        raise ScenarioError(f"{place}: {name} takes true, false, an argument or arg and count")
    try:
        convert(name, _unpacked(value)[0])
    except FaultError as exc:
        raise ScenarioError(f"{place}: {exc}") from exc
