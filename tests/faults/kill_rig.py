"""A whole node for the kill campaign: `godwit run`'s own pieces, without its script, its page and its length.

Twin, modem simulator and firmware are the processes that a day has, with DTLS over the AT modem on a PTY. What differs
is what the factory sets (short periods: a life is a second, not an hour), that every release differs in every block,
and that the power may go as often as one likes. Called by kill_life.py and heap.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import signal
import sqlite3
import time
from dataclasses import replace

from godwit import bundle
from godwit.day import factory, options
from godwit.day.day import Day
from godwit.day.factory import Factory, make_credentials
from godwit.day.operator import Operator
from godwit.day.options import Options
from godwit.day.processes import DayError, parse_json
from godwit.day.witness import Witness
from godwit.world import World

_SETTINGS = {  # a start is followed by every errand, at once; then the update is looked for every ten minutes
    "ack_timeout_ms": 250,
    "sample_interval_s": 60,
    "uplink_interval_s": 300,
    "shadow_interval_s": 3600,
    "update_interval_s": 600,
    "locate_interval_s": 604800,
    "locate_accuracy_m": 100000,  # cells will do: the receiver's search is not what is tried here
}
_FILLER = 3000  # bytes of a file that sorts first and is another in each release, so that no block stays the same
_OTHERS = ("cloud/exosite/", "cloud/thingsboard/")  # clouds that this node does not talk to
_WAIT_S = 90  # wall: what takes so long does not happen any more
_STAMP = re.compile(r"(\d+) I sample +(.*) \(\d+ waiting\)")


class Quiet:
    """A timeline that nobody looks at."""

    def __getattr__(self, _name):
        return lambda *_args, **_kwargs: None


class Ear(Witness):
    """Hears every process: events in the order in which they came, for whoever waits for one."""

    def __init__(self, log):
        super().__init__(Quiet(), log)
        self.events = []  # (kind, facts)
        self.times = []  # and when they came, seconds of the wall
        self.samples = []  # (ms of the line, names): a reading that the journal took
        self.trouble = []  # lines that no node may print
        self.lost_links = 0
        self._news = set()  # futures of those who wait for the next event

    def tell(self, kind, facts):
        self.events.append((kind, facts))
        self.times.append(time.monotonic())
        for future in self._news:
            if not future.done():
                future.set_result(None)
        self._news.clear()

    async def wait(self, wanted, start, timeout_s=_WAIT_S):
        """-> index behind the first event from `start` on for which wanted(kind, facts); DayError when none comes."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + timeout_s
        while True:
            while start < len(self.events):
                start += 1
                kind, facts = self.events[start - 1]
                if kind == "dead":
                    raise DayError(facts["text"])
                if wanted(kind, facts):
                    return start
            news = loop.create_future()  # wait_for() may lose a cancellation in this Python; wait() does not
            self._news.add(news)
            await asyncio.wait({news}, timeout=limit - loop.time())
            if not news.done():
                raise DayError(f"nothing of what was waited for in {timeout_s:.0f} s")

    def on_twin(self, line):
        super().on_twin(line)
        event = parse_json(line)
        if event is not None:
            self.tell(str(event.get("event")), event)

    def on_life(self, kind, text):
        super().on_life(kind, text)
        self.tell(kind, {"text": text})

    def on_node(self, line):
        super().on_node(line)
        self.lost_links += "W link lost" in line
        sample = _STAMP.match(line)
        if sample:
            self.samples.append((int(sample[1]), sample[2].split()))
        if "Traceback" in line or re.search(r"\bE app +task ", line):
            self.trouble.append(line)

    def on_node_error(self, line):
        super().on_node_error(line)
        if line.strip():
            self.trouble.append(line)


class _Maker(Factory):
    """Releases that differ, and a node with our settings."""

    def bundle(self, version, sequence):
        filler = random.Random(f"{version} {sequence}").randbytes(_FILLER)
        kind = bundle.device_class(factory.BOARD)
        files = {name: code for name, code in self._files.items() if not name.startswith(_OTHERS)}
        files["0"] = filler
        terms = {"device_class": kind, "key": self._key, "deflate": True}
        return bundle.build_bundle(files, version=version, sequence=sequence, **terms)

    def _stage_data(self, data):
        super()._stage_data(data)
        path = data / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **_SETTINGS}))


class Rig(Day):
    """`async with Rig(...) as rig:` is a node at the end of its first minute: attached, authenticated, idle.

    `port_of(port)`: lets a link be put between the modem and the twin; -> the port that the modem is given.
    """

    def __init__(self, workdir, bits, heap=None, seed=1, port_of=None, **more):
        heap = heap or (184 << 10 if bits == 32 else 320 << 10)
        super().__init__(Options(bits=bits, heap=heap, seed=seed, speed=400.0, workdir=workdir, plain=True, **more))
        self.images = {}  # sequence -> the bundle
        self.jobs = {}  # sequence -> job id
        self.life = None
        self._port_of = port_of or (lambda port: port)

    async def __aenter__(self):
        opts = self.options
        options.check_tools(opts)
        self.places = options.make_workspace(opts.workdir)
        self.world = World(self.places.world)
        self.start_ms = self.world.now_ms()
        self.ear = self.witness = Ear(self._log)
        self.timeline = Quiet()
        try:
            await self._make()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _make(self):
        self.credentials = make_credentials(self.options, self.places, self.start_ms)
        await self.start_twin()
        self.twin_port, self.coap_port = self.coap_port, self._port_of(self.coap_port)
        await self.start_modem()
        self.factory = _Maker(self.options, self.places, self.credentials)
        self.images[1] = self.factory.bundle(options.FIRST_VERSION, 1)
        await asyncio.to_thread(self.factory.make_flash)
        self.operator = Operator(self.rest, options.API_KEY, self.options.device_id)
        await self.operator.onboard(self.credentials["registered"].read_text())
        self.power()

    async def __aexit__(self, *_):
        if self.node is not None:
            await self.node.stop()
        if self.life is not None:
            await asyncio.gather(self.life, return_exceptions=True)
        await self._tear_down()

    async def start_modem(self):
        """Start the simulator; again after kill_modem(): its store is kept, and the name of its line."""
        await self._start_modem()
        self.pty = self.places.uart  # a link, which another simulator will take over

    async def kill_modem(self):
        """The modem's power goes as well."""
        self.modem.signal(signal.SIGKILL)
        await self.modem.wait()

    async def reset_modem(self):
        """The modem restarts, the node does not."""
        reader, writer = await asyncio.open_unix_connection(str(self.places.control))
        writer.write(b'{"do": "reset"}\n')
        await writer.drain()
        await reader.readline()
        writer.close()

    def power(self, heap=None):
        """A node on the flash as it is, from now on alive until it is stopped."""
        if heap:
            self.options = replace(self.options, heap=heap)
        self.node = self._make_node(warp=True)
        self.life = asyncio.create_task(self.node.run())
        self.life.add_done_callback(self._over)

    def _over(self, life):
        """Nobody need wait for a node that has given up."""
        error = None if life.cancelled() else life.exception()
        if error is not None:
            self.ear.tell("dead", {"text": f"node: {error}"})

    async def unplug(self):
        """Stop the node for good; power() makes another on the same flash."""
        await self.node.stop()
        with contextlib.suppress(DayError):
            await self.life

    async def release(self, sequence):
        """The operator uploads release `sequence` and makes a job of it."""
        version = f"1.0.{sequence}"
        image = await asyncio.to_thread(self.factory.bundle, version, sequence)
        self.images[sequence] = image
        archive = bundle.nrfcloud_zip(image, f"godwit-{sequence}", version)
        name = await self.operator.upload(archive)
        self.jobs[sequence] = await self.operator.create_job(name, f"to {version}")
        return self.jobs[sequence]

    def rows(self, sql, *args):
        """From the twin's own database."""
        with contextlib.closing(sqlite3.connect(f"file:{self.places.database}?mode=ro", uri=True)) as db:
            return db.execute(sql, args).fetchall()
