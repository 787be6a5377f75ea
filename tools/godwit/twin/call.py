"""What a CoAP handler gets and gives: Call (a complete, authenticated request) and answer helpers.

Called by site.py; handlers live in state.py, messages.py, location.py, agnss_api.py, fota_api.py, proxy.py.
"""

from dataclasses import dataclass, field

from aiocoap import Message
from aiocoap.numbers import codes

from . import payload
from .errors import BAD_REQUEST, ApiError


@dataclass
class Call:
    """One request. `path` and `rest` are tuples of segments (`rest`: what a pattern's ** matched)."""

    method: str
    path: tuple
    query: tuple
    body: bytes
    content_format: int | None
    accept: int | None
    session: object
    device: str | None = None
    message: Message | None = None
    rest: tuple = ()
    parameters: dict = field(default_factory=dict)

    def __post_init__(self):
        for item in self.query:
            name, _, value = item.partition("=")
            self.parameters.setdefault(name, []).append(value)

    def parameter(self, name, default=None):
        """The last value of a query parameter; unknown ones are simply never asked for."""
        return self.parameters.get(name, [default])[-1]

    def flag(self, name, default):
        """A true/false (or 1/0) query parameter. Raises ApiError 4.00."""
        text = self.parameter(name)
        if text is None:
            return default
        if text not in ("true", "false", "1", "0"):
            raise ApiError(400, BAD_REQUEST, f"{name} is true or false")
        return text in ("true", "1")

    def load(self):
        """The decoded JSON or CBOR body."""
        return payload.load(self.body, self.content_format)

    @property
    def is_cbor(self):
        """Was the body sent as CBOR?"""
        return self.content_format == payload.CBOR


def changed():
    """2.04 without payload."""
    return Message(code=codes.CHANGED)


def created():
    """2.01 without payload."""
    return Message(code=codes.CREATED)


def content(body=b"", content_format=None):
    """2.05; an empty body goes without Content-Format (facts 15.7)."""
    message = Message(code=codes.CONTENT, payload=body)
    if body and content_format is not None:
        message.opt.content_format = content_format
    return message


def match(pattern, path):
    """Does `path` fit `pattern`? "*" is one segment, a last "**" one or more. Returns the variable part or None."""
    if pattern and pattern[-1] == "**":
        if len(path) < len(pattern) or not _fits(pattern[:-1], path):
            return None
        return path[len(pattern) - 1 :]
    if len(path) != len(pattern) or not _fits(pattern, path):
        return None
    return tuple(segment for want, segment in zip(pattern, path, strict=True) if want == "*")


def _fits(pattern, path):
    return all(want in ("*", segment) for want, segment in zip(pattern, path, strict=False))
