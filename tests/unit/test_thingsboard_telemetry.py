"""lib/cloud/thingsboard: records as telemetry (platforms.md 1.6), batches, what is done when one is refused."""

import json
import unittest

import coap
from cbor import Decimal
from cloud import base
from cloud.thingsboard import telemetry
from harness.thingsboard_kit import BAD, BROKEN, CREATED, code, platform, session


class Publishing(unittest.TestCase):
    def test_numbers_without_an_exponent(self):  # 1.6: with one it is stored as a text
        for mantissa, exponent, text in (
            (-123, -1, "-12.3"), (455240980, -7, "45.5240980"), (-5, -7, "-0.0000005"), (0, -1, "0.0"),
            (12, 0, "12"), (-12, 2, "-1200"), (100, -2, "1.00"),
        ):  # fmt: skip
            self.assertEqual(telemetry.decimal(mantissa, exponent), text)
            self.assertTrue(abs(float(text) - mantissa * 10.0**exponent) < 1e-4)

    def test_elements(self):
        fix = {"lat": 455240980, "lon": -1226884080, "acc_mm": 15000, "time": 5}
        for record, wanted in (
            ((1, 1631470795000, "temp", Decimal(-123, -1)), '{"ts":1631470795000,"values":{"temp":-12.3}}'),
            ((1, 0, "heap", 70000), '{"heap":70000}'),
            ((1, 7, "note", 'say "x"'), '{"ts":7,"values":{"note":"say \\"x\\""}}'),
            (
                (2, 7, "gnss", fix),
                '{"ts":7,"values":{"latitude":45.5240980,"longitude":-122.6884080,"accuracy":15.000}}',
            ),
            (
                (3, 7, "alert", {"type": "battery", "value": 3301, "desc": "low"}),
                '{"ts":7,"values":{"alert":"battery","alert_value":3301,"alert_text":"low"}}',
            ),
        ):
            self.assertEqual(telemetry.encode(record), wanted)

    def records(self, count):
        return [(seq, 1631470795000 + seq, "temp", Decimal(seq, -1)) for seq in range(1, count + 1)]

    def test_as_many_as_fit(self):
        for room in (20, 100, 256, 1024):
            body, count = telemetry.fill(self.records(40), 40, room)
            self.assertEqual(len(json.loads(body)), count)
            self.assertTrue(count == 1 or len(body) <= room)
            self.assertTrue(count == 40 or len(telemetry.fill(self.records(count + 1), 40, 9999)[0]) > room)
        self.assertEqual(telemetry.fill(self.records(100), 100, 99999)[1], 64)
        self.assertEqual(telemetry.fill(self.records(10), 1, 1024)[1], 1)

    def publish(self, peer, records):
        async def publish(cloud):
            left, skipped = list(records), []
            while left:
                try:
                    n = await cloud.publish(left)
                except base.RecordRefused:
                    skipped.append(left[0][0])
                    n = 1
                del left[:n]
            return skipped

        skipped = session(peer, publish)
        told = [json.loads(seen.payload) for seen in peer.seen[2:] if seen.code == 2]
        return skipped, told

    def test_all_arrive_in_order(self):
        skipped, told = self.publish(platform(), self.records(60))
        self.assertEqual(skipped, [])
        self.assertEqual([row["ts"] - 1631470795000 for body in told for row in body], list(range(1, 61)))
        self.assertEqual(len(told), 3)

    def test_the_one_that_is_not_taken_is_found(self):
        def judge(seen):
            body = json.loads(seen.payload)
            bad = type(body) is list and any([row["ts"] == 1631470795004 for row in body])
            return (BAD if bad else CREATED), b""

        skipped, told = self.publish(platform(telemetry=judge), self.records(30))
        self.assertEqual(skipped, [4])
        sizes = [len(body) for body in told]
        self.assertEqual(sizes[1:5], [1, 1, 1, 1])

    def test_a_server_that_is_unwell(self):
        peer = platform()

        async def publish(cloud):
            peer.table["POST api/v1/*/telemetry"] = code(BROKEN)
            with self.assertRaises(coap.Refused):
                await cloud.publish(self.records(3))

        session(peer, publish)


if __name__ == "__main__":
    unittest.main()
