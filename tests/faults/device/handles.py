"""Row P7: an exception between opening a file and closing it, at every change to a file, and a collection after it.

littlefs commits a file when its finaliser closes it (facts/fota.md 2.1): what was half written must be a name that
nobody reads. A handle may be closed on the way out, or forgotten and closed by the collector.
"""

import gc

import bootsel
from faults.device.node import ROOT, Broken, Images, Node
from faults.device.tap import Tap

_WAYS = ("closed", "forgotten")


def _node(good):
    node = Node(Images("small"), good=good)
    node.forgiving = True
    node.live()  # loads everything
    tap = Tap()
    tap.install()
    node.after_crash = _collect
    gc.disable()  # finalisers run when we say so, with a chip that allocates nothing
    return node, tap


def _begin(node):
    node.chip.load(node.image)
    node.cloud.begin()


def _collect(node):
    """The collection that follows an errand's end (errands.run), whichever."""
    before = bootsel.read(ROOT)
    node.chip.frugal = True
    gc.collect()
    node.chip.frugal = False
    after = bootsel.read(ROOT)
    if after != before:
        raise Broken("other", "the collector has changed the state from %s to %s" % (before, after))


def _case(node, tap, tally, at, way):
    gc.collect()
    _begin(node)

    def act(what, change):
        if way == "forgotten" and what == "open":
            change()  # it is open, and nobody holds it
        raise MemoryError

    tap.arm(at, act)
    while tap.count <= at:
        if node.live():
            break
    tally.most("boots", node.finish())
    node.judge(2)  # the errand begins again in the same life, and then after a restart


def unclean(tally, part, share, seed, full):
    """P7, for an update that succeeds and one that is rolled back."""
    node, tap = _node(part == "update")
    _begin(node)
    tap.arm()
    node.finish()
    count = tap.count
    tally.most("ops", count)
    for at in range(count):
        if share.mine(at):
            for way in _WAYS:
                tally.case("%d.%s" % (at, way), _case, node, tap, tally, at, way)


def again(tally, part, text):
    """--only of P7."""
    import log

    at, way = text.split(".")
    node, tap = _node(part == "update")
    log.level = log.INFO
    tally.case(text, _case, node, tap, tally, int(at), way)
