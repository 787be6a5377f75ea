"""Times: ISO-8601 of the service to and from what a person reads and writes. Always UTC, and it says so."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from .errors import CloudError, clean

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(text: object) -> datetime | None:
    """An ISO-8601 text as aware datetime; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        value = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def show(text: object) -> str:
    """2026-11-21T15:04:11.123Z -> "2026-11-21 15:04:11 UTC"; something else stays as it is, nothing is a dash."""
    value = moment(text)
    if value is None:
        return clean(text) if text else "–"
    return value.strftime("%Y-%m-%d %H:%M:%S UTC")


def show_ms(milliseconds: object) -> str:
    """A Unix time in ms as text; "" when it is none (0: a device without a clock)."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, (int, float)) or not 0 < milliseconds < 2**53:
        return ""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return ""


def span(seconds: float) -> str:
    """A length of time in a few characters: 4 s, 3:07 min, 2:15 h, 3 d."""
    seconds = max(0, int(seconds))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02d} min"
    if seconds < 172800:
        return f"{seconds // 3600}:{seconds // 60 % 60:02d} h"
    return f"{seconds // 86400} d"


def given(text: str | None, now: datetime | None = None) -> str | None:
    """What an option --start or --end means: ISO-8601 (date or time, UTC), or "2h", "3d" ago. CloudError otherwise."""
    if text is None:
        return None
    found = _AGO.fullmatch(text.strip())
    if found:
        value = (now or datetime.now(UTC)) - timedelta(seconds=int(found[1]) * _UNITS[found[2]])
    else:
        value = moment(text)
        if value is None:
            raise CloudError(f"{text!r} is no time: use 2026-11-21, 2026-11-21T15:04:05Z or 2h, 3d (ago)")
    return iso(value)


def iso(value: datetime) -> str:
    """A datetime as the service takes it: milliseconds and Z."""
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"
