"""Row H1 on the device: a whole update (selector, download, installation, confirmation) that runs out of heap.

Arguments: repository, "lock" or "fill", step, first. Prints one line of JSON. Two ways of running out:

- lock: from flash operation, or read of the network, number k on every allocation fails, until one has;
- fill: the heap is filled so that n bytes are left, from one step of the update on.

Afterwards the heap is given back, abandoned handles are collected (their finalisers commit what they hold), and the
node starts again, or tries again without a start: it must come to the new image, and must never have armed half a one.
The chip of flashsim is "frugal": it allocates nothing, so that nothing is raised through the file system.
"""

import gc
import json
import sys

_REPO, _WAY, _STEP, _FIRST = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
sys.path[:] = [_REPO + "/lib", _REPO + "/firmware", _REPO + "/tests/harness", _REPO + "/tests", ".frozen"]

from micropython import heap_lock, heap_unlock  # noqa: E402

import bootsel  # noqa: E402
import harness.flashsim  # noqa: E402
from fota import FotaError  # noqa: E402
from fota.fetch import Fetch  # noqa: E402
from fota.slots import Slots  # noqa: E402
from harness.flashsim import FlashSim  # noqa: E402
from harness.fota_kit import CLASS, KEY, Disk, Source, bundle, code, install_by_cable, run  # noqa: E402

STEPS = ("select", "fetch", "install", "arm", "confirm")
_OLD = [("app.mpy", code("old app", 3000)), ("lib/one.mpy", code("old one", 500))]
_NEW = [("app.mpy", code("new app", 6000)), ("lib/one.mpy", code("new one", 500)), ("lib/two.mpy", code("two", 4000))]
_IMAGES = {"1.0.0": bundle(_OLD, "1.0.0", 1), "1.1.0": bundle(_NEW, "1.1.0", 2)}
_PAYLOAD = sum(len(content) for _, content in _NEW)
_HEAD = len(_IMAGES["1.1.0"]) - _PAYLOAD
_LEVELS = [0] + [(96 if i % 2 else 64) << i // 2 for i in range(21)]  # bytes left: 0, 64, 96, 128 .. 65,536
_MAX_LIVES = 5
_path = list(sys.path)


def _nothing(_step):
    return False


class Broken(Exception):
    """A promise was broken; the text says which."""


class Trap:
    """Locks the heap at event `at`; counts events. Allocates nothing."""

    def __init__(self):
        self.count = 0
        self.at = -1
        self.locked = False

    def event(self):
        self.count += 1
        if self.count == self.at:
            self.locked = True
            heap_lock()

    def open(self):
        self.at = -1
        if self.locked:
            self.locked = False
            heap_unlock()


class Chip(FlashSim):
    """Every program and erase is an event."""

    trap = None

    def writeblocks(self, block, buf, offset=None):
        result = FlashSim.writeblocks(self, block, buf, offset)
        self.trap.event()
        return result

    def ioctl(self, op, arg):
        result = FlashSim.ioctl(self, op, arg)
        if op == 6:
            self.trap.event()
        return result


class Link(Source):
    """Every read is an event; counts what of the payload is read."""

    def __init__(self, trap):
        super().__init__(_IMAGES["1.1.0"])
        self.trap = trap
        self.payload = 0

    async def read(self, offset, view):
        n = await Source.read(self, offset, view)
        if offset >= _HEAD:
            self.payload += n
        self.trap.event()
        return n


class Node:
    def __init__(self):
        self.trap = Chip.trap = Trap()
        harness.flashsim.FlashSim = Chip  # what Disk takes
        self.disk = Disk(40)
        self.chip = self.disk.chip
        install_by_cable(self.disk, "a", _IMAGES["1.0.0"], _OLD)
        self.image = self.chip.save()
        self.before = _nothing

    def begin(self):
        self.chip.load(self.image)
        self.chip.frugal = True
        self.disk.reboot()
        self.link = Link(self.trap)
        self.trap.count = 0
        self.info = None
        self.left = 0
        gc.collect()

    def _enter(self, step):
        self.step = step
        if self.before(step):
            gc.collect()  # from here: on the stack of before() lies what it then cannot collect
            self.before(step)
        self.trap.event()

    def start(self):
        self._enter("select")
        try:
            self.info = bootsel.select("/disk")
        finally:
            sys.path[:] = _path

    def check(self):
        """What was started is one of the images, whole. For a life with all of its heap."""
        if self.info is None:
            raise Broken("nothing starts")
        for path, content in {"1.0.0": _OLD, "1.1.0": _NEW}[self.info["version"]]:
            if self.disk.get(self.info["slot"] + "/" + path) != content:
                raise Broken("%s starts with a wrong %s" % (self.info["version"], path))

    def live(self, fresh=True):
        """One life, or another try of the same; True when the update is confirmed."""
        if fresh or self.info is None:
            self.start()
        info = self.info
        slots = Slots("/disk", info)
        if info["pending"]:
            self._enter("confirm")
            slots.confirm()
            info["pending"] = False
            return True
        if info["version"] == "1.1.0":
            return True
        self._enter("fetch")
        manifest = run(self._fetch(slots))
        self._enter("install")
        slots.install(manifest)
        self._enter("arm")
        slots.arm()
        return False

    def _fetch(self, slots):
        image = _IMAGES["1.1.0"]
        terms = (KEY.modulus, CLASS, slots.floor, None, slots.bad, slots.room)
        return Fetch("/disk", "job", len(image), self.link.read, *terms).run()

    def case(self, fresh):
        """Run into the fault, give the heap back, and see that all ends well; -> the step that it hit, or None."""
        hit = None
        try:
            while not self.live():
                pass
        except MemoryError:
            hit = self.step
        except (FotaError, OSError) as e:  # a shortage may come in other words, but no other trouble may
            hit = self.step
            self.words = "%s: %r" % (hit, e)
        finally:
            self.trap.open()
            self.before = _nothing
        gc.collect()  # now the finalisers of what was left open commit what it holds
        self._finish(fresh)
        return hit

    def _finish(self, fresh):
        for _ in range(_MAX_LIVES):
            if fresh or self.info is None:
                self.disk.reboot()
            done = self.live(fresh)
            fresh = True
            if self.info:
                self.check()
            if done:
                return self._judge()
        raise Broken("not updated after %d lives" % _MAX_LIVES)

    def _judge(self):
        state = bootsel.read("/disk")
        self.disk.reboot()
        self.start()
        self.check()
        if (self.info["version"], self.info["pending"], state["floor"]) != ("1.1.0", False, 2):
            raise Broken("not confirmed: %s" % state)
        if self.link.payload - _PAYLOAD > 4096:
            raise Broken("%d bytes fetched again" % (self.link.payload - _PAYLOAD))


def fill(left):
    """-> what fills the heap, in small pieces, until about `left` bytes are free."""
    gc.collect()
    chain = None
    for size in (4096, 512, 64, 64, 16, 16):
        try:
            for _ in range((gc.mem_free() - left) // (size + 32)):
                chain = (bytearray(size), chain)
        except MemoryError:
            pass  # no such piece is left: smaller ones are
    return chain


def lock_cases(node, cases):
    """One case for each `_STEP`-th event of an undisturbed update."""
    node.begin()
    while not node.live():
        pass
    events = node.trap.count
    for at in range(_FIRST, events + 1, _STEP):
        node.begin()
        node.trap.at = at
        cases(node, "event %d" % at, at % 2)
    return events


def fill_cases(node, cases):
    """One case for each level and step."""
    for number in range(_FIRST, len(_LEVELS), _STEP):
        left = _LEVELS[number]
        for step in STEPS:
            node.begin()
            held = []

            def before(now, left=left, step=step, held=held):
                if now == step and len(held) < 2:
                    held.append(fill(left))
                    node.left = left
                    return True

            node.before = before
            cases(node, "%s with %d bytes" % (step, left), number % 2, held)
    return len(_LEVELS)


def main():
    node = Node()
    hits = {step: 0 for step in STEPS}
    told = {"cases": 0, "quiet": 0, "most": 0, "failures": [], "words": []}

    def cases(node, name, fresh, held=None):
        node.words = None
        told["cases"] += 1
        try:
            hit = _held(node, fresh, held)
            if hit:
                hits[hit] += 1
                told["most"] = max(told["most"], node.left)
            else:
                told["quiet"] += 1
        except (Broken, FotaError, OSError, MemoryError) as e:
            told["failures"].append("%s, at %s: %r" % (name, node.step, e))
        if node.words and node.words not in told["words"]:
            told["words"].append(node.words)

    told["events"] = (lock_cases if _WAY == "lock" else fill_cases)(node, cases)
    told["hits"] = hits
    print(json.dumps(told))


def _held(node, fresh, held):
    if held is None:
        return node.case(fresh)
    finish = node._finish

    def freed(again):
        held.clear()  # the ballast goes before the heap is asked for anything
        gc.collect()
        finish(again)

    node._finish = freed
    try:
        return node.case(fresh)
    finally:
        node._finish = finish
        held.clear()


main()
