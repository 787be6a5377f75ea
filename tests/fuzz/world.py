"""A world whose time passes only when everybody waits, and whose chance is seeded: hours of CoAP in a second.

install() puts it in the place of `time`, `os` and `asyncio` for whatever is imported afterwards; asyncio itself keeps
the real ones. What is sent goes to the host, which plays the peer (live.py): the heap is for the code under test. Runs
under MicroPython only.
"""

import asyncio
import struct
import sys
import time
from errno import ETIMEDOUT

from xorshift import Xorshift

START_MS = (1 << 30) - 5000  # of the ticks, which wrap soon
PERIOD = 1 << 30
QUIET_ROUNDS = 4  # of the event loop without an event, then time passes
NEVER = 0x3FFFFFFF  # ms


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
    """A datagram endpoint in this world, whose other end is the host: see live.py for the frames on the pipe."""

    mtu = 640  # what goes out; what comes in may have 1280 bytes

    def __init__(self, clock):
        self.fed = 0  # datagrams that the client took
        self._clock = clock
        self._head = bytearray(7)
        self._answer = bytearray(6)
        self._due = NEVER  # when the next datagram comes

    def tell(self, kind, data=b""):
        """A frame to the host: kind (one letter), the time, data. Its answer: (number, due of the next datagram)."""
        struct.pack_into(">BHI", self._head, 0, ord(kind), len(data), self._clock.ms)
        sys.stdout.buffer.write(self._head)
        if data:
            sys.stdout.buffer.write(data)
        if kind == "T":
            return 0
        self._read(memoryview(self._answer))
        number, self._due = struct.unpack(">HI", self._answer)
        return number

    def _read(self, view):
        while view:
            view = view[sys.stdin.buffer.readinto(view) :]

    def say(self, *words):
        """A line of text to the host."""
        self.tell("T", " ".join(map(str, words)).encode())

    async def send(self, buf):
        """Of the contract of an endpoint."""
        self.tell("S", buf)
        self._clock.events += 1

    async def recv_into(self, buf, timeout_ms):
        """Of the contract of an endpoint."""
        clock = self._clock
        end = clock.ms + timeout_ms
        while self._due > clock.ms:
            if clock.ms >= end:
                clock.events += 1
                raise OSError(ETIMEDOUT)
            await clock.step(min(end, self._due))
        clock.events += 1
        self.fed += 1
        n = self.tell("R")
        self._read(memoryview(buf)[:n])
        return n

    async def close(self):
        """Of the contract of an endpoint."""
