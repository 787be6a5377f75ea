"""CoAP message layer: RFC 7252 section 4 over any datagram endpoint. client.py builds the requests on it.

One reader task receives, acknowledges, retransmits and wakes the request it belongs to; it sleeps while nothing is in
flight. Deadlines are kept here: a wait_for per request would cost 0.7 KB. RAM: 1280 B in, 1152 B out per exchange.
"""

import asyncio
import time
from errno import EAGAIN, ECONNABORTED, ENOBUFS, ENOMEM, ETIMEDOUT

from micropython import const

from .codec import CodecError, Message
from .errors import BadResponse, Reset, Timeout
from .exchange import Exchange, Recent, new_token, owner
from .rtt import RTT

_CON = const(0)  # types of messages
_NON = const(1)
_ACK = const(2)
_RST = const(3)
_SENT = const(1)  # Pending.state, see exchange.py
_DONE = const(3)

_RX_SIZE = const(1280)
_TX_SIZE = const(1152)  # RFC 7252 4.6
_HEADROOM = const(64)  # header, token and usual options beside a block
_TICK_MS = const(100)  # the reader looks at its deadlines at least this often: a request may begin while it waits
_UNAUTHORIZED = const(0x81)
_ECHO = const(252)
_CONTINUE = const(0x5F)
_BLOCK2 = const(23)

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
        token_length=4,
        max_body=8192,
        szx=6,
        linger_ms=5000,
    ):
        self._endpoint = endpoint
        self._jitter = int((ack_random - 1) * 1024)
        self._span_ms = ack_timeout_ms * ((2 << max_retransmit) - 1)  # MAX_TRANSMIT_WAIT without the jitter (4.8.2)
        self._non_ms = non_timeout_ms
        self._separate_ms = separate_timeout_ms
        self._linger_ms = linger_ms
        self._tick_ms = min(_TICK_MS, ack_timeout_ms)
        self.max_body = max_body
        self.token_length = token_length
        self.size = min(endpoint.mtu, _TX_SIZE)  # of the largest datagram we send
        while szx and (16 << szx) + _HEADROOM > self.size:
            szx -= 1
        self.szx = szx
        self.rtt = RTT(ack_timeout_ms)
        self.sent = self.received = self.retransmitted = self.dropped = 0
        self._rx = bytearray(_RX_SIZE)
        self._view = memoryview(self._rx)
        self._msg = Message()
        self._reply = bytearray(4)
        self._free = [Exchange(self.size) for _ in range(nstart)]
        self._busy = []
        self._sending = False  # one writer at a time; also, nobody rewrites a datagram that is being sent
        self._change = asyncio.Event()  # a send or an exchange ended
        self._work = asyncio.Event()  # there is something for the reader to wait for
        self._mid = int.from_bytes(new_token(2), "big")
        self._seen = Recent()  # the last confirmable answers that we acknowledged
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
                if not task.done():
                    await asyncio.sleep_ms(0)
        await self._endpoint.close()

    async def exchange(self, head, payload, until=None, blocks=(), token=None, quiet=False, whole=False):
        """One request, one Response whatever its code, with `whole` only a 2.xx with all of its body (settle.py).

        head is (method, path, query, content_format, accept, options, confirmable); blocks are further options in
        ascending order; until is the ticks of the caller's limit; token is a new one when None. With quiet an empty
        ACK, or for a NON that it was sent, ends it with None. A 4.01 that asks for an Echo is answered with it once
        (RFC 9175 2.3). Raises Timeout, Reset, BadResponse, CodecError, OSError; with `whole` also Refused.
        """
        # A coroutine's frame lives on the heap, a function's does not: the work is done in functions.
        while self._error is None and (self._sending or not self._free):
            self._change.clear()
            await self._change.wait()  # bounded: each send and each exchange in flight ends
        try:
            slot = self._claim(head, payload, until, blocks, token, quiet)
        except CodecError:
            if not whole or len(payload) <= 16:
                raise
            from .upload import upload  # long options leave no room for a payload of this size

            return await upload(self, head, payload, until, self.szx)
        try:
            await self._send(slot)
            if not quiet or slot.confirmable:
                await slot.done.wait()
            answer = slot.result
            if isinstance(answer, Exception):
                raise answer
        finally:
            self._release(slot)
        if answer is not None and answer.code == _UNAUTHORIZED:
            echo = answer.option(_ECHO)
            if echo and not (blocks and blocks[-1][0] == _ECHO):
                return await self.exchange(head, payload, until, tuple(blocks) + ((_ECHO, echo),), token, quiet, whole)
        if whole and (answer.code >> 5 != 2 or answer.code == _CONTINUE or answer.option(_BLOCK2) is not None):
            from .settle import settle

            return await settle(self, head, payload, until, answer, slot.token)
        return answer

    async def launch(self, slot, until):
        """Send the request of a Pending that has its own way to write it, with a new message id; forget() ends it."""
        await self._turn()
        self._begin(slot, self._next_mid(), until)
        await self._send(slot)

    def listen(self, slot):
        """Give a listening Pending what comes with its token, until forget(). Raises OSError."""
        if self._error is not None:
            raise self._error
        self._busy.append(slot)
        self._wake()

    def forget(self, slot):
        """What still comes for this Pending is nobody's from now on."""
        if slot in self._busy:
            self._busy.remove(slot)
        self._quiet_at = time.ticks_add(time.ticks_ms(), self._linger_ms)

    def _claim(self, head, payload, until, blocks, token, quiet):
        """Take a free exchange and fill it with the request, to be sent at once."""
        if self._error is not None:
            raise self._error
        slot = self._free[-1]
        if token is None:
            token = new_token(self.token_length)
        slot.compose(self._next_mid(), token, head, payload, blocks)  # an error here leaves the slot free
        slot.quiet = quiet
        self._free.pop()
        self._begin(slot, slot.mid, until)
        return slot

    def _release(self, slot):
        self.forget(slot)
        slot.reset()
        self._free.append(slot)
        self._change.set()

    def _next_mid(self):
        # Counting up from a random start, an id does not come again within EXCHANGE_LIFETIME.
        self._mid = (self._mid + 1) & 0xFFFF
        return self._mid

    def _begin(self, slot, mid, until):
        """Start the clock of a request that is to be sent at once."""
        if self._error is not None:
            raise self._error
        slot.mid = mid
        if slot.confirmable:
            slot.start(self.rtt.rto(), self._span_ms, self._jitter, until)
        else:
            slot.start(self._non_ms, self._non_ms, 0, until)
        self._busy.append(slot)
        self._wake()

    def _wake(self):
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._work.set()

    async def _send(self, slot):
        """Send the request in `slot`, or the reply (None); the caller has just seen that nobody else is sending."""
        self._sending = True
        try:
            await self._endpoint.send(self._reply if slot is None else slot.datagram())
            self.sent += 1
        except OSError as exc:
            if exc.args[0] not in _PASSING:
                self._fail(exc)
                raise
        finally:
            self._sending = False
            self._change.set()
        if slot is not None:
            slot.arm()

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
                except MemoryError as exc:  # the requesters' problem, not the end of this client
                    for slot in tuple(self._busy):
                        slot.finish(exc)
                    await asyncio.sleep_ms(self._tick_ms)
                else:
                    self.received += 1
                    if self._take(n):
                        await self._transmit(None, 0)
                    await asyncio.sleep_ms(0)  # a flood must not starve the requesters
                slot = self._expire()
                if slot is not None:
                    await self._transmit(slot, slot.mid)
                    slot = None  # this frame lives on, and would keep a transfer alive, and its code
        except OSError as exc:
            error = exc
        finally:
            self._fail(error)  # whatever ended this task, nobody waits for it in vain

    async def _transmit(self, slot, mid):
        """Send the reply, or once more the request in `slot`."""
        await self._turn()
        if slot is not None:
            if slot.state != _SENT or slot.mid != mid:
                return  # answered, given up, or another request's by now
            self.retransmitted += 1
        await self._send(slot)

    async def _turn(self):
        """Wait until nobody else is sending."""
        while self._sending:
            self._change.clear()
            await self._change.wait()  # bounded: a send ends

    def _fail(self, error):
        if self._error is None:
            self._error = error
        for slot in tuple(self._busy):  # some leave the list when they hear of it
            slot.finish(self._error)
        self._change.set()

    def _patience(self):
        """ms until the next deadline, within [0, tick]."""
        wait = self._tick_ms
        now = time.ticks_ms()
        for slot in self._busy:
            if slot.state != _DONE:
                wait = min(wait, time.ticks_diff(slot.deadline, now))
                if slot.until is not None:
                    wait = min(wait, time.ticks_diff(slot.until, now))
        return max(wait, 0)

    def _expire(self):
        """Give up what is overdue; a Pending whose request has to be sent again, or None."""
        now = time.ticks_ms()
        for slot in self._busy:
            if slot.state == _DONE:
                continue
            if slot.until is not None and time.ticks_diff(slot.until, now) <= 0:
                slot.finish(Timeout("time limit"))
            elif time.ticks_diff(slot.deadline, now) <= 0 and slot.overdue():
                return slot
        return None

    def _take(self, n):
        """Act on one received datagram. True when self._reply has to be sent."""
        msg = self._msg
        try:
            msg.parse(self._view, n)
        except CodecError:
            self.dropped += 1
            return n >= 4 and self._rx[0] >> 4 == 4 and self._prepare(_RST)  # confirmable: its sender is told (4.2)
        if msg.type == _CON and not msg.code:  # a ping (4.3)
            return self._prepare(_RST)
        slot = owner(msg, self._rx, self._busy)
        if slot is None:
            return self._nobodys(msg)
        if slot.state == _SENT and slot.confirmable:
            if slot.tries == 1:
                self.rtt.sample(time.ticks_diff(time.ticks_ms(), slot.sent_at))
            else:
                self.rtt.doubt(msg.mid, slot.step)
        if msg.code:
            return self._deliver(slot, msg, n)
        if msg.type == _RST:
            slot.finish(Reset("peer sent RST"))
        else:
            slot.acknowledged(self._separate_ms)
        return False

    def _nobodys(self, msg):
        """Reject what nobody waits for; an answer that was acknowledged before is acknowledged again."""
        self.dropped += 1
        if msg.type == _ACK:
            self.rtt.answered_again(msg.mid)
        if msg.type == _CON:
            return self._prepare(_ACK if self._seen.has(msg.mid) else _RST)
        return msg.type == _NON and msg.observe >= 0 and self._prepare(_RST)  # ends an observation (RFC 7641 3.6)

    def _deliver(self, slot, msg, n):
        """Give the answer to its requester. True when self._reply has to be sent."""
        confirmable = msg.type == _CON
        if msg.critical:  # has to be rejected (5.4.1)
            slot.finish(BadResponse("critical option %d" % msg.critical))
            return confirmable and self._prepare(_RST)
        try:
            slot.respond(msg, self._view, n)
            if confirmable:
                self._seen.add(msg.mid)
        except MemoryError as exc:  # the requester's problem, not the end of this client
            slot.finish(exc)
        return confirmable and self._prepare(_ACK)

    def _prepare(self, mtype):
        """An empty _ACK or _RST for the datagram just received. Only the reader uses this buffer."""
        self._reply[0] = 0x40 | mtype << 4
        self._reply[2] = self._rx[2]
        self._reply[3] = self._rx[3]
        return True
