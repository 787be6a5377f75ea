"""One request in flight and the answer to it: what messages.py keeps per exchange (RFC 7252 4.2, 5.3).

What writes the request (writer.py) and reads the answer (response.py) is loaded when it is needed. RAM: an
Exchange owns the outgoing datagram (up to 1152 B), because a retransmission has to be identical to the byte.
"""

import asyncio
import os
import time

from micropython import const

_TOKEN_SIZE = const(4)  # 32 random bits keep answers from being guessed off-path (5.3.1)
_SENDING_MS = const(600000)  # the endpoint gives up a transmission long before

# Life of an exchange
IDLE = const(0)
SENT = const(1)  # waits for an ACK or a response
ACKED = const(2)  # the peer will answer later (4.2, 5.2.2)
DONE = const(3)


def limit_at(timeout_ms):
    """Ticks at which a limit of timeout_ms from now is over; None for no limit."""
    return None if timeout_ms is None else time.ticks_add(time.ticks_ms(), timeout_ms)


class Exchange:
    """One request in flight. The requester owns it and sleeps on `done`; the reader task moves its state."""

    def __init__(self, size):
        self._buf = bytearray(size)
        self._view = memoryview(self._buf)
        self._size = 0  # of the request in _buf
        self.done = asyncio.Event()
        self.state = IDLE
        self.mid = 0
        self.token = b""
        self.confirmable = True
        self.tries = 0  # transmissions so far
        self.step = 0  # ms from the last transmission to the next
        self.deadline = 0  # ticks of the next retransmission, or of giving up
        self.until = None  # ticks of the caller's own limit
        self.into = None  # caller's buffer for options and payload, instead of a new one
        self.result = None  # Response, or the exception to raise

    def compose(self, mid, head, payload, blocks):
        """Write the request; head and blocks as in MessageLayer.exchange. CodecError: it does not fit."""
        from .writer import compose

        self.mid = mid
        self.token = os.urandom(_TOKEN_SIZE)
        self.confirmable = head[-1]
        self._size = compose(self._buf, mid, self.token, head, payload, blocks)

    def start(self, step, until, into):
        """The request is about to be sent; `step` is the first time to wait (ms), see arm()."""
        self.state = SENT
        self.tries = 1
        self.step = step
        self.deadline = time.ticks_add(time.ticks_ms(), _SENDING_MS)
        self.until = until
        self.into = into
        self.done.clear()

    def arm(self):
        """The request has been sent, which may have taken its time: wait `step` ms from now on."""
        if self.state == SENT:
            self.deadline = time.ticks_add(time.ticks_ms(), self.step)

    def datagram(self):
        """The request's bytes."""
        return self._view[: self._size]

    def finish(self, result):
        """Wake the requester with a Response or an exception; only the first result counts."""
        if self.state != DONE:
            self.state = DONE
            self.result = result
            self.done.set()

    def respond(self, msg, view, n):
        """Finish with the answer in view[:n], which is copied out of the reader's buffer."""
        from .response import Response

        start = msg.options_at
        if self.into is None:
            data = bytes(view[start:n])
        else:
            data = memoryview(self.into)[: n - start]
            data[:] = view[start:n]
        self.finish(Response(msg.code, data, msg.payload_at - start))

    def reset(self):
        """Forget the caller's objects; the buffers stay."""
        self.state = IDLE
        self.into = self.result = None
