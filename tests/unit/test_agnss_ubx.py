"""gnss.agnss_ubx, gnss.ubx_need: vectors of modems.md 3.5, the tables of 3.6, chunks, order, validity times.

Against pyubx2, over random answers, in tests/integration/test_gnss_peers.py.
"""

import struct
import unittest
from binascii import unhexlify

from gnss import ubx
from gnss.agnss_ubx import frames, hints
from gnss.offline import elements
from gnss.ubx_need import Given
from harness.pgps_kit import EMPTY, prediction
from harness.pgps_kit import EPHEMERIS as PACKED
from harness.rng import Rng, seed

NOW = 1767323045  # 2026-01-02 03:04:05
TIME_UTC = unhexlify("B5621340180010000080EA07010203040500000000000200000000000000FD07")
POSITION = unhexlify("B5621340140001000000A036DD23C08ADD0EC4090000E0930400B709")
IONO = unhexlify("B56213001000060000000801FFFF2E01FFFD000000005BB6")
UTC = unhexlify("B5621300140005000000FFFFFFFFFEFFFFFF123D6489071200007806")

# 3.6 row by row: (offset in the payload, format, value that EPHEMERIS or ALMANAC has there)
EPHEMERIS = struct.pack(
    PACKED,
    *(5, 1, 300, 27000, -3, -300, -70000, -9, 2, 1, 27001, -123456789, -2000, 2000000000, -1000000),
    *(4000000000, -100, 2700000000, 654321, -654321, -1, 2, -3, 4, -5, 6),
)
EPHEMERIS_AT = (
    (0, "B", 1), (1, "B", 0), (2, "B", 5), (3, "B", 0), (4, "B", 1), (5, "B", 2), (6, "B", 1), (7, "b", -9),
    (8, "H", 300), (10, "H", 27000), (12, "B", 0), (13, "b", -3), (14, "h", -300), (16, "i", -70000), (20, "h", -1),
    (22, "h", -2000), (24, "i", 2000000000), (28, "h", 6), (30, "h", -3), (32, "I", 4000000000),
    (36, "I", 2700000000), (40, "H", 27001), (42, "h", -5), (44, "i", -654321), (48, "h", 2), (50, "h", 4),
    (52, "i", 654321), (56, "i", -123456789), (60, "i", -1000000), (64, "h", -100), (66, "H", 0),
)  # fmt: skip
ALMANAC = struct.pack("<BBBBHhhBIiiihh", 7, 44, 120, 9, 30000, -1, -2, 3, 10600000, -4, 5, -6, 7, -8)
ALMANAC_AT = (
    (0, "B", 2), (1, "B", 0), (2, "B", 7), (3, "B", 3), (4, "H", 30000), (6, "B", 44), (7, "B", 120), (8, "h", -1),
    (10, "h", -2), (12, "I", 10600000), (16, "i", -4), (20, "i", 5), (24, "i", -6), (28, "h", 7), (30, "h", -8),
    (32, "I", 0),
)  # fmt: skip


def section(kind, *bodies):
    return bytes((kind, len(bodies), 0)) + b"".join(bodies)


def clock(day=16798, second=11063, millis=0):
    return section(7, struct.pack("<HIHII", day, second, millis, 0, 0))


def location(lat, lon, alt=0, code=40):
    return section(8, struct.pack("<iihBBBBB", lat, lon, alt, code, code, 0, 255, 68))


def made(*sections, **how):
    return [bytes(one) for one in frames(b"\x01" + b"".join(sections), **how)]


def with_sv(element, sv):
    return bytes((sv,)) + element[1:]


class Assistance(unittest.TestCase):
    def check(self, raw, ident, size, table):
        cls, got, payload = ubx.unpack(raw)
        self.assertEqual((cls, got, len(payload)), (0x13, ident, size))
        for offset, form, value in table:
            self.assertEqual(struct.unpack_from("<" + form, payload, offset)[0], value, offset)

    def test_vectors(self):
        """modems.md 3.5, byte for byte."""
        place = {"lat": 601700000, "lon": 249400000, "acc_mm": 3000000, "alt_mm": 25000}
        self.assertEqual([bytes(one) for one in hints(NOW, place)], [TIME_UTC, POSITION])
        self.assertEqual([bytes(one) for one in hints(None, place)], [POSITION])
        self.assertEqual([bytes(one) for one in hints(NOW, None)], [TIME_UTC])
        iono = section(4, struct.pack("<8b", 8, 1, -1, -1, 46, 1, -1, -3))
        self.assertEqual(made(iono), [IONO])
        utc = section(1, struct.pack("<iiBBbBbb", -2, -1, 61, 100, 18, 137, 7, 18))
        self.assertEqual(made(utc), [UTC])

    def test_ephemeris_and_almanac(self):
        (raw,) = made(section(2, EPHEMERIS))
        self.check(raw, 0x00, 68, EPHEMERIS_AT)
        (raw,) = made(section(3, ALMANAC))
        self.check(raw, 0x00, 36, ALMANAC_AT)

    def test_qzss_has_a_class_and_numbers_of_its_own(self):
        (raw,) = made(section(12, with_sv(EPHEMERIS, 199)))
        self.check(raw, 0x05, 68, ((2, "B", 7),) + EPHEMERIS_AT[3:])
        (raw,) = made(section(11, with_sv(ALMANAC, 193)))
        self.check(raw, 0x05, 36, ((2, "B", 1),) + ALMANAC_AT[3:])
        (raw,) = made(section(13, b"\x12\x00\x00\x00"))
        self.check(raw, 0x05, 12, ((0, "I", 4), (4, "I", 0x00003F00), (8, "I", 0x0000003F)))

    def test_health(self):
        (raw,) = made(section(9, b"\x01\x00\x00\x80"))
        table = ((0, "I", 4), (4, "B", 0x3F), (5, "B", 0), (34, "B", 0), (35, "B", 0x3F), (36, "I", 0))
        self.check(raw, 0x00, 40, table)

    def test_satellites_that_are_none(self):
        """Numbers out of range, and predictions without data, which are zero but for the number."""
        for kind, svs in ((2, (0, 33, 193)), (12, (0, 192, 203, 5)), (3, (0, 33)), (11, (192, 203))):
            element = EPHEMERIS if kind in (2, 12) else ALMANAC
            self.assertEqual(made(section(kind, *[with_sv(element, sv) for sv in svs])), [])
        self.assertEqual(made(section(2, b"\x04" + bytes(61))), [])

    def test_time(self):
        """3.6: 2026-01-02 03:04:05 UTC is second 443063 of GPS week 2399; the age of the answer is added."""
        for day, second, millis, age_ms, week, tow, ns in (
            (16798, 11063, 0, 0, 2399, 443063, 0),
            (16798, 11063, 250, 1500, 2399, 443064, 750000000),
            (16799, 86399, 999, 1, 2400, 0, 0),  # the end of a week
            (16799, 86399, 0, 700000, 2400, 699, 0),
            (65535, 0, 0, 0, 9362, 86400, 0),
        ):
            (raw,) = made(clock(day, second, millis), age_ms=age_ms)
            self.check(
                raw, 0x40, 24,
                ((0, "B", 0x11), (1, "B", 0), (2, "B", 0), (3, "B", 0), (4, "H", 0), (6, "H", week), (8, "I", tow),
                 (12, "I", ns), (16, "H", 2), (18, "H", 0), (20, "I", 0)),
            )  # fmt: skip

    def test_location(self):
        """3.3: codes of latitude, longitude and radius."""
        for lat, lon, alt, code, wanted in (
            (5608250, 1162288, 25, 40, (601699948, 249399948, 2500, 44259)),
            (-3159710, 7046430, -10, 10, (-339000106, 1511999846, -1000, 1593)),
            (0, 0, 0, 0, (0, 0, 0, 100)),  # never better than 1 m
            (-8388608, -8388608, 0, 127, (-900000000, -1800000000, 0, 180662747)),
        ):
            (raw,) = made(location(lat, lon, alt, code))
            _, ident, payload = ubx.unpack(raw)
            found = struct.unpack_from("<iiiI", payload, 4)
            self.assertEqual((ident, payload[0]), (0x40, 1))
            self.assertEqual(found, wanted)
        for lat, lon, code in ((0, 0, 255), (0, 0, 128), (8388609, 0, 10), (0, -8388609, 10)):
            self.assertEqual(made(location(lat, lon, 0, code)), [])

    def test_order(self):
        """INI-TIME, INI-POS, UTC, IONO, EPH, ALM, HEALTH whatever the order of the answer; 5, 6, 14 to 17 dropped."""
        parts = [
            section(9, bytes(4)), section(3, with_sv(ALMANAC, 30)), section(12, with_sv(EPHEMERIS, 193)),
            section(2, EPHEMERIS, with_sv(EPHEMERIS, 6)), section(4, bytes(8)), section(5, bytes(8)),
            section(14, bytes(24)), section(15, bytes(61)), section(1, bytes(14)), location(1, 2),
            section(6, b"\x01\x34\x12\x07"), clock(), section(13, bytes(4)), section(2),
        ]  # fmt: skip
        wanted = [(0x40, 0x11), (0x40, 1), (0, 5), (0, 6), (0, 1), (0, 1), (5, 1), (0, 2), (0, 4), (5, 4)]
        rng = Rng(seed(52))
        for _ in range(20):
            rng.shuffle(parts)
            self.assertEqual([(one[3], one[6]) for one in made(*parts)], wanted)

    def test_almanacs_when_the_ephemerides_are_complete(self):
        alm = section(3, with_sv(ALMANAC, 5), with_sv(ALMANAC, 6))
        both = section(2, EPHEMERIS, with_sv(EPHEMERIS, 6))
        self.assertEqual([one[6] for one in made(alm, both)], [1, 1])
        self.assertEqual([one[6] for one in made(alm, section(2, EPHEMERIS))], [1, 2, 2])
        empty = section(2, EPHEMERIS, b"\x06" + bytes(61))
        self.assertEqual([one[6] for one in made(alm, empty)], [1, 2, 2])

    def test_chunks(self):
        """A list of chunks of any sizes, empty ones too, is as good as the whole."""
        whole = b"\x01" + clock() + location(1, 2) + section(2, EPHEMERIS, with_sv(EPHEMERIS, 6)) + section(3, ALMANAC)
        wanted = [bytes(one) for one in frames(whole)]
        self.assertEqual(len(wanted), 5)
        rng = Rng(seed(53))
        for _ in range(40):
            chunks = []
            at = 0
            while at < len(whole):
                n = rng.below(70)
                chunks.append(whole[at : at + n])
                at += n
            self.assertEqual([bytes(one) for one in frames(chunks)], wanted)

    def test_cut_off_says_so_before_the_first_frame(self):
        whole = b"\x01" + clock() + location(1, 2)
        for n in range(len(whole)):
            if n in (1, 1 + len(clock())):
                continue
            self.assertRaises(ValueError, next, frames(whole[:n]))
        for bad in (b"\x02" + clock(), b'{"err":98}', b"\x00"):
            self.assertRaises(ValueError, next, frames(bad))

    def test_unknown_types_end_it_quietly(self):
        for kind in (0, 10, 18, 255):
            found = made(clock(), bytes((kind, 200, 3)) + b"whatever")
            self.assertEqual([one[6] for one in found], [0x11])

    def test_predictions(self):
        """What gnss.offline makes of a prediction goes into any receiver."""
        buf = memoryview(bytearray(2025))
        buf[19:] = prediction(16797 * 86400)
        need = {"flags": 0x18, "systems": {1: (0xFFFFFFFF, 0)}}
        place = {"lat": 601700000, "lon": 249400000, "acc_mm": 20000, "time": 1767225600}
        start, end = elements(buf, True, need, 1767225600123, place)
        found = [bytes(one) for one in frames(buf[start:end])]
        self.assertEqual([one[6] for one in found], [0x11, 1] + [1] * (32 - len(EMPTY)))
        self.assertEqual(struct.unpack_from("<HII", found[0], 12), (2399, 4 * 86400 + 18, 123000000))
        lat, lon, _, acc = struct.unpack_from("<iiiI", found[1], 10)
        self.assertTrue(abs(lat - 601700000) < 120 and abs(lon - 249400000) < 220 and 2000 <= acc < 2300)
        self.assertEqual([one[8] for one in found[2:]], [prn for prn in range(1, 33) if prn not in EMPTY])


class Needs(unittest.TestCase):
    def eph(self, prn, toe, ident=0):
        element = bytearray(with_sv(EPHEMERIS, prn + 192 if ident else prn))
        struct.pack_into("<H", element, 16, toe)
        return made(section(12 if ident else 2, bytes(element)))[0]

    def give(self, given, *raws, now=NOW):
        for raw in raws:
            given.took(raw, now)

    def test_everything_and_nothing(self):
        given = Given()
        need = given.need(NOW, False, False)
        self.assertEqual(need, {"flags": 0x3B, "systems": {1: (0xFFFFFFFF, 0)}})
        self.assertEqual(given.need(None, True, False)["flags"], 0x33)
        self.give(given, *made(section(1, bytes(14)), section(4, bytes(8)), section(9, bytes(4)), location(1, 2)))
        self.assertEqual(given.need(NOW, True, False)["flags"], 0)
        self.assertIsNone(given.need(NOW, True, False, {1: 0xFF, 3: 0}))
        self.assertEqual(given.need(NOW + 86399, True, False)["flags"], 0)
        self.assertEqual(given.need(NOW + 86400, True, False)["flags"], 0x23)
        self.assertEqual(given.need(NOW - 1, True, False)["flags"], 0x23)  # the clock was set back
        given.clear()
        self.assertEqual(given.need(NOW, True, False)["flags"], 0x33)

    def test_ephemerides_serve_two_hours_around_their_time(self):
        given = Given(True)
        toe = 443063 // 16
        self.give(given, self.eph(1, toe), self.eph(2, toe - 440), self.eph(3, toe + 440), self.eph(2, toe, 5))
        self.assertEqual(given.held(NOW), {1: 0b111, 3: 0b10})
        self.assertEqual(given.held(NOW + 7100), {1: 0b101, 3: 0b10})
        self.assertEqual(given.held(NOW + 7300), {1: 0b100, 3: 0})
        self.assertEqual(given.held(NOW + 604800 - 7100), {1: 0b011, 3: 0b10})  # a week later nobody remembers
        self.assertEqual(given.held(None), {1: 0, 3: 0})
        self.assertEqual(given.need(NOW, True, True)["systems"], {1: (0xFFFFFFF8, 0), 3: (0x3FD, 0)})

    def test_a_week_begins_in_between(self):
        given = Given()
        sunday = NOW - 443063 + 604800  # second 0 of the next GPS week
        self.give(given, self.eph(1, 0), self.eph(2, 604784 // 16))
        self.assertEqual(given.held(sunday - 3600), {1: 3, 3: 0})
        self.assertEqual(given.held(sunday + 3600), {1: 3, 3: 0})

    def test_as_many_as_are_in_view_will_do(self):
        given = Given()
        for prn in range(1, 9):
            self.assertTrue(given.need(NOW, True, True)["systems"][1][0])
            self.give(given, self.eph(prn, 443063 // 16))
        self.assertEqual(given.need(NOW, True, True), {"flags": 0x03, "systems": {1: (0, 0)}})

    def test_what_the_receiver_says_counts_more(self):
        given = Given()
        self.give(given, self.eph(1, 443063 // 16))
        self.assertEqual(given.need(NOW, True, True, {1: 0, 3: 0})["systems"], {1: (0xFFFFFFFF, 0)})



if __name__ == "__main__":
    unittest.main()
