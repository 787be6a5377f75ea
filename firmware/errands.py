"""Errands: what a node does now and then, one at a time, each loaded when due and forgotten when done.

Uplink, position, settings and updates are large in code and rare in time. Running them one after the other bounds the
heap that any of them may need; forgetting them in between (cold.py) gives it back. An errand is an object with
`async visit()` -> seconds until it is due again.
"""

import gc

from micropython import const

import clock
import coap
import cold
import log
from cloud.base import CloudError
from retry import Backoff
from tasks import LINK_ERRORS, twice

_DAY_S = const(86400)  # longest that a busy cloud can send us away for
_MOMENT_S = const(10)
_TRIES = const(5)  # without room
_RETRY_S = const(600)  # when a visit ended in a way nobody foresaw; doubled each time, so that the node lives with it
_DOUBLINGS = const(7)
_LOSSES = const(4)  # of the link, in a row and without anything done: what it asks for may be what ends sessions


class Errand:
    """`make(name)` -> the task object, importing its module; `patience_s`: how long it waits for the link before it is
    visited without one, None for ever; `early`: a clock.Signal that makes it due before its time."""

    def __init__(self, name, make, patience_s=None, early=None):
        self.name = name
        self.make = make
        self.patience_s = patience_s
        self.early = early
        self.due_ms = 0
        self.unfinished = 0  # visits in a row that ended in a way nobody foresaw
        self.lost = 0  # ... and that lost the link without having done anything
        self.backoff = Backoff(30, 3600)


class Errands:
    """`table`: Errands in order of importance: of several that are due, the first goes first."""

    def __init__(self, state, table, release=None):
        """`release`: coroutine function that tells the cloud's way that nothing follows (cloud.base), or None."""
        self._state = state
        self._table = table
        self._release = release
        state.others_due = self._others_due

    def _others_due(self):
        """Whether another errand should be visited now. One that is being visited is due in `_RETRY_S`."""
        errand = self._next(clock.uptime_ms())[0]
        return errand is not None and not errand.unfinished

    async def run(self):
        busy = False  # something was sent since the last release
        while True:
            errand, wait_s = self._next(clock.uptime_ms())
            if errand is None:
                if busy:
                    busy = False
                    await self._rest()
                await self._wait(wait_s)
                continue
            busy = self._state.visiting = True
            errand.due_ms = clock.uptime_ms() + (_RETRY_S << min(errand.unfinished, _DOUBLINGS)) * 1000
            errand.unfinished += 1
            try:
                delay_s = await twice(self._state, errand.name, self._visit, errand)
            except MemoryError as problem:  # not at once: that was tried
                if errand.backoff.attempts >= _TRIES:
                    errand.unfinished = 0  # not to be lived with: a heap without room may have some after a restart,
                    raise  # to which often enough leads (app.py)
                delay_s = errand.backoff.next()
                log.error(errand.name, "%s; again in %d s", problem, delay_s)
            finally:
                self._state.visiting = False
                cold.forget()
                gc.collect()
            errand.unfinished = 0
            errand.due_ms = clock.uptime_ms() + delay_s * 1000

    async def _rest(self):
        """Nothing is due: the radio connection is worth seconds of power, and nobody needs it."""
        if self._release and self._state.link.is_set():
            try:
                await self._release()
            except OSError as error:
                self._state.fail(error)

    async def _wait(self, wait_s):
        """Until time, the link or an early signal may have made an errand due."""
        if not self._state.link.is_set():
            await clock.wait(self._state.link, wait_s)
            return
        for errand in self._table:
            if errand.early and not errand.early.is_set():
                await clock.wait(errand.early, wait_s)
                return
        await clock.sleep(wait_s)

    def _next(self, now):
        """-> (the errand to visit now or None, seconds until that may change)."""
        linked = self._state.link.is_set()
        if self._state.crowded:
            return None, _MOMENT_S
        nearest = 86400000
        for errand in self._table:
            start = errand.due_ms
            if self._is_early(errand):
                start = now
            if not linked:
                if errand.patience_s is None:
                    continue
                start += errand.patience_s * 1000
            if start <= now:
                return errand, 0
            nearest = min(nearest, start - now)
        return None, nearest // 1000 + 1

    def _is_early(self, errand):
        """Not while it backs off: a refusal is a reason to wait, however much has gathered."""
        return errand.early and errand.early.is_set() and not errand.backoff.attempts and not errand.unfinished

    async def _visit(self, errand):
        """Run one errand to its end; -> seconds until it is due again."""
        heard = self._state.heard
        try:
            delay_s = await errand.make(errand.name).visit()
        except LINK_ERRORS as error:
            # The errand starts over as soon as the link is back; what it had achieved is on flash or in the cloud.
            self._state.fail(error)
            errand.lost = errand.lost + 1 if self._state.heard == heard else 0
            return 0 if errand.patience_s is None and errand.lost < _LOSSES else errand.backoff.next()
        except (coap.Refused, CloudError, ValueError) as problem:
            self._state.problem = problem, 0
            delay_s = max(errand.backoff.next(), min(getattr(problem, "retry_after", None) or 0, _DAY_S))
            log.warn(errand.name, "%s; again in %d s", problem, delay_s)
            return delay_s
        if delay_s:  # else it is not over yet
            errand.backoff.reset()
            errand.lost = 0
        return delay_s
