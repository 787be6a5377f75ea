"""Power cuts at every flash operation of the queue's life (facts/fota.md 4.3, row P6): appends, deliveries, acks.

Shared by tests/unit/test_journal.py and the campaign of tests/faults. A queue is judged by what append() has promised
and what a server has got, never by what it says of itself.
"""

from harness.flashsim import MODES, NAMES, TORN, FlashSim
from harness.rng import Rng
from journal import Journal

SECTOR = 1024
MAX = 128


def open_journal(chip):
    return Journal(chip, MAX)


class World:
    """What the outside knows: what append() promised, what the server has got."""

    def __init__(self):
        self.promised = {}
        self.server = {}
        self.resent = 0


def _live(queue, world, steps, batch=8):
    """Append `steps` records; deliver and ack every eighth. Works like the uplink, on a queue in any state."""
    for i in range(steps):
        body = b"r%d" % len(world.promised) + bytes(i * 11 % 70)
        world.promised[queue.append(body)] = body
        if i % batch == batch - 1:
            deliver(queue, world, batch)


def deliver(queue, world, batch):
    got = queue.peek(batch, 9999)
    for seq, body in got:
        world.resent += seq in world.server
        world.server[seq] = body
    if got:
        queue.ack(got[-1][0])


def _run_case(chip, image, op, mode, kind, open_queue, steps):
    """One power cut at operation `op`; returns None when all promises held, else what broke; False: not reached."""
    chip.load(image)
    world = World()
    queue = open_queue(chip)
    chip.cut(op, mode, kind)
    attempted = None
    for i in range(steps):
        attempted = b"r%d" % i + bytes(i * 11 % 70)
        seq = queue.append(attempted)
        if chip.is_cut:
            break
        world.promised[seq] = attempted
        if i % 8 == 7:
            got = queue.peek(8, 9999)
            world.server.update(dict(got))
            queue.ack(got[-1][0])
            if chip.is_cut:
                break
    if not chip.after_cut():
        return False
    return _judge(open_queue(chip), chip, world, attempted)


def _judge(queue, chip, world, attempted):
    dropped = queue.dropped
    _live(queue, world, 30)
    for _ in range(40):
        deliver(queue, world, 8)
    for seq in world.promised:
        if world.server.get(seq) != world.promised[seq]:
            return "record %d lost or changed" % seq
    for seq in world.server:
        if seq not in world.promised and world.server[seq] != attempted:
            return "record %d invented" % seq
    if world.resent > 8:
        return "%d sent again" % world.resent
    if queue.dropped or dropped:
        return "%d dropped" % queue.dropped
    if chip.violations:
        return "%d bytes programmed twice" % chip.violations
    return "pending %d" % queue.pending if queue.pending else None


def campaign(open_queue=open_journal, steps=60, kinds=1, stop_at_first=False, sectors=3):
    """All cuts of a run of `steps` records, `kinds` torn variants of each; -> (cases, list of failures)."""
    chip = FlashSim(sectors, SECTOR)
    image = chip.save()
    failures = []
    cases = op = 0
    while True:
        for mode in MODES:
            for kind in range(kinds if mode == TORN else 1):
                outcome = _run_case(chip, image, op, mode, kind, open_queue, steps)
                if outcome is False:
                    return cases, failures
                cases += 1
                if outcome:
                    failures.append("%s op %d: %s" % (NAMES[mode], op, outcome))
                    if stop_at_first:
                        return cases, failures
        op += 1


def cuts_in_recovery(seed, cases):
    """Three cuts in a queue's life, somewhere, `cases` times. -> list of what broke."""
    chip = FlashSim(3, SECTOR)
    image = chip.save()
    rng = Rng(seed)
    failures = []
    for case in range(cases):
        chip.load(image)
        world = World()
        for _ in range(3):
            # The queue lives until the power goes, somewhere; then the next life starts on what is left.
            queue = open_journal(chip)
            chip.cut(rng.below(60), rng.choice(MODES), rng.bits(16))
            _live_until_cut(queue, chip, world, rng)
            chip.after_cut()
        queue = open_journal(chip)
        for _ in range(50):
            deliver(queue, world, 8)
        lost = len([s for s in world.promised if world.server.get(s) != world.promised[s]])
        # A full ring may also drop what the server has but whose ack was cut, or what append() never promised.
        if not lost <= queue.dropped <= lost + 3 * 9 or queue.pending or chip.violations:
            failures.append("case %d: %d lost, %d counted, %d pending" % (case, lost, queue.dropped, queue.pending))
    return failures


def _live_until_cut(queue, chip, world, rng):
    for _ in range(40):
        body = b"b%d" % rng.bits(30) + bytes(rng.below(60))
        seq = queue.append(body)
        if chip.is_cut:
            return
        world.promised[seq] = body
        if rng.below(6) == 0:
            got = queue.peek(8, 9999)
            world.server.update(dict(got))
            queue.ack(got[-1][0])
            if chip.is_cut:
                return
