"""Fuzzes a live coap.Client: whatever its peer answers, each call ends in a value or a CoapError, and the client lives.

Runs under MicroPython, in virtual time (world.py), against a server that turns hostile (hostile.py, on the host). A
batch is one client with a tuning of its own and calls of every kind, one after the other or two at a time, some of them
cancelled in mid-air, until it has taken so many datagrams; then the peer turns honest and everything has to work. The
job is that of rounds.py; with "tight" a call may also end in MemoryError, after which a small request has to work.
"""

import asyncio
import gc
import json
import sys

from world import Wire, install
from xorshift import Xorshift

clock, chance = install()

import coap  # noqa: E402  in that world

CALL_LIMIT_MS = 8 * 3600 * 1000
LISTEN_MS = 600000
LATE_MS = 300000  # longer than an exchange may last
SMALL = b"\xa1\x01\x18\x2a"
BODY = bytes([(i * 7 + (i >> 8)) & 255 for i in range(600)])
CALLS = ("small", "large", "upload", "stream_up", "stream", "stream", "listen", "tell")


class Wrong(Exception):
    """The client broke a promise."""


class Sink:
    """Takes a download and its promises at their word: each byte once, in its place, and what may be resumed."""

    def __init__(self, start, limit, ordered):
        self.start = self.next = start
        self.stop = None if limit is None else start + limit
        self.ordered = ordered
        self.pieces = []
        self.count = 0

    def __call__(self, offset, view):
        end = offset + len(view)
        if offset < self.start or self.stop is not None and end > self.stop or not len(view):
            raise Wrong("sink: bytes %d to %d" % (offset, end))
        if self.ordered and offset != self.next:
            raise Wrong("sink: byte %d instead of %d" % (offset, self.next))
        for low, high in self.pieces:
            if offset < high and low < end:
                raise Wrong("sink: bytes %d to %d once more" % (offset, end))
        if self.pieces and self.pieces[-1][1] == offset:
            offset = self.pieces.pop()[0]
        self.next = end
        self.count += len(view)
        self.pieces.append((offset, end))

    def check(self, result):
        """The Result, or what stands in client.transfer after an error."""
        if result.bytes != self.count:
            raise Wrong("%d bytes said, %d given" % (result.bytes, self.count))
        covered = 0
        for low, high in self.pieces:
            covered += max(0, min(high, result.offset) - low)
        if result.offset > self.start and covered != result.offset - self.start:
            raise Wrong("to be resumed at %d, but %d bytes are there" % (result.offset, covered))


async def over(task):
    """Wait for the end of a task that may have been cancelled."""
    try:
        await task
    except asyncio.CancelledError:
        pass


def source(offset, view):
    """BODY, for put_blocks."""
    view[:] = BODY[offset : offset + len(view)]


class Batch:
    """One client and its wire."""

    def __init__(self, job, number):
        self.rng = Xorshift()
        self.rng.seed(job["seed"] + 1, number)
        chance.rng.seed(job["seed"] + 2, number)
        self.verbose = job.get("verbose")
        self.tight = job.get("tight")  # a heap in which memory may run out
        self.ended = 0  # calls that gave a value
        self.short = 0  # calls that ended in MemoryError
        self.paired = False  # two calls at a time
        self.wire = Wire(clock)
        self.wire.tell("N", str(number).encode())
        below = self.rng.below
        self.token_length = (0, 4, 4, 8)[below(4)]
        self.client = coap.Client(
            self.wire,
            nstart=1 + below(2) if self.token_length else 1,
            szx=2 + below(5),
            token_length=self.token_length,
            max_body=1200,
            max_retransmit=below(4),
            linger_ms=below(3) * 3000,
        )

    # Calls, each with parameters of chance

    def method(self):
        """GET or FETCH."""
        return {"method": coap.FETCH, "payload": SMALL} if not self.rng.below(3) else {}

    def patience(self):
        """timeout_ms."""
        return None if self.rng.below(4) else self.rng.below(20000)

    async def small(self):
        """request, small both ways."""
        answer = await self.client.request(
            coap.GET, "s", query=("a=1",), confirmable=self.rng.below(3) > 0, timeout_ms=self.patience()
        )
        self.read(answer)

    async def large(self):
        """request, with a body in blocks."""
        how = self.method()
        answer = await self.client.request(how.pop("method", coap.GET), "b", timeout_ms=self.patience(), **how)
        self.read(answer)

    async def upload(self):
        """request, with a payload in blocks."""
        self.read(await self.client.request(coap.PUT, "u", payload=BODY[: self.rng.below(600)], content_format=42))

    async def stream_up(self):
        """put_blocks."""
        self.read(await self.client.put_blocks("u", source, self.rng.below(600), szx=self.rng.below(7)))

    async def stream(self):
        """get_blocks, one or several in flight, by number or by offset."""
        below = self.rng.below
        start = below(700) if below(2) else 0
        limit = None if below(3) else below(600)
        window = (1, 1, 2, 4)[below(4)]
        sink = Sink(start, limit, window == 1)
        self.client.transfer = None
        try:
            result = await self.client.get_blocks(
                "b", sink, offset=start, limit=limit, window=window, by_offset=below(3) == 0, szx=2 + below(5),
                etag=None if below(3) else b"v1", timeout_ms=self.patience(), **self.method()
            )  # fmt: skip
            sink.check(result)
        except coap.CoapError:
            if self.client.transfer is not None and not self.paired:  # else it may be the other call's
                sink.check(self.client.transfer)
            raise

    async def listen(self):
        """observe: some notifications, then the end of it; or a walk away, because a Max-Age may be days."""
        task = asyncio.create_task(self.notes())
        end = clock.ms + LISTEN_MS
        try:
            while not task.done() and clock.ms < end:
                await clock.step(end)
        finally:
            task.cancel()
            await over(task)

    async def notes(self):
        """The first few notifications."""
        observation = self.client.observe("o", renew_s=None if self.rng.below(2) else self.rng.below(30))
        left = 1 + self.rng.below(6)
        try:
            async for note in observation:
                self.read(note)
                left -= 1
                if not left:
                    break
        finally:
            await observation.cancel()

    async def tell(self):
        """A request without an answer, or a ping."""
        if self.rng.below(2):
            await self.client.tell(coap.POST, "u", payload=SMALL, confirmable=self.rng.below(2) > 0)
        else:
            await self.client.ping(1 + self.rng.below(5000))

    def read(self, answer):
        """Whatever an application may do with an answer."""
        len(answer.payload)
        for number in (4, 6, 12, 14, 23, 28):
            answer.option(number)
        answer.options(8), answer.max_age

    # The batch

    async def run(self, size):
        """Calls until `size` datagrams are fed."""
        keeper = asyncio.create_task(clock.keep())
        try:
            while self.wire.fed < size:
                tasks = [asyncio.create_task(self.call(CALLS[self.rng.below(len(CALLS))]))]
                self.paired = not self.rng.below(4)
                if self.paired:
                    tasks.append(asyncio.create_task(self.call(CALLS[self.rng.below(len(CALLS))])))
                if not self.rng.below(8):
                    await clock.sleep_ms(self.rng.below(8000))
                    tasks[0].cancel()
                for task in tasks:
                    await over(task)
            await self.honest()
            await self.client.close()
        finally:
            keeper.cancel()

    async def call(self, name):
        """One call: a value or a CoapError, in bounded time."""
        started = clock.ms
        try:
            await self.guarded(name)
        except MemoryError:
            if not self.tight:
                raise
            self.short += 1  # its caller's problem; but the client has to go on
        if clock.ms - started > CALL_LIMIT_MS:
            raise Wrong("%s took %d ms" % (name, clock.ms - started))

    async def guarded(self, name):
        """One call, and what may come of it."""
        if self.verbose:
            self.wire.say(clock.ms, name)
        try:
            await getattr(self, name)()
            self.ended += 1
        except coap.CoapError as error:
            text = str(error)
            if self.verbose:
                self.wire.say(clock.ms, name, type(error).__name__, text)

    async def honest(self):
        """Everything works when the peer is honest again, and late mail has come and gone."""
        await clock.sleep_ms(LATE_MS)
        # What lay there while the client slept is lost: without a token it would fit the next request.
        self.wire.tell("H")
        gc.collect()
        if bytes((await self.client.request(coap.GET, "s")).payload) != SMALL:
            raise Wrong("GET s")
        for step in (self.honest_bodies, self.honest_download, self.honest_notes):
            gc.collect()
            try:
                await step()
            except MemoryError:
                if not self.tight:
                    raise
                self.short += 1

    async def honest_bodies(self):
        """A body in blocks each way."""
        if (await self.client.request(coap.GET, "b")).payload != BODY:
            raise Wrong("GET b")
        await self.client.request(coap.PUT, "u", payload=BODY[:500])
        if self.wire.tell("G") != 500:
            raise Wrong("PUT u")

    async def honest_download(self):
        """Several blocks in flight, each byte once."""
        sink = Sink(0, None, False)

        def checked(offset, view):
            sink(offset, view)
            if view != BODY[offset : offset + len(view)]:
                raise Wrong("another body")

        result = await self.client.get_blocks("b", checked, window=4 if self.token_length else 1)
        if not result.end or result.bytes != len(BODY):
            raise Wrong("get_blocks b: %d bytes" % result.bytes)

    async def honest_notes(self):
        """Two notifications, whole."""
        observation = self.client.observe("o")
        left = 2
        async for note in observation:
            left -= 1
            if note.payload != SMALL and note.payload != BODY:
                raise Wrong("observe o: %d bytes, code %d" % (len(note.payload), note.code))
            if not left:
                break
        await observation.cancel()  # not so after an exception: the next notification is rejected then


def one(job, number):
    """Run a batch, and report it."""
    clock.ms = 0
    batch = Batch(job, number)
    deaths = []
    asyncio.get_event_loop().set_exception_handler(lambda _, context: deaths.append(context["exception"]))
    try:
        asyncio.run(batch.run(job["size"]))
        if deaths:
            raise deaths[0]
    except Exception as error:  # whatever it is: that is what this looks for
        gc.collect()
        error = deaths[0] if deaths else error  # what the reader died of says more than what became of that
        batch.wire.say("FAIL", number, batch.wire.fed, "-", type(error).__name__, error)
        sys.print_exception(error, sys.stderr)
        sys.exit(1)
    asyncio.new_event_loop()
    asyncio.core.cur_task = None  # it would hold this batch while the next one runs
    fed, ended, wire, short = batch.wire.fed, batch.ended, batch.wire, batch.short
    batch = None
    gc.collect()
    if short:
        wire.say("short", short)
    wire.say("batch", number, fed, ended, gc.mem_alloc())


def main():
    job = json.loads(sys.stdin.readline())
    gc.threshold(2048 + gc.mem_free() // 4)  # as firmware/app.py: a small heap is cleaned before it lies in pieces
    for number in range(job["first"], job["batches"], job["step"]):
        one(job, number)


main()
