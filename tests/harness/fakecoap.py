"""A scripted stand-in for coap.Client, and a session of a cloud backend on it, for unit tests of lib/cloud."""

import unittest

import clock
import coap
from cloud import load, nrfcloud
from harness.aio import run


class Answer:
    """A response: payload, max_age and code are what the backends look at."""

    def __init__(self, payload=b"", max_age=None, code=0x45):
        self.payload = payload
        self.max_age = max_age
        self.code = code


def refused(code, diagnostic=""):
    return coap.Refused(Answer(diagnostic.encode(), code=code))


class Client:
    """Answers from `script` (Answers and exceptions, in order); `asked` are the paths, `calls` (path, kwargs)."""

    script = []
    asked = []
    calls = []
    szx = 6

    def __init__(self, endpoint, **tuning):
        self.endpoint = endpoint

    async def request(self, method, path, **kwargs):
        Client.asked.append(path)
        if "payload" in kwargs:
            kwargs["payload"] = bytes(kwargs["payload"])  # a view of a buffer that is used again
        Client.calls.append((path, kwargs))
        step = Client.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def get_blocks(self, path, sink, method=coap.GET, offset=0, limit=None, **kwargs):
        body = (await self.request(method, path, **kwargs)).payload[offset:][:limit]
        if body:
            sink(offset, body)
        result = coap.Result(offset)
        result.bytes = len(body)
        return result

    async def narrow(self, szx):
        await self.ping()
        self.szx = szx - 1
        return True

    async def ping(self, timeout_ms=None):
        await self.request(0, "ping")

    async def close(self):
        Client.asked.append("closed")


class SessionTest(unittest.TestCase):
    """`play(script, job)`: open a session (the first step of the script is the answer to the authentication) and
    await job(cloud) in it; everything scripted must have been asked for."""

    def setUp(self):
        self.real = nrfcloud.coap.Client
        nrfcloud.coap.Client = Client
        Client.asked = []
        Client.calls = []
        clock.reset()
        clock.set_utc(1763625600000)
        self.tokens = 0
        self.endpoint = None

    def tearDown(self):
        nrfcloud.coap.Client = self.real
        clock.reset()

    async def connect(self):
        return self.endpoint

    async def token(self, device_id, now_s, lifetime_s):
        self.tokens += 1
        return b"a.b.c"

    def play(self, script, job, **how):
        Client.script = list(script)
        cloud = load("nrfcloud")("node-1", self.connect, self.token, **how)

        async def all_of_it():
            await cloud.open()
            return await job(cloud)

        result = run(all_of_it())
        self.assertEqual(Client.script, [])
        return result
