"""What can go wrong with a CoAP request, as exceptions.

An endpoint that is dead shows as its own OSError; everything that the protocol says is a CoapError.
Raised by client.py and block.py; callers import the names from `coap`.
"""

from micropython import const

_DIAGNOSTIC_MAX = const(256)
_BINARY_MAX = const(64)  # repr() takes four times as much, in one piece
_BUSY = (0x9D, 0xA3)  # 4.29 (RFC 8516 3), 5.03 (RFC 7252 5.9.3.4)
_MAX_AGE_S = const(60)


class CoapError(Exception):
    """Base of all of them."""


class Timeout(CoapError):
    """No answer within the retransmissions (RFC 7252 4.2) or the caller's time limit."""


class Reset(CoapError):
    """The peer rejected the message with RST: it lost its state, or cannot process the request."""


class BadResponse(CoapError):
    """An answer that must not be used: unknown critical option, wrong block, body too large."""


class ETagChanged(BadResponse):
    """The resource changed between two blocks of one body: nothing read so far may be joined to the rest."""


class Refused(CoapError):
    """A 4.xx or 5.xx answer: `code` (0x84 is 4.04), `diagnostic` (text), `max_age` and `retry_after` (seconds or None).

    retry_after is what a busy server (4.29, 5.03) asks for, 60 s when it gives no number; None for any other code.
    """

    def __init__(self, response):
        self.code = response.code
        raw = bytes(response.payload[:_DIAGNOSTIC_MAX])
        try:
            self.diagnostic = raw.decode()
        except UnicodeError:  # servers also put CBOR there (RFC 7252 5.5.2 asks for a text)
            self.diagnostic = repr(raw[:_BINARY_MAX])
        self.max_age = response.max_age
        self.retry_after = None
        if self.code in _BUSY:
            self.retry_after = _MAX_AGE_S if self.max_age is None else self.max_age
        super().__init__(self.code, self.diagnostic)

    def __str__(self):
        return "%d.%02d %s" % (self.code >> 5, self.code & 31, self.diagnostic)
