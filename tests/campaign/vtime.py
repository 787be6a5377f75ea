"""Virtual time for one process: device code, the modem simulator and the cloud's peer on one event loop.

Nobody waits: when nothing is ready, time jumps to the next timer. time.monotonic, MicroPython's ticks and asyncio all
read this clock, and os.urandom comes from the run's seed, so that a run is the same each time.
"""

import asyncio
import os
import random
import selectors
import time

from stubs_boot import install

START_MS = 1767225600000  # 2026-01-01 00:00 UTC
_PERIOD = 1 << 30
_STALL_TURNS = 200000  # turns of the loop without a millisecond passing: it hangs


class Stalled(AssertionError):
    """Nothing will ever happen again, or too much happens at once."""


class _Jump(selectors.SelectSelector):
    """A selector that waits for nobody: it moves the loop's time on instead."""

    loop = None

    def select(self, timeout=None):
        if timeout is None:
            raise Stalled("every task waits for another")
        if timeout <= 0:
            self.loop.spin()
        else:
            self.loop.jump(timeout)
        return []  # there is no file or socket in it


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time begins at 0 and passes when everybody waits."""

    def __init__(self):
        self.now = 0.0
        self._turns = 0
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)
        self._clock_resolution = 1e-6

    def time(self):
        return self.now

    def jump(self, seconds):
        """Time passes."""
        self.now += seconds
        self._turns = 0

    def spin(self):
        """A turn in which no time passed."""
        self._turns += 1
        if self._turns > _STALL_TURNS:
            self._turns = 0
            raise Stalled("the loop turns without time passing")


ticks_at_start = _PERIOD - 2000  # of the run: the ticks wrap 2 s later
COMPLAINTS = []  # what nobody caught, of the run
_loop = None
_random = random.Random(1)


def _urandom(count):
    return _random.randbytes(count)


def now_s():
    """Seconds since the run began."""
    return _loop.now if _loop else 0.0


def now_ms():
    """Unix milliseconds of the run."""
    return START_MS + round(now_s() * 1000)


class World:
    """The simulator's world clock (godwit.world.World), here the loop's."""

    def now_ms(self):
        return now_ms()

    def advance(self, ms):
        raise AssertionError("time passes by waiting")


def patch():
    """Once per process: every clock of Python reads the loop's, and MicroPython's names are there."""
    install()
    time.monotonic = now_s
    time.time = lambda: START_MS / 1000 + now_s()
    time.ticks_ms = lambda: int(now_s() * 1000 + ticks_at_start) % _PERIOD
    time.ticks_us = lambda: int(now_s() * 1000000) % _PERIOD
    os.urandom = _urandom


def _complain(loop, context):
    COMPLAINTS.append(repr(context.get("exception") or context["message"]))


def run(make, seed):
    """Run the coroutine that `make()` gives to its end in a time of its own; -> (result, virtual seconds)."""
    global _loop
    _loop = loop = Loop()
    asyncio.set_event_loop(loop)
    COMPLAINTS.clear()
    loop.set_exception_handler(_complain)
    _random.seed(seed)
    try:
        return loop.run_until_complete(make()), loop.now
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        try:
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            asyncio.set_event_loop(None)
            loop.close()
            _loop = None
