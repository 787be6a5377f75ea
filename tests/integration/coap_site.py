"""An aiocoap server with one resource for each thing a CoAP client has to get right; node/server.js has the same ones.

    with aiocoap_peer() as peer:
        ... talk to peer.port; peer.journal() is what the server was asked to do since the last call ...

The names follow the resources of the ETSI plugtests where those have one (facts/coap.md 5).
"""

import asyncio
import contextlib
import hashlib
from unittest import mock

import aiocoap
from aiocoap import resource
from aiocoap.numbers.constants import TransportTuning
from net_support import LoopThread, fill, free_port

LARGE = fill(5000)
_SLOW_S = 0.3  # longer than EMPTY_ACK_DELAY: the answer is a separate one
_FORMATS = {None: (0, b"text"), 0: (0, b"text"), 50: (50, b'{"a":1}'), 60: (60, b"\xa1aa\x01")}


def large_note(value):
    """The body of /obs-large while its value is `value` (bytes)."""
    return (value + b" ") * (3000 // (len(value) + 1))


class Spot(resource.Resource):
    """A resource made of functions: answer = get(request), put(request) ..; None among them: not allowed."""

    def __init__(self, journal, path, stateless=False, **functions):
        super().__init__()
        self._stateless = stateless
        for method, function in functions.items():
            setattr(self, "render_" + method, self._recorded(journal, path, function))

    @staticmethod
    def _recorded(journal, path, function):
        async def render(request):
            body = request.payload
            journal.append([str(request.code), path, len(body), hashlib.sha256(body).hexdigest()])
            answer = function(request)
            return await answer if asyncio.iscoroutine(answer) else answer

        return render

    async def needs_blockwise_assembly(self, request):
        return not self._stateless


class Watched(Spot, resource.ObservableResource):
    """An observable value. PUT changes it, DELETE takes it away, another Content-Format ends the observations."""

    def __init__(self, journal, path, *, render=None, tuning=None, max_age=None, stateless=False):
        super().__init__(journal, path, stateless, get=self._get, put=self._put, delete=self._delete)
        self.value = b"0"
        self._format = 0
        self._render = render
        self._tuning = tuning
        self._max_age = max_age
        self.watchers = 0

    def update_observation_count(self, count):
        self.watchers = count

    def _get(self, request):
        if self.value is None:
            raise aiocoap.error.NotFound
        answer = self._render(self.value, request) if self._render else aiocoap.Message(payload=self.value)
        answer.opt.content_format = self._format
        answer.opt.max_age = self._max_age
        answer.transport_tuning = self._tuning or answer.transport_tuning
        return answer

    def _put(self, request):
        self.value = request.payload
        if request.opt.content_format not in (None, self._format):
            self._format = request.opt.content_format
            self.updated_state(aiocoap.Message(code=aiocoap.NOT_ACCEPTABLE))
        else:
            self.updated_state()
        return aiocoap.Message(code=aiocoap.CHANGED)

    def _delete(self, request):
        self.value = None
        self.updated_state(aiocoap.Message(code=aiocoap.NOT_FOUND))
        return aiocoap.Message(code=aiocoap.DELETED)


def block_of(body, request, etag):
    """The block of a body that a request asks for, without any memory of it."""
    number, _, szx = request.opt.block2 or (0, False, 6)
    start = number << (szx + 4)
    end = start + (16 << szx)
    if start >= len(body) and number:
        raise aiocoap.error.BadRequest("past the end")
    answer = aiocoap.Message(payload=body[start:end], etag=etag, content_format=42)
    if request.opt.block2 is not None or end < len(body):
        answer.opt.block2 = (number, end < len(body), szx)
        answer.opt.size2 = len(body)
    return answer


def _code(code, **options):
    return lambda _: aiocoap.Message(code=code, **options)


def _formats(request):
    if request.opt.accept not in _FORMATS:
        return aiocoap.Message(code=aiocoap.NOT_ACCEPTABLE)
    number, payload = _FORMATS[request.opt.accept]
    return aiocoap.Message(content_format=number, payload=payload)


async def _slowly(request):
    await asyncio.sleep(_SLOW_S)
    return aiocoap.Message(code=aiocoap.CONTENT, payload=request.payload or b"separate")


async def _never(_):
    await asyncio.sleep(3600)


def _reversed(request):
    return aiocoap.Message(code=aiocoap.CONTENT, payload=request.payload[::-1])


def _proxy(request):
    """Like /proxy of nRF Cloud: the query says from which byte on, and the rest is a body of its own."""
    offset = int(dict(part.split("=") for part in request.opt.uri_query).get("offset", 0))
    return block_of(LARGE[offset:], request, b"L")


class Site(resource.Site):
    def __init__(self):
        super().__init__()
        self.journal = []
        self._version = b"\x01"
        self._made = False
        self._stored = b""
        created = _code(aiocoap.CREATED, location_path=("location1", "location2"))
        for path, functions in {
            "test": {
                "get": lambda _: aiocoap.Message(payload=b"CoAP", content_format=0),
                "put": _code(aiocoap.CHANGED),
                "post": created,
                "delete": _code(aiocoap.DELETED),
                "patch": _code(aiocoap.CHANGED),
                "ipatch": _code(aiocoap.CHANGED),
                "fetch": lambda request: aiocoap.Message(payload=request.payload[::-1], content_format=0),
            },
            "separate": {"get": _slowly, "put": _slowly, "post": _slowly},
            "silent": {"get": _never},
            "seg1/seg2/seg3": {"get": lambda _: aiocoap.Message(payload=b"seg", content_format=0)},
            "query": {"get": lambda request: aiocoap.Message(payload="&".join(request.opt.uri_query).encode())},
            "location-query": {"post": _code(aiocoap.CREATED, location_query=("first=1", "second=2"))},
            "multi-format": {"get": _formats},
            "validate": {"get": self._validated, "put": self._guarded},
            "create1": {"put": self._created, "delete": self._removed},
            "large": {"get": lambda _: aiocoap.Message(payload=LARGE, content_format=42)},
            "large-separate": {"get": self._large_separate},
            "large-update": {"put": self._store, "get": lambda _: aiocoap.Message(payload=self._stored)},
            "large-create": {"post": created},
            "large-post": {"post": _reversed},
            "busy": {"get": _code(aiocoap.SERVICE_UNAVAILABLE, max_age=7)},
            "many": {"get": _code(aiocoap.numbers.codes.TOO_MANY_REQUESTS, max_age=3)},
            "challenge": {"get": self._challenged, "put": self._challenged},
        }.items():
            self.add_resource(path.split("/"), Spot(self.journal, path, **functions))
        for path, function in (
            ("file", lambda request: block_of(LARGE, request, b"L")),
            ("proxy", _proxy),
        ):
            self.add_resource([path], Spot(self.journal, path, True, get=function))
        self.watched = {
            "obs": Watched(self.journal, "obs"),
            "obs-non": Watched(self.journal, "obs-non", tuning=aiocoap.Unreliable),
            "obs-large": Watched(
                self.journal, "obs-large", stateless=True, render=lambda v, r: block_of(large_note(v), r, v)
            ),
            "obs-short": Watched(self.journal, "obs-short", max_age=1),
        }
        for path, watched in self.watched.items():
            self.add_resource([path], watched)

    async def _large_separate(self, request):
        await asyncio.sleep(_SLOW_S)
        return aiocoap.Message(payload=LARGE, content_format=42)

    def _validated(self, request):
        if self._version in request.opt.etags:
            return aiocoap.Message(code=aiocoap.VALID, etag=self._version)
        return aiocoap.Message(payload=b"v" + self._version.hex().encode(), etag=self._version)

    def _guarded(self, request):
        if request.opt.if_match and self._version not in request.opt.if_match:
            return aiocoap.Message(code=aiocoap.PRECONDITION_FAILED)
        self._version = bytes([self._version[0] + 1])
        return aiocoap.Message(code=aiocoap.CHANGED, etag=self._version)

    def _created(self, request):
        if self._made and request.opt.if_none_match:
            return aiocoap.Message(code=aiocoap.PRECONDITION_FAILED)
        self._made = True
        return aiocoap.Message(code=aiocoap.CREATED)

    def _removed(self, request):
        self._made = False
        return aiocoap.Message(code=aiocoap.DELETED)

    def _store(self, request):
        self._stored = request.payload
        return aiocoap.Message(code=aiocoap.CHANGED)

    def _challenged(self, request):
        if request.opt.echo != b"is it you?":
            return aiocoap.Message(code=aiocoap.UNAUTHORIZED, echo=b"is it you?")
        return aiocoap.Message(payload=b"welcome", code=aiocoap.CONTENT)


class Peer:
    def __init__(self, port, site):
        self.port = port
        self.site = site

    def journal(self):
        """[method, path, size, sha256] of what was carried out since the last call."""
        entries = self.site.journal[:]
        del self.site.journal[: len(entries)]
        return entries

    def watchers(self, path):
        """How many observations of a path there are."""
        return self.site.watched[path].watchers


@contextlib.contextmanager
def aiocoap_peer():
    """A Peer in a thread of ours. What it repeats, it repeats quickly: its ACK_TIMEOUT is 0.2 s."""
    port = free_port()
    site = Site()

    async def make():
        return await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port), transports=["udp6"])

    with mock.patch.object(TransportTuning, "ACK_TIMEOUT", 0.2):
        thread = LoopThread(make)
        try:
            yield Peer(port, site)
        finally:
            thread.close()
