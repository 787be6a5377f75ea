"""Peers and small drivers for the unit tests of coap: scripted servers, a resource in blocks, one-shot clients."""

import asyncio

import coap
from harness.aio import run
from harness.fakenet import CON, FakeEndpoint, block, opts, uint

FAST = {"ack_timeout_ms": 30, "separate_timeout_ms": 200, "non_timeout_ms": 60, "linger_ms": 40}


def echo(seen):
    """The simplest server: 2.05 with the request's own payload."""
    return [seen.ack(payload=seen.payload)] if seen.code else []


class Script:
    """Answers the nth request transmission with the nth entry: a function of Seen giving a list, or None."""

    def __init__(self, *steps):
        self.steps = list(steps)
        self.control = []  # empty messages that came from the client

    def __call__(self, seen):
        if seen.code == 0:
            self.control.append((seen.type, seen.mid))
            return []
        step = self.steps.pop(0) if self.steps else None
        return step(seen) if step else []


async def ask(endpoint, pause_ms=0, request=None, **tuning):
    """One GET through a new client; (client, Response or exception)."""
    options = dict(FAST)
    options.update(tuning)
    client = coap.Client(endpoint, **options)
    try:
        result = await client.request(*(request or (coap.GET, "a")))
    except (coap.CoapError, OSError) as exc:
        result = exc
    if pause_ms:
        await asyncio.sleep_ms(pause_ms)
    await client.close()
    return client, result


async def payloads(tasks):
    found = []
    for task in tasks:
        found.append(bytes((await task).payload))
    return found


QUICK = {"ack_timeout_ms": 20, "linger_ms": 0}
BODY = bytes([(i * 7 + (i >> 8)) & 255 for i in range(5000)])


OTHER = bytes([(i * 11) & 255 for i in range(3000)])


class Server:
    """A resource in blocks: Block2 for what it holds, Block1 for what it is given."""

    def __init__(self, body=BODY, szx=6, etag=b"v1", size2=True):
        self.body = body
        self.szx = szx
        self.etag = etag
        self.size2 = size2
        self.seen = []  # every request
        self.given = b""
        self.spoil = None  # function (Seen, number of the request) -> list of replies, or None to go on

    def __call__(self, s):
        if not s.code:
            return []
        self.seen.append(s)
        if self.spoil is not None:
            replies = self.spoil(s, len(self.seen) - 1)
            if replies is not None:
                return replies
        if s.block(27) is not None:
            return [self.take(s)]
        if s.code == 3:
            self.given = s.payload
            return [s.ack(0x44)]
        return [self.give(s)]

    def give(self, s, num=None, szx=None, more=None, etag=None, payload=None):
        asked = s.block(23) or (0, False, 6)
        offset = asked[0] << (asked[2] + 4)
        szx = min(asked[2], self.szx) if szx is None else szx
        size = 16 << szx
        num = offset // size if num is None else num
        part = self.body[num * size : num * size + size] if payload is None else payload
        more = (num + 1) * size < len(self.body) if more is None else more
        pairs = []
        if self.etag:
            pairs.append((4, etag or self.etag))
        if s.block(23) is not None or len(self.body) > size:
            pairs.append((23, block(num, more, szx)))
        if self.size2 and num == 0:
            pairs.append((28, uint(len(self.body))))
        return s.ack(0x45, opts(*pairs), part)

    def take(self, s):
        num, more, szx = s.block(27)
        offset = num << (szx + 4)
        if num == 0:
            self.given = b""
        if offset != len(self.given):
            return s.ack(0x88)
        self.given += s.payload
        if more and len(s.payload) != 16 << szx:
            return s.ack(0x80)
        return s.ack(0x5F if more else 0x44, opts((27, block(num, more, min(szx, self.szx)))))


def get(server, **how):
    """(Result or exception, bytes written, pieces) of one get_blocks."""

    async def go():
        client = coap.Client(FakeEndpoint(server), **QUICK)
        try:
            return await client.get_blocks("fw", sink, **how)
        except (coap.CoapError, ValueError) as exc:
            return exc
        finally:
            await client.close()

    pieces = []

    def sink(offset, view):
        pieces.append((offset, bytes(view)))

    result = run(go(), timeout_s=20)
    return result, b"".join([data for _, data in pieces]), pieces


def transfer(server, method=coap.GET, tuning=None, endpoint=None, **how):
    """Response or exception of one request."""

    async def go():
        client = coap.Client(endpoint or FakeEndpoint(server), **(tuning or QUICK))
        try:
            return await client.request(method, "r", **how)
        except (coap.CoapError, ValueError) as exc:
            return exc
        finally:
            await client.close()

    return run(go(), timeout_s=20)


class Dedup:
    """What RFC 7252 4.2 asks of a server: the answer to a repeated message id is repeated."""

    def __init__(self, peer):
        self.peer = peer
        self.known = {}

    def __call__(self, s):
        if s.code and s.type == CON:
            if s.mid not in self.known:
                self.known[s.mid] = self.peer(s)
            return self.known[s.mid]
        return []


class ByOffset(Server):
    """/proxy of nRF Cloud: skips `offset` bytes and numbers what is left from 0; Size2 is what is left."""

    def give(self, s, num=None, szx=None, more=None, etag=None, payload=None):
        at = 0
        for value in s.values(15):
            at = int(value[7:])
        asked = s.block(23)
        size = 16 << asked[2]
        start = at + asked[0] * size
        part = self.body[start : start + size]
        pairs = [(4, self.etag)] if self.etag else []
        pairs.append((23, block(asked[0], start + size < len(self.body), asked[2])))
        if self.size2:
            pairs.append((28, uint(max(len(self.body) - at, 0))))
        return s.ack(0x45, opts(*pairs), part)


class Late:
    """Keeps answers back by a delay that differs from block to block: they arrive in another order."""

    def __init__(self, server, delays):
        self.server = server
        self.delays = delays
        self.count = 0

    def __call__(self, s):
        out = []
        for answer in self.server(s):
            out.append((self.delays[self.count % len(self.delays)], answer))
            self.count += 1
        return out


def fetch(peer, tuning=None, **how):
    """(Result or exception, the bytes where they were put, count of bytes put, client) of one get_blocks."""
    place = bytearray(len(BODY))
    put = [0]

    def sink(offset, view):
        place[offset : offset + len(view)] = view
        put[0] += len(view)

    async def go():
        client = coap.Client(FakeEndpoint(peer), **(tuning or QUICK))
        try:
            result = await client.get_blocks("fw", sink, **how)
        except (coap.CoapError, ValueError) as exc:
            result = exc
        await client.close()
        return result, client

    result, client = run(go(), timeout_s=20)
    return result, bytes(place), put[0], client


def parts(answer):
    """(options, payload) of an encoded message with a token of 4 bytes."""
    options = answer[8:]
    at = options.find(b"\xff")
    return options[:at], options[at + 1 :]
