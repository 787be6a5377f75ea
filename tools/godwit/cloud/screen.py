"""What the operator sees: tables and sentences on a terminal, JSON with --json; notes go to standard error.

One Screen per command. Text from the service is never taken as markup or control characters. Without a terminal
the tables are as wide as they need to be, so that grep and cut work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDE = 400  # columns without a terminal: long enough for an id and a sentence side by side

STATUS_STYLES = {
    "SUCCEEDED": "green",
    "COMPLETED": "green",
    "READY": "green",
    "ACTIVE": "yellow",
    "QUEUED": "cyan",
    "CREATED": "cyan",
    "PENDING": "cyan",
    "IN_PROGRESS": "yellow",
    "DOWNLOADING": "yellow",
    "FAILED": "bold red",
    "REJECTED": "bold red",
    "TIMED_OUT": "bold red",
    "CANCELLED": "magenta",
    "ARCHIVED": "dim",
}


class Screen:
    """Where a command writes. `as_json`: standard output carries JSON and nothing else."""

    def __init__(self, as_json: bool = False, out: Console | None = None, err: Console | None = None):
        self.as_json = as_json
        self.out = out or _console(sys.stdout)
        self.err = err or _console(sys.stderr, stderr=True)

    @property
    def live(self) -> bool:
        """May output be drawn over?"""
        return self.out.is_terminal and not self.as_json

    def json(self, value: Any) -> None:
        """One JSON document; indented for a person at a terminal."""
        click.echo(json.dumps(value, ensure_ascii=_narrow(), indent=2 if sys.stdout.isatty() else None))

    def json_line(self, value: Any) -> None:
        """One line of JSON, at once: for what goes on and on."""
        click.echo(json.dumps(value, ensure_ascii=_narrow()))

    def say(self, text: str | Text, style: str = "") -> None:
        """A result in words; nothing with --json."""
        if not self.as_json:
            self.out.print(Text(plain(text), style) if isinstance(text, str) else text, soft_wrap=True)

    def note(self, text: str) -> None:
        """Something on the way, to standard error."""
        self.err.print(Text(plain(text), "yellow"), soft_wrap=True)

    def fields(self, pairs: Iterable[tuple[str, Any]]) -> None:
        """Name and value, one below the other; values may be Text. Empty ones are left out."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in pairs:
            if value not in (None, "", [], {}):
                grid.add_row(name, cell(value))
        self.out.print(grid)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], none: str = "nothing found") -> int:
        """A table; `none` is said when it has no rows. A column name ending in ">" is aligned right. -> rows."""
        grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
        for name in columns:
            grid.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", overflow="fold")
        for row in rows:
            grid.add_row(*[cell(value) for value in row])
        if grid.row_count:
            self.out.print(grid)
        else:
            self.say(none, "dim")
        return grid.row_count


def cell(value: Any) -> Text:
    """Anything as text of a table: no markup, no control characters; absent is a dash."""
    if isinstance(value, Text):
        return value
    if value is None or value == "":
        return Text("–", "dim")
    if isinstance(value, (dict, list)):
        value = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, bool):
        value = "yes" if value else "no"
    return Text(plain(str(value)))


def status(word: Any) -> Text:
    """A status in its colour."""
    return Text(plain(str(word or "–")), STATUS_STYLES.get(str(word), ""))


def plain(text: str) -> str:
    """Without control characters: what a device sends must not drive the terminal."""
    return "".join(c if c.isprintable() else "·" for c in text)


def size(count: Any) -> str:
    """A number of bytes in a few characters."""
    if isinstance(count, bool) or not isinstance(count, (int, float)):
        return "–"
    return f"{count:,.0f} B" if count < 10240 else f"{count / 1024:,.0f} KiB"


def _narrow() -> bool:
    """Can standard output not take every character? JSON has its own way of writing those."""
    return (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"


def _console(file: Any, stderr: bool = False) -> Console:
    terminal = file.isatty()
    if hasattr(file, "reconfigure"):
        file.reconfigure(errors="replace")  # a terminal without a dash or an arrow is no reason to fail
    return Console(stderr=stderr, width=None if terminal else _WIDE, highlight=False, soft_wrap=False)
