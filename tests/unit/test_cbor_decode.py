"""CBOR decoder against hostile input: RFC 8949 Appendix F, limits, UTF-8, random and damaged bytes."""

import gc
import json
import sys
import unittest

import cbor
from harness.rng import Rng, seed

_MICROPYTHON = sys.implementation.name == "micropython"

# A GNSS message of nrfcloud.md 5.5
_GNSS = bytes.fromhex(
    "a30164474e535302a604fb4046c315a4acf31305fbc05eac0ee06d938106fb402e00000000000007fb3ff000000000000008fb40568000000000"
    "0009fb4063e00000000000031b0000017bdb3cb8f8"
)


def _data(name):
    with open("tests/data/cbor_%s.json" % name) as file:
        return json.load(file)


class Decoder(unittest.TestCase):
    def test_appendix_f(self):
        """RFC 8949 Appendix F.1, expanded to 94 byte strings."""
        count = 0
        for kind, rows in _data("malformed").items():
            for text in rows:
                count += 1
                with self.subTest(kind=kind, hex=text):
                    self.assertRaises(cbor.CBORError, cbor.loads, bytes.fromhex(text))
        self.assertEqual(count, 94)

    def test_every_reason(self):
        for text, reason in (
            ("", "truncated"),
            ("1901", "truncated"),
            ("1a000000", "truncated"),
            ("fb00000000000000", "truncated"),
            ("62c3", "truncated"),
            ("0000", "trailing bytes"),
            ("a0f6", "trailing bytes"),
            ("61ff", "bad UTF-8"),
            ("62c080", "bad UTF-8"),
            ("a2010001f5", "duplicate key"),
            ("a20100c2410100", "duplicate key"),
            ("bf616101616102ff", "duplicate key"),
            ("a18001", "unhashable key"),
            ("a1a001", "unhashable key"),
            ("a1c18001", "unhashable key"),
            ("81" * 17 + "00", "nested too deeply"),
            ("9f" * 17 + "ff" * 17, "nested too deeply"),
            ("c1" * 17 + "00", "nested too deeply"),
            ("a100" * 17 + "00", "nested too deeply"),
            ("9b4000000000000000", "truncated"),
            ("9affffffff00", "truncated"),
            ("bb400000000000000000", "truncated"),
            ("5b8000000000000000", "truncated"),
            ("7bffffffffffffffff61", "truncated"),
            ("9f" + "00" * 1024 + "ff", "too many items"),
            ("bf" + "00" * 2048 + "ff", "too many items"),
            ("99040000" + "00" * 1023, "too many items"),
            ("b9020000" + "00" * 1023, "too many items"),
            ("5f" + "40" * 1100 + "ff", "bad chunk"),
            ("5f6100ff", "bad chunk"),
            ("1c", "reserved head"),
            ("1f", "reserved head"),
            ("fc", "reserved head"),
            ("ff", "stray break"),
            ("a1ff", "stray break"),
            ("f81f", "two-byte simple value below 32"),
            ("c201", "not a bignum"),
            ("c36100", "not a bignum"),
            ("c25881" + "01" * 129, "not a bignum"),
        ):
            with self.subTest(hex=text[:20]):
                self.assertEqual(self._reason(bytes.fromhex(text)), reason)

    def _reason(self, *args, **options):
        try:
            cbor.loads(*args, **options)
        except cbor.CBORError as error:
            self.assertTrue(str(error).startswith(error.reason + " at byte "))
            return error.reason
        return None

    def test_bignums(self):
        for text, value in (
            ("c240", 0),
            ("c24101", 1),
            ("c340", -1),
            ("c2420100", 256),
            ("c25f41014100ff", 256),
            ("c3490100000000000000ff", -(1 << 64) - 256),
            ("c25880" + "ff" * 128, (1 << 1024) - 1),
        ):
            with self.subTest(hex=text[:20]):
                self.assertEqual(cbor.loads(bytes.fromhex(text)), value)
                self.assertEqual(cbor.loads(bytes.fromhex(text), views=True), value)
        self.assertEqual(cbor.loads(bytes.fromhex("a1c249010000000000000000f5")), {1 << 64: True})

    def test_views(self):
        """Byte strings stay where they are, text and keys do not."""
        buf = bytearray(b"\x84\x43abc\x63def\xa1\x41k\x42xy\x5f\x41p\x41q\xff")
        blob, text, mapping, joined = cbor.loads(buf, views=True)
        self.assertTrue(isinstance(blob, memoryview))
        self.assertEqual((bytes(blob), text, bytes(mapping[b"k"]), joined), (b"abc", "def", b"xy", b"pq"))
        buf[2] = 0x7A
        self.assertEqual((bytes(blob), text), (b"zbc", "def"))
        whole = memoryview(b"\x00\x41a\x00")[1:3]
        self.assertEqual(bytes(cbor.loads(whole, views=True)), b"a")

    def test_sequence(self):
        raw = b"\x01\x82\x02\x03\x61a"
        pos = 0
        found = []
        while pos < len(raw):
            value, pos = cbor.load_from(raw, pos)
            found.append(value)
        self.assertEqual((found, pos), ([1, [2, 3], "a"], len(raw)))
        self.assertEqual(cbor.load_from(b"\xf6\xff"), (None, 1))
        for pos in (2, 3, 100):
            self.assertRaises(cbor.CBORError, cbor.load_from, b"\x00\x18", pos)
        self.assertRaises(ValueError, cbor.load_from, b"\x00", -1)
        self.assertRaises(cbor.CBORError, cbor.load_from, b"\x00\x82\x01", 1)

    def test_depth_limit(self):
        for depth in range(17):
            raw = b"\x81" * depth + b"\x00"
            self.assertEqual(self._reason(raw, max_depth=depth), None)
            if depth:
                self.assertEqual(self._reason(raw, max_depth=depth - 1), "nested too deeply")
        self.assertRaises(ValueError, cbor.loads, b"\x00", max_depth=17)

    def test_claims_cost_nothing(self):
        """A count or a length that the input does not bear out is refused before anything of that size is allocated."""
        if not _MICROPYTHON:
            self.skipTest("heap_lock is MicroPython's")
        for head in (0x5A, 0x7A, 0x9A, 0xBA):
            raw = bytes((head, 0x3F, 0xFF, 0xFF, 0xFF)) + bytes(16)
            self._reason(raw)
            gc.collect()
            gc.disable()
            before = gc.mem_alloc()
            self.assertEqual(self._reason(raw), "truncated")
            used = gc.mem_alloc() - before
            gc.enable()
            self.assertTrue(used < 2000, str(used))
        raw = b"\x99\x04\x00" + bytes(1024)
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        self.assertEqual(self._reason(raw, max_items=1000), "too many items")
        used = gc.mem_alloc() - before
        gc.enable()
        self.assertTrue(used < 2000, str(used))

    def test_item_budget(self):
        for raw in (b"\x9f" + bytes(9) + b"\xff", b"\x89" + bytes(9)):
            self.assertEqual(cbor.loads(raw, max_items=10), [0] * 9)
            self.assertRaises(cbor.CBORError, cbor.loads, raw, max_items=9)
        for raw in (b"\xa2\x01\x02\x03\x04", b"\xbf\x01\x02\x03\x04\xff", b"\x82\x81\x00\xc1\x00"):
            cbor.loads(raw, max_items=5)
            self.assertRaises(cbor.CBORError, cbor.loads, raw, max_items=4)

    def test_sixteen_levels(self):
        self.assertEqual(str(cbor.loads(b"\x81" * 16 + b"\x00")), "[" * 16 + "0" + "]" * 16)

    def test_utf8(self):
        """Every two-byte sequence and the corners of the longer ones, against the table of RFC 3629 section 4."""
        for first in range(0xC0, 0x100):
            for second in range(0, 256, 3 if first > 0xC3 else 1):
                self._utf8(bytes((first, second)))
        for lead in (0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFC, 0xFF):
            for second in (0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0):
                for third in (0x7F, 0x80, 0xBF, 0xC0):
                    self._utf8(bytes((lead, second, third)))
                    for fourth in (0x41, 0x80, 0xBF, 0xC0):
                        self._utf8(bytes((lead, second, third, fourth)))

    def _utf8(self, raw):
        try:
            cbor.loads(bytes((0x60 | len(raw),)) + raw)
            accepted = True
        except cbor.CBORError:
            accepted = False
        if accepted != _utf8_oracle(raw):
            self.assertEqual((raw, accepted), (raw, not accepted))

    def test_chunks_do_not_split_characters(self):
        self.assertRaises(cbor.CBORError, cbor.loads, bytes.fromhex("7f61c361bcff"))
        self.assertEqual(cbor.loads(bytes.fromhex("7f62c3bc62c3bcff")), "\u00fc\u00fc")

    def test_result_keeps_nothing_of_the_buffer(self):
        buf = bytearray(b"\x82\x43abc\x63def")
        value = cbor.loads(buf)
        for i in range(len(buf)):
            buf[i] = 0
        self.assertEqual(value, [b"abc", "def"])

    def test_fuzz(self):
        """Random and mutated bytes: a value or a CBORError, nothing else, and the heap holds."""
        rng = Rng(seed(4711))
        seeds = [bytes.fromhex(row["hex"]) for row in _data("appendix_a")] + [_GNSS] * 12
        outcomes = [0, 0]
        for i in range(4000):
            if i % 4 == 0:
                raw = rng.bytes(rng.below(24))
            else:
                raw = bytearray(rng.choice(seeds))
                for _ in range(1 + rng.below(3)):
                    raw[rng.below(len(raw))] = rng.bits(8)
            try:
                cbor.loads(raw)
                outcomes[0] += 1
            except cbor.CBORError:
                outcomes[1] += 1
            except (TypeError, ValueError, IndexError, KeyError, RuntimeError, MemoryError) as error:
                self.assertEqual(bytes(raw).hex(), repr(error))
        self.assertTrue(outcomes[0] > 200 and outcomes[1] > 200, str(outcomes))


# First byte range -> ranges of the following bytes: the ABNF of RFC 3629 section 4.
_ABNF = (
    (0x00, 0x7F, ()),
    (0xC2, 0xDF, ((0x80, 0xBF),)),
    (0xE0, 0xE0, ((0xA0, 0xBF), (0x80, 0xBF))),
    (0xE1, 0xEC, ((0x80, 0xBF), (0x80, 0xBF))),
    (0xED, 0xED, ((0x80, 0x9F), (0x80, 0xBF))),
    (0xEE, 0xEF, ((0x80, 0xBF), (0x80, 0xBF))),
    (0xF0, 0xF0, ((0x90, 0xBF), (0x80, 0xBF), (0x80, 0xBF))),
    (0xF1, 0xF3, ((0x80, 0xBF), (0x80, 0xBF), (0x80, 0xBF))),
    (0xF4, 0xF4, ((0x80, 0x8F), (0x80, 0xBF), (0x80, 0xBF))),
)


def _tail(first):
    for low, high, tail in _ABNF:
        if low <= first <= high:
            return tail
    return None


def _utf8_oracle(raw):
    while raw:
        tail = _tail(raw[0])
        if tail is None:
            return False
        if len(raw) <= len(tail):
            return False
        for i in range(len(tail)):
            if not tail[i][0] <= raw[1 + i] <= tail[i][1]:
                return False
        raw = raw[1 + len(tail) :]
    return True


if __name__ == "__main__":
    unittest.main()
