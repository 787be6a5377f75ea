"""firmware/tasks/ladder, what the network and the SIM refuse: by cause, and never hammering. In virtual time."""

import os
import unittest

import clock
from cloud.base import AuthError
from harness.node_kit import Life, Scripted
from harness.virtual import Board
from modem.base import Denied, SimError
from records import unpack
from state import State
from tasks import ladder

WHERE = {"stat": 1, "rat": "ltem", "tac": 1, "eci": 1}
DAY_S = 86400


class Refused(Life):
    """Denied by the network, or by the SIM: by cause, and never hammering."""

    def second(self, *errors):
        """Live through `errors` of attach(); -> seconds between the attempts, and the rungs climbed."""
        self.modem.attach = Scripted(*errors, WHERE)
        self.up()
        return self.gaps_s(self.modem.attach), self.modem.levels()

    def test_a_subscription_that_is_not_in_order_waits_half_a_day_and_more(self):
        for cause in (2, 3, 6, 7, 8):
            self.setUp()
            (gap,), levels = self.second(Denied(cause))
            self.assertBetween(gap, DAY_S // 2 - 1, DAY_S + 1)
            self.assertEqual(levels, [3])  # the radio is off meanwhile
            self.assertTrue("cause %d" % cause in self.file()["error"])

    def test_congestion_waits_for_its_timer_and_leaves_the_modem_alone(self):
        gaps, levels = self.second(*[Denied(22)] * 6)
        for gap in gaps:
            self.assertBetween(gap, 899, 1801)
        self.assertEqual(levels, [])

    def test_another_network_is_looked_for_less_and_less_often(self):
        for cause in (11, 12, 13, 14, 15, 17, 19, None):
            self.setUp()
            gaps, levels = self.second(*[Denied(cause)] * 4)
            for gap, wanted in zip(gaps, (600, 1800, 3600, 3600)):
                self.assertAbout(gap, wanted)
            self.assertEqual(levels, [3] * 4)
        self.assertEqual(self.file()["counts"], [0] * 8)  # no rung was climbed

    def test_a_bad_contact_is_tried_three_times_then_once_an_hour(self):
        for kind in ("missing", "failure"):
            self.setUp()
            gaps, levels = self.second(*[SimError(kind)] * 5)
            for gap, wanted in zip(gaps, (10, 10, 3600, 3600, 3600)):
                self.assertAbout(gap, wanted)
            self.assertEqual(levels, [3] * 5)

    def test_a_locked_sim_waits_a_day(self):
        (gap,), _ = self.second(SimError("puk"))
        self.assertAbout(gap, DAY_S)

    def test_what_is_wrong_outlives_a_restart_and_is_reported_when_it_is_over(self):
        self.modem.attach = Scripted(Denied(8))
        self.live(lambda: clock.uptime_ms() > 60000)
        for wanted in (0, 600):
            self.reboot()
            self.live(lambda: self.modem.attach.calls and clock.uptime_ms() > 1000)
            self.assertAbout(self.modem.attach.calls[0][0] // 1000, wanted)
        self.reboot()
        self.modem.attach = Scripted(WHERE)
        self.up()
        self.state.control = {"alertsEn": True, "logLvl": 0}
        ladder.tell(self.records, self.state.ladder)
        alert = unpack(*self.journal.peek(1)[0])[3]
        self.assertEqual((alert["type"], alert["value"]), ("recovered", 0))
        self.assertTrue("EPS services not allowed" in alert["desc"], alert)

    def test_a_no_of_the_cloud_climbs_nothing(self):
        self.cloud.open = Scripted(*[AuthError("unknown")] * 5, 3600)
        self.up()
        self.assertEqual((self.modem.levels(), os.listdir(self.root)), ([], []))


class Pin(Life):
    def setUp(self):
        super().setUp()
        self.settings["pin"] = "1234"
        self.offered = []
        self.right = "9999"
        self.modem.attach = self.attach

    async def attach(self, apn, timeout_ms):
        """As lib/modem/link: a PIN is offered once, and forgotten."""
        if self.right is None:
            return WHERE
        pin, self.modem.pin = self.modem.pin, None
        if pin:
            self.offered.append(pin)
        if pin != self.right:
            raise SimError("pin")
        return WHERE

    def reboot(self):
        Board().install()
        self.state = State()

    def test_the_right_one_is_offered_again_after_a_restart_of_the_modem(self):
        self.right = "1234"
        self.up()
        self.state.link.clear()
        self.reboot()
        self.up()
        self.assertEqual(self.offered, ["1234"] * 2)
        self.assertEqual(os.listdir(self.root), [])

    def test_a_wrong_one_is_offered_once_in_a_lifetime(self):
        self.until_s(3 * DAY_S)
        for _ in range(3):
            self.reboot()
            self.until_s(3 * DAY_S)
        self.assertEqual(self.offered, ["1234"])
        self.settings["pin"] = self.right
        self.reboot()
        self.up()
        self.assertEqual(self.offered, ["1234", "9999"])

    def test_another_wrong_one_is_no_better(self):
        self.until_s(10)
        self.settings["pin"] = "5555"
        for _ in range(3):
            self.reboot()
            self.until_s(2 * 3600)
        self.assertEqual(self.offered, ["1234", "5555"])

    def test_it_is_not_forgotten_when_the_run_is_over(self):
        self.until_s(10)
        self.right = None  # another SIM, for now
        self.reboot()
        self.up()
        ladder.proven(self.state, self.settings)
        self.right = "9999"
        self.reboot()
        self.until_s(10)
        self.assertEqual(self.offered, ["1234"])

    def test_without_one_nothing_is_offered(self):
        self.settings["pin"] = ""
        self.until_s(3 * DAY_S)
        self.assertEqual(self.offered, [])


if __name__ == "__main__":
    unittest.main()
