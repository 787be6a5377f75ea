"""firmware/tasks/health in virtual time: what feeds the watchdog, and what a link without an uplink comes to."""

import unittest

import clock
import coap
from harness.node_kit import Node, Scripted
from harness.virtual import together
from tasks.health import Health

HOUR_S = 3600
WHERE = {"stat": 1, "rat": "ltem", "tac": 1, "eci": 1}


class Watching(Node):
    def setUp(self):
        super().setUp()
        self.fed = []

    def health(self):
        feed = lambda: self.fed.append(clock.uptime_ms() // 1000)  # noqa: E731
        return Health(self.state, self.settings, feed).run()

    def watch(self, seconds, *others):
        together(self.health(), *others, until=lambda: clock.uptime_ms() >= seconds * 1000)

    async def uplinks(self, until_s=1 << 40):
        """An uplink every hour while there is a link, up to `until_s`."""
        while clock.uptime_ms() < until_s * 1000:
            await clock.wait(self.state.link)
            self.state.heard = self.cloud.heard = clock.uptime_ms() + 1
            await clock.sleep(HOUR_S)
        await clock.sleep(1 << 18)

    def test_fed_every_quarter_of_an_hour_while_uplinks_get_through(self):
        self.state.link.set()
        self.watch(24 * HOUR_S, self.uplinks())
        self.assertEqual(self.fed[:4], [0, 900, 1800, 2700])
        self.assertTrue(len(self.fed) >= 96, len(self.fed))
        self.assertTrue(self.state.link.is_set())

    def prove(self, seconds, answers, *others):
        """-> seconds at which a start was said to have proved itself; `answers`: whether flash took it, in turn."""
        proved = []

        def prove(name):
            self.assertEqual(name, "prove")
            proved.append(clock.uptime_ms() // 1000)
            return answers[len(proved) - 1]

        task = Health(self.state, self.settings, lambda: None, prove)
        together(task.run(), self.uplinks(), *others, until=lambda: clock.uptime_ms() >= seconds * 1000)
        return proved

    def test_a_start_has_proved_itself_once_after_an_uplink_and_a_quiet_hour(self):
        self.state.link.set()
        self.state.sent = True
        self.assertEqual(self.prove(8 * HOUR_S, [True]), [3600])

    def test_not_without_an_uplink(self):
        self.state.link.set()
        self.assertEqual(self.prove(8 * HOUR_S, []), [])

    def test_again_when_flash_did_not_take_it(self):
        self.state.link.set()
        self.state.sent = True
        self.assertEqual(self.prove(8 * HOUR_S, [False, False, True]), [3600, 4500, 5400])

    def test_not_beside_an_errand(self):
        self.state.link.set()
        self.state.sent = self.state.visiting = True
        self.assertEqual(self.prove(8 * HOUR_S, []), [])

    def test_never_while_a_task_dies_often_enough_to_restart_the_board(self):
        async def dying():
            while True:
                await clock.sleep(3500)  # six times of that, and app.py restarts the board
                self.state.died_ms = clock.uptime_ms()

        self.state.link.set()
        self.state.sent = True
        self.assertEqual(self.prove(48 * HOUR_S, [], dying()), [])

    def test_a_link_that_brings_nothing_is_taken_down_after_three_periods(self):
        self.state.link.set()
        self.watch(4 * HOUR_S, self.uplinks(HOUR_S // 2))
        self.assertFalse(self.state.link.is_set())
        self.assertTrue(isinstance(self.state.link_error, coap.Timeout))
        self.assertIsNone(self.state.heard)

    def test_the_period_is_a_setting(self):
        self.settings["uplink_interval_s"] = 6 * HOUR_S
        self.state.link.set()
        self.watch(17 * HOUR_S)
        self.assertTrue(self.state.link.is_set())

    def test_no_food_when_recovery_does_not_take_its_next_step_in_time(self):
        self.watch(2 * HOUR_S)  # nobody brings the link up
        self.assertEqual(self.fed, [0, 900])

    def test_food_while_recovery_waits_as_planned(self):
        self.state.due_ms = 10 * HOUR_S * 1000
        self.watch(12 * HOUR_S)
        self.assertEqual(self.fed[-1], 10 * HOUR_S - 900)

    def test_the_link_task_says_when_its_next_step_is_due_whatever_fails(self):
        for problem in (OSError(110), coap.Timeout()):
            self.setUp()
            self.cloud.open = Scripted(problem)
            self.watch(48 * HOUR_S, self.make_link().run())
            self.assertTrue(len(self.fed) >= 190, len(self.fed))

    def test_one_that_hangs_while_bringing_it_up_starves_the_watchdog(self):
        async def hang(**how):
            await clock.sleep(1 << 18)

        self.modem.attach = hang
        self.watch(3 * HOUR_S, self.make_link().run())
        self.assertTrue(self.fed[-1] <= 1800, self.fed)

    def test_every_three_periods_without_an_uplink_climb_one_rung(self):
        """The session works, small requests are answered, and no uplink ever gets through."""

        async def small():
            while True:
                await clock.sleep(60)
                if self.state.link.is_set():
                    self.cloud.heard = clock.uptime_ms()

        self.watch(14 * HOUR_S, self.make_link().run(), small())
        self.assertEqual(self.modem.levels(), [1, 2, 3, 4])
        self.assertTrue(min(self.gaps_s(self.cloud.open)) >= 3 * HOUR_S - 1, self.gaps_s(self.cloud.open))
        self.assertTrue(len(self.fed) >= 55)  # it is the ladder's planned progress

    def test_an_outage_does_not_count_against_the_link_that_ends_it(self):
        self.modem.attach = Scripted(*[OSError(110)] * 9, WHERE)
        self.watch(10 * HOUR_S, self.make_link().run(), self.uplinks())
        self.assertEqual(self.modem.levels(), [3, 4, 5, 6])
        self.assertTrue(self.state.link.is_set())


if __name__ == "__main__":
    unittest.main()
