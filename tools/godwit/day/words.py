"""Which lines deserve the page of a day, in which words, and under which name the rest is counted.

A day repeats itself: what is routine is shown when it happens first and is only a number in the sentence of its four
hours afterwards; what belongs to getting up is shown again after every restart. Where the node and the cloud (or the
modem) tell the same thing, one of them is kept, the cloud when it can know. Warnings and errors have no rule: they
are always shown. Pure: used by witness.py, counted by timeline.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

CBOR = 60  # Content-Format
UUID = re.compile(r"\b([0-9a-fA-F]{8})(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")


@dataclass(frozen=True)
class Rule:
    """`limit` lines are shown (`by_text`: of each kind; `per_boot`: again after a boot); all are counted as `tally`."""

    name: str
    limit: int = 1
    per_boot: bool = False
    by_text: bool = False
    tally: str | None = None
    reword: Callable[[str], str] | None = None


def _utc(text: str) -> str:
    seconds = int(text.rsplit(" ", 1)[1])
    return f"network time {datetime.fromtimestamp(seconds, UTC):%d %B %Y, %H:%M:%S UTC}"


def _node(layer: str, pattern: str, limit: int, **kwargs) -> tuple:
    return layer, re.compile(pattern), Rule(f"node {layer} {pattern}", limit, **kwargs)


_NODE = (
    _node("app", r"godwit ", 1, per_boot=True),
    _node("app", r"restart$", 0),  # the process says so itself
    _node("modem", r".*, IMEI \d+", 1, reword="answers AT: {}".format),
    _node("modem", r"attached: ", 2, per_boot=True),
    _node("modem", r"network time -?\d+$", 1, reword=_utc),
    _node("dtls", r"connected to ", 3, per_boot=True),
    _node("cloud", r"authenticated as ", 0),  # the cloud's word counts
    _node("health", r"heap ", 0),  # the summary has the peak
    _node("sample", r".* waiting\)$", 1, tally="sample"),
    _node("shadow", r"reported ", 1, by_text=True),
    _node("shadow", r"applied ", 6),
    _node("uplink", r"\d+ records? accepted", 0, tally="uplink"),
    _node("locate", r"cell ", 1),
    _node("locate", r"by [A-Z]+: ", 1, tally="position"),
    _node("locate", r"\d+ bytes of assistance", 0),  # the receiver's word counts
    _node("locate", r"receiver needs no assistance", 0),
    _node("locate", r"GNSS fix after ", 1, tally="position"),
    _node("locate", r"told the receiver ", 1),  # the fix says what it was worth
    _node("locate", r"not moved since ", 1, tally="still"),
    _node("locate", r"no sky from here ", 1, tally="no sky"),
    _node("locate", r"\d+ access points", 1),
    _node("locate", r"predictions of the receiver's maker", 1),
    _node("locate", r"\d+ bytes of predictions", 1, tally="prediction"),
    _node("fota", r"job \S+ SUCCEEDED$", 0),
    _node("fota", r"", 2, per_boot=True, by_text=True),
)

SESSION = Rule("cloud session", 1)
ACCEPTED = Rule("cloud accepted", 99)  # a few times a day, and each is news
_REQUESTS = (  # method, pattern of the path, rule
    ("POST", re.compile(r"auth/"), Rule("auth", 0)),  # an event of its own
    ("GET", re.compile(r"proxy$"), Rule("proxy", 0)),
    ("PATCH", re.compile(r"fota/exec/"), Rule("job report", 0)),
    ("PATCH", re.compile(r"state"), Rule("shadow report", 1)),
    ("GET", re.compile(r"state$"), Rule("shadow poll", 1, tally="shadow poll")),
    ("GET", re.compile(r"fota/exec/current$"), Rule("job poll", 1, tally="job poll")),
    ("POST", re.compile(r"msg/d2c"), Rule("message", 1, tally="message")),
    ("FETCH", re.compile(r"loc/ground-fix$"), Rule("ground-fix", 1)),
    ("FETCH", re.compile(r"loc/agnss$"), Rule("agnss", 0)),  # told when the receiver has taken it
)
_MODEM = {
    "boot": Rule("modem boot", 0),
    "search": Rule("modem search", 1),
    "attach": Rule("modem attach", 0),  # the node says it
    "detach": Rule("modem detached", 1),  # a receiver that needs the radio for itself
    "pdn_up": Rule("modem bearer", 0),
    "bearer_up": Rule("modem bearer", 0),
    "psm": Rule("modem sleep", 0),
    "cell": Rule("modem moves", 1),
    "gnss_start": Rule("modem gnss", 1),
    "gnss_fix": Rule("modem fix", 0),  # the node says it
    "agnss": Rule("modem agnss", 1),
}
# The sentence of a stretch, in this order: one, many.
_COUNTED = {
    "sample": ("sample", "samples"),
    "uplink": ("uplink", "uplinks"),
    "message": ("message", "messages"),
    "shadow poll": ("shadow poll", "shadow polls"),
    "job poll": ("job poll", "job polls"),
    "position": ("position fix", "position fixes"),
    "still": ("position kept", "positions kept"),
    "no sky": ("search left out", "searches left out"),
    "prediction": ("fetch of predictions", "fetches of predictions"),
}


def node_rule(layer: str, text: str) -> Rule | None:
    """The rule of a line of the firmware, or None."""
    return next((rule for name, pattern, rule in _NODE if name == layer and pattern.match(text)), None)


def request_rule(method: str, path: str) -> Rule | None:
    """The rule of a request that went well, or None."""
    return next((rule for verb, pattern, rule in _REQUESTS if verb == method and pattern.match(path)), None)


def modem_rule(event: str) -> Rule | None:
    return _MODEM.get(event)


def request_text(event: dict) -> str:
    """`FETCH /loc/agnss -> 2.05, 28 B of CBOR up, 204 B down`."""
    query = f"?{event['query']}" if event["query"] else ""
    parts = [f"{event['method']} /{event['path']}{query} -> {event['code']}"]
    for size, form, way in (("bytes_in", "format", "up"), ("bytes_out", "answer_format", "down")):
        if event[size]:
            parts.append(f"{event[size]:,} B{' of CBOR' if event.get(form) == CBOR else ''} {way}")
    return short_ids(", ".join(parts))


def short_ids(text: str) -> str:
    """UUIDs by their first eight digits."""
    return UUID.sub(r"\1", text)


def sentence(tallies: dict[str, int]) -> str:
    """`16 samples, 8 uplinks (48 messages), 4 shadow polls` from counts by name."""
    parts = {}
    for name, (one, many) in _COUNTED.items():
        count = tallies.get(name, 0)
        if count:
            parts[name] = f"{count} {one if count == 1 else many}"
    if "uplink" in parts and "message" in parts:
        parts["uplink"] += f" ({parts.pop('message')})"
    return ", ".join(parts.values())
