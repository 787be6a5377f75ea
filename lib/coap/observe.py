"""Observing a resource (RFC 7641): the notifications of one registration as an asynchronous iterator.

client.py imports it for observe(). The message layer acknowledges a notification as soon as it comes and puts it here;
what is stale is dropped, what the application has not taken yet waits in a short queue. RAM: 0.4 KB, and the
notifications that wait.
"""

import asyncio
import os
import time

from micropython import const

from .errors import CoapError, ETagChanged, Refused
from .exchange import Pending, limit_at, new_token

_DONE = const(3)  # Pending.state
_LISTENING = const(4)
_GET = const(1)
_OBSERVE = const(6)
_BLOCK2 = const(23)
_NOTIFIES = (0x43, 0x45)
_MAX_AGE_S = const(60)  # what its absence means (RFC 7252 5.10.5)
_HALF = const(0x800000)  # half the range of sequence numbers (RFC 7641 3.4)
_FRESH_MS = const(128000)  # after so long any number is newer
_FOREVER_S = const(260000)  # three days: what ticks can hold


def observe(
    client,
    path,
    *,
    method=_GET,
    query=(),
    payload=b"",
    content_format=None,
    accept=None,
    options=(),
    confirmable=True,
    renew_s=None,
    depth=4,
):
    """An Observation: `async for note in client.observe("state")`; it registers with its first step.

    method GET, or FETCH with a payload. The registration is renewed when Max-Age (60 s unless the server says more) has
    passed without a notification; renew_s: after so many seconds instead, 0 for never. depth: so many notifications
    wait for the application, the oldest goes when there are more.
    """
    if isinstance(query, str):
        query = (query,)
    head = (method, path, query, content_format, accept, options, confirmable)
    return Observation(client, head, payload, renew_s, depth)


class Observation(Pending):
    """`async for note in observation` gives Responses; made by Client.observe.

    A notification in blocks is completed first. The iteration ends when the server ends the observation without an
    error, or never began it (`observed` is False then): after the one answer that it gave. It raises Refused for a 4.xx
    or 5.xx notification, Timeout and Reset when a registration got no answer (the next step tries again), and the
    OSError of a dead endpoint. Cancelling a task that waits in it changes nothing else; `async with` ends the
    observation at the end of the block.

    Counters: `stale` (older than what we had), `lost` (pushed out of the queue), `gaps` (numbers that did not follow
    one another; only a server that counts by one, as ThingsBoard does, means something by it).
    """

    def __init__(self, client, head, payload, renew_s, depth):
        super().__init__()
        self.token = new_token(max(client.token_length, 1))
        self.observed = False
        self.stale = self.lost = self.gaps = 0
        self._client = client
        self._head = head
        self._payload = payload
        self._renew_s = renew_s
        self._depth = depth
        self._notes = []
        self._event = asyncio.Event()
        self._renew = True  # a registration is due
        self._number = -1  # sequence number of the newest notification, and
        self._at = 0  # when it came (ticks)
        self._error = None
        self._over = False

    def __aiter__(self):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.cancel()

    async def __anext__(self):
        while True:
            if self._notes:
                note = await self._whole(self._notes.pop(0))
                if note is not None:
                    return note
            elif self._error is not None:
                raise self._error
            elif self._over:
                raise StopAsyncIteration
            elif self._renew:
                await self._register()
            else:
                self._event.clear()
                await self._event.wait()  # bounded by Max-Age, or by renew_s: see overdue()

    async def cancel(self, timeout_ms=5000):
        """End it at the server too (RFC 7641 3.6): Observe 1 with the same token, at most timeout_ms.

        An acknowledgement is all that is waited for, because some servers send no more (facts/platforms.md 1.4). When
        not even that comes, or this never runs, the next notification is rejected with RST, which ends it as well.
        """
        was = self.state == _LISTENING
        self._leave(None)
        if was:
            try:
                await self._client.exchange(
                    self._head, self._payload, limit_at(timeout_ms), ((_OBSERVE, 1),), self.token, True
                )
            except (CoapError, OSError):
                pass  # as said: RST will do it

    def _leave(self, error):
        self._client.forget(self)
        self.state = _DONE
        self._over = True
        if error is not None:
            self._error = error
        self._event.set()

    async def _register(self):
        """GET or FETCH with Observe 0; again with the same token, which replaces the registration (RFC 7641 3.3.1)."""
        client = self._client
        if self.state != _LISTENING:
            self.state = _LISTENING
            self._age(None)
            client.listen(self)  # before the request, so that nothing that comes early is rejected
        answer = await client.exchange(self._head, self._payload, None, ((_OBSERVE, 0),), self.token)
        if self._over:
            return  # cancelled meanwhile
        self._renew = False
        self._number = -1  # the server may begin to count anew
        self._note(answer, answer.sequence)

    def _age(self, max_age):
        """The registration counts as lost when nothing comes for so long, plus 5 to 15 s (RFC 7641 3.3.1)."""
        if self._renew_s is None:
            wait = min(_MAX_AGE_S if max_age is None else max_age, _FOREVER_S) * 1000 + 5000 + os.urandom(1)[0] * 39
        else:
            wait = int(min(self._renew_s or _FOREVER_S, _FOREVER_S) * 1000)
        self.deadline = time.ticks_add(time.ticks_ms(), wait)

    def _note(self, answer, number):
        """Queue a notification with its sequence number. One without, or of another code than 2.03 and 2.05, is the
        last (RFC 7641 3.2, 4.2; ThingsBoard ends a watch with 2.02 and the number 0)."""
        final = number is None or answer.code not in _NOTIFIES
        if not final and not self._is_newer(number):
            self.stale += 1
            return
        if answer.code < 0x80:
            if len(self._notes) >= self._depth:
                self._notes.pop(0)
                self.lost += 1
            self._notes.append(answer)
        if final:
            self._leave(Refused(answer) if answer.code >= 0x80 else None)
        else:
            self.observed = True
            self._age(answer.max_age)
            self._event.set()

    def _is_newer(self, number):
        now = time.ticks_ms()
        if self._number >= 0:
            ahead = (number - self._number) & 0xFFFFFF
            if not 0 < ahead < _HALF and time.ticks_diff(now, self._at) < _FRESH_MS:
                return False
            self.gaps += ahead != 1
        self._number = number
        self._at = now
        return True

    async def _whole(self, note):
        """The note with all of its body; None when a newer one overtook it."""
        block = note.option(_BLOCK2)
        if block is None or block & ~7 == 0:
            return note
        from .download import gather

        try:
            return await gather(self._client, self._head, self._payload, None, note)
        except ETagChanged:
            if self._notes:
                return None
            raise

    # What the message layer calls, in its reader task

    def overdue(self):
        if self._renew_s == 0:
            self._age(None)
        else:
            self._renew = True
            self.deadline = time.ticks_add(time.ticks_ms(), _FOREVER_S * 1000)
            self._event.set()
        return False

    def finish(self, result):
        self._leave(result)

    def respond(self, msg, view, n):
        from .response import Response

        start = msg.options_at
        number = msg.observe if msg.observe >= 0 else None
        self._note(Response(msg.code, bytes(view[start:n]), msg.payload_at - start), number)
