"""gnss.pgps and offline: GPS time, the file's header, selection, what a receiver is given (nrfcloud.md 9.2, 10)."""

import struct
import unittest
from binascii import hexlify, unhexlify

from gnss import offline, pgps
from gnss.agnss import Parser
from harness.pgps_kit import DAY, EMPTY, PERIOD, START, header, prediction, record
from harness.rng import Rng, seed


class Arithmetic(unittest.TestCase):
    def test_gps_time(self):  # nrfcloud.md 9.2, modems.md 3.6: week 2399, tow 443063
        self.assertEqual(pgps.day_and_time(pgps.gps_time(1767225600)), (16797, 18))  # 2026-01-01T00:00:00Z
        gps_s = pgps.gps_time(1767323045)  # 2026-01-02T03:04:05Z
        self.assertEqual(pgps.day_and_time(gps_s), (16798, 11045 + 18))
        self.assertEqual((gps_s // 604800, gps_s % 604800), (2399, 443063))
        self.assertEqual(pgps.day_and_time(pgps.gps_time(315964800 - 18)), (0, 0))
        self.assertEqual(pgps.gps_time(2**31 + 17), 2**31 + 17 - 315964782)  # past 31 bits

    def test_header_vector(self):  # nrfcloud.md 10
        raw = unhexlify("010a01002a00d607f0001b3b00000000")
        self.assertEqual(pgps.parse_header(raw), (START, 42))
        self.assertEqual(raw, header())

    def test_headers_that_are_wrong_say_in_what(self):
        for raw, reason in (
            (b"", "short"),
            (header()[:15], "short"),
            (header(schema=2), "schema"),
            (header(type=2), "type"),
            (header(items=2), "items"),
            (header(size=2048), "size"),
            (header(period=120), "period"),
            (header(count=0), "count"),
            (header(count=43), "count"),
            (header(day=-1), "start"),
            (header(time=86400), "start"),
            (header(time=-1), "start"),
            (b'{"err":42200}   ', "schema"),
        ):
            with self.assertRaises(pgps.PgpsError) as caught:
                pgps.parse_header(raw)
            self.assertEqual(caught.exception.reason, reason)

    def test_selection(self):
        """floor((now + 120 min - start) / period): each serves two hours before its epoch to two hours after."""
        for offset, number in (
            (-7201, -1),
            (-7200, 0),
            (0, 0),
            (7199, 0),
            (7200, 1),
            (PERIOD, 1),
            (41 * PERIOD + 7199, 41),
            (41 * PERIOD + 7200, 42),
        ):
            self.assertEqual(pgps.select(START, START + offset), number)
            self.assertEqual(pgps.nearest(START + offset), START + number * PERIOD)

    def test_selection_at_random(self):
        rng = Rng(seed(41))
        for _ in range(200):
            start = rng.below(1 << 30) + rng.below(1 << 30)
            now = start + rng.below(42 * PERIOD)
            epoch = start + pgps.select(start, now) * PERIOD
            self.assertTrue(epoch - 7200 <= now < epoch + 7200)

    def test_what_begins_a_prediction(self):
        good = prediction(START + PERIOD)
        pgps.check(good[:22], START + PERIOD)
        for bad, reason in (
            (prediction(START), "epoch"),
            (b"\x06" + good[1:], "record"),
            (good[:19] + b"\x02\x1f\x00", "record"),
        ):
            with self.assertRaises(pgps.PgpsError) as caught:
                pgps.check(bad, START + PERIOD)
            self.assertEqual(caught.exception.reason, reason)

    def test_uncertainty_code(self):  # 3GPP TS 23.032 by nrfcloud.md 9.2; values of modems.md 3.3
        for metres, code in (
            (0, 0), (1, 1), (15, 10), (57, 20), (164, 30), (442, 40), (960, 48), (1163, 50), (20474, 80),
        ):  # fmt: skip
            self.assertEqual(offline.uncertainty(metres * 1000), code)
        self.assertEqual(offline.uncertainty(10**10), 127)
        for code in range(127):
            radius = (11**code * 10000) // 10**code - 10000  # of this code, to the millimetre
            self.assertTrue(offline.uncertainty(radius) in (code, code + 1), code)
            self.assertTrue(offline.uncertainty(radius * 9 // 10) <= code, code)

    def test_location_vector(self):  # nrfcloud.md 9.2, type 8: 63.4305 N 10.3951 E, K = 48, altitude unknown, 68 %
        buf = bytearray(15)
        place = {"lat": 634305000, "lon": 103951000, "acc_mm": 960000, "time": 1000}
        offline.write_location(buf, 0, place, 1000)
        self.assertEqual(hexlify(buf), b"57365a005e6407000000303000ff44")

    def test_location_in_the_south_and_at_the_edges(self):  # modems.md 3.3
        buf = bytearray(15)
        for lat, lon, wanted in (
            (-339000000, 1512000000, (-3159710, 7046430)),
            (601700000, 249400000, (5608250, 1162288)),
            (900000000, 1800000000, (8388607, 8388607)),
            (-900000000, -1800000000, (-8388608, -8388608)),
        ):
            offline.write_location(buf, 0, {"lat": lat, "lon": lon, "acc_mm": 0}, 0)
            self.assertEqual(struct.unpack("<ii", buf[:8]), wanted)

    def test_an_old_position_is_a_wide_one(self):
        buf = bytearray(15)
        codes = []
        for age_s in (0, 60, 3600, 86400, 30 * 86400):
            offline.write_location(buf, 0, {"lat": 0, "lon": 0, "acc_mm": 5000, "time": 1000}, 1000 + age_s)
            self.assertEqual(buf[10], buf[11])
            codes.append(buf[10])
        self.assertEqual(codes, sorted(codes))
        self.assertEqual((codes[0], codes[3]), (5, offline.uncertainty(864005000)))
        offline.write_location(buf, 0, {"lat": 0, "lon": 0, "acc_mm": 5000, "time": 1000}, 10)  # the clock was set back
        self.assertEqual(buf[10], 5)


class Elements(unittest.TestCase):
    """What a receiver is given without a network."""

    NOW_MS = (315964782 + START + 3661) * 1000 + 250
    PLACE = {"lat": 634305000, "lon": 103951000, "acc_mm": 960000, "time": 315964782 + START + 3661}

    def made(self, flags, mask, held=True, place=PLACE):
        buf = memoryview(bytearray(2048))
        buf[19 : 19 + 2006] = prediction(START)
        start, end = offline.elements(buf, held, {"flags": flags, "systems": {1: (mask, 0)}}, self.NOW_MS, place)
        if not end:
            return None
        found = []
        parser = Parser(lambda kind, index, element: found.append((kind, bytes(element))))
        parser.feed(buf[start:end])
        parser.finish()
        self.assertIsNone(parser.unknown)
        return found

    def test_time_position_and_ephemerides_in_this_order(self):
        found = self.made(0x3B, 0xFFFFFFFF)
        self.assertEqual([kind for kind, _ in found], [7, 8] + [2] * 30)
        self.assertEqual(struct.unpack("<HIHII", found[0][1]), (DAY, 3661, 250, 0, 0))
        self.assertEqual(found[1][1][:8], unhexlify("57365a005e640700"))
        wanted = [record(prn, START) for prn in range(1, 33) if prn not in EMPTY]
        self.assertEqual([element for _, element in found[2:]], wanted)

    def test_only_what_is_needed(self):
        for flags, mask, wanted in (
            (0x08, 0, [7]),
            (0x10, 0, [8]),
            (0x00, 1, [2]),
            (0x08, 0x80000001, [7, 2, 2]),
            (0x10, 1 << 4, [8, 2]),
            (0x27, 0, None),
            (0x00, 1 << 3, None),  # this satellite has no data
        ):
            found = self.made(flags, mask)
            self.assertEqual(found and [kind for kind, _ in found], wanted)
        self.assertEqual([element[0] for _, element in self.made(0, 0x80000401)], [1, 11, 32])

    def test_without_a_prediction_or_a_position(self):
        self.assertEqual([kind for kind, _ in self.made(0x3B, 0xFFFFFFFF, held=False)], [7, 8])
        self.assertEqual([kind for kind, _ in self.made(0x3B, 1, place=None)], [7, 2])
        self.assertIsNone(self.made(0x10, 0xFFFFFFFF, held=False, place=None))

    def test_a_receiver_without_gps(self):
        buf = memoryview(bytearray(2048))
        self.assertEqual(offline.elements(buf, True, {"flags": 0, "systems": {}}, self.NOW_MS, None), (0, 0))


if __name__ == "__main__":
    unittest.main()
