"""firmware/tasks/trial: when the health gate opens, and what is done about a new version for which it does not."""

import os
import unittest
from errno import ECONNABORTED, ETIMEDOUT

import clock
import coap
import log
from cloud.base import AuthError, CloudError
from harness.node_kit import Journal
from harness.update_kit import refusal
from harness.virtual import Board, together
from modem.base import Denied, SimError
from records import Records
from state import State
from tasks import trial as module
from tasks.trial import Trial

_SOCKETS, _RADIO, _SILENT = 1, 3, 5


class Gone(BaseException):
    """restart() or give_up(): nothing after it may run."""


class NotOurs(OSError):
    """A server that we refuse, as lib/net says it."""

    reason = "untrusted CA"


class Gate(unittest.TestCase):
    def setUp(self):
        Board().install()
        log.level = 0
        self.state = State()
        self.journal = Journal()
        self.records = Records(self.journal, self.state, 16)
        self.running = {"version": "1.1.0", "tries": 1, "pending": True}
        self.ended = None  # (seconds after the start, reason or None: restarted)

    def tearDown(self):
        log.level = log.INFO
        clock.reset()

    def restart(self, reason=None):
        self.ended = clock.uptime_ms() // 1000, reason
        raise Gone

    def live(self, *events, until_s=200000):
        """`events`: (seconds, callable), in order."""

        async def happen():
            at = 0
            for second, event in events:
                await clock.sleep(second - at)
                at = second
                event()

        trial = Trial(self.state, self.running, self.records, self.restart, self.restart)
        try:
            together(trial.run(), happen(), until=lambda: self.is_open() or clock.uptime_ms() >= until_s * 1000)
        except Gone:
            pass
        return self.ended

    def is_open(self):
        return self.running.get("sound", False)

    def well(self):
        """Everything that the gate wants, but a record."""
        self.state.link.set()
        self.state.reported.set()
        self.records.add("alert", 1)

    def accept(self):
        self.records.ack(self.journal.seq)
        self.state.sent = True
        self.state.heard = clock.uptime_ms()

    def problem(self, error, rung=_SOCKETS, linked=False):
        def event():
            self.state.problem = error, rung
            (self.state.link.set if linked else self.state.link.clear)()

        return event


class Opening(Gate):
    def test_when_the_version_was_reported_and_a_record_accepted(self):
        self.assertIsNone(self.live((30, self.well), (60, self.accept)))
        self.assertTrue(self.is_open())
        self.assertTrue(60 <= clock.uptime_ms() // 1000 <= 80)

    def test_not_by_the_report_alone(self):
        self.assertEqual(self.live((30, self.well)), (600, "queue"))
        self.assertTrue(not self.is_open())

    def test_not_by_a_record_alone(self):
        def sent():
            self.state.link.set()
            self.records.add("temp", 1)
            self.accept()

        self.assertEqual(self.live((30, sent)), (600, None))

    def test_an_empty_journal_will_do_when_an_uplink_was_answered(self):
        def event():
            self.well()
            self.accept()

        self.records.add("old", 1)
        self.assertIsNone(self.live((30, event)))
        self.assertTrue(self.is_open())

    def test_not_with_a_journal_that_cannot_be_read(self):
        def broken(count):
            raise OSError(5)

        self.journal.peek = broken
        self.assertEqual(self.live((30, self.well), (60, self.accept)), (600, "queue"))

    def test_not_with_a_full_heap(self):
        real, module.gc = module.gc, self
        self.free = 5000
        try:
            self.assertEqual(self.live((30, self.well), (60, self.accept)), (600, "memory"))
        finally:
            module.gc = real

    def test_an_errand_may_fill_the_heap_for_a_while(self):
        def busy():
            self.state.visiting = True
            self.free = 5000

        def done():
            self.state.visiting = False
            self.free = 50000

        real, module.gc = module.gc, self
        try:
            self.live((0, busy), (30, self.well), (60, self.accept), (900, done))
        finally:
            module.gc = real
        self.assertTrue(self.is_open())
        self.assertIsNone(self.ended)

    def collect(self):
        pass

    def mem_free(self):
        return self.free


class Closed(Gate):
    def test_what_each_cause_gets_and_what_it_ends_with(self):
        silent = coap.Timeout("no answer")
        for error, rung, linked, wanted in (
            (None, 0, False, (600, None)),  # nothing went wrong, and nothing happened
            (AuthError("not accepted"), _SOCKETS, False, (600, "unauthorised")),
            (refusal(0x83), 0, True, (600, "unauthorised")),
            (OSError(ETIMEDOUT), _RADIO, False, (86400, "unreached")),
            (silent, _SOCKETS, False, (3600, "unreached")),
            (refusal(0xA3), _SOCKETS, False, (3600, "unreached")),
            (refusal(0x80), 0, True, (600, None)),
            (CloudError("no"), 0, True, (600, None)),
            (NotOurs(ECONNABORTED), _SOCKETS, False, (600, None)),
            (OSError(ETIMEDOUT), _SILENT, False, (600, None)),  # the modem does not answer
            (Denied(15), _RADIO, False, (600, None)),
            (SimError("missing"), _RADIO, False, (600, None)),
        ):
            with self.subTest(error=repr(error), rung=rung):
                self.tearDown()
                self.setUp()
                event = self.problem(error, rung, linked) if error else lambda: None
                ended = self.live((0, event))
                self.assertEqual(ended[1], wanted[1])
                self.assertTrue(wanted[0] <= ended[0] <= wanted[0] + 70, ended)

    def test_the_third_try_ends_with_a_reason(self):
        self.running["tries"] = 3
        self.assertEqual(self.live(), (600, "unreached"))

    def test_a_cloud_that_refuses_us_after_an_outage_gets_its_whole_window(self):
        outage, refused = self.problem(OSError(ETIMEDOUT), _RADIO), self.problem(AuthError("not accepted"))
        ended = self.live((20, outage), (7200, refused))
        self.assertEqual(ended[1], "unauthorised")
        self.assertTrue(7800 <= ended[0] <= 7920, ended)

    def test_an_outage_that_ends_is_no_fault(self):
        outage = self.problem(OSError(ETIMEDOUT), _RADIO)
        self.live((20, outage), (50000, self.well), (50100, self.accept))
        self.assertTrue(self.is_open())

    def test_what_changes_all_the_time_ends_after_a_day(self):
        events = []
        for i in range(200):
            events.append((500 * i, self.problem(AuthError("no") if i % 2 else OSError(ETIMEDOUT), _RADIO)))
        ended = self.live(*events)
        self.assertTrue(86400 <= ended[0] < 86520, ended)

    def test_a_session_in_which_nothing_is_answered(self):
        def flap():
            self.state.link.set()
            self.state.fail(coap.Timeout("no answer"))

        ended = self.live((60, flap))
        self.assertEqual(ended[1], "unreached")
        self.assertTrue(ended[0] >= 3600)


class Resting(unittest.TestCase):
    def test_no_board_sleeps_so_deep_that_it_starts_anew(self):
        """A wake that is a start would count as a failed try, and un-install the version (fota.md 1d, 2.2)."""
        folder = __file__.replace("\\", "/").rpartition("/tests/")[0]
        boards = (folder + "/" if folder else "") + "boards"
        seen = 0
        for name in os.listdir(boards):
            try:
                with open("%s/%s/board.py" % (boards, name)) as f:
                    text = f.read()
            except OSError:
                continue
            seen += 1
            self.assertTrue("deepsleep(" not in text, name)
        self.assertTrue(seen > 0)


if __name__ == "__main__":
    unittest.main()
