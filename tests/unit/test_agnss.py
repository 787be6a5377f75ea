"""gnss.agnss and gnss.agnss_nrf91: vectors of nrfcloud.md 9 and modems.md 3.3, 3.4; any chunking; what to ask for."""

import struct
import unittest

from gnss.agnss import SIZES, AgnssError, AgnssRefused, Parser, missing, types_for
from gnss.agnss_nrf91 import Converter
from gnss.walk import walk
from harness.rng import Rng, seed

# nrfcloud.md 9.2
CLOCK = b"\x07\x01\x00" + bytes((0x9D, 0x41, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
LOCATION = b"\x08\x01\x00" + bytes((0x57, 0x36, 0x5A, 0, 0x5E, 0x64, 0x07, 0, 0, 0, 0x30, 0x30, 0, 0xFF, 0x44))
TOW = b"\x06\x01\x00\x01\x34\x12\x07"
INTEGRITY = b"\x09\x01\x00\x00\x00\x00\x00"
EPHEMERIS = struct.pack(
    "<BBHHbhibBBHihiiIhIiihhhhhh",
    *(5, 1, 300, 27000, -3, -300, -70000, -9, 2, 1, 27001, -123456789, -2000, 2000000000, -1000000),
    *(4000000000, -100, 2700000000, 654321, -654321, -1, 2, -3, 4, -5, 6),
)
ALMANAC = struct.pack("<BBBBHhhBIiiihh", 7, 44, 120, 0, 30000, -1, -2, 3, 10600000, -4, 5, -6, 7, -8)


def parse(blob, step=0):
    """-> (list of (type, index, element), the parser); `step` bytes per chunk."""
    found = []
    parser = Parser(lambda kind, index, element: found.append((kind, index, bytes(element))))
    step = step or max(len(blob), 1)
    for i in range(0, len(blob), step):
        parser.feed(blob[i : i + step])
    parser.finish()
    return found, parser


def outcome(chunks):
    """-> (elements, the unknown type, their numbers), or None for an answer that is none."""
    found = []
    parser = Parser(lambda kind, index, element: found.append((kind, index, bytes(element))))
    try:
        for chunk in chunks:
            parser.feed(chunk)
        parser.finish()
    except AgnssError:
        return None
    return found, parser.unknown, parser.counts


class Stream(unittest.TestCase):
    def test_vectors(self):
        blob = (
            b"\x01" + TOW + CLOCK + LOCATION + INTEGRITY + b"\x02\x02\x00" + EPHEMERIS * 2 + b"\x03\x01\x00" + ALMANAC
        )
        expected = [
            (6, 0, TOW[3:]),
            (7, 0, CLOCK[3:]),
            (8, 0, LOCATION[3:]),
            (9, 0, INTEGRITY[3:]),
            (2, 0, EPHEMERIS),
            (2, 1, EPHEMERIS),
            (3, 0, ALMANAC),
        ]
        for step in (0, 1, 2, 3, 7, 64):
            found, parser = parse(blob, step)
            self.assertEqual(found, expected)
            self.assertEqual(parser.counts, {6: 1, 7: 1, 8: 1, 9: 1, 2: 2, 3: 1})
            self.assertIsNone(parser.unknown)
        self.assertEqual(struct.unpack("<HI", CLOCK[3:9]), (16797, 18))  # 2026-01-01T00:00:00Z

    def test_empty_sections_are_fine(self):
        self.assertEqual(parse(b"\x01\x02\x00\x00" + INTEGRITY)[0], [(9, 0, INTEGRITY[3:])])
        self.assertEqual(parse(b"\x01")[0], [])

    def test_qzss_and_galileo_are_passed_through(self):
        """Sizes by nrfcloud.md 9.1: what follows them is not lost."""
        expected = {11: 31, 12: 62, 13: 4, 14: 24, 15: 61, 16: 8, 17: 8}
        for kind, size in expected.items():
            self.assertEqual(SIZES[kind], size)
            body = bytes(range(1, size + 1))
            for step in (0, 1, 7):
                found, parser = parse(b"\x01" + bytes((kind, 2, 0)) + body * 2 + INTEGRITY, step)
                self.assertEqual(found, [(kind, 0, body), (kind, 1, body), (9, 0, INTEGRITY[3:])])
                self.assertIsNone(parser.unknown)

    def test_unknown_type_ends_the_reading(self):
        for kind in (0, 10, 18, 255):
            blob = b"\x01" + INTEGRITY + bytes((kind, 5, 0)) + b"whatever" + CLOCK
            found, parser = parse(blob, 4)
            self.assertEqual((found, parser.unknown), ([(9, 0, INTEGRITY[3:])], kind))
            self.assertEqual(walk(blob), kind)

    def test_cut_off(self):
        blob = b"\x01" + TOW + LOCATION
        whole = (1, 1 + len(TOW), len(blob))
        for n in range(1, len(blob)):
            if n in whole:
                continue
            with self.subTest(n=n):
                self.assertRaises(AgnssError, parse, blob[:n], 5)
        self.assertRaises(AgnssError, parse, b"")

    def test_other_schema(self):
        self.assertRaises(AgnssError, parse, b"\x02" + TOW)
        self.assertRaises(AgnssError, parse, b"<html>")

    def test_refusals(self):
        for body, code in (
            (b'{"appId":"AGNSS","messageType":"DATA","err":98}', 98),
            (b'{"err":"text"}', None),
            (b'{"broken', None),
            (b"{" + b"x" * 5000, None),
        ):
            for step in (0, 1, 100):
                try:
                    parse(body, step)
                    self.fail("accepted")
                except AgnssRefused as refused:
                    self.assertEqual(refused.code, code)

    def test_walk_sees_at_a_glance_what_the_parser_finds_out(self):
        """Valid answers, cut at random, with random bytes changed: both take it, or neither."""
        rng = Rng(seed(14))
        seen = {True: 0, False: 0}
        for _ in range(2000):
            blob = bytearray(b"\x01")
            for _ in range(rng.below(4)):
                kind = rng.below(20)
                count = rng.below(3)
                blob.extend(bytes((kind, count, 0)) + rng.bytes(SIZES.get(kind, 5) * count))
            if rng.below(3) == 0:
                blob[rng.below(len(blob))] = rng.below(256)
            if rng.below(3) == 0:
                blob = blob[: rng.below(len(blob) + 1)]
            blob = bytes(blob)
            try:
                expected = parse(blob)[1].unknown
            except AgnssError:
                expected = "wrong"
            try:
                found = walk(blob)
            except ValueError:
                found = "wrong"
            self.assertEqual(found, expected, blob)
            seen[expected == "wrong"] += 1
        self.assertTrue(min(seen.values()) > 200, seen)

    def test_walk_tells_the_code_of_a_report(self):
        for blob, words in (
            (b'{"appId":"AGNSS","messageType":"DATA","err":42200}', "42200"),
            (b"{", "None"),
            (b'{"err":', "None"),
            (b"<html>", "<html>"),
            (b"\x01" + TOW[:-1], "7 of 8"),
        ):
            with self.assertRaises(ValueError) as caught:
                walk(blob)
            self.assertTrue(words in str(caught.exception), caught.exception)

    def test_any_chunks(self):
        """Every element is seen once and whole, wherever the answer is cut; a wrong one is as wrong in pieces."""
        rng = Rng(seed(15))
        wrong = 0
        for _ in range(300):
            blob = b"\x01"
            for _ in range(rng.below(6)):
                kind = rng.choice(list(SIZES) + [10, 200])
                count = rng.below(4)
                blob += bytes((kind, count, 0)) + rng.bytes(SIZES.get(kind, 7) * count)
            if rng.chance(20):
                blob = blob[: rng.below(len(blob) + 1)]
            expected = outcome([blob])
            wrong += expected is None
            for _ in range(3):
                chunks = []
                at = 0
                while at < len(blob):
                    n = rng.below(80)
                    chunks.append(memoryview(blob)[at : at + n])
                    at += n
                self.assertEqual(outcome(chunks), expected, blob)
        self.assertTrue(20 < wrong < 200, wrong)

    def test_noise(self):
        rng = Rng(seed(13))
        for _ in range(300):
            blob = bytes((1,)) + rng.bytes(rng.below(120))
            try:
                parse(blob, 1 + rng.below(9))
            except AgnssError:
                pass


class Requests(unittest.TestCase):
    def test_types(self):
        full = (0xFFFFFFFF, 0xFFFFFFFF)
        for flags, systems, located, expected in (
            (0x3B, {1: full}, True, [1, 2, 3, 9, 4, 6, 7, 8]),
            (0x3B, {1: full}, False, [1, 2, 3, 9, 4, 6, 7]),
            (0x3F, {1: full, 3: (1, 1)}, True, [1, 2, 3, 9, 12, 11, 13, 4, 5, 6, 7, 8]),
            (0x00, {1: (1, 0)}, True, [2]),
            (0x00, {1: (0, 1)}, True, [3]),
            (0x20, {}, True, []),
            (0x08, {}, True, [6, 7]),
            (0x10, {1: (0, 0)}, True, [8]),
            (0x00, {1: (0, 0)}, True, []),
        ):
            self.assertEqual(types_for({"flags": flags, "systems": systems}, located), expected)

    def missing(self, types, given, ephemerides, almanacs=0xFFFFFFFF, now_s=1000000, filtered=False):
        need = {"flags": 0x3F, "systems": {1: (ephemerides, almanacs), 3: (0x3FF, 0x001)}}
        return missing(types, given, need, now_s, filtered)

    def test_what_is_lacking_altogether_is_fetched(self):
        types = [1, 2, 3, 4, 6, 7, 8, 9]
        given = dict([(kind, 1000000) for kind in types])
        self.assertEqual(self.missing(types, {}, 0xFFFFFFFF), types)
        self.assertEqual(self.missing(types, given, 0xFFFFFFFF), types)  # it has lost everything
        self.assertEqual(self.missing([12, 11], {12: 1000000, 11: 1000000}, 1), [12])

    def test_the_rest_of_a_set_is_not_fetched_again_while_it_serves(self):
        given = {2: 1000000, 3: 1000000}
        for age_s, almanacs, wanted in (
            (0, 0xFFFFFFFF, [1, 3]),
            (0, 1, [1]),
            (7199, 1, [1]),
            (7200, 1, [1, 2]),
            (7 * 86400 - 1, 1, [1, 2]),
            (7 * 86400, 1, [1, 2, 3]),
            (-1, 1, [1, 2, 3]),  # the clock was set back: do not trust it
        ):
            self.assertEqual(self.missing([1, 2, 3], given, 0x80, almanacs, 1000000 + age_s), wanted, age_s)

    def test_satellites_in_view_are_asked_for_every_110_minutes(self):
        given = {2: 1000000}
        self.assertEqual(self.missing([2], given, 0xFFFF0000, now_s=1000000 + 6599, filtered=True), [])
        self.assertEqual(self.missing([2], given, 0xFFFF0000, now_s=1000000 + 6600, filtered=True), [2])
        self.assertEqual(self.missing([2], given, 0xFFFFFFFF, now_s=1000000 + 60, filtered=True), [2])


class Structs(unittest.TestCase):
    """modems.md 3.4: natural alignment, padding zero."""

    def test_ephemeris(self):
        kind, data = Converter().convert(2, EPHEMERIS)
        self.assertEqual((kind, len(data)), (2, 72))
        for offset, form, value in (
            (0, "B", 5),
            (2, "H", 300),
            (4, "H", 27000),
            (6, "b", -3),
            (8, "h", -300),
            (12, "i", -70000),
            (16, "b", -9),
            (17, "B", 2),
            (18, "B", 1),
            (20, "H", 27001),
            (24, "i", -123456789),
            (28, "h", -2000),
            (32, "i", 2000000000),
            (36, "i", -1000000),
            (40, "I", 4000000000),
            (44, "h", -100),
            (48, "I", 2700000000),
            (52, "i", 654321),
            (56, "i", -654321),
            (60, "h", -1),
            (70, "h", 6),
        ):
            self.assertEqual(struct.unpack_from("<" + form, data, offset)[0], value)
        for pad in (7, 10, 11, 19, 22, 23, 30, 31, 46, 47):
            self.assertEqual(data[pad], 0)

    def test_almanac_and_sizes(self):
        kind, data = Converter().convert(3, ALMANAC)
        self.assertEqual((kind, len(data), data[10], data[11]), (3, 32, 3, 0))
        self.assertEqual(struct.unpack_from("<I", data, 12)[0], 10600000)
        self.assertEqual(struct.unpack_from("<hh", data, 28), (7, -8))
        for cloud, size, modem, length in ((1, 14, 1, 16), (4, 8, 4, 8), (5, 8, 5, 8), (8, 15, 7, 16), (9, 4, 8, 4)):
            kind, data = Converter().convert(cloud, bytes(range(1, size + 1)))
            self.assertEqual((kind, len(data)), (modem, length))
        self.assertIsNone(Converter().convert(13, bytes(4)))

    def test_clock_gathers_the_tows(self):
        converter = Converter()
        self.assertIsNone(converter.convert(6, TOW[3:]))
        self.assertIsNone(converter.convert(6, b"\x20\x00\x00\x01"))
        self.assertIsNone(converter.convert(6, b"\x05\x00\x00\x00"))  # nothing in it
        self.assertIsNone(converter.convert(6, b"\x21\x01\x01\x01"))  # no such PRN
        kind, data = converter.convert(7, CLOCK[3:])
        self.assertEqual((kind, len(data)), (6, 144))
        self.assertEqual(struct.unpack_from("<H", data, 0)[0], 16797)
        self.assertEqual(struct.unpack_from("<I", data, 4)[0], 18)
        self.assertEqual(struct.unpack_from("<I", data, 12)[0], 0x80000001)
        self.assertEqual(bytes(data[16:20]), b"\x34\x12\x07\x00")
        self.assertEqual(bytes(data[140:144]), b"\x00\x00\x01\x00")


if __name__ == "__main__":
    unittest.main()
