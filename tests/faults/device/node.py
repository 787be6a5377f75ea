"""A whole node for the campaign: boot selector, update errand, uplink, journal, file system, all on one chip.

The firmware is the real one from parts.update and tasks.uplink.Uplink down; around it are a cloud of ours (cloud.py)
and no radio, no sleep, no garbage collection and no forgetting of modules (time; tests/integration/test_fota_memory.py
and the benchmarks look at the heap). A life is one start. What is claimed of each is in `_begin_life` and `judge`.
MicroPython only.
"""

import asyncio
import os
import struct
import sys

import bootsel
import clock
import cold
import log
from cloud.base import DOWNLOADED, FAILED, INSTALLING, STARTED, SUCCEEDED, VERIFIED, CloudError
from config import Config
from faults import payloads
from faults.device.cloud import Cloud
from harness.flashsim import FlashSim
from harness.fota_kit import BLOCK, CLASS, KEY, bundle
from journal import Journal
from journal.reading import frame
from records import FlashError, Records, unpack
from state import State

ROOT = "/disk"
ROUNDS = 12
LIVES = 9
_SECTORS = 6  # more than cuts close: what was sent stays to be counted
_BATCH = 16
_ORDER = (STARTED, DOWNLOADED, VERIFIED, INSTALLING, SUCCEEDED, FAILED)
_GOOD = (SUCCEEDED, "FOTA update completed successfully")
_BAD = (FAILED, "Update could not be validated")
_NOW_MS = 1790000000000


class Broken(Exception):
    """A claim does not hold. `kind`: bricks, wrong, reports, lost, or "other"; the text says which."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class Restart(BaseException):
    """The board restarts."""


class _Board:
    """The module `board`, as far as an update asks."""

    DEVICE_CLASS = CLASS
    NAME = "faults"

    def reset(self):
        raise Restart

    def feed_watchdog(self):
        pass

    def sensors(self):
        return []


class _Quiet:
    """gc and the heap's gauge, for modules that collect often: a large heap takes long."""

    collect = mem_alloc = mark = staticmethod(lambda *_: 0)
    mem_free = staticmethod(lambda: 1 << 20)


def make_app(node, info, journal):
    """-> firmware/app.py's App without what it makes of modem, cloud and time; it has made good a cut-off report."""
    import app

    class Bare(app.App):
        def __init__(self):
            pass

        def part(self, name, *terms):  # without forgetting the module
            return getattr(__import__("parts"), name)(self, *terms)

        def live(self, name, *terms):
            return getattr(__import__("life"), name)(self, *terms)

    made = Bare()
    made.root = ROOT
    made.running = info
    made.state = State()
    made.state.health = 1 << 60  # no report of the heap: it would be one more record
    made.state.link.set()
    made.config = Config(ROOT)
    made.records = Records(journal, made.state, _BATCH)
    made.cloud = node.cloud
    made.logbook = _Logbook()
    made.heap = _Quiet
    made.scratch = node.scratch
    made.link = None
    made.began = dict(made.live("tasks"))
    made.state.others_due = None  # nobody runs the errands: another one would be due after every block
    return made


class _Logbook:
    def entries(self):
        return ()


def patch():
    """Put in place what stands around the firmware."""
    sys.modules["board"] = _Board()
    import app
    import life
    import parts
    import tasks.trial
    import tasks.update
    import tasks.uplink

    for module in (app, life, parts, tasks.trial, tasks.update, tasks.uplink):
        module.gc = _Quiet
    cold.forget = lambda: None
    clock.now_ms = lambda: _NOW_MS
    log.level = 0


class Images:
    """The image in slot a and the one on offer. `size`: of payloads.SIZES; `deflated`: how the new one comes."""

    def __init__(self, size, deflated=False):
        self.files = {"1.0.0": payloads.files(size, "old"), "1.1.0": payloads.files(size, "new")}
        self.old = bundle(self.files["1.0.0"], "1.0.0", 1)
        packed = payloads.deflated(size) if deflated else None
        self.new = bundle(self.files["1.1.0"], "1.1.0", 2, packed)
        self.payload = sum(len(c) for _, c in self.files["1.1.0"]) if packed is None else len(packed)
        self.head = struct.unpack_from("<I", self.new, 8)[0] + 64 + 384
        self.needed = self.payload + self.head + 64  # the header is read twice, the second time with what follows it
        self.blocks = {"small": 56, "big": 112}[size]


class Node:
    """A node with the old image, on a chip with a journal. `good`: whether the new image reaches its cloud;
    `make_disk(part)`: puts a file system there, None: littlefs2."""

    def __init__(self, images, good=True, loses=None, make_disk=None, blocks=None):
        import vfs

        self._vfs = vfs
        self._make_disk = make_disk
        self.blocks = blocks or images.blocks
        self._path = list(sys.path)
        self.images = images
        self.good = good
        self.lossy = 9 if loses else 0
        self.chip = FlashSim(self.blocks + _SECTORS)
        self.scratch = memoryview(bytearray(7168))
        self.cloud = Cloud(self.chip, images.new, images.head, loses)
        self.at_start = None  # called when the power is back, before anything is read
        self.spare_starts = 0  # starts that may fail: a fault that passes
        self.forgiving = False  # an OSError or MemoryError that comes through is a crash, and the node starts again
        self.after_crash = None  # called with the node then
        try:
            vfs.umount(ROOT)  # another node was there
        except OSError:
            pass
        self._mount(True)
        self._leave_factory()
        self.image = self.chip.save()

    def _mount(self, new=False):
        part = self.chip.part(0, self.blocks)
        if self._make_disk:
            disk = self._make_disk(part, new)
        else:
            if new:
                self._vfs.VfsLfs2.mkfs(part)
            disk = self._vfs.VfsLfs2(part, mtime=False)
        self._vfs.mount(disk, ROOT)

    def _leave_factory(self):
        images = self.images
        for path, content in images.files["1.0.0"]:
            self._put("a/" + path, content)
        size = struct.unpack_from("<I", images.old, 8)[0]
        self._put("a/MANIFEST", images.old[: 64 + size + 384])
        self._put("data/update.pub", KEY.modulus)
        self._journal()

    def _journal(self):
        return Journal(self.chip.part(self.blocks, _SECTORS))

    def _put(self, path, content):
        at = path.find("/")
        while at >= 0:
            try:
                os.mkdir(ROOT + "/" + path[:at])
            except OSError:
                pass  # it is there
            at = path.find("/", at + 1)
        with open(ROOT + "/" + path, "wb") as f:
            f.write(content)

    def close(self):
        self._vfs.umount(ROOT)

    def power_on(self):
        """Forget what is not on the chip. What does not mount is a brick."""
        try:
            self._vfs.umount(ROOT)
        except OSError:
            pass  # the last one did not mount
        if self.at_start:
            self.at_start()
        try:
            self._mount()
        except OSError as e:
            raise Broken("bricks", "does not mount: %s" % e) from None

    # One life

    def select(self):
        """The boot selector's choice, which must be one of the two images, whole."""
        try:
            info = bootsel.select(ROOT)
        except OSError as e:
            raise Broken("bricks", "the selector stops: %s" % e) from None
        finally:
            sys.path[:] = self._path
        if info is None:
            raise Broken("bricks", "nothing starts")
        faults = self.chip.spare()  # what we read is not what the node reads
        for path, content in self.images.files.get(info["version"]):
            with open("%s/%s/%s" % (ROOT, info["slot"], path), "rb") as f:
                if f.read() != content:
                    raise Broken("wrong", "%s starts with a wrong %s" % (info["version"], path))
        self.chip.spare(faults)
        if info["version"] == "1.1.0" and not self.good and not info["pending"]:
            raise Broken("wrong", "an image that was never confirmed starts for good")
        return info

    def live(self):
        """One start of the node, to its restart or until nothing is left to do; True then."""
        try:
            self.power_on()
            info = self.select()
        except Broken:
            if not self.spare_starts:
                raise
            self.spare_starts -= 1
            return False
        except MemoryError:
            if not self.forgiving:
                raise
            self._crashed()
            return False
        try:
            return self._live(info)
        except (OSError, MemoryError):
            if not self.forgiving:
                raise
            self._crashed()
            return False

    def _crashed(self):
        if self.after_crash:
            self.after_crash(self)

    def _live(self, info):
        journal = self._journal()
        app = make_app(self, info, journal)
        before = journal.next
        app.records.add("temp", before)
        if not app.state.lost:
            self.cloud.keep(before, before)
        if info["pending"] and not self.good:
            return False  # it hangs, and the watchdog ends that
        app.state.reported.set()
        try:
            asyncio.new_event_loop()
            return asyncio.run(self._visit(app))
        except Restart:
            return False

    async def _visit(self, app):
        """What the errands and the trial do, in their order, until there is nothing to do."""
        trial = app.began.get("trial")
        for _ in range(ROUNDS):
            for name in ("uplink", "update"):
                try:
                    await app.part(name).visit()
                except (OSError, CloudError, FlashError):
                    pass  # the link, or flash: errands try again
                except Exception:
                    if not self.forgiving:
                        raise
                    self._crashed()  # the task is started again (app._supervise)
                if trial and not app.running.get("sound"):
                    task = asyncio.create_task(trial.run())
                    await asyncio.sleep(0)
                    task.cancel()  # it would sleep now
            if self.cloud.terminal and not app.records.pending():
                return True
        return False

    def finish(self):
        """Live until nothing is left to do; -> how many lives that took."""
        for lives in range(1, LIVES + 1):
            if self.live():
                return lives
        raise Broken("other", "not done after %d starts" % LIVES)

    # What must be true in the end

    def judge_either(self):
        """After a fault that an update may fail of: it has succeeded or failed, said which, and the queue is whole."""
        told = self.cloud.terminal
        if not told or len(set(told)) != 1:
            raise Broken("reports", "told %s" % (self.cloud.told,))
        succeeded = told[0][1] == SUCCEEDED
        info = self.select()
        if info["pending"] or info["version"] != ("1.1.0" if succeeded else "1.0.0"):
            raise Broken("wrong", "told %s and runs %s" % (told[0], info["version"]))
        if not succeeded and not told[0][2]:
            raise Broken("reports", "no reason")
        self._judge_records(LIVES)
        return succeeded

    def judge(self, cuts=1):
        """Raise Broken unless all claims hold after `cuts` power cuts; -> bytes that were fetched twice."""
        state = bootsel.read(ROOT)
        info = self.select()
        want = ("1.1.0", 2, 0) if self.good else ("1.0.0", 0, 1)
        if (info["version"], state["floor"], len(state["bad"])) != want or info["pending"] or state["pending"]:
            raise Broken("wrong", "ended with %s, %s" % (info["version"], state))
        self._judge_reports()
        self._judge_records(cuts)
        again = max(0, self.cloud.fetched - self.images.needed)
        if again > cuts * BLOCK:
            raise Broken("other", "%d bytes fetched again" % again)
        if self.chip.violations:
            raise Broken("other", "%d bytes programmed twice" % self.chip.violations)
        return again

    def _judge_reports(self):
        state, word = _GOOD if self.good else _BAD
        told = self.cloud.terminal
        if not told or len(set(told)) != 1 or told[0][1] != state or not (told[0][2] or "").startswith(word):
            raise Broken("reports", "told %s" % (self.cloud.told,))
        said = []
        for report in self.cloud.told:
            if report[1] not in said:
                said.append(report[1])
            elif report[1] != said[-1]:
                raise Broken("reports", "%s again, after %s" % (report[1], said[-1]))
        if said != [state for state in _ORDER if state in said]:
            raise Broken("reports", "in the order of %s" % said)
        kept = [value["state"] for name, value in self.in_journal() if name == "job"]
        if kept != said:
            raise Broken("reports", "the journal had %s, the cloud %s" % (kept, said))

    def in_journal(self):
        """-> [(name, value)] of all records that the journal's sectors still hold, acknowledged or not."""
        journal = self._journal()
        found = {}
        for sector in range(_SECTORS):
            at = 32
            while at < BLOCK:
                kind, seq, n, at = frame(journal, sector, at)
                if kind == 1:
                    found[seq] = unpack(seq, bytes(journal._view[12 : 12 + n]))[2:]
                at += (12 + n + 3) & ~3
        return [found[seq] for seq in sorted(found)]

    def _judge_records(self, cuts):
        for seq, value in self.cloud.kept.items():
            if self.cloud.records.get(seq) != ("temp", value):
                raise Broken("lost", "record %d" % seq)
        if self.cloud.resent > (cuts + self.lossy) * _BATCH or self._journal().dropped:
            raise Broken("other", "%d records sent again" % self.cloud.resent)
