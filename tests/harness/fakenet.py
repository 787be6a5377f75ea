"""An in-memory datagram endpoint for unit tests of coap and net, with a peer scripted datagram by datagram.

Its message builder and reader are written apart from lib/coap, so that both cannot share a mistake. Runs
under MicroPython and CPython.
"""

import asyncio
import time
from errno import ETIMEDOUT

CON, NON, ACK, RST = 0, 1, 2, 3


def opt(number, value=b"", before=0):
    """One encoded option whose predecessor has the number `before`."""
    out = bytearray(1)
    delta = number - before
    for shift, n in ((4, delta), (0, len(value))):
        if n < 13:
            out[0] |= n << shift
        elif n < 269:
            out[0] |= 13 << shift
            out.append(n - 13)
        else:
            out[0] |= 14 << shift
            out.extend(bytes([(n - 269) >> 8, (n - 269) & 255]))
    return bytes(out) + value


def opts(*pairs):
    """Encoded options from (number, bytes) pairs in ascending order."""
    out = b""
    before = 0
    for number, value in pairs:
        out += opt(number, value, before)
        before = number
    return out


def uint(n):
    """An option value: as few bytes as the number needs."""
    return n.to_bytes(4, "big").lstrip(b"\0") if n else b""


def block(num, more, szx):
    """A Block1 or Block2 value."""
    return uint(num << 4 | (8 if more else 0) | szx)


def message(mtype, code, mid, token=b"", options=b"", payload=b""):
    """A CoAP message."""
    head = bytes([0x40 | mtype << 4 | len(token), code, mid >> 8, mid & 255])
    return head + token + options + (b"\xff" + payload if payload else b"")


class Seen:
    """A message that the client sent, read for a test."""

    def __init__(self, data):
        self.data = data
        self.type = data[0] >> 4 & 3
        self.code = data[1]
        self.mid = data[2] << 8 | data[3]
        at = 4 + (data[0] & 15)
        self.token = data[4:at]
        self.options = []
        self.payload = b""
        number = 0
        while at < len(data):
            if data[at] == 255:
                self.payload = data[at + 1 :]
                break
            head = data[at]
            at += 1
            sizes = []
            for n in (head >> 4, head & 15):
                if n == 13:
                    n = data[at] + 13
                    at += 1
                elif n == 14:
                    n = (data[at] << 8 | data[at + 1]) + 269
                    at += 2
                sizes.append(n)
            number += sizes[0]
            self.options.append((number, data[at : at + sizes[1]]))
            at += sizes[1]

    def values(self, number):
        return [value for n, value in self.options if n == number]

    def block(self, number):
        """(num, more, szx) of a block option, or None."""
        for value in self.values(number):
            n = int.from_bytes(value, "big")
            return n >> 4, bool(n & 8), n & 7
        return None

    def path(self):
        return b"/".join(self.values(11)).decode()

    def ack(self, code=0x45, options=b"", payload=b"", token=None, mid=None):
        """A piggybacked answer to this message."""
        token = self.token if token is None else token
        return message(ACK, code, self.mid if mid is None else mid, token, options, payload)

    def empty(self, mtype):
        """An empty ACK or RST for it."""
        return message(mtype, 0, self.mid)

    def separate(self, mtype, mid, code=0x45, options=b"", payload=b""):
        """A separate answer to it."""
        return message(mtype, code, mid, self.token, options, payload)


class FakeEndpoint:
    """Gives every datagram that is sent to peer(Seen), which returns the answers: bytes, or (delay_ms, bytes)."""

    mtu = 1152

    def __init__(self, peer=None):
        self.peer = peer
        self.sent = []  # bytes
        self.at = []  # ticks when sent
        self.error = None  # raised by both directions when set
        self.closed = 0
        self.readers = self.writers = 0
        self.overlaps = 0  # contract broken: two readers, or two writers, at a time
        self.send_ms = 0
        self._inbox = []  # (due ticks, datagram)

    def push(self, data, delay_ms=0):
        """Let a datagram arrive."""
        self._inbox.append((time.ticks_add(time.ticks_ms(), delay_ms), data))

    async def send(self, buf):
        if self.error is not None:
            raise self.error
        self.overlaps += self.writers
        self.writers += 1
        try:
            if self.send_ms:
                await asyncio.sleep_ms(self.send_ms)
            data = bytes(buf)  # read at the end: whoever changes it meanwhile is found out
        finally:
            self.writers -= 1
        self.sent.append(data)
        self.at.append(time.ticks_ms())
        if self.peer is not None:
            for reply in self.peer(Seen(data)) or ():
                if isinstance(reply, tuple):
                    self.push(reply[1], reply[0])
                else:
                    self.push(reply)

    async def recv_into(self, buf, timeout_ms):
        self.overlaps += self.readers
        self.readers += 1
        deadline = time.ticks_add(time.ticks_ms(), timeout_ms)
        try:
            while True:
                if self.error is not None:
                    raise self.error
                data = self._due()
                if data is not None and len(data) <= len(buf):
                    buf[: len(data)] = data
                    return len(data)
                if time.ticks_diff(deadline, time.ticks_ms()) <= 0:
                    raise OSError(ETIMEDOUT)
                await asyncio.sleep_ms(1)
        finally:
            self.readers -= 1

    def _due(self):
        now = time.ticks_ms()
        best = -1
        for i, (due, _) in enumerate(self._inbox):
            if time.ticks_diff(due, now) <= 0:
                if best < 0 or time.ticks_diff(due, self._inbox[best][0]) < 0:
                    best = i
        return None if best < 0 else self._inbox.pop(best)[1]

    async def close(self):
        self.closed += 1
        self.error = OSError(9)


class Impaired:
    """A peer behind a bad link: loses, doubles and delays datagrams of both directions, seeded."""

    def __init__(self, peer, rng, loss=0, double=0, late=0, late_ms=60):
        self._peer = peer
        self._rng = rng
        self._loss = loss
        self._double = double
        self._late = late
        self._late_ms = late_ms
        self.lost = 0

    def __call__(self, seen):
        copies = self._copies()
        out = []
        for _ in range(copies):
            for reply in self._peer(seen) or ():
                due, data = reply if isinstance(reply, tuple) else (0, reply)
                for _ in range(self._copies()):
                    out.append((due + (self._late_ms if self._rng.chance(self._late) else 0), data))
        return out

    def _copies(self):
        if self._rng.chance(self._loss):
            self.lost += 1
            return 0
        return 2 if self._rng.chance(self._double) else 1
