"""A whole node that is to be updated, its cloud and the way between them, in one process and in virtual time.

The firmware is the real one from app.App down, with the boot selector, two slots in a temporary folder and the modem
simulator (tests/campaign/README.md says what is not real there: DTLS is a stand-in, tokens are a word). An image is
installed in the other slot and started, though what runs is the repository's code under the image's version. Imported
after vtime.patch() (net_run.py), because from then on the process has no other time.
"""

import asyncio
import collections
import math
import random
import signal
import tempfile
import time
import traceback

from campaign import rig as campaign_rig
from campaign import vtime
from campaign.rig import HOST, PORT, MemoryLink, Network, Rig
from faults.net_cloud import URI, Cloud, Job
from godwit.impair import Direction, Settings
from harness import campaign_node as nodes
from harness.fota_kit import BLOCK, bundle
from harness.net_node import SEEN, Node, files, patch_node

REAL_S = 60  # a run takes a fraction of a second
_OVERHEAD = 57  # bytes of IP, UDP and DTLS around a CoAP message, for what a way lets through


_cache = {}


def image(name="new", size=10600, version="1.1.0", sequence=2):
    """-> bytes of a bundle that this node takes."""
    key = (name, size, version, sequence)
    if key not in _cache:
        _cache[key] = bundle(files(name, size), version, sequence)
    return _cache[key]


def payload_blocks(bundled):
    """-> the blocks of a bundle's payload, as they must be on flash."""
    start, size = (int.from_bytes(bundled[at : at + 4], "little") for at in (12, 16))
    body = bundled[start : start + size]
    return [body[i : i + BLOCK] for i in range(0, size, BLOCK)]


class Way(Network):
    """The way between modem and cloud. Both directions are godwit.impair's; `mtu`: larger datagrams vanish."""

    def __init__(self, peer, faults, rng, up=None, down=None, mtu=None, seed=0):
        super().__init__(peer, faults, rng)
        self.up_way = Direction(Settings(**{"delay_s": 0.15, **(up or {})}), f"{seed}/up")
        self.down_way = Direction(Settings(**{"delay_s": 0.15, **(down or {})}), f"{seed}/down")
        self.mtu = mtu
        self.dark = False
        self.vanished = 0

    def up(self, link, port, data, target):
        self._pass(self.up_way, data, self.peer.feed, data, port,
                   lambda back: self._pass(self.down_way, back, link.arrive, port, back, target))

    def _pass(self, way, data, function, *args):
        loop = asyncio.get_running_loop()
        if self.dark or (self.mtu and len(data) + _OVERHEAD > self.mtu):
            self.vanished += 1
            return
        for due in way.fate(loop.time(), len(data)):
            self._last = max(self._last + 1e-9, loop.time())
            loop.call_at(max(due, self._last) if due <= self._last else due, function, *args)


def patch():
    """Once per process that runs worlds."""
    campaign_rig.patch()
    nodes.patch()
    patch_node()


SETTINGS = {"sample_interval_s": 300, "uplink_interval_s": 600, "update_interval_s": 900, "shadow_interval_s": 7200,
            "locate_interval_s": 604800, "gnss_timeout_s": 30}  # fmt: skip


class World:
    """One run: `cloud`, `rig`, `way`, `node`; `problems` is empty when every claim holds."""

    def __init__(self, name, seed, folder, size=10600, settings=None, **way):
        self.name = name
        self.rng = random.Random(f"{name}:{seed}")
        self.problems = []
        self.figures = {}
        self.cloud = Cloud()
        self.image = image(size=size)
        self.cloud.images[URI] = self.image
        self.rig = Rig("nrf91", self.cloud, self.rng.randrange(1 << 30))
        self.way = self.rig.network = MemoryLink.network = Way(
            self.cloud, self.rig.faults, self.rng, seed=self.rng.randrange(1 << 30), **way)
        self.node = Node(self.rig, folder, (HOST, PORT), SETTINGS | (settings or {}))
        self.genuine = {block for block in payload_blocks(self.image)}
        SEEN.clear()

    def offer(self, name="job-1", **document):
        """A job for the image, on offer from now on."""
        job = Job(name, document.pop("fileSize", len(self.image)), **document)
        self.cloud.jobs.append(job)
        return job

    async def until(self, done, hours, step_s=20):
        """Wait until done() or for so many virtual hours; -> whether it came true."""
        end = vtime.now_s() + hours * 3600
        while not done():
            if vtime.now_s() > end:
                return False
            await asyncio.sleep(step_s)
        return True

    def claim(self, holds, text):
        """Note a claim that does not hold."""
        if not holds:
            self.problems.append(text)
        return holds

    def accepted(self, reading):
        """Has the cloud taken this reading?"""
        return ("COUNT", *reading) in self.cloud.values

    async def alive(self, hours=4):
        """A reading that is taken from now on is accepted: telemetry works."""
        first = len(nodes.BOARD.taken)
        back = await self.until(lambda: any(map(self.accepted, nodes.BOARD.taken[first:])), hours)
        self.claim(back, f"no new reading accepted within {hours} h")

    async def drained(self, hours=4):
        """Every reading arrives."""
        taken = list(nodes.BOARD.taken)
        if not await self.until(lambda: all(map(self.accepted, taken)), hours):
            missing = sum(not self.accepted(reading) for reading in taken)
            self.problems.append(f"{missing} of {len(taken)} readings did not arrive")

    def version(self):
        """What runs."""
        return self.node.starts[-1][1]

    def judge(self, installed=1, version="1.1.0"):
        """The claims of every run: nothing unverified was written, nothing twice, the right slot runs, no part died."""
        self.claim(all(data in self.genuine for _, _, data in SEEN.written), "an unverified block was written")
        self.claim(SEEN.installed == installed, f"installed {SEEN.installed} times, not {installed}")
        self.claim(SEEN.confirmed == installed, f"confirmed {SEEN.confirmed} times, not {installed}")
        self.claim(self.version() == version, f"version {self.version()} runs, not {version}")
        gone = [reading for reading in self.node.acked if not self.accepted(reading)]
        self.claim(not gone, f"{len(gone)} readings were let go of that the cloud has not")
        self.claim(self.rig.sockets() <= 1, f"{self.rig.sockets()} sockets open in the modem")
        self.claim(not self.node.watchdogs, f"the watchdog bit {self.node.watchdogs} times")
        for error, count in collections.Counter(nodes.DIED).items():
            self.problems.append(f"tasks died {count} times: {error}")
        for text, count in collections.Counter(vtime.COMPLAINTS).items():
            self.problems.append(f"uncaught {count} times: {text}")
        for bug in self.rig.log.bugs:
            self.problems.append(f"simulator: {bug}")

    def once(self):
        """No block was written twice for the same image."""
        twice = [i for i, n in collections.Counter(i for _, i, _ in SEEN.written).items() if n > 1]
        self.claim(not twice, f"blocks {twice} were written twice")


def _too_long(number, frame):
    where = "".join(traceback.format_stack(frame)[-6:])
    raise vtime.Stalled(f"a run takes more than {REAL_S} s of real time, here:\n{where}")


def run(name, seed, make, drive, loud=False, ticks=None):
    """One run: World(**make(rng)) driven by `await drive(world)`; -> the World. Never raises what the run does."""
    with tempfile.TemporaryDirectory(prefix="godwit-net-") as folder:
        made = []

        async def main():
            world = World(name, seed, folder, **make(random.Random(f"{seed}:{name}")))
            made.append(world)
            with nodes.quiet(world.node, loud):
                world.rig.start()
                life = asyncio.create_task(world.node.run())
                try:
                    await drive(world)
                finally:
                    if life.done() and not life.cancelled() and life.exception():
                        world.problems.append(f"node: {life.exception()!r}")
                    life.cancel()
                    await asyncio.wait((life,))
            return world

        vtime.ticks_at_start = (1 << 30) - 2000 if ticks is None else ticks
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(REAL_S)
        began = time.perf_counter()
        try:
            world, seconds = vtime.run(main, seed)
        except (Exception, vtime.Stalled) as error:  # the harness itself, or a hang: said with the run's name
            if not made:
                raise
            world, seconds = made[0], math.nan
            world.problems.append(f"{type(error).__name__}: {error}")
        finally:
            signal.alarm(0)
        world.figures |= {"virtual_s": seconds, "real_s": time.perf_counter() - began}
        return world
