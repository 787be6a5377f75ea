"""firmware/tasks/link and rise against fakes, in virtual time: how the way to the cloud comes up, and back."""

import unittest

import clock
import coap
from cloud.base import AuthError, CloudError
from harness.node_kit import Answer, Node, Scripted
from harness.virtual import START_MS
from modem.base import Denied
from tasks.rise import device_id


class Linking(Node):
    def test_comes_up_and_knows_the_time(self):
        self.live(self.state.link.is_set)
        self.assertEqual(clock.now_ms() - clock.uptime_ms(), START_MS - clock.uptime_ms())
        self.assertEqual(self.state.identity["imei"], "352656100000001")
        self.assertEqual(self.settings.good, 1)

    def test_backs_off_longer_and_longer_while_the_cloud_is_silent(self):
        self.cloud.open = Scripted(*[coap.Timeout()] * 6, 3600)
        self.live(self.state.link.is_set)
        times = [call[0] for call in self.cloud.open.calls]
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertEqual(len(times), 7)
        self.assertTrue(gaps[-1] > 4 * gaps[0], gaps)
        self.assertTrue(max(gaps) <= 900 * 1500)

    def test_a_refused_device_waits_a_minute_and_more_and_never_resets_the_modem(self):
        self.cloud.open = Scripted(AuthError("unknown"), AuthError("unknown"), AuthError("unknown"), 3600)
        self.live(self.state.link.is_set)
        self.assertEqual(self.modem.reset.calls, [])
        self.assertTrue(clock.uptime_ms() > 3 * 30 * 1000)

    def test_an_unwell_service_is_waited_for_and_never_resets_the_modem(self):  # nrfcloud.md 3.5
        unwell = coap.Refused(Answer(0xA3, b"later"))
        self.cloud.open = Scripted(*[coap.Refused(Answer(0xA0, b"")), unwell] * 5, 3600)
        self.live(self.state.link.is_set)
        self.assertEqual(self.modem.reset.calls, [])
        times = [call[0] for call in self.cloud.open.calls]
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertTrue(min(gaps) >= 30000, gaps)
        self.assertTrue(gaps[1] >= 60000, gaps)  # what a 5.03 without Max-Age means (RFC 7252 5.9.3.4)

    def test_the_name_is_made_of_what_the_modem_is_called(self):
        self.settings["device_id"] = "nrf-{imei}"
        self.live(self.state.link.is_set)
        self.assertEqual(self.cloud.device_id, "nrf-352656100000001")
        self.assertEqual(device_id("{uuid}", {"uuid": "5041b2"}), "5041b2")
        self.assertEqual(device_id("node-1", {}), "node-1")
        with self.assertRaises(CloudError):
            device_id("{uuid}", {"imei": "1"})

    def test_a_session_is_kept_when_the_bearer_is_lost_and_not_when_the_cloud_is_silent(self):
        for loss, kept in ((OSError(104), True), (coap.Timeout(), False), (coap.Reset(), False)):
            self.setUp()
            lost = []

            def until(loss=loss, lost=lost):
                if self.state.link.is_set():
                    if lost:
                        return True
                    lost.append(1)
                    self.state.fail(loss)
                return False

            self.live(until)
            self.assertEqual([call[1] for call in self.cloud.close.calls], [(kept,)])

    def test_a_server_that_is_not_who_it_should_be_waits_and_never_resets_the_modem(self):
        class DTLSError(OSError):
            reason = "untrusted CA"

        self.cloud.open = Scripted(*[DTLSError(103, "untrusted CA")] * 5, 3600)
        self.live(self.state.link.is_set)
        self.assertEqual(self.modem.reset.calls, [])
        self.assertTrue(clock.uptime_ms() > 10 * 60 * 1000)

    def test_a_denied_sim_is_not_fatal(self):
        self.modem.attach = Scripted(Denied(11), {"stat": 1, "rat": "ltem", "tac": 1, "eci": 1})
        self.live(self.state.link.is_set)
        self.assertEqual(len(self.modem.attach.calls), 2)

    def test_waits_for_the_network_time_before_it_authenticates(self):
        self.modem.time = Scripted(None, None, START_MS // 1000)
        self.live(self.state.link.is_set)
        self.assertEqual(len(self.cloud.open.calls), 1)

    def test_comes_back_when_the_link_is_lost(self):
        losses = [coap.Timeout(), OSError(104)]

        def until():
            if self.state.link.is_set():
                if not losses:
                    return True
                self.cloud.heard = clock.uptime_ms() + 1  # a session that worked
                self.state.fail(losses.pop())
            return False

        self.live(until)
        self.assertEqual(len(self.cloud.open.calls), 3)
        self.assertEqual(len(self.cloud.close.calls), 2)
        self.assertEqual(len(self.modem.start.calls), 1)

    def test_a_modem_that_restarted_is_started_again_and_one_that_lost_its_bearer_is_not(self):
        for restarted, starts in ((True, 2), (False, 1)):
            self.setUp()
            self.modem.restarted = restarted
            lost = []

            def until(lost=lost):
                if self.state.link.is_set():
                    if lost:
                        return True
                    lost.append(1)
                    self.modem.on_lost("Ready" if self.modem.restarted else "ME PDN DEACT 0")
                return False

            self.live(until)
            self.assertEqual(len(self.modem.start.calls), starts)
            self.assertEqual([call[1] for call in self.cloud.close.calls], [(True,)])


if __name__ == "__main__":
    unittest.main()
