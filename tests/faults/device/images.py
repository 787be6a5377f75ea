"""Row I1: images that are damaged, foreign, old, or signed with a mistake, through Fetch and Slots on littlefs2 in RAM.

A node runs sequence 2 from slot b, sequence 1 lies in slot a. Of every bad image: refused with a reason of its own,
before the state record or a slot changes; nothing is fetched behind the block in which it was noticed; what was being
downloaded before is still there when the head is refused; and the next good image is taken.
"""

import sys

import bootsel
from faults import payloads
from faults.device import spoilt
from faults.device.node import Broken
from fota import FotaError, ManifestError
from fota.fetch import Fetch
from fota.slots import Slots
from harness.fota_kit import CLASS, KEY, Disk, Source, bundle, install_by_cable, run
from harness.rng import Rng

_OLD = payloads.files("small", "old")
_SOME = (300, 3)  # manifests with random edits; one byte in so many of manifest and signature
_ALL = (20000, 1)
_MIDDLE_OF = 4  # the same in the middle of another download: one case in so many, unless full
_BLACK = bundle(spoilt.FILES, "6.6.6", 66)
_MIDDLE = bundle(spoilt.FILES, "1.5.0", 5)  # what the node is in the middle of when something else comes
_STARTED = 4096


class _Source(Source):
    """Counts what is asked for of the payload: what lies behind the head of the good image."""

    def __init__(self, image, head):
        super().__init__(image)
        self._head = head
        self.payload = 0
        self.highest = 0

    async def read(self, offset, view):
        n = await Source.read(self, offset, view)
        if offset >= self._head:
            self.payload += n
            self.highest = max(self.highest, offset + n - self._head)
        return n


class Node:
    """The node on its flash; begin() brings it back to what it was."""

    def __init__(self):
        self.disk = Disk(64)
        self.root = self.disk.root
        self._path = list(sys.path)
        first = bundle(_OLD, "1.1.0", 1)
        install_by_cable(self.disk, "a", first, _OLD)
        self._select()
        self.take(bundle(_OLD, "1.2.0", 2))
        self._select()
        self.slots.confirm()
        state = bootsel.read(self.root)
        state["bad"] = [_digest(_BLACK)]
        bootsel.write(self.root, state)
        self._select()
        self._clean = self.disk.chip.save()
        source = Source(_MIDDLE)
        source.fail_at = len(_MIDDLE) - 100
        try:
            self._fetch(source, len(_MIDDLE), "middle")
        except OSError:
            pass
        self._middle = self.disk.chip.save()

    def _select(self):
        self.disk.reboot()
        self.info = bootsel.select(self.root)
        sys.path[:] = self._path
        if self.info is None:
            raise Broken("bricks", "nothing starts")
        self.slots = Slots(self.root, self.info)

    def begin(self, in_the_middle=False):
        """Power on, as it was; `in_the_middle`: of another download."""
        self.disk.chip.load(self._middle if in_the_middle else self._clean)
        self._select()

    def _fetch(self, source, size, job):
        slots = self.slots
        fetch = Fetch(
            self.root, job, size, source.read, KEY.modulus, CLASS, slots.floor, None, slots.bad, slots.room
        )  # fmt: skip
        return run(fetch.run())

    def take(self, image, size=None, job="job", source=None):
        """Download, install, arm. Raises what these raise."""
        manifest = self._fetch(source or Source(image), len(image) if size is None else size, job)
        self.slots.install(manifest)
        self.slots.arm()

    def state(self):
        """Both state records, as they lie there."""
        return [self.disk.get("boot." + side) if self.disk.has("boot." + side) else b"" for side in "01"]

    def untouched(self, slots):
        """Raise Broken unless these slots hold what they held."""
        for slot in slots:
            if bootsel.check(self.root, slot) is None:
                raise Broken("wrong", "slot %s is damaged" % slot)

    def close(self):
        sys.path[:] = self._path
        self.disk.close()


def _digest(image):
    return image[20:36]


def one(node, make, middle=False):
    """One image; Broken when the node does not deal with it as it should. -> whether it was refused."""
    fault = make()
    node.begin(middle)
    before = node.state()
    source = _Source(fault.image, _head_of(fault.image))
    caught = None
    try:
        node.take(fault.image, fault.size, "job", source)
    except FotaError as e:
        caught = e
    if caught is None:
        if fault.reasons:
            raise Broken("wrong", "taken")
        _taken(node, fault.image)
        return False
    reason = caught.reason
    if fault.reasons is not None and reason not in fault.reasons:
        raise Broken("other", "%s, expected %s" % (caught, fault.reasons))
    if fault.detail is not None and caught.detail != fault.detail:
        raise Broken("other", "%s, expected %s" % (caught, fault.detail))
    if source.highest > fault.limit:
        raise Broken("other", "%d bytes of payload asked for, %d expected" % (source.highest, fault.limit))
    if node.state() != before:
        raise Broken("wrong", "the state record has changed")
    node.untouched("b")
    kept = _head_refused(fault.image, source)
    if kept:
        node.untouched("a")
        if middle and not node.disk.has("dl/data"):
            raise Broken("other", "the download before is gone")
    if caught.final and (reason in ("block", "short", "unstable") or not str(caught)):
        raise Broken("other", "%s is final" % caught)
    node._select()
    if (node.info["slot"], node.info["version"], node.info["pending"]) != ("b", "1.2.0", False):
        raise Broken("wrong", "another image starts")
    _next_good(node, middle, kept)
    return True


def _next_good(node, middle, kept):
    """The next good image is taken; one that was begun before goes on where it was, if it was `kept`."""
    good = _MIDDLE if middle else spoilt.GOOD
    source = _Source(good, _head_of(good))
    node.take(good, len(good), "middle" if middle else "next", source)
    if middle and kept and source.payload > len(good) - _head_of(good) - _STARTED:
        raise Broken("other", "what was there is fetched again")
    _taken(node, good)


def _taken(node, image):
    node._select()
    if not node.info["pending"] or node.info["digest"] != _digest(image):
        raise Broken("wrong", "armed, and does not start")


def _head_of(image):
    """Bytes before the payload of an image, 1 GB when it is not one."""
    offset = int.from_bytes(image[12:16], "little") if image[:4] == b"GWB1" else 0
    return offset if offset > 64 else 1 << 30


def _head_refused(image, source):
    """True unless the manifest was taken: then what was there before is gone, and rightly so."""
    whole = 64 + int.from_bytes(image[8:12], "little") + 384
    return not source.payload and not (len(image) >= whole and source.read_bytes >= whole and _short(image))


def _short(image):
    return len(image) <= _head_of(image) < 1 << 30


def _floor_lost(node):
    """Both state records are gone: the running image is the floor."""
    node.begin()
    for side in "01":
        if node.disk.has("boot." + side):
            node.disk.put("boot." + side, b"")
    node.disk.put("a/MANIFEST", b"")  # so that slot b is what starts
    node._select()
    if node.slots.floor != 2:
        raise Broken("wrong", "floor %d" % node.slots.floor)
    for sequence in (1, 2):
        try:
            node.take(bundle(spoilt.FILES, "1.3.0", sequence))
            raise Broken("wrong", "sequence %d taken" % sequence)
        except ManifestError:
            raise Broken("other", "not a FetchError") from None
        except FotaError as e:
            if e.reason != "sequence":
                raise Broken("other", str(e)) from None


def work(tally, part, share, seed, full, only=None):
    """The whole row, one share of it. `part`: "" or "middle": in the middle of another download."""
    node = Node()
    middle = part == "middle"
    rng = Rng(seed)
    n = 0
    for name, make in spoilt.cases(seed, *_ALL if full else _SOME):
        n += 1
        if only is not None:
            mine = name == only
        else:
            mine = share.mine(n) and (full or not middle or rng.below(_MIDDLE_OF) == 0)
        if mine:
            tally.case(name, _counted, tally, node, make, middle)
    if not middle and only in (None, "floor-lost"):
        tally.case("floor-lost", _floor_lost, node)
    if only is None:
        tally.most("ops", n)
        if n < 1000:
            tally.fail("count", "%d images: has the row stopped exploring?" % n, "other")
    node.close()


def _counted(tally, node, make, middle):
    if one(node, make, middle):
        tally.add("refused")


def again(tally, part, case):
    """One case by its name."""
    seed = int(case.split("-")[1]) if case.startswith("fuzz-") else 1
    work(tally, part, None, seed, True, case)
