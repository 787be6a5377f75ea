"""Power cuts at every flash operation of an update of a whole ESP32 image: the bootloader's, the file system's, ours.

A Node is a simulated ESP32 (esp32sim.py) with the old image in ota_0. One life is one start: bootloader, partboot,
and what the application would do. An undisturbed update is recorded; then each of its operations is cut in each mode,
the node starts again until the update is done, and is held to its promises. MicroPython only: it needs littlefs2.
RAM: 31 blocks of 4 KB three times, and those in use, 400 KB.
"""

import gc
import os
import sys
import unittest
from hashlib import sha256

import vfs

import bootsel
import partboot
import store
from fota import FotaError
from fota.fetch import Fetch
from fota.partition import PartitionBlocks
from fota.partitions import Partitions
from fota.trust import adopt
from harness import espimage
from harness.esp32sim import PENDING, Esp32, Reset, reset
from harness.flashsim import AFTER, BEFORE, MODES, NAMES, TORN, Tape
from harness.fota_kit import BLOCK, CLASS, KEY, Source, bundle, run
from harness.rng import Rng

ROOT = "/esp"
BLOCKS = 4  # of an app partition
OLD = espimage.make("1.0.0", 6000)
OLDER = espimage.make("0.9.0", 4 * BLOCK - 64)  # what lies in ota_1 before the update
NEW = espimage.make("1.1.0", 3 * BLOCK + 1600)
OLD_BUNDLE = bundle([("image.bin", OLD)], "1.0.0", 1, k6="image")
NEW_BUNDLE = bundle([("image.bin", NEW)], "1.1.0", 2, k6="image")
_MAX_LIVES = 8
_NEEDED = 3  # starts after a cut: finish the download, go back from a trial, start the new image
NEW_DIGEST = sha256(NEW_BUNDLE[64 : 64 + int.from_bytes(NEW_BUNDLE[8:12], "little")]).digest()[:16]


# Deaths of the new image, what its health gate says, whether the bootloader goes back by itself, whether there may be
# a second cut (else it would be one death too many), and the flash operations of the undisturbed update.
SCENARIOS = {
    "proved": (0, None, True, True, 55),
    "brown-out": (1, None, True, False, 63),
    "never-proved": (99, None, True, True, 67),
    "given-up": (0, "unreached", True, True, 51),
    "proved-alone": (0, None, False, True, 53),
    "keys": (0, None, True, True, 71),
    "never-proved-alone": (99, None, False, True, 55),
}


class Broken(Exception):
    """A promise was broken; `kind`: bricks, wrong or other, the text says which."""

    def __init__(self, text, kind="other"):
        super().__init__(text)
        self.kind = kind


def node_of(name):
    """The Node of a scenario."""
    dies, reason, rollback, _, _ = SCENARIOS[name]
    node = Node(rollback=rollback)
    node.dies, node.reason = dies, reason
    if name == "keys":
        node.bring(bytes([0xC1]) * 384)
    return node


class _Link(Source):
    """Serves the new image as long as the power is on; counts what of the payload is asked for, and when."""

    def __init__(self, chip, image, payload):
        super().__init__(image)
        self.chip = chip
        self._head = len(image) - payload
        self.payload = 0
        self.marks = []  # (operations so far, payload bytes asked for)

    async def read(self, offset, view):
        if self.chip.is_cut:
            raise OSError(110)
        n = await Source.read(self, offset, view)
        if offset >= self._head:
            self.payload += n
            self.marks.append((self.chip.ops, self.payload))
        return n


class Node:
    """A board with the old image in ota_0 and a forerunner in ota_1. The parts under test can be others: `blocks`,
    `partitions` (classes) and `select`; `files`: blocks of the file system. `dies`: the new image ends in a reset
    before it confirms, at so many of its starts; `reason`: its health gate gives it up, with this word."""

    def __init__(self, blocks=PartitionBlocks, partitions=Partitions, select=partboot.select, rollback=True,
                 files=21):  # fmt: skip
        self._blocks = blocks
        self._partitions = partitions
        self._select = select
        self._path = list(sys.path)
        self.dies = 0
        self.reason = None
        self.keys, self.device_class = KEY.modulus, CLASS
        self.images = {"1.0.0": OLD, "1.1.0": NEW}
        self.board = Esp32(BLOCKS, files, rollback)
        self.chip = self.board.chip
        self.board.flash(0, OLD)
        self.board.flash(1, OLDER)
        vfs.VfsLfs2.mkfs(self.board.files)
        with self:
            os.mkdir(ROOT + "/data")
            os.mkdir(ROOT + "/a")
            with open(ROOT + "/a/MANIFEST", "wb") as f:
                f.write(OLD_BUNDLE[: len(OLD_BUNDLE) - len(OLD)])
        self._image = self.chip.save()
        self._new, self._payload, self._brought = NEW_BUNDLE, len(NEW), None
        self.link = None

    def bring(self, keys):
        """The new image brings these update keys."""
        rows = [("image.bin", NEW), ("update.pub", keys)]
        self._new, self._payload, self._brought = bundle(rows, "1.1.0", 2, k6="image"), len(NEW) + len(keys), keys

    def __enter__(self):
        """The file system is there: `with node:`. Nothing of a life outlasts it."""
        vfs.mount(vfs.VfsLfs2(self.board.files, mtime=False), ROOT)
        return self

    def __exit__(self, *_):
        vfs.umount(ROOT)
        sys.path[:] = self._path

    def close(self):
        self.board = self.chip = self._image = self.link = self.tape = None
        gc.collect()

    def begin(self):
        """Power on with the factory's flash."""
        self.chip.load(self._image)
        self.link = _Link(self.chip, self._new, self._payload)
        self.starts = self.trials = self.cuts = 0
        self.confirmed = self.faulty = False  # faulty: the flash refuses something, perhaps to the bootloader
        self.why = None
        self.tried_at = []  # operations so far at each start of the new image on trial

    def live(self):
        """One life; -> "old" when the update is given up, "new" when it is done, None when the power fails or it
        restarts."""
        chip = self.chip
        self.starts += 1
        index = self.board.boot()
        if chip.is_cut:
            return None
        if index is None:
            raise Broken("nothing starts", "bricks")
        with self:
            try:
                return self._application(index)
            except Reset:
                return None
            except FotaError as e:
                if not chip.is_cut:
                    raise Broken("update refused: %s" % e) from None

    def _application(self, index):
        info = self._select(ROOT, self.board.partitions[index], reset)
        sys.path[:] = self._path  # what is under test is not frozen here
        if self.chip.is_cut:
            return None
        self._judge_start(index, info)
        running = dict(info)
        slots = self._partitions(ROOT, running, self.board.partitions[index])
        if info["pending"]:
            self.trials += 1
            self.tried_at.append(self.chip.ops)
            return self._trial(slots)
        if info["version"] == "1.1.0":
            adopt(ROOT, info["path"])  # as parts.py does before each look for an update
            return "new"
        if info["rolled_back"]:
            self.why = info["rolled_back"]
            return "old"
        run(self.update(slots, index))

    def _judge_start(self, index, info):
        """What runs is one of the two images, whole, and is what it says. Checked without the code under test."""
        want = self.images[info["version"]]
        if self.board.content(index, 0, len(want)) != want:
            raise Broken("%s starts with wrong content" % info["version"], "wrong")
        if self.confirmed and (info["version"] != "1.1.0" or info["pending"]):
            raise Broken("confirmed image is not the one that starts", "wrong")
        if info["pending"] and info["version"] != "1.1.0":
            raise Broken("old image on trial", "wrong")
        if info["version"] == "1.1.0" and not info["pending"] and bootsel.read(ROOT)["floor"] != 2:
            raise Broken("new image stays without a proof", "wrong")
        if info["pending"] and not self.cuts and self.board.rollback and not self.faulty:
            if self.board.entry(self.board.active())[1] != PENDING:
                raise Broken("marked as valid without a proof")

    def _trial(self, slots):
        if self.trials <= self.dies:
            return None
        if self.reason:
            slots.roll_back(self.reason)
            return None
        slots.confirm()
        if self.chip.is_cut:
            return None
        self.confirmed = True
        return "new"

    async def update(self, slots, index):
        part = self.board.partitions[index]
        store = self._blocks(part)
        fetch = Fetch(
            ROOT, "job", len(self.link.image), self.link.read, self.keys, self.device_class, slots.floor, None,
            slots.bad, slots.room, blocks=store, component="image",
        )  # fmt: skip
        try:
            manifest = await fetch.run()
            slots.install(manifest)
            slots.arm()
        except OSError:
            if not self.chip.is_cut:
                raise

    def finish(self, lives=_MAX_LIVES):
        """Live until the update has ended, one way or the other -> "old" or "new"."""
        for _ in range(lives):
            ended = self.live()
            if ended:
                return ended
            if self.chip.is_cut:
                return None
        raise Broken("no end after %d starts" % lives)

    def record(self):
        """An undisturbed update, for campaign(); -> number of operations."""
        self.begin()
        self.chip.record()
        self.expected = self.finish()
        self.expected_why = self.why
        self.erases = self.chip.erases
        self._marks = self.link.marks
        self._tried_at = self.tried_at
        self.tape = Tape(self.chip, self._image, self.chip.log)
        self.chip.log = None
        return len(self.tape)

    def put(self, op, mode, seed=0):
        """The node as a cut at operation `op` of the recorded update leaves it."""
        self.begin()
        self.tape.put(op, mode, seed)
        self.link.payload = max([payload for ops, payload in self._marks if ops <= op] or [0])
        self.trials = len([1 for ops in self._tried_at if ops <= op])
        self.cuts = 1

    def recover(self):
        """From put() on to the end, which must be that of the undisturbed update; raises Broken. -> (starts, bytes
        fetched again)."""
        ended = self.finish()
        if ended != self.expected:
            raise Broken("ended with the %s image: %s" % (ended, self.why), "wrong")
        return self.judge()

    def judge(self):
        """The update has ended: it stays so, nothing was fetched more often than it must, and the flash was used
        properly."""
        starts = self.starts
        if self.live() != self.expected:
            raise Broken("does not stay", "wrong")
        with self:
            state = bootsel.read(ROOT)
            if self._brought and store.read_bytes(ROOT + "/data/update.pub") != self._brought:
                raise Broken("keys are lost")
        found = (state["active"], state["pending"], state["floor"], state["bad"])
        if found != (("b", None, 2, []) if self.expected == "new" else ("a", None, 0, [NEW_DIGEST])):
            raise Broken("wrong record: %s" % state)
        if self.why != self.expected_why:
            raise Broken("rolled back because %s" % self.why)
        again = self.link.payload - self._payload
        if again > BLOCK * self.cuts:
            raise Broken("%d bytes fetched again" % again)
        if self.expected == "new" and starts > _NEEDED + 2 * (self.cuts - 1) + 2 * self.dies:
            raise Broken("%d starts" % starts)
        if self.trials > 3:
            raise Broken("%d trials" % self.trials)
        if self.chip.violations:
            raise Broken("%d bytes programmed twice" % self.chip.violations)
        return starts, again

    def attempt(self, op, mode, seed=0, second=None):
        """Cut at `op`, and at operation `second` of the recovery: -> (starts, bytes fetched again). Raises Broken."""
        self.put(op, mode, seed)
        if second is not None:
            self.chip.cut(second, MODES[seed % 3], seed)
            ended = self.finish()
            self.chip.after_cut()
            if ended:
                return self.judge()
            self.cuts = 2
        return self.recover()

    def campaign(self, kinds=1, step=1, every=False, second=0, stop_at_first=False, seed=1):
        """Cut the recorded update at every `step`th operation, in one mode each in turn, or in all with `every`, torn
        in `kinds` ways; then `second` times at a random operation and again in the recovery.

        -> {"ops", "cases", "failures": texts, "again": most bytes fetched again, "boots": most starts after one cut}
        """
        total = {"ops": self.record(), "cases": 0, "failures": [], "again": 0, "boots": 0}
        for cut in self.cases(total["ops"], kinds, step, every, second, seed):
            total["cases"] += 1
            try:
                starts, again = self.attempt(*cut)
            except (Broken, OSError) as e:
                total["failures"].append("%s: %s" % (name(*cut), e))
                if stop_at_first:
                    break
                continue
            if cut[3] is None:
                total["again"] = max(total["again"], again)
                total["boots"] = max(total["boots"], starts)
            if total["cases"] % 32 == 0:
                gc.collect()
        return total

    def cases(self, ops, kinds, step, every, second, seed):
        """Yield the terms of attempt()."""
        for op in range(0, ops, step):
            for mode in MODES if every else MODES[op // step % 3 :][:1]:
                for kind in range(kinds if mode == TORN else 1):
                    yield op, mode, kind, None
        rng = Rng(seed)
        for _ in range(second):
            yield rng.below(ops), (BEFORE, TORN, AFTER)[rng.below(3)], rng.below(1000), rng.below(60)


class NodeTest(unittest.TestCase):
    """A test on a board with the factory's flash."""

    def setUp(self):
        self.node = Node(files=27)
        self.node.begin()
        self.part = self.node.board.partitions
        self.path = list(sys.path)

    def tearDown(self):
        self.node.close()

    def start(self):
        """-> what the start-up of the running partition says."""
        info = partboot.select(ROOT, self.part[self.node.board.running or 0], None)
        sys.path[:] = self.path
        return info


def name(op, mode, seed, second=None):
    """A case as text, for repeating it."""
    return "%d.%s.%d" % (op, NAMES[mode], seed) + ("" if second is None else "+%d" % second)


def parse(text):
    """The reverse of name()."""
    first, _, second = text.partition("+")
    op, mode, seed = first.split(".")
    return int(op), NAMES.index(mode), int(seed), int(second) if second else None
