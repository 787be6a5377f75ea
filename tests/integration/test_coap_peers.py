"""lib/coap under MicroPython against servers that others wrote: libcoap's coap-server and aiocoap."""

import threading

import aiocoap
import pytest
from aiocoap import resource
from net_support import LoopThread, coap_server, device, fill, free_port, sha

from harness.impair import Impairment

BITS = pytest.mark.parametrize("bits", [64, 32])
BIG = fill(10000)


@BITS
def test_libcoap(bits):
    """Small and large bodies both ways, separate answers, NON, errors, and one body from any offset."""
    get = {"do": "request", "path": "a/b"}
    put = {"do": "request", "method": "PUT", "path": "a/b"}  # the first PUT decides on the resource's format
    steps = [
        {"do": "request", "path": "time"},
        {**put, "text": "23.5", "content_format": 0},
        get,
        {**put, "path": "c", "fill": 5000, "content_format": 42},
        {**put, "path": "c", "fill": 5000, "content_format": 42},
        {**get, "path": "c"},
        {**get, "path": "c", "confirmable": False},
        {"do": "request", "path": "async", "query": ["1"]},
        {"do": "request", "path": "nowhere"},
        {"do": "request", "method": "DELETE", "path": "a/b"},
        {"do": "request", "method": "POST", "path": "time", "text": "x"},
    ]
    with coap_server() as port:
        results = device(bits, port, steps)
    time, made, small, _, changed, large, non, late, nowhere, deleted, post, end = results
    assert (time["code"], made["code"], changed["code"], deleted["code"]) == (0x45, 0x41, 0x44, 0x42)
    assert (small["text"], small["format"]) == ("23.5", 0)
    for answer in (large, non):
        assert (answer["code"], answer["sha256"], answer["format"]) == (0x45, sha(fill(5000)), 42)
    assert late["text"] == "done" and late["ms"] >= 900
    assert (nowhere["error"], nowhere["code"], nowhere["text"]) == ("Refused", 0x84, "4.04 Not Found")
    assert post["error"] == "Refused" and post["code"] == 0x85
    assert end["counters"][2:] == [0, 0], "nothing was retransmitted or dropped"


@BITS
def test_libcoap_blocks_from_any_offset(bits):
    # The small blocks come last: after a transfer that was left in its middle, coap-server 4.3.4 marks a short
    # last block of another size with M=1, which we refuse.
    cases = [(0, None, 6), (0, None, 2), (1, None, 6), (1023, 2, 6), (1024, 1024, 6), (4999, None, 6), (3333, 1000, 4)]
    steps = [{"do": "request", "method": "PUT", "path": "fw", "fill": 5000}]
    for offset, limit, szx in cases:
        steps.append({"do": "blocks", "path": "fw", "offset": offset, "limit": limit, "szx": szx})
    with coap_server() as port:
        _, *results, _ = device(bits, port, steps)
    for (offset, limit, _), result in zip(cases, results, strict=True):
        expected = fill(5000)[offset : None if limit is None else offset + limit]
        assert (result["size"], result["sha256"]) == (len(expected), sha(expected))
        assert result["end"] is (offset + len(expected) == 5000)


@BITS
def test_libcoap_loses_its_first_answers(bits):
    """coap-server -l 1,2 drops its first two datagrams: two retransmissions, then the answer."""
    with coap_server("-l", "1,2", ping=False) as port:
        answer, end = device(bits, port, [{"do": "request", "path": "time"}], tuning={"ack_timeout_ms": 200})
    assert answer["code"] == 0x45
    assert end["counters"][2] == 2


PUT_IMAGE = {"do": "request", "method": "PUT", "path": "fw", "fill": 7000}
BAD_LINK = {"loss": 0.1, "double": 0.1, "late": 0.1, "late_s": 0.15}
ON_A_BAD_LINK = {"ack_timeout_ms": 100, "max_retransmit": 5}


@BITS
def test_blackout_and_new_address_in_mid_download(bits):
    """The link is away for longer than a block's retransmissions last, and comes back with another NAT port."""
    steps = [{"do": "request", "method": "PUT", "path": "fw", "fill": 5000}, {"do": "blocks", "path": "fw", "szx": 2}]
    with coap_server() as port, Impairment(("127.0.0.1", port), delay_s=0.005) as link:

        def away():
            link.blackout = True
            link.rebind()

        def back():
            link.blackout = False

        timers = [threading.Timer(0.4, away), threading.Timer(1.6, back)]
        for timer in timers:
            timer.start()
        _, got, end = device(bits, link.port, steps, tuning={"ack_timeout_ms": 100, "max_retransmit": 2})
    assert (got["size"], got["sha256"]) == (5000, sha(fill(5000)))
    assert got["timeouts"] >= 1 and end["counters"][2] >= 2


class Site(resource.Site):
    """aiocoap resources that record what they were given."""

    def __init__(self):
        super().__init__()
        self.seen = []
        for path, code in (("big", Big), ("slow", Slow), ("store", Store), ("strict", Strict)):
            self.add_resource([path], code(self.seen))


class _Recording(resource.Resource):
    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def record(self, request):
        self.seen.append((str(request.code), request.payload, request.opt.content_format, request.opt.uri_query))


class Big(_Recording):
    async def render_get(self, request):
        return aiocoap.Message(payload=BIG, content_format=42)

    async def render_fetch(self, request):
        self.record(request)
        return aiocoap.Message(code=aiocoap.CONTENT, payload=request.payload * 1500)


class Slow(_Recording):
    async def render_get(self, request):
        import asyncio

        await asyncio.sleep(0.5)  # aiocoap then sends an empty ACK first
        return aiocoap.Message(payload=b"slow" * 1000)


class Store(_Recording):
    async def render_put(self, request):
        self.record(request)
        return aiocoap.Message(code=aiocoap.CHANGED)

    async def render_patch(self, request):
        self.record(request)
        return aiocoap.Message(code=aiocoap.CHANGED)

    async def render_post(self, request):
        self.record(request)
        return aiocoap.Message(code=aiocoap.CREATED, payload=request.payload, max_age=2592000)


class Strict(_Recording):
    async def render_get(self, request):
        if request.opt.accept != 60:
            raise aiocoap.error.UnsupportedContentFormat("want 60")
        return aiocoap.Message(payload=b"`", content_format=60)


@pytest.fixture
def aiocoap_server():
    """(port, site) of an aiocoap server in a thread of ours."""
    port = free_port()
    site = Site()

    async def make():
        return await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port), transports=["udp6"])

    thread = LoopThread(make)
    yield port, site
    thread.close()


@BITS
def test_aiocoap(bits, aiocoap_server):
    port, site = aiocoap_server
    ask = {"do": "request"}
    steps = [
        {**ask, "path": "big"},
        {**ask, "path": "big", "method": "FETCH", "text": "abc", "content_format": 60, "accept": 60},
        {**ask, "path": "slow"},
        {**ask, "path": "store", "method": "PUT", "fill": 6000, "content_format": 42},
        {**ask, "path": "store", "method": "PATCH", "text": "{}", "content_format": 50, "query": ["a=b", "c"]},
        {**ask, "path": "store", "method": "POST", "fill": 3000},
        {**ask, "path": "strict", "accept": 60},
        {**ask, "path": "strict", "accept": 50},
        {**ask, "path": "store"},
        {"do": "blocks", "path": "big", "offset": 4321, "szx": 5},
    ]
    tuning = {"max_body": 12000}
    results = device(bits, port, steps, tuning=tuning)
    big, fetched, slow, put, patched, posted, good, bad, forbidden, streamed, _ = results
    assert (big["sha256"], big["format"]) == (sha(BIG), 42)
    assert fetched["sha256"] == sha(b"abc" * 1500)
    assert slow["sha256"] == sha(b"slow" * 1000) and slow["ms"] >= 450
    assert (put["code"], patched["code"], posted["code"]) == (0x44, 0x44, 0x41)
    assert posted["sha256"] == sha(fill(3000)), "Block1 up and Block2 down in one exchange"
    assert (good["code"], good["format"]) == (0x45, 60)
    assert (bad["error"], bad["code"], bad["text"]) == ("Refused", 0x8F, "4.15 want 60")
    assert (forbidden["error"], forbidden["code"]) == ("Refused", 0x85)
    assert streamed["sha256"] == sha(BIG[4321:])
    recorded = [(code, payload, query) for code, payload, _, query in site.seen]
    assert recorded[-3:] == [
        ("PUT", fill(6000), ()),
        ("PATCH", b"{}", ("a=b", "c")),
        ("POST", fill(3000), ()),
    ]


@pytest.mark.parametrize(("bits", "seed"), [(64, 3), (32, 4)])
def test_aiocoap_on_a_bad_link(bits, seed, aiocoap_server):
    """aiocoap answers a repeated message id from its memory: each request is carried out once."""
    port, site = aiocoap_server
    upload = {**PUT_IMAGE, "path": "store"}
    small = [{"do": "request", "method": "POST", "path": "store", "text": f"{i}"} for i in range(12)]
    with Impairment(("127.0.0.1", port), seed=seed, **BAD_LINK) as link:
        put, *posted, end = device(bits, link.port, [upload, *small], tuning=ON_A_BAD_LINK)
    assert put["code"] == 0x44
    assert [answer["text"] for answer in posted] == [step["text"] for step in small]
    assert [payload for _, payload, _, _ in site.seen] == [fill(7000), *(step["text"].encode() for step in small)]
    assert end["counters"][2] > 0


@BITS
def test_in_a_small_heap(bits):
    """Client, test and their compiler in a heap that is small for its word size (boards load .mpy files)."""
    steps = [{"do": "request", "method": "PUT", "path": "fw", "fill": 2000}, {"do": "blocks", "path": "fw"}]
    with coap_server() as port:
        put, got, _ = device(bits, port, steps, heap="272k" if bits == 64 else "136k")
    assert put["code"] == 0x41
    assert got["sha256"] == sha(fill(2000))


@pytest.mark.parametrize("bits", [64, 32])
def test_nobody_there(bits):
    tuning = {"ack_timeout_ms": 40, "max_retransmit": 2}
    answer, end = device(bits, free_port(), [{"do": "request", "path": "time"}], tuning=tuning)
    assert answer["error"] == "Timeout"
    assert end["counters"][0] == 3
