"""One request in flight and the answer to it: what messages.py keeps per exchange (RFC 7252 4.2, 5.3).

What writes the request (writer.py) and reads the answer (response.py) is loaded when it is needed. RAM: an
Exchange owns the outgoing datagram (up to 1152 B), because a retransmission has to be identical to the byte.
"""

import asyncio
import os
import time

from micropython import const

from .errors import Timeout

_LIFETIME_MS = const(247000)  # EXCHANGE_LIFETIME: so long a duplicate may arrive (4.8.2)
_RING = const(8)
_SENDING_MS = const(600000)  # the endpoint gives up a transmission long before

# Pending.state; the other files of the package repeat those that they need, because a global costs heap and time
_IDLE = const(0)
_SENT = const(1)  # waits for an ACK or a response
_ACKED = const(2)  # the peer will answer later (4.2, 5.2.2)
_DONE = const(3)
_LISTENING = const(4)  # an observation: waits for notifications, has nothing of its own to send (RFC 7641)

_ACK = const(2)


def limit_at(timeout_ms):
    """Ticks at which a limit of timeout_ms from now is over; None for no limit."""
    return None if timeout_ms is None else time.ticks_add(time.ticks_ms(), timeout_ms)


class Pending:
    """A request that waits for its answer, as the message layer sees it. Its owner adds what becomes of the answer:
    datagram(), finish(exception or Response), respond(msg, view, n), acknowledged(ms)."""

    confirmable = True

    def __init__(self):
        self.state = _IDLE
        self.mid = 0
        self.token = b""
        self.tries = 0  # transmissions so far
        self.step = 0  # ms from the last transmission to the next
        self.sent_at = 0  # ticks of the last transmission
        self.deadline = 0  # ticks of the next retransmission, or of giving up
        self.end = 0  # ticks after which nothing is sent again
        self.until = None  # ticks of the caller's own limit

    def start(self, step, span, jitter, until):
        """It is about to be sent; `step` is the first time to wait, `span` all of the time for retransmissions (ms).

        jitter: up to so many 1024ths are added to both (4.8: ACK_RANDOM_FACTOR), by the token's random bits. 30 bits
        hold every intermediate.
        """
        token = self.token
        bits = jitter * ((token[0] << 2 | token[1] >> 6) if len(token) > 1 else self.mid & 1023) >> 10
        step += step * bits >> 10
        span = max(span + (span >> 10) * bits, step)
        now = time.ticks_ms()
        self.state = _SENT
        self.tries = 1
        self.step = step
        self.sent_at = now
        self.end = time.ticks_add(now, span)
        self.deadline = time.ticks_add(now, _SENDING_MS)
        self.until = until

    def arm(self):
        """It has been sent, which may have taken its time: wait `step` ms from now on."""
        if self.state == _SENT:
            now = self.sent_at = time.ticks_ms()
            self.deadline = time.ticks_add(now, min(self.step, max(time.ticks_diff(self.end, now), 1)))

    def overdue(self):
        """The deadline has passed. True when the request has to be sent again."""
        now = time.ticks_ms()
        if self.state != _SENT or not self.confirmable or time.ticks_diff(self.end, now) <= 0:
            self.finish(Timeout("no answer"))
            return False
        self.tries += 1
        self.step *= 2
        return True

    def acknowledged(self, wait_ms):
        """An empty ACK came: the answer follows within wait_ms, and nothing is sent again."""
        self.state = _ACKED
        self.deadline = time.ticks_add(time.ticks_ms(), wait_ms)


class Exchange(Pending):
    """One request in flight. The requester owns it and sleeps on `done`; the reader task moves its state."""

    def __init__(self, size):
        super().__init__()
        self._buf = bytearray(size)
        self._view = memoryview(self._buf)
        self._size = 0  # of the request in _buf
        self._out = self._view  # that many bytes of it
        self._head = None  # of that request, when another one with it can use the same bytes again
        self._payload_at = 0
        self.done = asyncio.Event()
        self.confirmable = True
        self.quiet = False  # the ACK is all that is wanted (RFC 7967)
        self.result = None  # Response, or the exception to raise

    def compose(self, mid, token, head, payload, blocks):
        """Write the request; head and blocks as in MessageLayer.exchange. CodecError: it does not fit."""
        length = len(payload)
        again = not blocks and head == self._head and length and self._payload_at + length <= len(self._buf)
        if not (again and len(token) == len(self.token)):
            self._write(mid, token, head, payload, blocks)
        else:  # the same request with another payload, as telemetry is: only what differs is written
            buf = self._buf
            buf[2] = mid >> 8
            buf[3] = mid & 0xFF
            at = 4
            for byte in token:
                buf[at] = byte
                at += 1
            at = self._payload_at
            buf[at : at + length] = payload
            self._size = at + length
        self.mid = mid
        self.token = token
        self.confirmable = head[-1]
        self.done.clear()

    def _write(self, mid, token, head, payload, blocks):
        from .writer import compose

        self._head = None
        self._size = compose(self._buf, mid, token, head, payload, blocks)
        self._payload_at = self._size - len(payload)
        # What a caller could change in place is not remembered.
        if not blocks and not head[5] and type(head[2]) is tuple and len(payload):
            self._head = head

    def datagram(self):
        """The request's bytes."""
        if len(self._out) != self._size:
            self._out = self._view[: self._size]
        return self._out

    def finish(self, result):
        """Wake the requester with a Response or an exception; only the first result counts."""
        if self.state != _DONE:
            self.state = _DONE
            self.result = result
            self.done.set()

    def acknowledged(self, wait_ms):
        if self.quiet:
            self.finish(None)
        else:
            super().acknowledged(wait_ms)

    def respond(self, msg, view, n):
        """Finish with the answer in view[:n], which is copied out of the reader's buffer."""
        from .response import Response

        start = msg.options_at
        self.finish(Response(msg.code, bytes(view[start:n]), msg.payload_at - start))

    def reset(self):
        """Forget the caller's objects; the buffer stays."""
        self.state = _IDLE
        self.result = None


class Result:
    """What get_blocks did: `total` size or None, `etag` or None, `end` (reached), `bytes` (count delivered), `offset`.

    etag is None when this server sent none: then only a hash of the whole body proves a resumed transfer. All bytes
    before `offset` have been delivered: there a transfer that failed goes on. `window`: blocks in flight to begin with
    when the next one goes on there.
    """

    def __init__(self, offset):
        self.total = None
        self.etag = None
        self.end = False
        self.bytes = 0
        self.offset = offset
        self.window = 1


def owner(msg, buf, pendings):
    """The Pending that the message in `buf` belongs to, or None: by message id (4.2), by token (5.3.2), by both."""
    if 0 < msg.code < 0x40 or msg.code == 0 and msg.type < _ACK:
        return None  # a request, or nothing at all
    listener = None
    for slot in pendings:
        state = slot.state
        if msg.type >= _ACK:
            if state != _SENT or slot.mid != msg.mid or msg.type == _ACK and not slot.confirmable:
                continue
        elif state not in (_SENT, _ACKED, _LISTENING):
            continue
        if not msg.code or msg.has_token(buf, slot.token):
            if state != _LISTENING:
                return slot
            listener = slot  # but a request with the same token, to renew or to end it, comes first
    return listener


class Recent:
    """The ids of the last few messages of the peer."""

    def __init__(self):
        self._ring = []  # (message id, ticks)

    def add(self, mid):
        if len(self._ring) == _RING:
            self._ring.pop(0)
        self._ring.append((mid, time.ticks_ms()))

    def has(self, mid):
        """Has this one been seen within EXCHANGE_LIFETIME?"""
        now = time.ticks_ms()
        for seen, when in self._ring:
            if seen == mid and time.ticks_diff(now, when) < _LIFETIME_MS:
                return True
        return False


def new_token(size):
    """A token of random bytes: 32 bits keep answers from being guessed off-path (RFC 7252 5.3.1)."""
    return os.urandom(size) if size else b""
