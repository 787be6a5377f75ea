"""The device's side of the bench's updates; runs under MicroPython, one JSON job from stdin, one JSON line back.

A job is {"port", "path", "size", "window", "flash", "keys", "class", "watch"}: take the bundle `path` of `size` bytes
as an update node does, into the flash image `flash`: signed manifest, blocks checked and kept, installed, armed.
"watch": collect garbage at each block and report the most that was in use. What times out is asked for again, as the
firmware does. Seconds are from the first request to the last verified block, and of the installation.
"""

import asyncio
import gc
import json
import sys
import time
from hashlib import sha256

import vfs

import bootsel
import coap
import coap.download
import coap.response
import coap.writer
import flashdev
from net.udp import udp_open

_MOST_RESUMES = 40
_ERASE = 6


class Chip(flashdev.FileBlockDevice):
    """Counts what a flash chip would have to do."""

    erases = programs = written = 0

    def writeblocks(self, block, buf, offset=None):
        self.programs += 1
        self.written += len(buf)
        return flashdev.FileBlockDevice.writeblocks(self, block, buf, offset)

    def ioctl(self, op, arg):
        if op == _ERASE:
            self.erases += 1
        return flashdev.FileBlockDevice.ioctl(self, op, arg)


class Update:
    """One update, with the figures of it."""

    def __init__(self, job, info):
        self._job = job
        self._info = info
        self.peak = self.resumed = 0

    def _watch(self, *_):
        if self._job["watch"]:
            gc.collect()
            self.peak = max(self.peak, gc.mem_alloc())

    def _settle(self):
        for name in ("fota.head", "fota.manifest", "fota.verify", "fota.space", "fota.slots", "fota.unpack", "store"):
            sys.modules.pop(name, None)
        gc.collect()

    async def fetch(self, client):
        """-> the manifest of the image that is on flash now."""
        from fota.fetch import Fetch

        job, window = self._job, self._job["window"]
        how = {"window": window} if window > 1 else {}

        async def read(offset, view):
            def sink(at, data):
                at -= offset
                view[at : at + len(data)] = data

            result = await client.get_blocks(job["path"], sink, offset=offset, limit=len(view), **how)
            return result.bytes

        with open(job["keys"], "rb") as file:
            keys = file.read()
        while True:
            fetch = Fetch("/flash", "job", job["size"], read, keys, job["class"], 0, self._watch, (), None, None,
                          self._settle)  # fmt: skip
            try:
                return await fetch.run()
            except coap.Timeout:
                self.resumed += 1
                if self.resumed > _MOST_RESUMES:
                    raise

    def install(self, manifest):
        from fota.slots import Slots

        slots = Slots("/flash", self._info)
        slots.install(manifest, self._watch)
        slots.arm()


def _cost(keys):
    """-> (us of one signature check, us of hashing 100 KB): of what lies on flash."""
    from fota.verify import pss_verify

    with open("/flash/dl/head", "rb") as file:
        head = file.read()
    size = int.from_bytes(head[8:12], "little")
    digest = sha256(head[64 : 64 + size]).digest()
    signature = head[64 + size : 64 + size + 384]
    gc.collect()
    started = time.ticks_us()
    if not pss_verify(keys, digest, signature):  # no assert: the compiler drops it
        raise ValueError("signature")
    checked = time.ticks_diff(time.ticks_us(), started)
    piece = bytes(4096)
    started = time.ticks_us()
    whole = sha256()
    for _ in range(25):
        whole.update(piece)
    whole.digest()
    return checked, time.ticks_diff(time.ticks_us(), started)


async def main(job):
    chip = Chip(job["flash"], 0, flashdev.FS_BLOCKS)
    vfs.mount(vfs.VfsLfs2(chip), "/flash")
    path = list(sys.path)
    info = bootsel.select("/flash")
    sys.path[:] = path
    gc.collect()
    before = gc.mem_alloc()
    chip.erases = chip.programs = chip.written = 0
    client = coap.Client(await udp_open("127.0.0.1", job["port"]), ack_timeout_ms=4000)
    update = Update(job, info)
    started = time.ticks_ms()
    manifest = await update.fetch(client)
    took = time.ticks_diff(time.ticks_ms(), started)
    erases = chip.erases
    await client.close()
    sent, again = client.sent, client.retransmitted
    del client
    started = time.ticks_ms()
    update.install(manifest)
    installed = time.ticks_diff(time.ticks_ms(), started)
    erases_all, programs, written = chip.erases, chip.programs, chip.written
    with open(job["keys"], "rb") as file:
        checked, hashed = _cost(file.read(384))
    print(json.dumps({
        "seconds": took / 1000, "install_s": installed / 1000, "sha256": "".join("%02x" % b for b in manifest.sha256),
        "armed": bootsel.read("/flash")["pending"] is not None, "resumed": update.resumed, "sent": sent,
        "retransmitted": again, "erases": erases_all, "erases_fetch": erases, "programs": programs, "written": written,
        "before": before, "peak": update.peak, "verify_us": checked, "hash_us": hashed,
    }))  # fmt: skip


asyncio.run(main(json.load(sys.stdin)))
