"""Timers of the simulator, in world time.

A radio wait of W seconds takes W / speed real seconds; the rest is added to the world clock, so that everybody who
reads it agrees that W seconds have passed. Only timers that a host would wait for ("driving": attach, boot, a GNSS
search) compress time; the others (RRC inactivity, the next periodic fix) just fall due when the world gets there.
Waits for real peers on the loopback (`network_wait`) stay real, because the peer does not hurry.
"""

import asyncio
import heapq
import itertools
import time

_SLICE_S = 0.02  # longest real nap while time is compressed or shared with other processes


class Timer:
    """One pending call. `drives` is a bool or a callable giving one."""

    def __init__(self, due_ms, fn, args, drives):
        self.due_ms = due_ms
        self.fn = fn
        self.args = args
        self.drives = drives
        self.live = True

    def cancel(self):
        """Forget the call; harmless when it has already been made."""
        self.live = False

    def is_driving(self):
        """Does somebody wait for this timer?"""
        return self.drives() if callable(self.drives) else self.drives


class SimClock:
    """World time with timers. `speed` is world seconds per real second while something drives.

    `patience_s`: real seconds that a wait for a peer gets at least, whatever the speed.
    """

    def __init__(self, world, speed=1.0, patience_s=2.0):
        self.world = world
        self.speed = max(speed, 1.0)
        self._patience_s = patience_s
        self._heap = []
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._owed_s = 0.0

    def now_ms(self):
        """World time, Unix milliseconds."""
        return self.world.now_ms()

    def later(self, seconds, fn, *args, drives=True):
        """Call `fn(*args)` in `seconds` of world time; returns a Timer."""
        timer = Timer(self.now_ms() + round(seconds * 1000), fn, args, drives)
        heapq.heappush(self._heap, (timer.due_ms, next(self._order), timer))
        self._wake.set()
        return timer

    async def sleep(self, seconds, drives=True):
        """Wait `seconds` of world time."""
        if seconds <= 0:
            return
        done = asyncio.get_running_loop().create_future()
        timer = self.later(seconds, self._resolve, done, drives=drives)
        try:
            await done
        finally:
            timer.cancel()

    async def network_wait(self, event, seconds, turns=1):
        """Wait for an asyncio.Event that a real peer sets; False after `seconds` of world time (None: no limit).

        `turns` multiplies the patience, for exchanges of several flights with retransmissions.
        """
        if seconds is None:
            await event.wait()
            return True
        real = min(seconds, max(self._patience_s * turns, seconds / self.speed))
        try:
            await asyncio.wait_for(event.wait(), real)
            return True
        except TimeoutError:
            self.skip(seconds - real)
            return False

    def skip(self, seconds):
        """The world goes on by `seconds` in which nothing else happened."""
        if seconds > 0:
            self.world.advance(round(seconds * 1000))
            self._wake.set()

    async def run(self):
        """Fire timers for ever; one task of the simulator."""
        while True:
            self._wake.clear()
            self._fire_due()
            before = time.monotonic()
            try:
                await asyncio.wait_for(self._wake.wait(), self._nap_s())
            except TimeoutError:
                pass
            self._drive(time.monotonic() - before)

    @staticmethod
    def _resolve(future):
        if not future.done():
            future.set_result(None)

    def _fire_due(self):
        while self._heap:
            due_ms, _, timer = self._heap[0]
            if timer.live and due_ms > self.now_ms():
                return
            heapq.heappop(self._heap)
            if timer.live:
                timer.live = False
                timer.fn(*timer.args)

    def _gap_s(self):
        return (self._heap[0][0] - self.now_ms()) / 1000

    def _driving(self):
        return self.speed > 1 and any(t.live and t.is_driving() for _, _, t in self._heap)

    def _nap_s(self):
        if not self._heap:
            return None
        gap = max(self._gap_s(), 0.001)
        if self._driving():
            gap = max(gap / self.speed, 0.001)
        return min(gap, _SLICE_S)

    def _drive(self, elapsed_s):
        if not self._heap or not self._driving():
            self._owed_s = 0.0
            return
        # Never past the next timer: two timers 10 ms apart stay 10 ms apart at any speed.
        self._owed_s = min(self._owed_s + elapsed_s * (self.speed - 1), max(self._gap_s(), 0.0))
        whole_ms = int(self._owed_s * 1000)
        if whole_ms:
            self._owed_s -= whole_ms / 1000
            self.world.advance(whole_ms)
