"""Fuzzes a live coap.Client: whatever its peer answers, each call ends in a value or a CoapError, and the client goes on.

Runs under MicroPython, in virtual time (world.py), against a server that turns hostile (hostile.py). A batch is one
client with a tuning of its own, calls of every kind one after the other or two at a time, some cancelled in mid-air,
until it has taken so many datagrams; then the peer turns honest and everything has to work. The job: see rounds.py.
"""

import asyncio
import gc

from hostile import BODY, SMALL, Peer
from mutate import Corpus, Mutator
from rounds import Wrong, fail, read_job
from world import Wire, install

clock, chance = install()

import coap  # noqa: E402  in that world

FAVOURED = b"\x00\x44\x45\x5f\x60\x80\x81\x84\x88\x8d\x9d\xa3\x0d\x0e\xd0\xe0\xdd\xee\xff\x06\x16\x26\x61\x62\xb1\xc1\xd1\x0a"
CALL_LIMIT_MS = 8 * 3600 * 1000


def plausible(mutator, n):
    """Random bytes with the beginning of an answer."""
    if n > 1:
        mutator.buf[0] = 0x40 | mutator.rng.below(4) << 4 | mutator.rng.below(9)
        mutator.buf[1] = b"\x45\x44\x84\x5f\xa0\x00"[mutator.rng.below(6)]


def attack(mutator, n):
    """An option head with any delta and length."""
    rng = mutator.rng
    if n > 5:
        at = 4 + rng.below(n - 4)
        mutator.buf[at] = rng.below(16) << 4 | rng.below(16)
    return n


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


class Batch:
    """One client and its peer."""

    def __init__(self, mutator, seed, number):
        self.rng = mutator.rng
        self.rng.seed(seed, number)
        chance.rng.seed(seed, number)
        self.peer = Peer(mutator)
        self.wire = Wire(clock, self.peer)
        self.ended = 0  # calls that gave a value
        self.paired = False  # two calls at a time
        below = self.rng.below
        self.token_length = (0, 4, 4, 8)[below(4)]
        self.client = coap.Client(
            self.wire,
            nstart=1 + below(2) if self.token_length else 1,
            szx=2 + below(5),
            token_length=self.token_length,
            max_body=2048,
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
        self.read(await self.client.request(coap.PUT, "u", payload=BODY[: self.rng.below(1500)], content_format=42))

    async def stream_up(self):
        """put_blocks."""

        def source(offset, view):
            view[:] = BODY[offset : offset + len(view)]

        self.read(await self.client.put_blocks("u", source, self.rng.below(1500), szx=self.rng.below(7)))

    async def stream(self):
        """get_blocks, one or several in flight, by number or by offset."""
        below = self.rng.below
        start = below(1600) if below(2) else 0
        limit = None if below(3) else below(1500)
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
        """observe: some notifications, then the end of it, or a walk away."""
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
        calls = (self.small, self.large, self.upload, self.stream_up, self.stream, self.stream, self.listen, self.tell)
        keeper = asyncio.create_task(clock.keep())
        try:
            while self.wire.fed < size:
                tasks = [asyncio.create_task(self.call(calls[self.rng.below(len(calls))]))]
                self.paired = not self.rng.below(4)
                if self.paired:
                    tasks.append(asyncio.create_task(self.call(calls[self.rng.below(len(calls))])))
                if not self.rng.below(8):
                    await clock.sleep_ms(self.rng.below(8000))
                    tasks[0].cancel()
                    self.wire.push(bytes(self.peer.mutator.view[: self.peer.mutator.next()]))
                for task in tasks:
                    try:
                        await task
                    except asyncio.CancelledError:
                        pass
            await self.honest()
            await self.client.close()
        finally:
            keeper.cancel()

    async def call(self, function):
        """One call: a value or a CoapError, in bounded time."""
        started = clock.ms
        try:
            await function()
            self.ended += 1
        except coap.CoapError as error:
            str(error)
        if clock.ms - started > CALL_LIMIT_MS:
            raise Wrong("a call took %d ms" % (clock.ms - started))

    async def honest(self):
        """Everything works when the peer is honest again, and late mail has come and gone."""
        self.peer.clean = True
        await clock.sleep_ms(300000)
        client = self.client
        if bytes((await client.request(coap.GET, "s")).payload) != SMALL:
            raise Wrong("GET s")
        if bytes((await client.request(coap.GET, "b")).payload) != BODY:
            raise Wrong("GET b")
        await client.request(coap.PUT, "u", payload=BODY[:1200])
        if self.peer.given != BODY[:1200]:
            raise Wrong("PUT u")
        got = bytearray(len(BODY))

        def sink(offset, view):
            got[offset : offset + len(view)] = view

        result = await client.get_blocks("b", sink, window=4 if self.token_length else 1)
        if not result.end or result.bytes != len(BODY) or got != BODY:
            raise Wrong("get_blocks b: %d bytes" % result.bytes)
        observation = client.observe("o")
        notes = 0
        async for note in observation:
            notes += 1
            if bytes(note.payload) not in (SMALL, BODY):
                raise Wrong("observe o: %d bytes, code %d" % (len(note.payload), note.code))
            if notes == 2:
                break
        await observation.cancel()


def one(job, mutator, number):
    """Run a batch; (datagrams, calls that gave a value)."""
    batch = Batch(mutator, job["seed"], number)
    deaths = []
    loop = asyncio.get_event_loop()
    loop.set_exception_handler(lambda _, context: deaths.append(context["exception"]))
    try:
        asyncio.run(batch.run(job["size"]))
        if deaths:
            raise deaths[0]
    except Exception as error:  # whatever it is: that is what this looks for
        for data in batch.wire.last:
            print("took", data.hex())
        fail(number, batch.wire.fed, batch.wire.last[-1], len(batch.wire.last[-1]), error)
    finally:
        asyncio.new_event_loop()
        clock.ms = 0
    return batch.wire.fed, batch.ended


def main():
    job = read_job()
    mutator = Mutator(Corpus(job["corpus"]), job["longest"], FAVOURED, attack, plausible)
    for number in range(job["first"], job["batches"], job["step"]):
        fed, ended = one(job, mutator, number)
        gc.collect()
        print("batch", number, fed, ended, gc.mem_alloc())


main()
