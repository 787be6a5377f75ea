"""What the emulated Exosite knows: devices with dataports, and the content of each model (platforms.md 2.1, 2.2, 2.5).

Pure but for the times that are passed in. Called by api.py for devices, by server.py for operators.
"""

from dataclasses import dataclass, field


class BadValue(ValueError):
    """A text that a dataport's format does not take."""


_FORMATS = {"string": str, "integer": int, "float": float}


@dataclass
class Dataport:
    """`points`: [(unix seconds, value)] as written; `hasty`: how often it was written twice within one second."""

    format: str = "string"
    points: list = field(default_factory=list)
    hasty: int = 0

    def write(self, text, now_ms):
        """Store a text. Raises BadValue."""
        try:
            value = _FORMATS[self.format](text)
        except ValueError as exc:
            raise BadValue(text) from exc
        now = now_ms // 1000
        if self.points and self.points[-1][0] == now:
            self.hasty += 1
        self.points.append((now, value))

    @property
    def latest(self):
        """The newest value as a text, None when there is none."""
        return str(self.points[-1][1]) if self.points else None


@dataclass
class Device:
    """One activated device."""

    cik: str
    vendor: str
    model: str
    dataports: dict = field(default_factory=dict)

    def texts(self, alias):
        """Every value of a dataport in the order of arrival."""
        return [value for _, value in self.dataports[alias].points]


@dataclass(frozen=True)
class Content:
    """One file of a model."""

    data: bytes
    updated: int
    meta: str = ""
    type: str = "application/octet-stream"

    def info(self):
        """The text that GET .../info gives."""
        return f"{self.type},{len(self.data)},{self.updated},{self.meta}"
