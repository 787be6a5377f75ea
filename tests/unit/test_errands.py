"""firmware/errands and cold: who is visited when, what a failure costs, and that code is really forgotten."""

import sys
import unittest

import clock
import coap
import cold
import log
from errands import Errand, Errands
from harness.virtual import Board, together
from state import State


class Visits:
    """A task that remembers when it was visited and ends as the script says: seconds, or an exception."""

    def __init__(self, *script):
        self.script = list(script)
        self.at_s = []
        self.state = None  # whose `visiting` is looked at during a visit

    async def visit(self):
        self.at_s.append(clock.uptime_ms() // 1000)
        self.seen = self.state and self.state.visiting
        result = self.script[0] if len(self.script) == 1 else self.script.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


class Busy:
    payload = b""


class Scheduling(unittest.TestCase):
    def setUp(self):
        Board().install()
        log.level = 0
        self.state = State()
        self.release = None

    def tearDown(self):
        log.level = log.INFO
        clock.reset()

    def live(self, *errands, until_s=10000, link_at_s=0):
        async def link():
            await clock.sleep(link_at_s)
            self.state.link.set()
            await clock.sleep(500000)  # with nobody else there the board rests so long; ticks end at 2^29 ms

        together(
            Errands(self.state, errands, self.release).run(),
            link(),
            until=lambda: clock.uptime_ms() // 1000 >= until_s,
        )

    def test_each_at_its_own_interval_and_the_first_of_the_table_first(self):
        hourly, often = Visits(3600), Visits(1000)
        self.live(Errand("a", lambda name: hourly), Errand("b", lambda name: often), until_s=4000)
        self.assertEqual(len(hourly.at_s), 2)
        self.assertTrue(4 <= len(often.at_s) <= 5)

    def test_waits_for_the_link_unless_its_patience_ends(self):
        needs, patient = Visits(100000), Visits(100000)
        table = Errand("needs", lambda name: needs), Errand("patient", lambda name: patient, 600)
        self.live(*table, until_s=2000, link_at_s=1500)
        self.assertEqual(needs.at_s[0] // 10, 150)
        self.assertEqual(patient.at_s[0] // 10, 60)

    def test_a_lost_link_is_told_and_the_errand_starts_over_when_it_is_back(self):
        visits = Visits(coap.Timeout(), 100000)

        async def mend():
            await clock.wait(self.state.link_lost)
            await clock.sleep(300)
            self.state.link.set()
            await clock.sleep(500000)  # with nobody else there the board rests so long; ticks end at 2^29 ms

        self.state.link.set()
        together(
            Errands(self.state, (Errand("a", lambda name: visits),)).run(), mend(), until=lambda: len(visits.at_s) == 2
        )
        self.assertEqual(visits.at_s[1] // 10, 30)

    def test_an_errand_that_ends_every_session_backs_off(self):
        """A server that answers a request with RST ended 2,300 sessions an hour."""
        for progress, low, high in ((False, 6, 12), (True, 60, 10000)):
            self.setUp()
            visits = Visits(coap.Reset())

            def make(name, visits=visits, progress=progress):
                if progress:
                    self.state.heard = clock.uptime_ms()
                return visits

            async def mend():
                while True:
                    await clock.wait(self.state.link_lost)
                    self.state.link_lost.clear()
                    await clock.sleep(2)
                    self.state.link.set()

            class Slow:
                async def visit(self, make=make):
                    await clock.sleep(1)
                    return await make("a").visit()

            self.state.link.set()
            errand = Errand("a", lambda name: Slow())
            together(Errands(self.state, (errand,)).run(), mend(), until=lambda: clock.uptime_ms() > 500000)
            self.assertTrue(low <= len(visits.at_s) <= high, len(visits.at_s))

    def test_a_refusal_backs_off_and_keeps_the_link(self):
        visits = Visits(ValueError("x"), ValueError("x"), ValueError("x"), 100000)
        self.live(Errand("a", lambda name: visits), until_s=3000)
        self.assertTrue(self.state.link.is_set())
        gaps = [b - a for a, b in zip(visits.at_s, visits.at_s[1:])]
        self.assertTrue(gaps[2] > gaps[0], gaps)

    def test_a_busy_cloud_says_when(self):
        """5.03 with Max-Age is a time to wait (RFC 7252 5.9.3.4), at most a day; Max-Age of a 4.04 is none."""
        for code, max_age, low, high in ((0xA3, 5000, 5000, 5100), (0x84, 5000, 1, 4000), (0x9D, 10**8, 86400, 86500)):
            with self.subTest(code=code):
                self.setUp()
                answer = Busy()
                answer.code, answer.max_age = code, max_age
                visits = Visits(coap.Refused(answer), 10**6)
                self.live(Errand("a", lambda name, visits=visits: visits), until_s=90000)
                self.assertTrue(low <= visits.at_s[1] - visits.at_s[0] <= high, visits.at_s)

    def test_the_radio_is_given_back_when_nothing_is_due(self):
        hourly, often, given_back = Visits(3600), Visits(1000), []

        async def release():
            given_back.append(clock.uptime_ms() // 1000)

        self.release = release
        self.live(Errand("a", lambda name: hourly), Errand("b", lambda name: often), until_s=2500)
        # Once after the first two, once after each later one; never while nothing was sent.
        self.assertEqual(len(given_back), len(often.at_s))
        self.assertEqual(given_back[0], often.at_s[0])

    def test_a_link_that_dies_at_giving_back_is_told(self):
        async def release():
            raise OSError(104)

        self.release = release
        self.live(Errand("a", lambda name: Visits(3600)), until_s=100)
        self.assertEqual(self.state.link_error.args[0], 104)

    def test_nobody_is_visited_while_something_rare_has_the_buffer(self):
        hourly = Visits(3600)
        self.state.crowded = True

        async def over():
            await clock.sleep(500)
            self.state.crowded = False

        together(
            Errands(self.state, (Errand("a", lambda name: hourly, patience_s=0),)).run(),
            over(),
            until=lambda: hourly.at_s,
        )
        self.assertTrue(500 <= hourly.at_s[0] <= 520, hourly.at_s)

    def test_a_visit_is_known_to_be_one(self):
        hourly = Visits(3600)
        hourly.state = self.state
        self.live(Errand("a", lambda name: hourly), until_s=100)
        self.assertEqual((hourly.seen, self.state.visiting), (True, False))

    def test_no_room_is_tried_again_at_once_with_a_tidy_heap(self):
        crowded = Visits(MemoryError("in pieces"), 3600)
        self.live(Errand("a", lambda name: crowded), until_s=1000)
        self.assertEqual(crowded.at_s, [0, 0])
        self.assertEqual(self.state.restarts, {"memory": 1})

    def test_no_room_at_all_is_a_wait_for_five_times_and_then_a_death(self):
        full, well = Visits(MemoryError("full")), Visits(500)
        with self.assertRaises(MemoryError):
            self.live(Errand("a", lambda name: full), Errand("b", lambda name: well), until_s=10000)
        self.assertEqual((len(full.at_s), full.at_s[:2]), (12, [0, 0]))
        self.assertTrue(full.at_s[-1] - full.at_s[0] > 400, full.at_s)
        self.assertEqual(well.at_s[0], 0)

    def test_a_bug_is_met_less_and_less_often_so_that_it_restarts_no_board(self):
        broken = Visits(KeyError("bug"))
        self.state.link.set()
        errands = Errands(self.state, (Errand("broken", lambda name: broken),))

        async def supervised():
            while True:
                try:
                    await errands.run()
                except KeyError:
                    await clock.sleep(5)

        together(supervised(), until=lambda: len(broken.at_s) >= 10)
        gaps = [broken.at_s[i + 1] - broken.at_s[i] for i in range(9)]
        for i in range(9):
            wanted = 600 << min(i, 7)
            self.assertTrue(wanted <= gaps[i] <= wanted + 6, gaps)

    def test_an_errand_can_see_that_another_one_is_due(self):
        seen = []

        class Long:
            async def visit(inner):
                for _ in range(10):
                    await clock.sleep(100)
                    seen.append(self.state.others_due())
                return 100000

        self.live(Errand("a", lambda name: Visits(350)), Errand("b", lambda name: Long()), until_s=1100)
        self.assertEqual(seen, [False] * 3 + [True] * 7)

    def test_a_bug_in_one_errand_does_not_starve_the_others(self):
        broken, well = Visits(KeyError("bug")), Visits(500)
        self.state.link.set()
        errands = Errands(self.state, (Errand("broken", lambda name: broken), Errand("well", lambda name: well)))

        async def supervised():
            while True:
                try:
                    await errands.run()
                except KeyError:
                    await clock.sleep(5)

        together(supervised(), until=lambda: len(well.at_s) == 3)
        self.assertTrue(len(broken.at_s) <= 3, broken.at_s)


class Forgetting(unittest.TestCase):
    def test_every_cold_module_exists_and_can_be_forgotten_and_loaded_again(self):
        names = []
        for package, leaves in cold.COLD:
            names.extend([package + "." + leaf if package else leaf for leaf in leaves.split()])
        for name in names:
            with self.subTest(name=name):
                __import__(name)
                self.assertTrue(name in sys.modules)
        cold.forget()
        self.assertEqual([name for name in names if name in sys.modules], [])
        for name in names:
            __import__(name)

    def test_a_forgotten_submodule_is_loaded_again_by_from_import(self):
        from modem.nrf91 import cells as first

        cold.forget()
        from modem.nrf91 import cells as second

        self.assertTrue(first is not second)


if __name__ == "__main__":
    unittest.main()
