"""Rows P4 and P5: flash that refuses, wears out, lies, and a file system that is nearly full.

Of most of these an update may fail. It must say so and why, with the old image running, whole, and a queue that lost
nothing that it had promised.
"""

import os
from errno import EIO

from faults.device.cuts import Run
from faults.device.node import ROOT, Broken, Images, Node
from harness.flashsim import MODES
from harness.rng import Rng

_ENOSPC = 28
_FOREVER = 1 << 29
_STARTS = 3
_FLIPS = 240
_LEVELS = 20
_FOLDERS = 20  # blocks that statvfs misses, and what the image needs
_CONTENT = 4080  # of a block, beside littlefs' pointers to others


def _begin(node):
    node.chip.load(node.image)
    node.cloud.begin()
    node.at_start = None
    node.spare_starts = 0


def _judged(node, tally):
    tally.most("boots", node.finish())
    if node.judge_either():
        tally.add("succeeded")


def _once(node, tally, place, seed):
    node.chip.fail(place, EIO if seed else _ENOSPC, 1)
    _judged(node, tally)


def _until_restart(node, tally, place, seed):
    """Everything is refused until the node starts again."""

    def heal():
        if node.chip.ops >= place:
            node.chip.fail(0, 0, 0)

    node.at_start = heal
    node.chip.fail(place, EIO if seed else _ENOSPC, _FOREVER)
    _judged(node, tally)


def _for_good(node, tally, place, seed):
    """Worn out: nothing can be written any more. The node goes on with what it has."""
    node.chip.fail(place, EIO if seed else _ENOSPC, _FOREVER)
    for _ in range(_STARTS):
        node.live()
    node.power_on()
    node.select()
    node._journal().peek()


def _bad_block(node, tally, place, seed):
    """One block refuses everything, for good (-EIO); or, of the file system, keeps what it holds without a word."""
    if seed or place >= node.blocks:
        node.chip.bad = (place,)  # the journal does not read back what it has written
    else:
        node.chip.stuck = (place,)
    for _ in range(_STARTS):
        if node.live():
            node.judge_either()
            tally.add("succeeded")
            return
    if not node.cloud.told:
        raise Broken("reports", "nothing was said")
    node.select()


def _read_flip(node, tally, place, seed):
    node.spare_starts = 1
    node.chip.flip_read(place, 1 << seed % 8)
    _judged(node, tally)


_FAULTS = {
    "refused-once": _once,
    "refused-until-restart": _until_restart,
    "worn-out": _for_good,
    "bad-block": _bad_block,
    "read-flip": _read_flip,
}


def _places(part, node, seed):
    """-> [(place, seed)] of a part."""
    _begin(node)
    node.finish()
    if part == "bad-block":
        return [(i, kind) for i in range(node.chip.blocks) for kind in (0, 1)]
    if part == "read-flip":
        rng = Rng(seed)
        return [(rng.below(node.chip.reads), rng.below(8)) for _ in range(_FLIPS)]
    if part != "refused-once":
        return [(i, i & 1) for i in range(node.chip.ops)]  # -ENOSPC and -EIO in turn
    return [(i, kind) for i in range(node.chip.ops) for kind in (0, 1)]


def _case(node, tally, part, place, seed):
    _begin(node)
    _FAULTS[part](node, tally, place, seed)


def refused(tally, part, share, seed, full):
    """P4."""
    node = Node(Images("small"))
    node.forgiving = True
    places = _places(part, node, seed)
    tally.most("ops", len(places))
    for n, (place, kind) in enumerate(places):
        if share.mine(n):
            tally.case("%d.%d" % (place, kind), _case, node, tally, part, place, kind)


def again(tally, part, text):
    """--only of P4."""
    import log

    node = Node(Images("small"))
    node.forgiving = True
    log.level = log.INFO
    place, kind = map(int, text.split("."))
    tally.case(text, _case, node, tally, part, place, kind)


# A full disk


def _tree(path=""):
    """-> [(path, content)] of everything but what the errand may write: its record, and what it had fetched."""
    found = []
    for name in sorted(os.listdir(ROOT + path)):
        below = path + "/" + name
        if os.stat(ROOT + below)[0] & 0x4000:
            found += _tree(below)
        elif not below.startswith("/data/job") and below not in ("/fill", "/dl.new"):
            with open(ROOT + below, "rb") as f:
                found.append((below, f.read()))
    return found


def _fill(node, free):
    """Leave so many blocks free, really: statvfs of MicroPython 1.25 counts the two blocks of each folder twice. -> the
    tree as it is then, with an older image in slot b."""
    _begin(node)
    node.power_on()
    for path, content in node.images.files["1.0.0"][:2]:
        node._put("b/" + path, content + b"older")
    if node.room is None:
        node.room = _write_fill(1 << 20)
        os.remove(ROOT + "/fill")
    _write_fill(node.room - free)
    return _tree()


def _write_fill(blocks):
    """Write so many blocks in one go, for what is flushed often is moved often; -> how many there was room for."""
    f = open(ROOT + "/fill", "wb")
    n = 0
    try:
        while n < blocks:
            f.write(bytes(_CONTENT))
            n += 1
    except OSError:
        pass  # that is all
    try:
        f.close()
    except OSError:
        n -= 1
    return n


def _full(node, tally, free):
    before = _fill(node, free)
    if not free:  # not even a report can be kept; the node goes on with what it has
        for _ in range(_STARTS):
            node.live()
        if _tree() != before or node.cloud.terminal:
            raise Broken("other", "%s, %s" % (node.cloud.terminal, [path for path, _ in _tree()]))
        return
    lives = node.finish()
    if node.judge_either():
        tally.add("succeeded")
        return
    told = node.cloud.terminal[0]
    if "space" not in told[2]:
        raise Broken("reports", "refused for another reason: %s" % told[2])
    if lives > 1 or _tree() != before:
        raise Broken("other", "something was deleted or written: %s" % [path for path, _ in _tree()])
    tally.add("refused")


def _tight(node, tally, run, op, mode, seed):
    """An update that fits must not be refused for room after a cut."""
    run.cut(op, mode, seed)
    node.finish()
    if not node.judge_either():
        raise Broken("other", "refused after the cut: %s" % node.cloud.terminal[0][2])


def full_disk(tally, part, share, seed, full):
    """P5: at every level, from nothing free to more than enough; then cuts at the lowest that is enough."""
    node = Node(Images("small"))
    node.forgiving = True
    node.room = None
    least = None
    for free in range(_LEVELS + _FOLDERS):
        tally.case("level.%d" % free, _full, node, tally, free)
        if least is None and tally.figures.get("succeeded"):
            least = free
    if tally.figures.get("refused", 0) < _LEVELS or least is None:
        found = (tally.figures.get("refused", 0), least)
        tally.fail("levels", "%d levels too low, the lowest that is enough: %s" % found, "other")
        return
    _fill(node, least)
    image = node.chip.save()
    run = Run(node, image, None)
    tally.most("ops", len(run))
    for op in range(len(run)):
        if share.mine(op):
            for mode in MODES:
                tally.case("%d.%d" % (op, mode), _tight, node, tally, run, op, mode, seed)
