"""Listens to everybody: turns lines of the node, the twin and the modem simulator into the timeline.

Also keeps the few things that the script waits for (first authentication, bytes of the download, end of the job);
these come from the twin's events, never from what the firmware says. Called by day.py for every line of a child.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from . import words
from .options import MAX_AGE_S
from .processes import parse_json
from .timeline import Timeline
from .words import Rule

_NODE_LINE = re.compile(r"(\+?\d+) ([DIWE]) (\S+) (.*)")
_PROGRESS = re.compile(r"progress (\d+) (\d+)")
_WIDE = 400  # longest text taken from a line
_TERMINAL = ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELLED")
# What the simulator's events are called on the page: layer, level, text with the event's fields.
_MODEM = {
    "boot": ("sim", "I", "modem boots"),
    "search": ("radio", "I", "searching for a network"),
    "attach": ("radio", "I", "registered in tracking area {tac}, cell {eci}"),
    "detach": ("radio", "I", "detached"),
    "denied": ("radio", "W", "registration denied, cause {cause}"),
    "pdn_up": ("radio", "I", "bearer is up, address {ip}"),
    "bearer_up": ("radio", "I", "the network gave a bearer, address {ip}"),  # the IP stack waits for the host
    "pdn_down": ("radio", "W", "bearer is down"),
    "cell": ("radio", "I", "moved to cell {eci}, tracking area {tac} ({place})"),
    "gnss_start": ("gnss", "I", "search begins, {expected_s:.0f} s expected"),
    "gnss_fix": ("gnss", "I", "fix after {ttff_s} s at {lat}, {lon}, {acc_m} m; helped by {injected}"),
    "gnss_timeout": ("gnss", "W", "no fix within {after_s} s"),
    "agnss": ("gnss", "I", "assistance taken: {accepted}, refused: {refused}"),
    "dtls_open": ("dtls", "I", "handshake by the modem, suite {suite}, host name verified: {host}"),
    "dtls_failed": ("dtls", "W", "handshake by the modem failed: {reason}"),
    "jwt": ("auth", "I", "token signed for {sub}, good for {lifetime} s"),
    "connect_failed": ("radio", "W", "cannot connect to {host}:{port}: {reason}"),
    "fault": ("fault", "W", "{name} {arg}"),
}
_ASSISTANCE = ("ephemeris", "almanac")  # kinds worth naming
_MODEM_QUIET = (
    *("bye", "cfun", "connect", "credential", "dtls_closed", "dtls_start", "doze", "gnss_stop", "ncellmeas"),
    *("file", "rrc_connected", "rrc_idle", "socket_close", "socket_open"),
)
_HARMLESS = (("fota/exec/current", "4.04"),)  # how the service says that there is no job
_LIFE = {  # kind: (level, text prefix)
    "power": ("I", "power on, "),
    "reset": ("I", "restart: "),
    "cut": ("D", ""),
    "off": ("W", ""),
    "crash": ("E", ""),
}


class Witness:
    """`log(name, line)` keeps full logs. Attributes are read by script.py and day.py."""

    def __init__(self, timeline: Timeline, log: Callable[[str, str], None]):
        self.authenticated = asyncio.Event()
        self.proxy_bytes = 0  # of the bundle, sent by the twin since the job began
        self.job_status: str | None = None
        self.outage = False  # the script has stopped the twin on purpose
        self._timeline = timeline
        self._twin_ms: int | None = None  # stamp of the twin's event being told
        self._log = log
        self._boots = 0
        self._resumed = False  # the download, since this boot
        self._proxy_end = 0  # where the last block that was asked for ended
        self._asked = 0  # bytes of assistance that the cloud has sent
        self._taken_ms: int | None = None
        self._taken: dict[str, int] = {}  # and what the receiver made of them, by kind

    def job_done(self) -> bool:
        return self.job_status in _TERMINAL

    # --- the node -----------------------------------------------------------------------------------------------

    def on_node(self, line: str) -> None:
        self._log("node", line)
        match = _NODE_LINE.fullmatch(line)
        if match is None:
            if line.strip():
                self._timeline.raw("node", line[:_WIDE])
            return
        stamp, level, layer, text = match.groups()
        progress = _PROGRESS.fullmatch(text)
        if progress and layer == "fota":
            self._timeline.progress(int(progress[1]), int(progress[2]))
            return
        t_ms = None if stamp.startswith("+") else int(stamp)
        rule = words.node_rule(layer, text) if level == "I" else None
        text = words.short_ids(text[:_WIDE])
        self._timeline.say(
            "node", layer, level, rule.reword(text) if rule and rule.reword else text, t_ms=t_ms, rule=rule
        )

    def on_node_error(self, line: str) -> None:
        self._log("node", line)
        if line.strip():
            self._timeline.raw("node", line[:_WIDE])

    def on_life(self, kind: str, text: str) -> None:
        level, prefix = _LIFE[kind]
        if kind == "power":
            self._timeline.boot()
            level = "I" if self._boots == 0 else "D"  # the firmware's own first line says the rest
            self._boots += 1
            self._resumed, self._proxy_end = False, 0
        self._timeline.say("node", "power", level, prefix + text, fold=False)

    # --- the twin -----------------------------------------------------------------------------------------------

    def on_twin(self, line: str) -> None:
        self._log("twin", line)
        event = parse_json(line)
        if event is None:
            return
        handler = getattr(self, "_twin_" + str(event.get("event")), None)
        if handler is None:
            return
        self._twin_ms = event.get("t")
        try:
            handler(event)
        except (KeyError, TypeError) as error:
            self._timeline.raw("cloud", f"odd event ({error}): {line[:_WIDE]}")

    def _twin_handshake(self, event: dict) -> None:
        text = f"session {event['session']} from {event['addr']}, {event['cipher']}"
        self._cloud("dtls", "I", text, rule=words.SESSION)

    def _twin_handshake_failed(self, event: dict) -> None:
        self._cloud("dtls", "W", f"handshake with {event['addr']} failed: {event['reason']}")

    def _twin_session_end(self, event: dict) -> None:
        self._cloud("dtls", "I", f"session {event['session']} ended: {event['reason']}")

    def _twin_auth(self, event: dict) -> None:
        if event["ok"]:
            text = f"POST /auth/jwt -> {event['code']}, signature and times good, Max-Age {MAX_AGE_S:,} s"
            self._cloud("auth", "I", text, rule=words.ACCEPTED)
            self.authenticated.set()
        else:
            self._cloud("auth", "W", f"{event['code']} for {event['device'] or 'nobody'}: {event['reason']}")

    def _twin_request(self, event: dict) -> None:
        method, path, code = event["method"], event["path"], event["code"]
        good = code.startswith("2.") or (path, code) in _HARMLESS
        rule = words.request_rule(method, path) if good else None
        if path.startswith("auth/") or (path == "proxy"):
            return  # told by events of their own
        if path == "loc/agnss" and good:
            self._asked += event["bytes_out"]
        text = words.request_text(event) + (" (no job)" if (path, code) in _HARMLESS else "")
        self._cloud("coap", "I" if good else "W", text, rule=rule)

    def _twin_proxy(self, event: dict) -> None:
        self.proxy_bytes += event["size"]
        offset = event["offset"]
        if self._boots > 1 and not self._resumed and offset > self._proxy_end:
            # A head may be read again after a start; the jump beyond it is the resumption.
            self._resumed = True
            self._cloud("fota", "I", f"download resumed at byte {offset:,} of the bundle")
        self._proxy_end = offset + event["size"]

    def _twin_fota(self, event: dict) -> None:
        self.job_status = event["status"]
        detail = f": {event['detail']}" if event["detail"] else ""
        level = "W" if event["status"] in ("FAILED", "REJECTED", "TIMED_OUT", "CANCELLED") else "I"
        self._cloud("fota", level, f"job {event['job'][:8]} {event['status']}{detail}", fold=False)

    def _twin_error(self, event: dict) -> None:
        self._cloud("error", "E", f"{event['place']}: {event['error']}", fold=False)

    def _cloud(self, layer: str, level: str, text: str, *, fold: bool = True, rule: Rule | None = None) -> None:
        self._timeline.say("cloud", layer, level, text[:_WIDE], t_ms=self._twin_ms, fold=fold, rule=rule)

    # --- the modem simulator ------------------------------------------------------------------------------------

    def on_modem(self, line: str) -> None:
        self._log("modem", line)
        event = parse_json(line)
        if event is None or "event" not in event:
            return
        name, t_ms = str(event.pop("event")), event.pop("t", None)
        if name == "agnss" and not event.get("error") and not event.get("refused"):
            self._gather(event.get("accepted"), t_ms)
            return
        if name in ("gnss_fix", "gnss_timeout"):
            self._tell_assistance()
        if name == "dtls_open" and not event.get("host"):
            event["host"] = "NO"
        event = {key: counted(value) for key, value in event.items()}
        layer, level, pattern = _MODEM.get(name, ("sim", "D" if name in _MODEM_QUIET else "I", None))
        try:
            text = pattern.format(**event) if pattern else name
        except (KeyError, IndexError, ValueError):
            pattern = None
        if pattern is None:
            text = " ".join([name, *(f"{key} {value}" for key, value in event.items() if value != "nothing")])
        rule = words.modem_rule(name) if level == "I" else None
        self._timeline.say("modem", layer, level, text[:_WIDE], t_ms=t_ms, rule=rule)

    def _gather(self, accepted, t_ms: int | None) -> None:
        """The receiver takes assistance piece by piece; the page has one line for all of it."""
        self._taken_ms = t_ms
        for kind, count in (accepted if isinstance(accepted, dict) else {}).items():
            self._taken[kind] = self._taken.get(kind, 0) + count

    def _tell_assistance(self) -> None:
        if self._taken:
            parts = [f"{self._taken.pop(kind)} {kind}" for kind in _ASSISTANCE if kind in self._taken]
            if self._taken:
                parts.append(f"{len(self._taken)} other{'s' if len(self._taken) > 1 else ''}")
            text = f"assistance taken: {self._asked:,} B, {', '.join(parts)}"
            self._timeline.say("modem", "gnss", "I", text, t_ms=self._taken_ms, rule=words.modem_rule("agnss"))
        self._taken, self._asked = {}, 0

    def on_stderr(self, name: str, line: str) -> None:
        """A child's stderr is trouble by definition."""
        self._log(name, line)
        if line.strip():
            self._timeline.raw("cloud" if name == "twin" else name, line[:_WIDE])


def counted(value):
    """A count by kind ({"ephemeris": 32}) or an empty field in words; anything else as it is."""
    if isinstance(value, dict):
        value = ", ".join(f"{count} {kind}" for kind, count in value.items())
    return "nothing" if value in ("", None) else value
