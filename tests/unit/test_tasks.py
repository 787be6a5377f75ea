"""firmware/tasks against fakes, in virtual time: what a node does when things fail; the link: test_link_task.py."""

import unittest

import clock
import coap
import log
from cbor import Decimal
from cloud.base import RecordRefused
from errands import Errand, Errands
from harness.node_kit import Answer, Node, Scripted
from harness.virtual import START_MS, together
from net.dtls import DTLSError
from records import pack, unpack
from tasks import explain
from tasks.health import Heap
from tasks.sample import Sample
from tasks.uplink import Uplink


class Tasks(Node):
    def uplink(self, until):
        self.state.link.set()
        together(self.errands(), until=until)

    def errands(self):
        def make(name):
            return Uplink(self.state, self.settings, self.records, self.cloud, self.logbook, Heap(self.state))

        return Errands(self.state, (Errand("uplink", make, early=self.state.records),)).run()


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

    def test_heap_is_reported_at_its_interval(self):
        clock.set_utc(START_MS)
        self.uplink(lambda: len(self.cloud.publish.calls) == 4)
        sent = [call[1][0][0][1:3] for call in self.cloud.publish.calls]
        hours = [(ts_ms - START_MS) // 3600000 for ts_ms, _ in sent]
        self.assertEqual((hours, sent[3][1]), ([0, 6, 12, 18], "heap"))

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


class Explaining(unittest.TestCase):
    def test_errors_in_words(self):
        for error, words in (
            (OSError(103, "DTLS handshake failed"), "DTLS handshake failed"),
            (OSError(104, None), "None"),
            (DTLSError("the name does not match"), "the name does not match"),
            (OSError(), "OSError"),
            (OSError("what"), "OSError: what"),
            (coap.Timeout("no uplink for three periods"), "Timeout: no uplink for three periods"),
            (coap.Timeout(), "Timeout"),
        ):
            self.assertEqual(explain(error), words)

    def test_a_number_has_its_name_where_the_port_knows_it(self):
        said = explain(OSError(110))
        self.assertTrue(said in ("ETIMEDOUT", "OSError: 110"), said)


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
