"""Waits with deadlines that cost no task each: one ticking task serves every Waiter of a client.

`asyncio.wait_for` makes a task and about 700 bytes of garbage per call, and a modem session waits for thousands of
lines and datagrams. Used by at.client and by the modem's endpoints. RAM: about 100 bytes per Waiter.
"""

import asyncio
from errno import ETIMEDOUT
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

_TICK_MS = const(100)  # a deadline is noticed this late at most
_LONGEST_MS = const(0x0FFFFFFF)  # three days; ticks arithmetic on 32-bit boards ends near six


class Deadlines:
    """The ticking task; it lives only while somebody waits."""

    def __init__(self):
        self.waits = []  # Waiters with a deadline
        self._task = None

    def add(self, waiter, timeout_ms):
        waiter.due = ticks_add(ticks_ms(), min(timeout_ms, _LONGEST_MS))
        self.waits.append(waiter)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self):
        try:
            while self.waits:
                nearest = _TICK_MS
                for waiter in self.waits:
                    left = ticks_diff(waiter.due, ticks_ms())
                    if left <= 0:
                        waiter.expire()
                    elif left < nearest:
                        nearest = left
                await asyncio.sleep_ms(nearest)
        finally:
            self._task = None


class Waiter:
    """One value that somebody will `put`, or an error that somebody will `fail` with; one coroutine waits."""

    def __init__(self, deadlines):
        self._deadlines = deadlines
        self._event = asyncio.Event()
        self.value = None
        self._error = None
        self._expired = False
        self.due = 0  # Deadlines' own

    def ready(self):
        return self._event.is_set()

    def put(self, value=True, error=None):
        """Wake the coroutine with `value`; the first of put and fail wins until clear()."""
        if not self._event.is_set() or self._expired:
            self.value = value
            self._error = error
            self._expired = False
            self._event.set()

    def fail(self, error):
        """Wake the coroutine with the exception `error`."""
        self.put(None, error)

    def expire(self):
        """The deadline has passed (called by Deadlines)."""
        if not self._event.is_set():
            self._expired = True
            self._event.set()

    def clear(self):
        self.value = self._error = None
        self._expired = False
        self._event.clear()

    async def wait(self, timeout_ms):
        """-> what was put. Raises what was failed with, or OSError(ETIMEDOUT) after `timeout_ms`."""
        if not self._event.is_set():
            self._deadlines.add(self, timeout_ms)
            try:
                await self._event.wait()
            finally:
                self._deadlines.waits.remove(self)
        if self._expired:
            self.clear()
            raise OSError(ETIMEDOUT, "timed out")
        if self._error is not None:
            raise self._error
        return self.value
