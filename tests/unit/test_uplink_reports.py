"""How firmware reports and measurements pass the uplink together: order, what is left out, what comes twice.

Reports are refused, unanswered (before or after they arrived) or taken, at random; the journal is the real one.
"""

import asyncio
import unittest

import clock
import coap
import log
from cloud.base import STEPS, UPDATE, CloudError
from errands import Errand, Errands
from harness.rng import Rng
from harness.update_kit import Cloud, Node, refusal
from harness.virtual import together
from tasks import job as jobs

_STATES = ("started", "downloaded", "verified", "installing", "succeeded")
_RUNS = 24
_HOUR = 3600000


class Clouds(Cloud):
    """Takes reports on any job. `arrives`: whether an unanswered report has come nevertheless."""

    arrives = False

    async def update_report(self, job_id, state, detail=None, ts_ms=0):
        problem = self.refuse.pop(0) if self.refuse else None
        if problem is None or (self.arrives and isinstance(problem, coap.Timeout)):
            self.told.append((job_id, state, ts_ms))
        if problem:
            raise problem


class Reports(unittest.TestCase):
    def setUp(self):
        log.level = 0
        self.cloud = Clouds(caps=(UPDATE, STEPS))
        self.node = Node(self.cloud)
        self.record = jobs.new("one")

    def tearDown(self):
        log.level = log.INFO
        self.node.close()

    def tell(self, *states):
        for state in states:
            jobs.tell(self.node.file, self.node.records, self.record, state)

    def measure(self, count=1):
        for i in range(count):
            self.node.records.add("temp", i)

    def live(self, until_ms, done=lambda: False):
        node = self.node
        errands = Errands(node.state, (Errand("uplink", node.make, early=node.state.records),))
        clock._kick = asyncio.Event()  # CPython binds it to the loop that it was first used in
        node.state.link_lost.clear()
        node.state.link.set()  # who would have mended it may have gone in mid-wait
        together(errands.run(), node.mend(), until=lambda: done() or clock.uptime_ms() >= until_ms)

    def settle(self):
        """Nothing is refused any more. -> [state] that the cloud has heard of each job, in order."""
        self.cloud.refuse = []
        self.live(clock.uptime_ms() + 3 * _HOUR, lambda: not self.node.records.pending())
        self.assertEqual(self.node.records.pending(), 0)
        return [state for _, state, _ in self.cloud.told]

    def test_all_that_is_taken_comes_in_its_place(self):
        for state in _STATES:
            self.tell(state)
            self.measure()
        self.assertEqual(self.settle(), list(_STATES))

    def test_one_whose_answer_is_lost_keeps_its_place(self):
        """Once is the network's doing: it is sent again before all else, whatever waits, and nothing is left out."""
        for arrives in (False, True):
            for lost in range(len(_STATES)):
                self.tearDown()
                self.setUp()
                self.cloud.arrives = arrives
                self.cloud.refuse = [None] * lost + [coap.Timeout("lost")]
                for state in _STATES:
                    self.tell(state)
                    self.measure()
                wanted = list(_STATES)
                if arrives:
                    wanted.insert(lost, _STATES[lost])
                self.live(_HOUR)
                self.assertEqual([state for _, state, _ in self.cloud.told], wanted)
                self.assertEqual(self.node.records.journal.next, 11)  # nothing was appended anew

    def test_two_lost_answers_let_measurements_go_first(self):
        self.tell("started")
        self.measure(40)
        self.cloud.refuse = [coap.Timeout("lost")] * 100
        self.live(_HOUR // 6)
        self.assertEqual((self.cloud.published, self.cloud.told, self.node.records.pending()), (40, [], 1))
        self.assertEqual(self.settle(), ["started"])

    def test_a_refused_one_comes_last_with_its_time_and_costs_nothing_else(self):
        self.tell("started")
        self.measure(40)
        time = self.node.records.peek(1)[0][1]
        self.cloud.refuse = [refusal(0xA3)] * 3
        self.live(1000)
        self.assertEqual((self.cloud.published, self.node.records.pending()), (40, 1))
        self.assertEqual(len(self.cloud.refuse), 2)  # it is not asked again in the same visit
        self.assertEqual(self.settle(), ["started"])
        self.assertEqual(self.cloud.told[0][2], time)

    def test_alone_it_is_not_written_again(self):
        self.tell("started", "succeeded")
        self.cloud.refuse = [refusal(0xA0)] * 5 + [CloudError("not now")] * 5
        self.live(4 * _HOUR)
        self.assertEqual(self.node.records.journal.next, 3)
        self.assertEqual(self.settle(), ["started", "succeeded"])

    def test_what_was_overtaken_is_left_out(self):
        self.tell("started")
        self.measure()
        self.tell("installing")
        self.measure()
        self.cloud.refuse = [refusal(0xA0)] * 2
        self.live(1000)
        self.assertEqual(self.settle(), ["installing"])

    def test_the_order_holds_whatever_happens(self):
        """Two jobs, one after the other, as a cloud offers them; each state arrives at most once more than it was
        unanswered, none after a later one, and the last always."""
        problems = (None, refusal(0xA0), refusal(0xA3), coap.Timeout("silence"), OSError(110), CloudError("not now"))
        for seed in range(_RUNS):
            self.tearDown()
            self.setUp()
            rng = Rng(seed)
            self.cloud.arrives = bool(seed & 1)
            for name in ("one", "two"):
                self.record = jobs.new(name)
                left = list(_STATES)
                while left:
                    self.cloud.refuse = [rng.choice(problems) for _ in range(rng.below(9))]
                    for _ in range(rng.below(5)):
                        if left and rng.below(3):
                            self.tell(left.pop(0))
                        else:
                            self.measure(rng.below(3))
                    self.live(clock.uptime_ms() + rng.below(400) * 1000)
                self.settle()
            for name in ("one", "two"):
                heard = [_STATES.index(state) for job, state, _ in self.cloud.told if job == name]
                self.assertEqual((heard, heard[-1:]), (sorted(heard), [4]), "seed %d" % seed)
                if not self.cloud.arrives:
                    self.assertEqual(len(heard), len(set(heard)), "seed %d: %s" % (seed, heard))


if __name__ == "__main__":
    unittest.main()
