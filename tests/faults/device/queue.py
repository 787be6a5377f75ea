"""Row P6: the journal alone, the power going at every flash operation of a life of appends, deliveries and acks."""

from faults.device.node import Broken
from harness import journal_campaign

# Property of the format: a number that shrinks means that less is explored.
CASES = {"300": 1845, "three": 700}


def _say(failures):
    if failures:
        raise Broken("lost", "; ".join(failures[:5]))


def cuts(tally, part, share, seed, full):
    """P6: a cut everywhere in a life of 300 records; or three cuts a life, somewhere."""
    if part == "three":
        cases = CASES[part] * (10 if full else 1)
        failures = journal_campaign.cuts_in_recovery(seed, cases)
    else:
        cases, failures = journal_campaign.campaign(steps=int(part), kinds=3)
        if cases != CASES[part]:
            tally.fail("count", "%d cases, expected %d: see CASES in queue.py" % (cases, CASES[part]), "other")
        tally.most("ops", cases // 5)
    tally.case(part, _say, failures)
    tally.figures["cases"] = cases


def again(tally, part, text):
    """--only of P6 runs the part."""
    cuts(tally, part, None, 1, False)
