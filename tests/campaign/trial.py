"""One run: a node lives, something goes wrong in one phase of its life, and the claims are looked at.

Claims: it comes back (a reading taken after the fault is accepted within LIMIT_S); what it let go of was accepted, and
every reading arrives; the modem has no socket too many; no task died; nothing hangs.
"""

import asyncio
import collections
import random
import signal
import tempfile
import time
import traceback

from campaign import vtime
from campaign.faults import BY_NAME, EVERY_S, HOLDS_S, TRIGGERS
from campaign.peer import Peer
from campaign.report import Outcome
from campaign.rig import HOST, PORT, Rig
from godwit.modem.faults import CATALOGUE
from harness import campaign_node as nodes

REAL_S = 20  # a run takes a fraction of a second
LIMIT_S = 4 * 3600  # from the end of a fault to the first new reading that is accepted
PHASE_S = 3600  # by then a node without a fault has been in every phase
DRAIN_S = 1800  # then all that gathered has arrived


class Trial:
    """The parts of one run."""

    def __init__(self, family, fault, phase, seed, folder):
        self.rng = random.Random(f"{family}:{fault}:{phase}:{seed}")
        self.fault = BY_NAME.get(fault)
        self.outcome = Outcome(family, fault, phase, seed)
        self.peer = Peer()
        self.rig = Rig(family, self.peer, self.rng.randrange(1 << 30))
        self.reached = asyncio.Event()
        self.phase = phase
        hooks = {} if phase == "boot" else {TRIGGERS[phase][0]: self.reached.set}
        pin = self.fault.pin if self.fault else None
        self.node = nodes.Node(family, self.rig, folder, (HOST, PORT), hooks, pin)

    async def run(self):
        outcome = self.outcome
        if self.phase == "boot":
            self.set_fault()
        self.rig.start()
        life = asyncio.create_task(self.node.run())
        try:
            if self.phase != "boot":
                await asyncio.wait_for(self.reached.wait(), PHASE_S)
                longest = TRIGGERS[self.phase][1]
                await asyncio.sleep(self.rng.choice((0, self.rng.random(), self.rng.random() * longest)))
                self.set_fault()
            await self.hold()
            await self.recover()
            await self.drain()
        except TimeoutError:
            outcome.problems.append(f"phase {self.phase} not reached")
        finally:
            if life.done() and not life.cancelled() and life.exception():
                outcome.problems.append(f"node: {life.exception()!r}")
            life.cancel()
            await asyncio.wait((life,))
        self.judge()
        return outcome

    # the fault

    def set_fault(self):
        if not self.fault:
            return
        for name, arg in self.fault.sets(self.rng):
            if CATALOGUE[name][0] != "action" or self.phase != "boot" or self.outcome.bitten:
                self.rig.faults.apply(name, arg)
        if self.fault.peer:
            self.fault.peer(self.peer)
        self.outcome.bitten += 1

    async def hold(self):
        """The fault stays for a while, or until something is done about it; then the world is in order again."""
        if self.fault and self.fault.cure:
            await self._until_cured()
            return
        left = self.rng.choice(HOLDS_S)
        while left > 0:
            pause = min(left, EVERY_S)
            await asyncio.sleep(pause)
            left -= pause
            if left > 0 and self.fault and self.fault.again:
                self.set_fault()
        self.rig.faults.clear()

    async def _until_cured(self):
        began, cures = vtime.now_s(), self.rig.cures(self.fault.cure)
        while self.rig.cures(self.fault.cure) == cures:
            await asyncio.sleep(1)
            if vtime.now_s() - began > LIMIT_S:
                self.outcome.problems.append(f"nobody did what helps ({self.fault.cure}) within {LIMIT_S} s")
                break
        self.outcome.cure_s = vtime.now_s() - began
        self.rig.faults.clear()

    # the claims

    def accepted(self, reading):
        return ("COUNT", *reading) in self.peer.values

    async def recover(self):
        """Until a reading that was taken after the fault has been accepted."""
        began = vtime.now_s()
        first = len(nodes.BOARD.taken)
        while vtime.now_s() - began < LIMIT_S:
            await asyncio.sleep(5)
            if any(self.accepted(reading) for reading in nodes.BOARD.taken[first:]):
                self.outcome.recover_s = vtime.now_s() - began
                return
        self.outcome.recover_s = LIMIT_S
        self.outcome.problems.append(f"not back within {LIMIT_S} s")

    async def drain(self):
        """Until all that was measured so far has arrived, and nothing is under way."""
        readings = list(nodes.BOARD.taken)
        began = vtime.now_s()
        while vtime.now_s() - began < DRAIN_S and not all(map(self.accepted, readings)):
            await asyncio.sleep(20)
        await asyncio.sleep(40)
        self.outcome.readings = len(readings)
        if self.rig.sockets() > 1 and self.node.app:  # a close that was refused is mended by the next opening
            self.node.app.state.fail(OSError(104, "campaign"))
            await asyncio.sleep(300)
        if self.fault and self.fault.damages:
            return
        missing = [reading for reading in readings if not self.accepted(reading)]
        self.outcome.lost += len(missing)
        if missing:
            self.outcome.problems.append(f"{len(missing)} of {len(readings)} readings did not arrive")

    def judge(self):
        outcome = self.outcome
        gone = [reading for reading in self.node.acked if not self.accepted(reading)]
        if gone and not (self.fault and self.fault.damages):
            outcome.lost += len(gone)
            outcome.problems.append(f"{len(gone)} readings were let go of that the cloud has not: {gone[:3]}")
        outcome.leaks = max(0, self.rig.sockets() - 1)
        if outcome.leaks:
            outcome.problems.append(f"{self.rig.sockets()} sockets open in the modem")
        for error, count in collections.Counter(nodes.DIED).items():
            outcome.problems.append(f"tasks died {count} times: {error}")
        for text, count in collections.Counter(vtime.COMPLAINTS).items():
            outcome.problems.append(f"uncaught {count} times: {text}")
        for bug in self.rig.log.bugs:
            outcome.problems.append(f"simulator: {bug}")
        if self.node.watchdogs:
            outcome.problems.append(f"the watchdog bit {self.node.watchdogs} times")
        outcome.restarts = self.node.restarts


def _too_long(number, frame):
    where = "".join(traceback.format_stack(frame)[-6:])
    raise vtime.Stalled(f"a run takes more than {REAL_S} s of real time, here:\n{where}")


def run(family, fault, phase, seed, loud=False):
    """-> Outcome of one run; never raises what the run does."""
    with tempfile.TemporaryDirectory(prefix="godwit-campaign-") as folder:
        trial = None

        async def main():
            nonlocal trial
            trial = Trial(family, fault, phase, seed, folder)
            with nodes.quiet(trial.node, loud):
                return await trial.run()

        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(REAL_S)
        began = time.perf_counter()
        try:
            outcome, seconds = vtime.run(main, seed)
            outcome.virtual_s = seconds
        except (Exception, vtime.Stalled) as error:  # the harness itself, or a hang: said with the run's name
            outcome = trial.outcome if trial else Outcome(family, fault, phase, seed)
            outcome.problems.append(f"{type(error).__name__}: {error}")
        finally:
            signal.alarm(0)
            outcome.real_s = time.perf_counter() - began
        return outcome


