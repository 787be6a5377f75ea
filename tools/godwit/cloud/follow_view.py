"""What follow.py draws on a terminal: one row per device with a bar, those that still move first, fitted to the height.
"""

from rich.console import Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from . import times
from .doc import obj, words
from .screen import plain, size, status

_BAR, _SHORT_BAR = 24, 8
_NARROW = 110  # columns of a terminal where a long id needs the room of the bar
_ROOM = 8  # lines of the terminal that are not for devices
_ORDER = {"IN_PROGRESS": 0, "DOWNLOADING": 0, "FAILED": 1, "REJECTED": 1, "TIMED_OUT": 1, "QUEUED": 2, "CANCELLED": 3}
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


class View:
    """Draws a Follower anew each time rich asks."""

    def __init__(self, follower):
        self._follower = follower

    def __rich_console__(self, console, options):
        follower = self._follower
        room = max(3, console.size.height - _ROOM)
        ordered = sorted(follower.executions.values(), key=lambda one: (_ORDER.get(one.status, 4), one.device))
        bar = _BAR if options.max_width >= _NARROW else _SHORT_BAR
        parts = [self._head(), self._table(ordered[:room], bar)]
        if len(ordered) > room:
            parts.append(Text(f"… and {len(ordered) - room} more", "dim"))
        parts.append(self._foot(ordered))
        yield Group(*parts)

    def _head(self):
        document = self._follower.document
        firmware = obj(document, "firmware")
        line = Text(plain(str(document.get("name") or "job")), "bold").append("  ")
        line.append_text(status(document.get("status")))
        about = words(firmware, "firmwareType", "version")
        if firmware.get("fileSize"):
            about += " " + size(firmware["fileSize"])
        return line.append("  " + plain(about), "cyan").append(f"  {plain(self._follower.job)}", "dim")

    def _table(self, executions, bar):
        grid = Table(box=None, pad_edge=False, header_style="bold", expand=True, padding=(0, 2, 0, 0))
        longest = max((len(one.device) for one in executions), default=6)
        grid.add_column("device", width=min(max(longest, 6), 40), overflow="ellipsis", no_wrap=True)
        for name, justify, width in (("status", "left", 11), ("", "left", bar), ("", "right", 5), ("for", "right", 12)):
            grid.add_column(name, justify=justify, width=width, no_wrap=True)
        grid.add_column("detail", overflow="ellipsis", no_wrap=True, ratio=1)
        for one in executions:
            grid.add_row(*self._row(one, bar))
        if not executions:
            grid.add_row(Text("no device has it yet", "dim"))
        return grid

    def _row(self, one, width):
        done = one.status == "SUCCEEDED"
        fraction = 1.0 if done else one.fraction
        bar = Text("")  # of a device that waits
        if one.over and not done:
            bar = Text("━" * round(width * (one.fraction or 0)), "red")
        elif fraction is not None:
            bar = ProgressBar(1.0, fraction, width=width, complete_style="yellow", finished_style="green")
        elif one.status in ("IN_PROGRESS", "DOWNLOADING"):
            bar = ProgressBar(None, 0, width=width, pulse=True, animation_time=self._follower.clock())
        percent = "" if fraction is None else f"{100 * fraction:3.0f} %"
        when = times.show(one.updated)[11:] if one.over else times.span(self._follower.clock() - one.since)
        detail = Text(plain(one.detail or ""), "red" if one.over and not done else "dim")
        return Text(plain(one.device), "bold"), status(one.status), bar, percent, Text(when, "dim"), detail

    def _foot(self, executions):
        over = sum(one.over for one in executions)
        passed = self._follower.clock() - self._follower.started
        turn = "" if over == len(executions) and over else _SPINNER[int(passed * 8) % len(_SPINNER)] + " "
        return Text(f"{turn}{over} of {len(executions)} ended · {times.span(passed)}", "dim")
