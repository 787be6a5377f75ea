"""A node as far as a firmware update needs it: errands, update, uplink, records over a real journal and real files, and
a cloud that remembers every transition of a job and can lose answers. What is downloaded and installed is scripted.

What is durable outlives `boot()`, a new start of the same board: files, journal, blocks, and what the boot selector
knows. RAM: a journal of 4 sectors of 1 KB.
"""

import asyncio

import clock
import coap
from cloud.base import UPDATE, RecordRefused
from errands import Errand, Errands
from harness import scratch
from harness.flashsim import FlashSim
from harness.virtual import Board, together
from journal import Journal
from logbook import Logbook
from records import Records
from state import State
from tasks import job as jobs
from tasks.update import Update
from tasks.uplink import Uplink

NEW = b"n" * 16
OLD = b"o" * 16
JOB = {"id": "9140bd5d-911c", "kind": "APP", "size": 1000, "version": "1.1.0", "key": "https://h/p", "refused": None}
SETTINGS = {
    "update_interval_s": 3600,
    "update_hours": 72,
    "uplink_interval_s": 3600,
    "confirmable": True,
    "health_interval_s": 21600,
}
TERMINAL = ("succeeded", "failed", "rejected", "timed_out")


class Restarted(BaseException):
    """What restart() does here: nothing after it may run."""


class Answer:
    max_age = None
    payload = b""

    def __init__(self, code):
        self.code = code


def refusal(code):
    return coap.Refused(Answer(code))


class Cloud:
    """Jobs as the twin has them (nrfcloud.md 11.2): the first that has not ended is offered; what has ended is final.

    `told`: every report that arrived; `history`: (job, state, detail) of each change, a repeated one left out;
    `lose`: numbers of the requests, from 1, whose answer is lost; `refuse`: exceptions that the next reports meet."""

    confirmable = True

    def __init__(self, *jobs, caps=(UPDATE,)):
        self.caps = frozenset(caps)
        self.jobs = list(jobs)
        self.told = []
        self.history = []
        self.refuse = []
        self.lose = ()
        self.asked = 0
        self.published = 0

    def _answered(self, answer=None):
        self.asked += 1
        if self.asked in self.lose:
            raise coap.Timeout("lost")
        return answer

    async def update_check(self):
        return self._answered(self.jobs[0] if self.jobs else None)

    async def update_read(self, job, offset, mv):
        return self._answered(len(mv))

    async def update_report(self, job_id, state, detail=None, ts_ms=0):
        if self.refuse:
            raise self.refuse.pop(0)
        self.told.append((job_id, state, detail))
        now = [entry for entry in self.history if entry[0] == job_id]
        if now and now[-1][1] in TERMINAL:
            if now[-1][1] != state:
                self._answered()
                raise RecordRefused("execution is " + now[-1][1])
        elif not any(job["id"] == job_id for job in self.jobs):
            self._answered()
            raise RecordRefused("no such job")
        elif not now or now[-1] != (job_id, state, detail):
            self.history.append((job_id, state, detail))
            if state in TERMINAL:
                self.jobs = [job for job in self.jobs if job["id"] != job_id]
        self._answered()

    async def publish(self, records):
        self.published += len(records)
        return self._answered(len(records))


class Manifest:
    version = "1.1.0"
    digest = NEW + b"\0" * 16


class Slots:
    """The installer and what it leaves on flash: `steps` that were taken; `bad`; `armed`, `confirmed`; `fail`: what
    install() raises."""

    other = "b"

    def __init__(self):
        self.steps = []
        self.bad = ()
        self.armed = self.confirmed = False
        self.fail = None

    def install(self, manifest):
        if self.fail:
            raise self.fail
        self.steps.append("install")

    def arm(self):
        self.steps.append("arm")
        self.armed = True

    def confirm(self):
        self.steps.append("confirm")
        self.confirmed = True
        return True


class Heap:
    def mark(self):
        return 0


class Node:
    """`blocks`: of the image; `done`: how many are on flash; `script`: exceptions that the next downloads end with."""

    def __init__(self, cloud, blocks=3):
        self.root = scratch.make()
        self.file = self.root + "/job.json"
        self.chip = FlashSim(4, 1024)
        self.cloud = cloud
        self.slots = Slots()
        self.blocks = blocks
        self.done = 0
        self.script = []
        self.block_s = 1
        self.settings = dict(SETTINGS)
        self.running = {"version": "1.0.0", "digest": OLD, "pending": False, "rolled_back": None, "tries": 1}
        self.boot()

    def boot(self):
        """A new start: what App does, in its order."""
        Board().install()
        self.state = State()
        self.state.link.set()
        self.records = Records(Journal(self.chip, 512), self.state, 16)
        jobs.finish(self.file, self.records)

    def close(self):
        scratch.remove(self.root)
        clock.reset()

    def make(self, name):
        if name == "uplink":
            return Uplink(self.state, self.settings, self.records, self.cloud, Logbook(), Heap())
        return Update(
            self.state, self.settings, self.cloud, self.records, self.part, self.file, self.running, self.restart,
            Heap(),
        )  # fmt: skip

    def part(self, name, *terms):
        return self.slots if name == "slots" else self.make_fetch(*terms)

    def make_fetch(self, job, read, progress, settle, room):
        node = self

        class Fetch:
            fetched = 0

            async def run(self):
                if node.script:
                    problem = node.script.pop(0)
                    if problem:
                        raise problem
                progress(node.done * 4096, node.blocks * 4096)
                while node.done < node.blocks:
                    self.fetched += await read(node.done * 4096, memoryview(bytearray(16)))
                    await clock.sleep(node.block_s)
                    node.done += 1
                    progress(node.done * 4096, node.blocks * 4096)
                return Manifest()

        return Fetch()

    def restart(self):
        self.slots.steps.append("restart")
        raise Restarted

    async def mend(self):
        """The link task: up again a while after each loss."""
        while True:
            await clock.wait(self.state.link_lost)
            self.state.link_lost.clear()
            await clock.sleep(5)
            self.state.link.set()

    def errands(self, *others):
        uplink = Errand("uplink", self.make, early=self.state.records)
        return Errands(self.state, (uplink,) + others + (Errand("update", self.make),))

    def live(self, until=None, others=(), tasks=()):
        """Live until `until()`, or until a restart: then True. Time goes on where it was; the tasks are new."""
        clock._kick = asyncio.Event()  # CPython binds it to the loop that it was first used in
        try:
            together(self.errands(*others).run(), self.mend(), *tasks, until=until)
        except Restarted:
            return True
        return False

    def until_s(self, seconds, **how):
        return self.live(lambda: clock.uptime_ms() >= seconds * 1000, **how)

    def try_new(self, sound=True):
        """What the boot selector does after arm(): the new image runs, on trial, or for good when it was confirmed."""
        self.running = {"version": "1.1.0", "digest": NEW, "pending": not self.slots.confirmed, "rolled_back": None,
                        "tries": 1, "sound": sound}  # fmt: skip
        self.boot()

    def fall_back(self, reason="tries", why=""):
        """... and what it does when it gives the new one up."""
        self.slots.bad = (NEW,)
        self.running = {"version": "1.0.0", "digest": OLD, "pending": False, "rolled_back": reason, "tries": 0,
                        "why": why}  # fmt: skip
        self.boot()

    def states(self):
        """-> the states that the cloud has seen, repeated ones left out."""
        return [entry[1] for entry in self.cloud.history]

    def settled(self):
        """Whether the last job has ended, for the cloud and for us."""
        states = self.states()
        return bool(states) and states[-1] in TERMINAL and not self.records.pending()
