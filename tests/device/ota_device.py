"""The device side of test_ota_backends.py: `ota_device.py BACKEND PORT ROOT KEY`, run under MicroPython.

Awaits one Python expression a line of standard input and prints what came of it as one JSON line: {"value": ..}, or
{"error": class, "text", "code"}. `node` is below; `node.cloud` is a backend of lib/cloud over plain UDP. The download
goes into ROOT, a folder of the host's file system; KEY holds the moduli that it trusts.
"""

import asyncio
import json
import sys
from binascii import hexlify
from hashlib import sha256

import cloud as clouds
import coap
import log
from fota import FotaError
from fota.fetch import Fetch
from net.udp import udp_open

_CALL_S = 100
CLASS = "godwit-unix"
SECRETS = {"thingsboard": "A1B2C3D4E5F6G7H8I9J0", "exosite": "000102030405060708090a0b0c0d0e0f10111213"}
ABOUT = {"thingsboard": {"title": "godwit"}, "exosite": {"vendor": "acme", "model": "node"}}
# Repeats as on a link of 20 ms; waits as for a machine that pauses
TUNING = {"ack_timeout_ms": 120, "max_retransmit": 6, "separate_timeout_ms": 20000}


class Node:
    """A cloud and a folder."""

    def __init__(self, backend, port, root, key):
        self.backend, self.port, self.root = backend, int(port), root
        with open(key, "rb") as file:
            self.keys = file.read()
        self.cloud = self.make()
        self.fetch = self.job = None
        self.stop_at = None
        self.reads = []

    def make(self, version="1.0.0", **tuning):
        """-> a Cloud that is not open. The address is where the socket goes to."""
        how = dict(TUNING)
        how.update(tuning)
        secret, about = SECRETS[self.backend], ABOUT[self.backend]
        return clouds.load(self.backend)("node-1", self.connect, secret, {"cver": version}, how, **about)

    async def connect(self):
        return await udp_open("127.0.0.1", self.port)

    async def reopen(self, **how):
        """A new socket, and a backend that knows nothing: what a restart leaves."""
        await self.cloud.close()
        self.cloud = self.make(**how)
        return await self.cloud.open()

    async def read(self, offset, mv):
        if self.stop_at is not None and offset >= self.stop_at:
            raise OSError(113)  # as if the link were gone
        n = await self.cloud.update_read(self.job, offset, mv)
        self.reads.append((offset, n))
        return n

    async def check(self):
        self.job = await self.cloud.update_check()
        return self.job

    async def download(self, stop_at=None, tries=1):
        """Fetch what check() has found, `tries` times when a message is lost for good; -> what a test looks at."""
        self.stop_at = stop_at
        self.reads = []
        job = self.job
        for left in range(tries - 1, -1, -1):
            fetch = Fetch(self.root, job["id"], job["size"], self.read, self.keys, CLASS, 0)
            try:
                manifest = await fetch.run()
                break
            except coap.Timeout:
                if not left:
                    raise
        return {
            "version": manifest.version,
            "sequence": manifest.sequence,
            "sha256": self.digest(),
            "resumed": fetch.resumed_at,
            "fetched": fetch.fetched,
            "retransmitted": self.cloud.client.retransmitted,
        }

    def digest(self):
        """SHA-256 of what lies on flash."""
        whole = sha256()
        with open(self.root + "/dl/data", "rb") as file:
            while True:
                part = file.read(4096)
                if not part:
                    return hexlify(whole.digest()).decode()
                whole.update(part)

    async def raw(self, offset, length):
        """Bytes of the job by update_read, without Fetch: (how many, SHA-256)."""
        mv = memoryview(bytearray(length))
        n = await self.cloud.update_read(self.job, offset, mv)
        return n, hexlify(sha256(mv[:n]).digest()).decode()

    async def report(self, *states, detail=None):
        for state in states:
            await self.cloud.update_report(self.job["id"], state, detail)


async def answer(line, names):
    try:
        value = eval(line, names)
        if hasattr(value, "send"):
            value = await asyncio.wait_for(value, _CALL_S)
        return {"value": value}
    except (coap.CoapError, clouds.base.CloudError, FotaError, OSError, ValueError, AssertionError) as error:
        code = getattr(error, "code", None)
        if isinstance(code, int):
            code = "%d.%02d" % (code >> 5, code & 31)
        return {"error": type(error).__name__, "text": str(error), "code": code}


async def main():
    log.level = 0
    names = {"node": Node(*sys.argv[1:5])}
    print(json.dumps({"value": "ready"}))
    while True:
        line = sys.stdin.readline()
        if not line:
            return
        print(json.dumps(await answer(line.strip(), names)))


asyncio.run(main())
