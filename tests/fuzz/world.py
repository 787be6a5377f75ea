"""A world whose time passes only when everybody waits, and whose chance is seeded: hours of CoAP in a second of fuzzing.

install() puts it in the place of `time`, `os` and `asyncio` for whatever is imported afterwards; asyncio itself keeps the
real ones. Runs under MicroPython only.
"""

import asyncio
import os
import sys
import time
from errno import ETIMEDOUT

from mutate import Xorshift

START_MS = (1 << 30) - 5000  # of the ticks, which wrap soon
PERIOD = 1 << 30
QUIET_ROUNDS = 4  # of the event loop without an event, then time passes


class Clock:
    """The time: `ms` since its start. Stands in for the module `time` as well."""

    ticks_add = staticmethod(time.ticks_add)
    ticks_diff = staticmethod(time.ticks_diff)

    def __init__(self):
        self.ms = 0
        self.events = 0  # whatever happens counts one
        self._dues = []

    def ticks_ms(self):
        """As time.ticks_ms."""
        return (START_MS + self.ms) % PERIOD

    async def step(self, due):
        """Let the others run; time may pass, to `due` at most."""
        self._dues.append(due)
        try:
            await asyncio.sleep_ms(0)
        finally:
            self._dues.remove(due)

    async def sleep_ms(self, ms):
        """As asyncio.sleep_ms."""
        if ms <= 0:
            await asyncio.sleep_ms(0)
            return
        due = self.ms + ms
        while self.ms < due:
            await self.step(due)
        self.events += 1

    async def keep(self):
        """The task that lets time pass."""
        while True:
            before = self.events
            for _ in range(QUIET_ROUNDS):
                await asyncio.sleep_ms(0)
            if self.events == before and self._dues:
                self.ms = max(self.ms, min(self._dues))


class Chance:
    """Stands in for the module `os`: the same random bytes in each run of a batch."""

    def __init__(self):
        self.rng = Xorshift()

    def urandom(self, n):
        """n bytes."""
        return bytes([self.rng.bits() & 255 for _ in range(n)])

    def __getattr__(self, name):
        return getattr(os, name)


class Loop:
    """Stands in for the module `asyncio`: the real one, but for what has to do with time."""

    def __init__(self, clock):
        self.sleep_ms = clock.sleep_ms
        self._clock = clock

    def sleep(self, s):
        """As asyncio.sleep."""
        return self._clock.sleep_ms(int(s * 1000))

    def __getattr__(self, name):
        if name.startswith("wait_for"):
            raise NotImplementedError("wait_for would wait in the real time")
        return getattr(asyncio, name)


def install():
    """Make the world; -> (clock, chance)."""
    clock, chance = Clock(), Chance()
    asyncio.Event, asyncio.gather  # noqa: B018  loaded now: they look for their package in sys.modules
    sys.modules["time"] = clock
    sys.modules["os"] = chance
    sys.modules["asyncio"] = Loop(clock)
    return clock, chance


class Wire:
    """A datagram endpoint in this world. peer(bytes) gives the answers: (delay in ms, bytes) each."""

    mtu = 1152

    def __init__(self, clock, peer):
        self.peer = peer
        self.fed = 0  # datagrams that the client took
        self.last = []  # the last few of them, for a report
        self._clock = clock
        self._inbox = []  # (due, datagram), in the order of due

    def push(self, data, delay_ms=0):
        """Let a datagram arrive."""
        due = self._clock.ms + delay_ms
        at = len(self._inbox)
        while at and self._inbox[at - 1][0] > due:
            at -= 1
        self._inbox.insert(at, (due, data))
        self._clock.events += 1

    async def send(self, buf):
        """Of the contract of an endpoint."""
        for delay_ms, data in self.peer(bytes(buf)):
            self.push(data, delay_ms)
        self._clock.events += 1

    async def recv_into(self, buf, timeout_ms):
        """Of the contract of an endpoint."""
        clock = self._clock
        end = clock.ms + timeout_ms
        while True:
            if self._inbox and self._inbox[0][0] <= clock.ms:
                data = self._inbox.pop(0)[1]
                break
            if clock.ms >= end:
                clock.events += 1
                raise OSError(ETIMEDOUT)
            await clock.step(min(end, self._inbox[0][0]) if self._inbox else end)
        clock.events += 1
        self.fed += 1
        if len(self.last) == 8:
            self.last.pop(0)
        self.last.append(data)
        buf[: len(data)] = data
        return len(data)

    async def close(self):
        """Of the contract of an endpoint."""
        self._inbox = []
