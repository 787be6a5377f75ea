"""CoAP message layer: RFC 7252 section 4 over any datagram endpoint. client.py builds the requests on it.

One reader task receives, acknowledges, retransmits and wakes the request it belongs to; it sleeps while
nothing is in flight. Deadlines are kept here, because a wait_for per request would cost 0.7 KB each.
RAM: 2.5 KB (1280 B in, up to 1152 B out per request in flight).
"""

import asyncio
import os
import time
from errno import EAGAIN, ECONNABORTED, ENOBUFS, ENOMEM, ETIMEDOUT

from micropython import const

from .codec import ACK, CON, RST, CodecError, Message
from .errors import BadResponse, Reset, Timeout
from .exchange import ACKED, DONE, SENT, Exchange

_RX_SIZE = const(1280)
_TX_SIZE = const(1152)  # RFC 7252 4.6
_HEADROOM = const(64)  # header, token and usual options beside a block
_TICK_MS = const(500)  # the reader looks at its deadlines at least this often
_LIFETIME_MS = const(247000)  # EXCHANGE_LIFETIME: so long a duplicate may arrive (4.8.2)
_RING = const(8)

_PASSING = (ENOMEM, EAGAIN, ENOBUFS, ETIMEDOUT)  # sending failed this once: the same as a lost datagram


class MessageLayer:
    """One request, one answer, over an endpoint that it closes with itself. Tuning: see client.Client."""

    def __init__(
        self,
        endpoint,
        *,
        ack_timeout_ms=2000,
        ack_random=1.5,
        max_retransmit=4,
        non_timeout_ms=3000,
        separate_timeout_ms=30000,
        nstart=1,
        max_body=8192,
        szx=6,
        linger_ms=5000,
    ):
        self._endpoint = endpoint
        self._ack_ms = ack_timeout_ms
        self._spread_ms = int(ack_timeout_ms * (ack_random - 1)) + 1
        self._max_retransmit = max_retransmit
        self._non_ms = non_timeout_ms
        self._separate_ms = separate_timeout_ms
        self._linger_ms = linger_ms
        self._tick_ms = min(_TICK_MS, ack_timeout_ms)
        self.max_body = max_body
        self.block_buffer = None  # kept here by block.get_blocks between two calls
        size = min(endpoint.mtu, _TX_SIZE)
        while szx and (16 << szx) + _HEADROOM > size:
            szx -= 1
        self.szx = szx
        self.sent = self.received = self.retransmitted = self.dropped = 0
        self._rx = bytearray(_RX_SIZE)
        self._view = memoryview(self._rx)
        self._msg = Message()
        self._reply = bytearray(4)
        self._free = [Exchange(size) for _ in range(nstart)]
        self._busy = []
        self._sending = False  # one writer at a time; also, nobody rewrites a datagram that is being sent
        self._change = asyncio.Event()  # a send or an exchange ended
        self._work = asyncio.Event()  # there is something for the reader to wait for
        self._mid = int.from_bytes(os.urandom(2), "big")
        self._seen = []  # (message id, ticks) of the last confirmable answers that we acknowledged
        self._quiet_at = 0  # ticks: the reader may sleep from then on
        self._task = None
        self._error = None  # why the client can no longer be used

    async def close(self):
        """Stop the reader, fail whatever still waits, close the endpoint. A second call does nothing."""
        task = self._task
        self._task = None
        self._fail(OSError(ECONNABORTED))
        if task is not None:
            task.cancel()
            for _ in range(100):  # it leaves recv_into when it is next scheduled
                if task.done():
                    break
                await asyncio.sleep_ms(0)
        await self._endpoint.close()

    async def exchange(self, head, payload, until=None, blocks=(), into=None):
        """One request, one Response whatever its code; for block.py.

        head is (method, path, query, content_format, accept, options, confirmable); blocks are the block-wise
        options in ascending order; until is the ticks of the caller's limit; into is a buffer that takes the
        answer's options and payload. Raises Timeout, Reset, BadResponse, CodecError, OSError.
        """
        # A coroutine's frame lives on the heap, a function's does not: the work is done in functions.
        while self._error is None and (self._sending or not self._free):
            self._change.clear()
            await self._change.wait()  # bounded: each send and each exchange in flight ends
        slot = self._begin(head, payload, until, blocks, into)
        try:
            await self._send(slot.datagram())
            slot.arm()
            await slot.done.wait()
            if isinstance(slot.result, Exception):
                raise slot.result
            return slot.result
        finally:
            self._busy.remove(slot)
            slot.reset()
            self._quiet_at = time.ticks_add(time.ticks_ms(), self._linger_ms)
            self._free.append(slot)
            self._change.set()

    def _begin(self, head, payload, until, blocks, into):
        """Claim a slot and fill it with the request, to be sent at once."""
        if self._error is not None:
            raise self._error
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        slot = self._free[-1]
        # Counting up from a random start, an id does not come again within EXCHANGE_LIFETIME.
        self._mid = (self._mid + 1) & 0xFFFF
        slot.compose(self._mid, head, payload, blocks)  # an error here leaves the slot free
        step = self._non_ms
        if slot.confirmable:  # the jitter is the token's random bits, which are nobody's guess
            step = self._ack_ms + (slot.token[0] << 8 | slot.token[1]) % self._spread_ms
        slot.start(step, until, into)
        self._busy.append(slot)
        self._free.pop()
        self._work.set()
        return slot

    async def _send(self, data):
        """Send a datagram; the caller has just seen that nobody else is sending."""
        self._sending = True
        try:
            await self._endpoint.send(data)
            self.sent += 1
        except OSError as exc:
            if exc.args[0] not in _PASSING:
                self._fail(exc)
                raise
        finally:
            self._sending = False
            self._change.set()

    # The reader task

    async def _run(self):
        error = OSError(ECONNABORTED)
        try:
            while True:
                if not self._busy and time.ticks_diff(self._quiet_at, time.ticks_ms()) <= 0:
                    self._work.clear()
                    await self._work.wait()
                try:
                    n = await self._endpoint.recv_into(self._rx, self._patience())
                except OSError as exc:
                    if exc.args[0] != ETIMEDOUT:
                        raise
                else:
                    self.received += 1
                    if self._take(n):
                        await self._transmit(self._reply, None, 0)
                    await asyncio.sleep_ms(0)  # a flood must not starve the requesters
                slot = self._expire()
                if slot is not None:
                    await self._transmit(slot.datagram(), slot, slot.mid)
        except OSError as exc:
            error = exc
        finally:
            self._fail(error)  # whatever ended this task, nobody waits for it in vain

    async def _transmit(self, data, slot, mid):
        """Send a reply, or once more the request in `slot`."""
        while self._sending:
            self._change.clear()
            await self._change.wait()
        if slot is not None:
            if slot.state != SENT or slot.mid != mid:
                return  # answered, given up, or another request's by now
            self.retransmitted += 1
        await self._send(data)
        if slot is not None and slot.mid == mid:
            slot.arm()

    def _fail(self, error):
        if self._error is None:
            self._error = error
        for slot in self._busy:
            slot.finish(self._error)
        self._change.set()

    def _patience(self):
        """ms until the next deadline, within [0, tick]."""
        wait = self._tick_ms
        now = time.ticks_ms()
        for slot in self._busy:
            if slot.state != DONE:
                wait = min(wait, time.ticks_diff(slot.deadline, now))
                if slot.until is not None:
                    wait = min(wait, time.ticks_diff(slot.until, now))
        return max(wait, 0)

    def _expire(self):
        """Give up what is overdue; an exchange whose request has to be sent again, or None."""
        now = time.ticks_ms()
        for slot in self._busy:
            if slot.state == DONE:
                continue
            if slot.until is not None and time.ticks_diff(slot.until, now) <= 0:
                slot.finish(Timeout("time limit"))
            elif time.ticks_diff(slot.deadline, now) <= 0:
                if slot.state == SENT and slot.confirmable and slot.tries <= self._max_retransmit:
                    slot.tries += 1
                    slot.step *= 2
                    return slot
                slot.finish(Timeout("no answer"))
        return None

    def _take(self, n):
        """Act on one received datagram. True when self._reply has to be sent."""
        msg = self._msg
        try:
            msg.parse(self._view, n)
        except CodecError:
            self.dropped += 1
            return n >= 4 and self._rx[0] >> 4 == 4 and self._prepare(RST)  # confirmable: its sender is told (4.2)
        if msg.type == CON and not msg.code:  # a ping (4.3)
            return self._prepare(RST)
        slot = self._find(msg)
        if slot is None:
            self.dropped += 1
            return msg.type == CON and self._prepare(ACK if self._is_duplicate(msg.mid) else RST)
        if msg.code:
            return self._deliver(slot, msg, n)
        if msg.type == RST:
            slot.finish(Reset("peer sent RST"))
        else:
            slot.state = ACKED
            slot.deadline = time.ticks_add(time.ticks_ms(), self._separate_ms)
        return False

    def _find(self, msg):
        """The exchange that a message belongs to, or None: by message id (4.2), by token (5.3.2), by both."""
        if 0 < msg.code < 0x40 or msg.code == 0 and msg.type < ACK:
            return None  # a request, or nothing at all
        for slot in self._busy:
            if msg.type >= ACK:
                if slot.state != SENT or slot.mid != msg.mid or msg.type == ACK and not slot.confirmable:
                    continue
            elif slot.state not in (SENT, ACKED):
                continue
            if not msg.code or msg.has_token(self._rx, slot.token):
                return slot
        return None

    def _deliver(self, slot, msg, n):
        """Give the answer to its requester. True when self._reply has to be sent."""
        confirmable = msg.type == CON
        if msg.critical:  # has to be rejected (5.4.1)
            slot.finish(BadResponse("critical option %d" % msg.critical))
            return confirmable and self._prepare(RST)
        try:
            slot.respond(msg, self._view, n)
            if confirmable:
                if len(self._seen) == _RING:
                    self._seen.pop(0)
                self._seen.append((msg.mid, time.ticks_ms()))
        except MemoryError as exc:  # the requester's problem, not the end of this client
            slot.finish(exc)
        return confirmable and self._prepare(ACK)

    def _prepare(self, mtype):
        """An empty ACK or RST for the datagram just received. Only the reader uses this buffer."""
        self._reply[0] = 0x40 | mtype << 4
        self._reply[2] = self._rx[2]
        self._reply[3] = self._rx[3]
        return True

    def _is_duplicate(self, mid):
        now = time.ticks_ms()
        for seen, when in self._seen:
            if seen == mid and time.ticks_diff(now, when) < _LIFETIME_MS:
                return True
        return False
