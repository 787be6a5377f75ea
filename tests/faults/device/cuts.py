"""Rows P1 and P2: the power goes at every flash operation of an update, and again while the node recovers.

An update is run once, recorded; each case puts the chip and the world into the state that a cut at one operation
leaves (flashsim.Tape), and lets the node live on. Between two cases nothing is carried over.
"""

from faults.device.node import Images, Node
from harness.flashsim import MODES, NAMES, TORN, Tape
from harness.rng import Rng

TORN_KINDS = 3
_FEWER = ("big-deflated",)  # one kind: what tears in it is what tears in "big" and in "small-deflated"
# Flash operations of each update, undisturbed. The campaign explores as many places; a count that changes without a
# reason means that it does not see what it used to. After an intended change: `make powercut ARGS="--rows P1"` names
# the new ones.
OPS = {"small": 283, "big": 1167, "small-deflated": 242, "big-deflated": 920, "rollback": 283, "lossy": 283}


def node_of(part):
    """A Node for a part: size[-deflated]; or small, and the new image never reaches the cloud, or answers get lost."""
    size, _, how = part.partition("-")
    if size == "rollback":
        return Node(Images("small"), good=False)
    if size == "lossy":
        return Node(Images("small"), loses=lambda kind, n: kind in ("records", "report") and n % 2)
    return Node(Images(size, how == "deflated"))


class Run:
    """An update from a state of chip and cloud to its end, recorded. `node` is left at the end."""

    def __init__(self, node, image, before):
        self._node = node
        self._before = before
        node.chip.load(image)
        node.cloud.begin(before)
        node.chip.record()
        self.lives = node.finish()
        self.tape = Tape(node.chip, image, node.chip.log)
        self.erases = node.chip.erases
        self._events = node.cloud.events

    def __len__(self):
        return len(self.tape)

    def cut(self, op, mode, seed):
        """Put node and cloud where a cut leaves them."""
        self.tape.put(op, mode, seed)
        self._node.cloud.replay(self._before, self._events, op)


def name(cuts):
    """[(op, mode, seed)] as text, for --only."""
    return "+".join("%d.%s.%d" % (op, NAMES[mode], seed) for op, mode, seed in cuts)


def parse(text):
    """The reverse of name()."""
    cuts = []
    for part in text.split("+"):
        op, mode, seed = part.split(".")
        cuts.append((int(op), NAMES.index(mode), int(seed)))
    return cuts


def replay(tally, part, text):
    """--only: one case again, with the node's log."""
    import log

    node = node_of(part)
    cuts = parse(text)
    run = Run(node, node.image, None)
    log.level = log.INFO
    for i, cut in enumerate(cuts):
        print("--- cut at operation %d of %d, %s, seed %d" % (cut[0], len(run), NAMES[cut[1]], cut[2]))
        run.cut(*cut)
        if i + 1 < len(cuts):
            run = Run(node, node.chip.save(), node.cloud.copy())
    tally.case(text, _judged, node, tally, len(cuts))


def _judged(node, tally, cuts):
    lives = node.finish()
    tally.most("boots", lives)
    tally.most("again", node.judge(cuts))


def one(tally, part, share, seed, full):
    """P1: one cut at every operation, before it, inside it (three kinds), after it."""
    node = node_of(part)
    run = Run(node, node.image, None)
    node.judge(0)
    tally.counted(len(run), OPS[part])
    tally.most("erases", run.erases)
    kinds = 9 if full else 1 if part in _FEWER else TORN_KINDS
    for op in range(len(run)):
        if not share.mine(op):
            continue
        for mode in MODES:
            for kind in range(kinds if mode == TORN else 1):
                run.cut(op, mode, kind)
                tally.case(name([(op, mode, kind)]), _judged, node, tally, 1)


def again(tally, part, share, seed, full):
    """P2: a cut at every operation, and then 1 to 3 more at random moments of what follows; `full`: instead one more
    at every operation of it."""
    node = node_of(part)
    run = Run(node, node.image, None)
    tally.most("ops", len(run))
    for op in range(len(run)):
        if not share.mine(op):
            continue
        for mode in MODES:
            first = (op, mode, seed)
            rng = Rng(seed * 65537 + op * 3 + mode)
            run.cut(*first)
            if full:
                _everywhere(tally, node, first, rng)
            else:
                _some(tally, node, first, rng)


def _everywhere(tally, node, first, rng):
    follows = Run(node, node.chip.save(), node.cloud.copy())
    for op in range(len(follows)):
        second = (op, rng.choice(MODES), rng.bits(8))
        follows.cut(*second)
        tally.case(name([first, second]), _judged, node, tally, 2)


def _some(tally, node, first, rng):
    cuts = [first]
    for _ in range(1 + rng.below(3)):
        follows = Run(node, node.chip.save(), node.cloud.copy())
        if not len(follows):
            break
        cuts.append((rng.below(len(follows)), rng.choice(MODES), rng.bits(8)))
        follows.cut(*cuts[-1])
    tally.case(name(cuts), _judged, node, tally, len(cuts))
