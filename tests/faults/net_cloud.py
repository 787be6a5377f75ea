"""The cloud of rows N1 to N3 and C1: update jobs and images for one node, over CoAP that is not ours (aiocoap's codec
and its block-wise division), with a place where a fault may answer instead.

Everything else it knows (sessions, tokens, messages) is tests/campaign/peer.py. It counts what it sends and when it is
asked, which is what the claims about bytes and back-off are about.
"""

import asyncio
import collections
import json

import aiocoap
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type

from campaign import vtime
from campaign.peer import Peer

HOST, PATH = "bundles.nrfcloud.com", "t/godwit/fw.bin"
URI = f"https://{HOST}/{PATH}"
TERMINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")
_CHECK, _REPORT = ("fota", "exec", "current"), ("fota", "exec")


class Job:
    """One update job; `heard`: (virtual s, status, details) of every report that was accepted."""

    def __init__(self, name, size, version="1.1.0", **document):
        self.name = name
        self.status = "QUEUED"
        self.heard = []
        self.document = {"firmwareType": "APP", "fileSize": size, "version": version, "host": HOST, "path": PATH,
                         **document}

    def body(self):
        """The execution as GET fota/exec/current gives it."""
        return {"status": self.status, "jobId": self.name, "jobDocument": self.document}


class Cloud(Peer):
    """`images`: Proxy-Uri -> bytes; `jobs`: in order of age; `fault`: None, or a faults.net_server.Fault."""

    def __init__(self):
        super().__init__()
        self.images = {}
        self.jobs = []
        self.fault = None
        self.asked = collections.defaultdict(list)  # "check", "report", "proxy", "other" -> virtual s of each request
        self.sent = collections.Counter()  # bytes of datagrams, by the same words
        self.blocks = 0  # answers with a block, repetitions included
        self.late_s = 0.0  # when a message was accepted last
        self._next_mid = 0

    # what arrives

    def _record(self, number, data, answer):
        request = aiocoap.Message.decode(data)
        if request.mtype in (Type.ACK, Type.RST):
            return
        if request.code == Code.EMPTY:
            answer(aiocoap.Message(mtype=Type.RST, mid=request.mid, code=Code.EMPTY).encode())
            return
        kind = self._kind(request)
        key = (number, request.mid)
        if key not in self._answers:
            self.requests += 1
            self.asked[kind].append(vtime.now_s())
            self._answers[key] = self._plan(number, kind, request)
        for delay_s, datagram in self._answers[key]:
            self.sent[kind] += len(datagram)
            self.blocks += kind == "proxy"
            if delay_s:
                asyncio.get_running_loop().call_later(delay_s, answer, datagram)
            else:
                answer(datagram)

    @staticmethod
    def _kind(request):
        path = tuple(request.opt.uri_path)
        if path == ("proxy",):
            return "proxy"
        if path == _CHECK:
            return "check"
        return "report" if path[:2] == _REPORT else "other"

    def _plan(self, number, kind, request):
        """-> [(delay in s, datagram)]: the answer, or what a fault makes of it."""
        known = self.sessions[number][2]
        if self.fault and known:
            plan = self.fault.plan(self, kind, request)
            if plan is not None:
                return plan
        if known and request.opt.uri_path[:1] == ("state",):
            code = Code.CONTENT if request.code == Code.GET else Code.CHANGED
            return [(0, self.encode(request, aiocoap.Message(code=code)))]
        if kind == "other" or not known:
            return [(0, self._serve(self.sessions[number], request))]
        return [(0, self.encode(request, self.usual(kind, request)))]

    def _keep(self, request):
        super()._keep(request)
        self.late_s = vtime.now_s()

    # what is answered

    def usual(self, kind, request):
        """-> the Message that a service in order gives."""
        return {"proxy": self._proxy, "check": self._check, "report": self._report}[kind](request)

    def encode(self, request, message, mtype=None):
        """-> datagram: `message` as the piggybacked answer to `request`, or of another type with an id of its own."""
        if mtype is None:
            message.mtype, message.mid = Type.ACK, request.mid
        else:
            self._next_mid += 1
            message.mtype, message.mid = mtype, 0x4000 + self._next_mid
        message.token = request.token
        return message.encode()

    def current(self):
        """The oldest job that is not over, or None."""
        return next((job for job in self.jobs if job.status not in TERMINAL), None)

    def _check(self, request):
        job = self.current()
        if job is None:
            return aiocoap.Message(code=Code.NOT_FOUND)
        answer = aiocoap.Message(code=Code.CONTENT, payload=json.dumps(job.body()).encode())
        answer.opt.content_format = 50
        return answer

    def _report(self, request):
        """Terminal is for good: the same once more is accepted (and heard), another is not."""
        name = "/".join(request.opt.uri_path[2:])
        job = next((job for job in self.jobs if job.name == name), None)
        if job is None:
            return aiocoap.Message(code=Code.NOT_FOUND)
        body = json.loads(request.payload)
        if job.status in TERMINAL and job.status != body["status"]:
            return aiocoap.Message(code=Code.BAD_REQUEST)
        job.status = body["status"]
        job.heard.append((vtime.now_s(), body["status"], body.get("details")))
        return aiocoap.Message(code=Code.CHANGED)

    def _proxy(self, request):
        image = self.images.get(request.opt.proxy_uri)
        if image is None:
            return aiocoap.Message(code=Code.NOT_FOUND)
        return self.block(request, image)

    @staticmethod
    def wanted(request):
        """-> (block number, size exponent) that a request asks for."""
        block = request.opt.block2
        return (block.block_number, block.size_exponent) if block else (0, 6)

    def block(self, request, image, number=None, szx=None, etag=None):
        """-> Message with the block asked for, cut by aiocoap; past the end is 4.00."""
        asked, exponent = self.wanted(request)
        number = asked if number is None else number
        whole = aiocoap.Message(code=Code.CONTENT, payload=image)
        whole.opt.content_format = 42
        if etag:
            whole.opt.etag = etag
        if request.opt.size2 is not None or not number:
            whole.opt.size2 = len(image)
        try:
            return whole._extract_block(number, exponent if szx is None else szx, 1024)
        except aiocoap.error.BadRequest:
            return aiocoap.Message(code=Code.BAD_REQUEST)

    # what is known of it

    def per_hour(self, kind, since_s=0.0):
        """-> most requests of a kind within any hour that began after `since_s`."""
        times = [t for t in self.asked[kind] if t >= since_s]
        most = first = 0
        for i, t in enumerate(times):
            while times[first] < t - 3600:
                first += 1
            most = max(most, i - first + 1)
        return most
