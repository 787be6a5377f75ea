"""The answer to a CoAP request, as callers of Client.request get it. RFC 7252 sections 5.2, 5.10.

exchange.py loads it when an answer has come; an application may drop it in between. RAM: a Response holds the
answer's options and payload in bytes of its own.
"""

from micropython import const

from .options import Options

_OBSERVE = const(6)
_MAX_AGE = const(14)
# Options whose value is an unsigned integer (RFC 7252 5.10, 7641, 7959, 7967, 8768, 9177).
_UINTS = (_OBSERVE, 7, 12, _MAX_AGE, 16, 17, 23, 27, 28, 60, 19, 31, 258)

_cursor = Options()  # shared: no method below awaits between its first and last use of it


class Response:
    """An answer: `code` (0x45 is 2.05), `payload` (memoryview), option(number), options(number), max_age."""

    def __init__(self, code, data, payload_at, body=None):
        """data: options and payload as received, the payload from payload_at on unless `body` replaces it."""
        self.code = code
        self._data = data
        self._at = payload_at
        self._body = body

    def raw(self):
        """(bytes of options and payload as received, where the payload begins)."""
        return self._data, self._at

    def with_body(self, body):
        """The same answer with the payload that block-wise transfer collected."""
        return Response(self.code, self._data, self._at, body)

    @property
    def payload(self):
        """The payload; no copy."""
        return memoryview(self._data)[self._at :] if self._body is None else self._body

    def option(self, number):
        """First value of an option: int for uint options, else bytes; None when absent."""
        raw = self._next(_cursor.over(self._data, 0, len(self._data)), number)
        if raw is None or number not in _UINTS:
            return raw
        return int.from_bytes(raw, "big") if len(raw) <= 4 else None  # longer than any of them may be

    def options(self, number):
        """All values of a repeatable option (Location-Path) as a list of bytes."""
        cursor = _cursor.over(self._data, 0, len(self._data))
        found = []
        while True:
            raw = self._next(cursor, number)
            if raw is None:
                return found
            found.append(raw)

    def _next(self, cursor, number):
        while cursor.next():
            if cursor.number == number:
                return bytes(self._data[cursor.value : cursor.value + cursor.length])
        return None

    @property
    def sequence(self):
        """Observe number of a notification (24 bits); None in any other answer (RFC 7641 2)."""
        return self.option(_OBSERVE)

    @property
    def max_age(self):
        """Seconds; None when the server said nothing (RFC 7252 5.10.5 then means 60)."""
        return self.option(_MAX_AGE)
