"""firmware/tasks against fakes, in virtual time: what a node does when things fail."""

import unittest

import clock
import coap
import log
from cbor import Decimal
from cloud.base import LOGS, AuthError, CloudError, RecordRefused
from errands import Errand, Errands
from harness.virtual import START_MS, Board, together
from logbook import Logbook
from modem.base import Denied
from records import Records, pack, unpack
from state import State
from tasks.link import Link
from tasks.rise import device_id
from tasks.sample import Sample
from tasks.uplink import Uplink

SETTINGS = {
    "device_id": "node-1",
    "apn": "",
    "provisioning": False,
    "sample_interval_s": 900,
    "uplink_interval_s": 3600,
    "confirmable": True,
    "battery_low_mv": 3400,
}


class Settings(dict):
    good = 0
    folder = "/nowhere"

    def proven(self):
        self.good += 1


class Scripted:
    """A method whose calls are answered from a list: exceptions are raised, the last answer is kept for good."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = []

    async def __call__(self, *args, **kwargs):
        self.calls.append((clock.uptime_ms(), args, kwargs))
        answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Modem:
    on_lost = None
    restarted = True

    def __init__(self):
        self.start = Scripted(None)
        self.identity = Scripted({"model": "nRF9151", "firmware": "mfw_1", "imei": "352656100000001"})
        self.attach = Scripted({"stat": 1, "rat": "ltem", "tac": 23056, "eci": 27440068})
        self.time = Scripted(START_MS // 1000)
        self.reset = Scripted(None)


class Cloud:
    caps = frozenset((LOGS,))
    device_id = None

    def __init__(self):
        self.versions = {}
        self.logs = Scripted(None)
        self.open = Scripted(3600)
        self.close = Scripted(None)
        self.publish = Scripted(1)


class Answer:
    max_age = None

    def __init__(self, code, payload):
        self.code = code
        self.payload = payload


class Journal:
    """The journal's API over a list."""

    def __init__(self):
        self.entries = []
        self.seq = 0

    def append(self, payload):
        self.seq += 1
        self.entries.append((self.seq, bytes(payload)))
        return self.seq

    @property
    def pending(self):
        return len(self.entries)

    def peek(self, count):
        return self.entries[:count]

    def ack(self, seq):
        self.entries = [entry for entry in self.entries if entry[0] > seq]


class Tasks(unittest.TestCase):
    def setUp(self):
        self.board = Board().install()
        log.level = 0
        self.state = State()
        self.settings = Settings(SETTINGS)
        self.modem = Modem()
        self.cloud = Cloud()
        self.journal = Journal()
        self.records = Records(self.journal, self.state, 16)
        self.logbook = Logbook()

    def tearDown(self):
        log.level = log.INFO
        clock.reset()

    def link(self, until):
        together(Link(self.state, self.settings, self.modem, self.cloud).run(), until=until)

    def uplink(self, until):
        self.state.link.set()
        together(self.errands(), until=until)

    def errands(self):
        def make(name):
            return Uplink(self.state, self.settings, self.records, self.cloud, self.logbook)

        return Errands(self.state, (Errand("uplink", make, early=self.state.records),)).run()


class Linking(Tasks):
    def test_comes_up_and_knows_the_time(self):
        self.link(self.state.link.is_set)
        self.assertEqual(clock.now_ms() - clock.uptime_ms(), START_MS - clock.uptime_ms())
        self.assertEqual(self.state.identity["imei"], "352656100000001")
        self.assertEqual(self.settings.good, 1)

    def test_backs_off_longer_and_longer_while_the_cloud_is_silent(self):
        self.cloud.open = Scripted(*[coap.Timeout()] * 6, 3600)
        self.link(self.state.link.is_set)
        times = [call[0] for call in self.cloud.open.calls]
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertEqual(len(times), 7)
        self.assertTrue(gaps[-1] > 4 * gaps[0], gaps)
        self.assertTrue(max(gaps) <= 900 * 1500)

    def test_climbs_the_recovery_ladder(self):
        self.modem.attach = Scripted(*[OSError(110)] * 8, {"stat": 1, "rat": "ltem", "tac": 1, "eci": 1})
        self.link(self.state.link.is_set)
        levels = [call[1][0] for call in self.modem.reset.calls]
        self.assertEqual(levels, [1, 2, 3, 4, 5])
        self.assertEqual(len(self.modem.start.calls), 6)  # the first, and after each reset

    def test_a_refused_device_waits_a_minute_and_more_and_never_resets_the_modem(self):
        self.cloud.open = Scripted(AuthError("unknown"), AuthError("unknown"), AuthError("unknown"), 3600)
        self.link(self.state.link.is_set)
        self.assertEqual(self.modem.reset.calls, [])
        self.assertTrue(clock.uptime_ms() > 3 * 30 * 1000)

    def test_an_unwell_service_is_waited_for_and_never_resets_the_modem(self):  # nrfcloud.md 3.5
        unwell = coap.Refused(Answer(0xA3, b"later"))
        self.cloud.open = Scripted(*[coap.Refused(Answer(0xA0, b"")), unwell] * 5, 3600)
        self.link(self.state.link.is_set)
        self.assertEqual(self.modem.reset.calls, [])
        times = [call[0] for call in self.cloud.open.calls]
        gaps = [b - a for a, b in zip(times, times[1:])]
        self.assertTrue(min(gaps) >= 30000, gaps)
        self.assertTrue(gaps[1] >= 60000, gaps)  # what a 5.03 without Max-Age means (RFC 7252 5.9.3.4)

    def test_the_name_is_made_of_what_the_modem_is_called(self):
        self.settings["device_id"] = "nrf-{imei}"
        self.link(self.state.link.is_set)
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

            self.link(until)
            self.assertEqual([call[1] for call in self.cloud.close.calls], [(kept,)])

    def test_a_server_that_is_not_who_it_should_be_waits_and_never_resets_the_modem(self):
        class DTLSError(OSError):
            reason = "untrusted CA"

        self.cloud.open = Scripted(*[DTLSError(103, "untrusted CA")] * 5, 3600)
        self.link(self.state.link.is_set)
        self.assertEqual(self.modem.reset.calls, [])
        self.assertTrue(clock.uptime_ms() > 10 * 60 * 1000)

    def test_a_denied_sim_is_not_fatal(self):
        self.modem.attach = Scripted(Denied(11), {"stat": 1, "rat": "ltem", "tac": 1, "eci": 1})
        self.link(self.state.link.is_set)
        self.assertEqual(len(self.modem.attach.calls), 2)

    def test_waits_for_the_network_time_before_it_authenticates(self):
        self.modem.time = Scripted(None, None, START_MS // 1000)
        self.link(self.state.link.is_set)
        self.assertEqual(len(self.cloud.open.calls), 1)

    def test_comes_back_when_the_link_is_lost(self):
        losses = [coap.Timeout(), OSError(104)]

        def until():
            if self.state.link.is_set():
                if not losses:
                    return True
                self.state.fail(losses.pop())
            return False

        self.link(until)
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

            self.link(until)
            self.assertEqual(len(self.modem.start.calls), starts)
            self.assertEqual([call[1] for call in self.cloud.close.calls], [(True,)])


class Uplinking(Tasks):
    def fill(self, count):
        for i in range(count):
            self.records.add("temp", Decimal(i, -1), START_MS + i)

    def test_sends_in_order_and_forgets_only_what_was_accepted(self):
        self.fill(20)
        self.cloud.publish = Scripted(*[1] * 9, coap.Timeout())
        self.uplink(self.state.link_lost.is_set)
        sent = [call[1][0][0][1] for call in self.cloud.publish.calls]
        self.assertEqual(sent, [START_MS + i for i in range(10)])
        self.assertEqual(self.records.pending(), 11)

    def test_a_refusal_keeps_the_link_and_the_record(self):
        self.fill(1)
        self.cloud.publish = Scripted(coap.Refused(Answer(0xA3, b"busy")), 1)
        self.uplink(lambda: not self.records.pending())
        self.assertTrue(self.state.link.is_set())
        self.assertEqual(len(self.cloud.publish.calls), 2)
        self.assertTrue(clock.uptime_ms() >= 15000)

    def test_a_record_nobody_takes_does_not_block_the_queue(self):
        self.fill(3)
        self.cloud.publish = Scripted(1, RecordRefused("no"), 1)
        self.uplink(lambda: not self.records.pending())
        self.assertEqual(len(self.cloud.publish.calls), 3)

    def test_an_entry_that_cannot_be_read_is_skipped(self):
        self.journal.append(b"\xff\xff")
        self.fill(1)
        self.uplink(lambda: not self.records.pending())
        self.assertEqual(len(self.cloud.publish.calls), 1)

    def test_a_batch_is_acknowledged_as_far_as_it_was_taken(self):
        self.fill(20)
        self.cloud.publish = Scripted(12, 5, coap.Timeout())
        self.uplink(self.state.link_lost.is_set)
        self.assertEqual([len(call[1][0]) for call in self.cloud.publish.calls], [20, 8, 3])
        self.assertEqual(self.records.pending(), 3)

    def test_an_entry_that_cannot_be_read_does_not_spoil_a_batch(self):
        self.fill(2)
        self.journal.append(b"\xff\xff")
        self.fill(1)
        self.cloud.publish = Scripted(2, 1)
        self.uplink(lambda: not self.records.pending())
        self.assertEqual([len(call[1][0]) for call in self.cloud.publish.calls], [2, 1])

    def test_log_lines_follow_and_a_refusal_costs_only_them(self):
        log.sent = log.WARN
        log.sink = self.logbook.add
        try:
            log.warn("a", "one %d", 1)
            log.info("a", "two")
            self.fill(1)
            self.cloud.logs = Scripted(coap.Refused(Answer(0x80, b"")))
            self.uplink(lambda: self.cloud.logs.calls and not self.records.pending())
        finally:
            log.sent = 0
            log.sink = None
        entries = self.cloud.logs.calls[0][1][0]
        self.assertTrue(self.state.link.is_set())
        self.assertEqual([entry[2:] for entry in self.logbook.entries()][0][1], "uplink")
        self.assertTrue(("a", "one 1") not in [entry[3:] for entry in entries])  # taken, whatever became of it

    def test_an_alert_does_not_wait_for_the_hour_and_is_not_sent_unasked(self):
        self.records.alert("battery", 3300, "battery low")
        self.assertEqual(self.records.pending(), 0)
        self.state.control = {"alertsEn": True, "logLvl": 0}
        self.records.alert("battery", 3300, "battery low")
        self.assertTrue(self.state.records.is_set())
        wanted = {"type": "battery", "value": 3300, "desc": "battery low"}
        self.assertEqual(self.records.peek(1)[0][2:], ("alert", wanted))

    def test_a_full_batch_does_not_wait_for_the_hour(self):
        self.state.link.set()

        async def fill_later():
            await clock.sleep(600)
            self.fill(16)
            await clock.sleep(86400)

        together(
            self.errands(),
            fill_later(),
            until=lambda: len(self.cloud.publish.calls) == 16,
        )
        self.assertEqual(self.cloud.publish.calls[0][0] // 1000, 600)


class Sampling(Tasks):
    def test_waits_for_the_time_then_measures_at_its_interval(self):
        def broken():
            raise OSError(5)

        sensors = (("temp", lambda: (215, -1)), ("dead", broken), ("battery", lambda: (3700, 0)))

        async def tell_the_time():
            await clock.sleep(100)
            clock.set_utc(START_MS)
            self.state.link.set()
            await clock.sleep(1000000)

        together(
            Sample(self.state, self.settings, self.records, sensors).run(),
            tell_the_time(),
            until=lambda: self.records.pending() >= 4,
        )
        records = self.records.peek(9)
        self.assertEqual([(r[1], r[2]) for r in records[:2]], [(START_MS, "temp"), (START_MS, "battery")])
        self.assertEqual(records[2][1] - START_MS, 900000)
        self.assertEqual(records[1][3], 3700)

    def test_a_low_battery_is_one_alert_until_it_has_recovered(self):
        clock.set_utc(START_MS)
        self.state.control = {"alertsEn": True, "logLvl": 0}
        volts = [3500, 3390, 3380, 3450, 3390, 3510, 3399]
        task = Sample(self.state, self.settings, self.records, (("battery", lambda: (volts.pop(0), 0)),))
        while volts:
            task.measure()
        values = [record[3] for record in self.records.peek(20)]
        self.assertEqual(
            [value if isinstance(value, int) else value["value"] for value in values],
            [3500, 3390, 3390, 3380, 3450, 3390, 3510, 3399, 3399],
        )


class Packing(unittest.TestCase):
    def test_round_trip_without_floats(self):
        fix = {"lat": 634305000, "lon": -1, "acc_mm": 5, "time": 1763625600}
        for value in (0, -5, 1 << 40, "text", fix):
            self.assertEqual(unpack(7, pack(START_MS, "x", value)), (7, START_MS, "x", value))
        seq, ts, name, value = unpack(1, pack(0, "temp", Decimal(-123, -1)))
        self.assertEqual((value.mantissa, value.exponent), (-123, -1))

    def test_not_a_record(self):
        for wrong in (b"", b"\x80", b"\x01", b"\x83\x01", b"\xff", b"\xc4\x82\x01\x02"):
            with self.assertRaises(ValueError):
                unpack(1, wrong)


if __name__ == "__main__":
    unittest.main()
