"""The live timeline: one line per thing that happened, in world time, whoever said it.

On a terminal rich keeps two bars below the scrolling lines (the day, the download); without one, or with NO_COLOR or
CI set, the same lines come out plain. What repeats is folded: the first lines of a kind are shown, later ones are
counted (words.py has the rules), and every few hours of the day one sentence gives the counts. A line never wraps: it
ends in an ellipsis, a warning continues below its text. Full logs go to files, nothing is lost on the way.
"""

from __future__ import annotations

import os
import textwrap
import time
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from .fold import Folder, shorten
from .words import Rule

_FOLD_EVERY_MS = 4 * 3600 * 1000
_TEXT_AT = 28  # column of the text
_RAW_AT = 19  # the same for what is no log line
_PAGE = 100  # columns of the page without a terminal
_LOUD_LINES = 3  # lines that a warning may take
_STEP = 25  # per cent between two lines of a download
_DAY_MS = 86400 * 1000

_WHO = {"node": "bright_white", "cloud": "green", "modem": "cyan", "operator": "bright_blue", "world": "bright_red"}
_LAYERS = {
    "boot": "bold white",
    "app": "bold white",
    "at": "bright_cyan",
    "modem": "cyan",
    "net": "blue",
    "dtls": "bright_blue",
    "coap": "blue",
    "auth": "bright_green",
    "cloud": "green",
    "shadow": "bright_magenta",
    "gnss": "magenta",
    "locate": "magenta",
    "fota": "bright_yellow",
    "update": "bright_yellow",
    "power": "bold bright_red",
}
_LEVELS = {"W": "yellow", "E": "bold red"}


class Timeline:
    """Prints what happens. `now_ms` gives the world time, `start_ms` and `length_ms` frame the day."""

    def __init__(self, console: Console, *, now_ms, start_ms: int, length_ms: int, live: bool, verbose: bool = False):
        self.lines = 0
        self._console = console
        self._now_ms = now_ms
        self._start_ms = start_ms
        self._length_ms = length_ms
        self._live = live
        self._verbose = verbose
        self._folder = Folder()
        self._next_fold = start_ms + _FOLD_EVERY_MS
        self._last_ms = self._fold_from = start_ms
        self._date = None
        self._step = 0
        self._closed = False
        self._calm = False  # real time: nothing is folded
        self._progress: Progress | None = None
        self._day_task = self._load_task = None

    def start(self) -> None:
        if not self._live:
            return
        self._progress = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(bar_width=40),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
        )
        self._progress.start()
        # Both bars from the start: a page whose foot grows and shrinks flickers.
        self._day_task = self._progress.add_task("day", total=self._length_ms, note=clock_text(self._start_ms))
        self._load_task = self._progress.add_task("update", total=1, note="no job yet")

    def stop(self) -> None:
        """Show what is still folded and take the bars away; what comes later is only in the logs."""
        self._fold(self._now_ms())
        self._closed = True
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def reopen(self) -> None:
        """The day is over and life goes on, in real time: lines again, few enough to show every one of them."""
        self._closed = False
        self._calm = True

    def boot(self) -> None:
        """The node starts: how it gets up is shown again."""
        self._folder.boot()

    def tick(self) -> None:
        """Move the day bar; called a few times a second."""
        if self._progress is not None:
            now = self._now_ms()
            self._progress.update(
                self._day_task, completed=min(now - self._start_ms, self._length_ms), note=clock_text(now)
            )

    def progress(self, done: int, total: int) -> None:
        """Download progress in bytes: a line every quarter, and a bar on a terminal."""
        if total <= 0:
            return
        if self._progress is not None:
            note = f"{done:,} of {total:,} B"
            self._progress.update(self._load_task, completed=done, total=total, note=note)
        step = done * 100 // total // _STEP
        if step != self._step:
            self._step = step
            text = f"download {bar(done, total)} {done * 100 // total:>3} %, {done:,} of {total:,} B"
            self.say("node", "fota", "I", text, fold=False)

    def say(
        self,
        who: str,
        layer: str,
        level: str,
        text: str,
        *,
        t_ms: int | None = None,
        fold: bool = True,
        rule: Rule | None = None,
    ) -> None:
        """One thing that happened. Levels D (shown only when verbose), I, W, E; `rule` says how often it is news."""
        if self._closed or (level == "D" and not self._verbose):
            return
        now = self._stamp(t_ms)
        if self._next_fold <= now < self._start_ms + self._length_ms and not self._calm:
            self._fold(self._next_fold)
            self._next_fold = now - (now - self._start_ms) % _FOLD_EVERY_MS + _FOLD_EVERY_MS
        if fold and not self._verbose and not self._is_news(who, layer, level, text, rule):
            return
        self._print(now, who, layer, level, text)

    def _is_news(self, who: str, layer: str, level: str, text: str, rule: Rule | None) -> bool:
        if self._calm:
            return rule is None or rule.limit > 0
        return self._folder.offer(who, layer, level, text, rule)

    def raw(self, who: str, text: str) -> None:
        """Output that is not a log line (a traceback, a stray print): shown dimmed; what comes again is counted."""
        if self._closed or (not self._verbose and not self._folder.offer(who, "raw", "E", text)):
            return
        self.lines += 1
        text = shorten(text, self._console.width - _RAW_AT)
        self._put(f"[dim]{clock_text(self._last_ms)}  {who:<8} {escape(text)}[/dim]")

    def _stamp(self, t_ms: int | None) -> int:
        # A sender's own stamp is better than the arrival (the world may have jumped on meanwhile), but the page must
        # read forwards, and a clock that is hours off must not turn it.
        now = self._now_ms()
        if t_ms is not None and self._start_ms <= t_ms <= now:
            now = t_ms
        self._last_ms = max(self._last_ms, now)
        return self._last_ms

    def _print(self, now: int, who: str, layer: str, level: str, text: str) -> None:
        date = now // _DAY_MS
        if self._date is not None and date != self._date:
            self._put(f"[dim]{datetime.fromtimestamp(now / 1000, UTC):%A %d %B}[/dim]")
        self._date = date
        self.lines += 1
        width = max(self._console.width - _TEXT_AT, _TEXT_AT)
        if self._verbose:
            lines = [text]
        elif level in _LEVELS:
            lines = textwrap.wrap(text, width, max_lines=_LOUD_LINES, placeholder=" …") or [text]
        else:
            lines = [shorten(text, width)]
        style = _LEVELS.get(level, "none")
        body = ("\n" + " " * _TEXT_AT).join(f"[{style}]{escape(line)}[/]" for line in lines)
        who_style, layer_style = _WHO.get(who, "white"), _LAYERS.get(layer, "white")
        self._put(f"[dim]{clock_text(now)}[/]  [{who_style}]{who:<8}[/] [{layer_style}]{layer:<8}[/] {body}")

    def _fold(self, until_ms: int) -> None:
        """The sentence of a stretch of the day, for what was not shown in it."""
        text = self._folder.take()
        if text:
            self.lines += 1
            head = f"{clock_text(self._fold_from)[:5]}-{clock_text(until_ms)[:5]}  "
            self._put(f"[dim cyan]{head}{escape(shorten(text, self._console.width - len(head)))}[/]")
        self._fold_from = until_ms

    def _put(self, markup: str) -> None:
        self._console.print(markup, highlight=False, soft_wrap=True)


def clock_text(t_ms: int) -> str:
    return datetime.fromtimestamp(t_ms / 1000, UTC).strftime("%H:%M:%S")


def bar(done: int, total: int, width: int = 20) -> str:
    full = done * width // total
    return "[" + "#" * full + "." * (width - full) + "]"


def is_live(console: Console, plain: bool) -> bool:
    """Bars and colour only for a person at a terminal who has not asked otherwise."""
    return console.is_terminal and not plain and "NO_COLOR" not in os.environ and "CI" not in os.environ


def make_console(plain: bool) -> Console:
    """Console of the day; without a terminal, with NO_COLOR, CI or --plain: no colour, a page's width."""
    console = Console()
    if is_live(console, plain):
        return console
    return Console(color_system=None, force_terminal=False, width=_PAGE, legacy_windows=False)


class Stopwatch:
    """Wall time of the whole run, for the summary."""

    def __init__(self):
        self._start = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._start
