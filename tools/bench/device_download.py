"""The device's side of the bench's downloads; runs under MicroPython, one JSON job from stdin, one JSON line back.

A job is {"port", "path", "window", "by_offset", "file", "tuning", "watch"}. The body goes to `file`, block by block at
its offset; the bench takes the digest. "watch": collect garbage in every sink call and report the most that was in use.
A transfer that times out is resumed where it stood, as the firmware does, and counted.
"""

import asyncio
import gc
import json
import sys
import time

import coap
import coap.download
import coap.response
import coap.writer  # all of it before the clock starts: neither do the others' times hold the start of their programs
from net.udp import udp_open

_MOST_RESUMES = 40


class Sink:
    """Writes blocks into a file, in any order."""

    def __init__(self, file, watch):
        self._file = file
        self._at = 0
        self._watch = watch
        self.peak = self.blocks = 0

    def __call__(self, offset, view):
        if offset != self._at:
            self._file.seek(offset)
        self._file.write(view)
        self._at = offset + len(view)
        self.blocks += 1
        if self._watch:
            gc.collect()
            self.peak = max(self.peak, gc.mem_alloc())


async def download(client, job, sink):
    """-> how often it had to be resumed. Raises what is not a timeout."""
    how = {}
    if job["window"] != 1 or job.get("by_offset"):
        how["window"] = job["window"]
    if job.get("by_offset"):
        how["by_offset"] = True
    offset = resumed = 0
    etag = None
    while True:
        try:
            result = await client.get_blocks(job["path"], sink, offset=offset, etag=etag, **how)
            if not result.end:
                raise ValueError("no end")
            return resumed
        except coap.Timeout:
            resumed += 1
            if resumed > _MOST_RESUMES:
                raise
            offset = client.transfer.offset


async def main(job):
    before = gc.mem_alloc()
    client = coap.Client(await udp_open("127.0.0.1", job["port"]), **job.get("tuning", {}))
    with open(job["file"], "wb") as file:
        sink = Sink(file, job.get("watch"))
        started = time.ticks_ms()
        resumed = await download(client, job, sink)
        took = time.ticks_diff(time.ticks_ms(), started)
    await client.close()
    gc.collect()
    line = {
        "seconds": took / 1000,
        "resumed": resumed,
        "blocks": sink.blocks,
        "sent": client.sent,
        "retransmitted": client.retransmitted,
        "dropped": client.dropped,
        "before": before,
        "peak": sink.peak,
        "left": gc.mem_alloc(),
    }
    print(json.dumps(line))


asyncio.run(main(json.load(sys.stdin)))
