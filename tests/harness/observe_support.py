"""A scripted server of observable resources (RFC 7641), for the unit tests of coap.observe."""

import asyncio
import time

import coap
from harness.aio import run
from harness.coap_support import FAST
from harness.fakenet import ACK, CON, FakeEndpoint, message, opts, uint


class Source:
    """A server of observable resources: registers, and sends what the test gives it."""

    def __init__(self, first=b"0", max_age=None, observable=True):
        self.first = first
        self.max_age = max_age
        self.observable = observable
        self.tokens = []  # of registrations, in order
        self.asked = []  # Observe values of requests
        self.control = []  # (type, mid) of empty messages from the client
        self.others = []
        self.count = 0
        self.mid = 0x5000
        self.endpoint = None
        self.muted = False

    def __call__(self, s):
        if not s.code:
            self.control.append((s.type, s.mid))
            return []
        observe = s.values(6)
        if not observe:
            self.others.append(s)
            return [s.ack(payload=b"other")]
        value = int.from_bytes(observe[0], "big")
        self.asked.append(value)
        if self.muted:
            return []
        if value:
            return [s.empty(ACK)]  # some servers send no more
        self.tokens.append(s.token)
        return [s.ack(0x45, self.options(0), self.first)]

    def options(self, number, *more):
        pairs = [(6, uint(number))] if self.observable and number is not None else []
        if self.max_age is not None:
            pairs.append((14, uint(self.max_age)))
        return opts(*(pairs + list(more)))

    def notify(self, number, payload=b"", mtype=CON, code=0x45, token=None, mid=None, more=()):
        self.mid += 1
        options = self.options(number, *more)
        data = message(mtype, code, self.mid if mid is None else mid, token or self.tokens[-1], options, payload)
        self.endpoint.push(data)


def observing(source, job, **how):
    """Run job(client, observation); its result."""

    async def go():
        source.endpoint = FakeEndpoint(source)
        client = coap.Client(source.endpoint, **FAST)
        try:
            return await job(client, client.observe("r", **how))
        finally:
            await client.close()

    return run(go(), timeout_s=10)


async def take(observation, count):
    """Payloads of the next `count` notifications."""
    found = []
    while len(found) < count:
        found.append(bytes((await observation.__anext__()).payload))
    return found


async def settle(done, ms=2000):
    """Wait until done() holds."""
    end = time.ticks_add(time.ticks_ms(), ms)
    while not done() and time.ticks_diff(end, time.ticks_ms()) > 0:
        await asyncio.sleep_ms(2)
