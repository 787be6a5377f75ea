"""A shadow as a table: desired, reported and what is pending, side by side; colours say who agrees.

Green: reported as desired. Yellow: desired, not reported yet (the delta). Dim: only reported.
"""

from datetime import UTC, datetime

from rich import box
from rich.table import Table
from rich.text import Text

from . import tree
from .doc import obj
from .screen import plain
from .values import short

_DELTA_WIDTH = 20  # the value stands under "desired" already
_BOOKKEEPING = ("connection", "pairing", "nrfcloud_mqtt_topic_prefix", "device")  # shown last


def table(state, below=()):
    """A rich Table of a state {"desired", "reported", "delta", "metadata"}, of what is below a path only."""
    sections = [tree.at(obj(state, name), below) for name in ("desired", "reported", "delta")]
    metadata = tree.at(obj(state, "metadata", "desired"), below)
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    grid.add_column("key", no_wrap=True)
    for name in ("desired", "reported"):
        grid.add_column(name, overflow="fold")
    grid.add_column("pending", no_wrap=True)
    if not any(isinstance(one, dict) for one in sections):
        desired, reported, delta = sections
        grid.add_row(Text(below[-1] if below else "", "bold"), *_cells(desired, reported, delta, metadata))
        return grid
    for keys, branch, (desired, reported, delta) in tree.rows(*(_settings_first(one) for one in sections)):
        name = Text("  " * (len(keys) - 1) + plain(keys[-1]), "bold" if branch else "")
        grid.add_row(name, *_cells(desired, reported, delta, tree.at(metadata, keys)))
    return grid


def pending(state):
    """How many leaves of desired the device has not taken over yet."""
    delta = state.get("delta")
    return sum(1 for _ in tree.leaves(delta)) if delta else 0


def _settings_first(section):
    """What an operator sets before what device and service tell each other."""
    if not isinstance(section, dict):
        return section
    return dict(sorted(section.items(), key=lambda item: item[0] in _BOOKKEEPING))


def _cells(desired, reported, delta, metadata):
    waits = delta is not tree.ABSENT
    agreed = not waits and desired is not tree.ABSENT and desired == reported
    style = "yellow" if waits else "green" if agreed else ""
    last = Text("")
    if waits:
        last = Text("→ ", "yellow").append_text(_value(delta, "bold yellow"))
        last.truncate(_DELTA_WIDTH, overflow="ellipsis")
        last.append(_since(metadata), "dim")
    return _value(desired, style), _value(reported, "green" if agreed else "yellow" if waits else "dim"), last


def _value(value, style):
    if value is tree.ABSENT:
        return Text("")
    return Text(short(value), style)


def _since(metadata):
    stamp = metadata.get("timestamp") if isinstance(metadata, dict) else None
    if isinstance(stamp, bool) or not isinstance(stamp, (int, float)) or not 0 < stamp < 2**35:
        return ""
    return f"  since {datetime.fromtimestamp(stamp, UTC):%m-%d %H:%M:%S}Z"
