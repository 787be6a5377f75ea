"""Row A1: a whole ESP32 image in app partitions; the power goes at every flash operation, the bootloader's included.

The node is that of harness/esp32_campaign.py: simulated flash and bootloader, the firmware's partboot, Fetch and
Partitions. `part`: one of its scenarios.
"""

from faults.device.node import Broken
from harness.esp32_campaign import SCENARIOS, name, node_of, parse
from harness.esp32_campaign import Broken as BrokenHere

_TWICE = 60  # cases with a second cut in the recovery


def _judged(tally, node, cut):
    try:
        starts, again = node.attempt(*cut)
    except BrokenHere as e:
        raise Broken(e.kind, str(e)) from None
    if cut[3] is None:
        tally.most("boots", starts)
        tally.most("again", again)


def replay(tally, part, text):
    """--only: one case again."""
    node = node_of(part)
    node.record()
    tally.case(text, _judged, tally, node, parse(text))


def one(tally, part, share, seed, full):
    """One cut at every operation, before it, inside it (three kinds), after it; then pairs of cuts."""
    node = node_of(part)
    twice, ops = SCENARIOS[part][3:]
    tally.counted(node.record(), ops)
    tally.most("erases", node.erases)
    kinds, pairs = (9, 2000) if full else (3, _TWICE)
    for n, cut in enumerate(node.cases(len(node.tape), kinds, 1, True, pairs * twice, seed)):
        if share.mine(n):
            tally.case(name(*cut), _judged, tally, node, cut)
