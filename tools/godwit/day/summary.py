"""The last page of a day: figures and checks, from the facts of the records. Printing only, no judgement.

Called by day.py with facts.py's dict and checks.py's verdicts.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from . import options
from .checks import steps
from .fold import shorten

_OK = "[bold green]ok[/]  "
_MISSING = "[bold red]MISS[/]"
_NAME = 12  # width of a figure's name
_LEAST = 16  # columns of what was found, even on a narrow terminal
_FOUND_AT = 7  # columns before the text of a check


def show(console: Console, facts: dict, verdicts: list, *, logs: Path, kept: bool = False) -> None:
    """Print figures, checks, where to look when something is missing, and the one-line result."""
    _put(console, "")
    _put(console, "[bold]The day, from the twin's records[/]")
    for name, text in figures(facts):
        _row(console, f"  [cyan]{name:<{_NAME}}[/] ", text, 3 + _NAME)
    _put(console, "")
    _put(console, "[bold]Checks[/]")
    wide = max(len(verdict.wanted) for verdict in verdicts)
    for verdict in verdicts:
        if verdict.ok:
            found = shorten(verdict.found, max(console.width - _FOUND_AT - wide - 2, _LEAST))
            _put(console, f"  {_OK} {escape(verdict.wanted):<{wide}}  [dim]{escape(found)}[/]")
        else:
            _row(console, f"  {_MISSING} {escape(verdict.wanted):<{wide}}  ", verdict.found, _FOUND_AT + wide + 2)
    _put(console, "")
    missing = [verdict.name for verdict in verdicts if not verdict.ok]
    if missing:
        where_to_look(console, logs, kept)
        names = ", ".join(missing)
        text = f"Not a whole day: {len(missing)} of {len(verdicts)} missing: {names}"
        if console.is_terminal:
            _row(console, "", text, 0, "bold red")
        else:
            _put(console, escape(text))  # one line for whoever reads logs by machine
    else:
        wall = f"{facts['wall_s']:.1f} s of wall time"
        _put(console, f"[bold green]A whole day: all {len(verdicts)} checks ok, {wall}[/]")


def where_to_look(console: Console, logs: Path, kept: bool) -> None:
    """After a day that is not whole: the files that tell why."""
    place = near(logs)
    rows = [
        ("node", f"{place}/node.log: every line of the firmware, first column wall seconds"),
        ("cloud", f"{place}/twin.log: every request, answer and refusal, as JSON"),
        ("modem", f"{place}/modem.log: radio, sockets, GNSS, as JSON"),
        ("records", f"{near(logs.parent)}/twin.db (SQLite)"),
        ("more", "--verbose shows every line" + (f"; staged files in {near(logs.parent)}/stage" if kept else "")),
    ]
    if not kept:
        rows[-1] = ("more", "--verbose shows every line; --keep leaves the staged flash content")
    _put(console, "[bold]Where to look[/]")
    for name, text in rows:
        _row(console, f"  [cyan]{name:<{_NAME}}[/] ", text, 3 + _NAME)
    _put(console, "")


def show_stopped(console: Console, why: str, when: str, alive: list[str], logs: Path) -> None:
    """One line once everything has ended because somebody wanted it."""
    what = ", ".join(alive) or "nothing was running"
    _put(console, f"[yellow]Stopped by {why} at {when}: {what} ended. Logs: {escape(near(logs))}[/]")


def near(path: Path) -> str:
    """A path as a person at this prompt would write it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def figures(facts: dict) -> list[tuple[str, str]]:
    """(name, text) of every line of figures."""
    shadow, fota, traffic = facts["shadow"], facts["fota"], facts["traffic"]
    sessions, auth, heap = facts["sessions"], facts["auth"], facts["heap"]
    lived = (facts["world_end_ms"] - facts["world_start_ms"]) / 3600e3
    messages = ", ".join(f"{app} {count}" for app, count in sorted(facts["messages"].items())) or "none"
    history = steps(fota["history"]) or "no job"
    peak = f"peak {heap['peak']:,}" if heap["peak"] is not None else "peak not reported,"
    bits, dtls, jwt = facts["bits"], facts["dtls"], facts["jwt"]
    trips = f"{facts['requests']['total']:,} requests, {sessions['handshakes']} handshakes, "
    trips += f"{auth['accepted']} authentications ({auth['refused']} refused)"
    by = ", ".join(f"{count} with {name}" for name, count in facts["gnss"].get("by", {}).items() if name != "none")
    by = f" ({by})" if by else ""
    resumed = "not resumed" if fota["resumed_at"] is None else f"resumed at {fota['resumed_at']:,}"
    return [
        ("node", f"{facts['device_id']}, {bits}-bit MicroPython, {facts['modem']}, DTLS by {dtls}, JWT by {jwt}"),
        ("time", f"{lived:.1f} h of world time in {facts['wall_s']:.1f} s; {facts['life']}"),
        ("messages", f"{sum(facts['messages'].values())} stored: {messages}"),
        ("positions", f"{facts['gnss']['stored']} GNSS fixes{by}, {facts['ground_fix']['stored']} ground fixes"),
        ("shadow", f"version {shadow['version']}, delta {', '.join(shadow['delta']) or 'empty'}"),
        ("update", f"reports {shadow['app_version'] or 'no version'}; job {history}"),
        ("download", f"{fota['size']:,} B bundle, {fota['served']:,} B sent; {resumed}, {fota['refetched']:,} B again"),
        ("traffic", f"up {_load(traffic, 'up')}; down {_load(traffic, 'down')}"),
        ("round trips", trips),
        ("heap", f"{peak} of {heap['size']:,} B"),
    ]


def _load(traffic: dict, way: str) -> str:
    return f"{traffic['bytes_' + way]:,} B in {traffic['datagrams_' + way]:,} datagrams"


def show_addresses(console: Console, day) -> None:
    """What --stay leaves running, and how to reach it."""
    _put(console, "")
    _put(console, "[bold]Everything stays up; the node lives on in real time. Ctrl-C ends it.[/]")
    for name, text in (
        ("REST", f"{day.rest}/v1"),
        ("API key", f"{options.API_KEY}   (Authorization: Bearer {options.API_KEY})"),
        ("records", f"{day.rest}/twin/records"),
        ("CoAP", f"coaps://127.0.0.1:{day.coap_port}   (as {options.HOST_NAME})"),
        ("CA", near(Path(day.credentials["ca"]))),
        ("modem", near(day.places.uart)),
        ("device", day.options.device_id),
        ("logs", near(day.places.logs)),
    ):
        _row(console, f"  [cyan]{name:<{_NAME}}[/] ", text, 3 + _NAME)
    _put(console, "")


def _row(console: Console, head: str, text: str, at: int, style: str = "none") -> None:
    """A text at column `at`; where the page ends it continues below itself. `head` is markup, `text` is not."""
    lines = textwrap.wrap(text, max(console.width - at, _LEAST), break_long_words=False, break_on_hyphens=False) or [""]
    _put(console, head + ("\n" + " " * at).join(f"[{style}]{escape(line)}[/]" for line in lines))


def _put(console: Console, markup: str) -> None:
    console.print(markup, highlight=False, soft_wrap=True)
