"""What of lib/ goes onto a node: one modem family, and what that family and the board make use of.

A slot holds what the node can need, not what the repository can do: every file costs flash, air time in an update, and
40 bytes of manifest. What is not named here goes onto every node. Called by bundle.py and size.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from .places import REPO

FAMILIES = ("nrf91", "sara_r5", "bg95", "sim7080")
_PLAIN = ("thingsboard", "exosite")  # backends of platforms without sessions
_FETCHED = ("sara_r5", "bg95", "sim7080")  # families whose datagrams are fetched from the modem

# Path below lib/, or the beginning of one -> who wants it: families, and features of boards (board.json).
_WANTED_BY = {
    **{f"modem/{family}/": (family,) for family in FAMILIES},
    # A node has one cloud, and no board can choose one of these yet (firmware/schema.py).
    **{f"cloud/{backend}/": (backend,) for backend in _PLAIN},
    "cloud/plain.py": _PLAIN,
    "modem/queue.py": ("nrf91",),
    "modem/pull.py": _FETCHED,
    "modem/rtc.py": ("bg95", "sim7080"),
    "gnss/agnss_nrf91.py": ("nrf91",),
    "gnss/agnss_ubx.py": ("sara_r5", "ublox"),
    "gnss/answer.py": ("nrf91", "sara_r5", "ublox"),
    "gnss/ubx": ("sara_r5", "ublox"),
    "gnss/nmea.py": ("ublox",),
    "modem/handles.py": _FETCHED,
    "modem/pem.py": _FETCHED,
    "modem/polled.py": _FETCHED,
    "gnss/ublox": ("ublox",),
    "net/ppp.py": ("ppp",),
    "fota/part": ("partitions",),
    "partboot.py": ("partitions",),
}
_Value = TypeVar("_Value")
_COLD_ROW = re.compile(r'^    \("([a-z0-9_.]*)", "([a-z0-9_ ]+)"\),$', re.MULTILINE)


class SelectionError(ValueError):
    """A family or a board that there is not, in one line."""


def board_parts(board: str, family: str | None = None, repo: Path = REPO) -> frozenset[str]:
    """-> what a node of this board wants: its modem family, or the `family` given instead, and its features."""
    if family is not None and family not in FAMILIES:
        raise SelectionError(f"no such modem family: {family} (there are {', '.join(FAMILIES)})")
    try:
        about = json.loads((repo / "boards" / board / "board.json").read_text(encoding="utf-8"))
        return frozenset([family or about["modem"]["family"], *about.get("features", ())])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise SelectionError(f"boards/{board}/board.json does not tell its modem family: {error}") from error


def selected(files: Mapping[str, _Value], parts: Iterable[str]) -> dict[str, _Value]:
    """{path in a slot: anything} of the whole tree -> the same without what none of `parts` wants."""
    parts = set(parts)
    return {path: value for path, value in files.items() if _is_wanted(path, parts)}


def pruned(cold: str, modules: set[str]) -> str:
    """The text of cold.py -> the same, on the same lines, without what is not among `modules`: what a node has not got
    it need not know how to forget. (bootsel is at the root of the flash, so the nameless package stays as it is.)"""

    def row(match):
        package, leaves = match[1], match[2].split()
        here = [leaf for leaf in leaves if not package or f"{package}.{leaf}" in modules]
        return f'    ("{package}", "{" ".join(here)}"),' if here else ""

    return _COLD_ROW.sub(row, cold)


def _is_wanted(path: str, parts: set[str]) -> bool:
    wanting = [who for name, who in _WANTED_BY.items() if path.startswith(name)]
    return not wanting or any(parts.intersection(who) for who in wanting)
