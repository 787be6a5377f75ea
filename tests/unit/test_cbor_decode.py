"""CBOR decoder against hostile input: RFC 8949 Appendix F, limits, UTF-8, random and damaged bytes."""

import json
import unittest

import cbor
from harness.rng import Rng, seed

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

    def test_well_formed_but_refused(self):
        for text, why in (
            ("", "truncated"),
            ("0000", "trailing"),
            ("a0f6", "trailing"),
            ("a2010001f5", "duplicate"),
            ("bf616101616102ff", "duplicate"),
            ("a18001", "unhashable"),
            ("a1a001", "unhashable"),
            ("a1c18001", "unhashable"),
            ("81" * 17 + "00", "deeply"),
            ("9f" * 17 + "ff" * 17, "deeply"),
            ("c1" * 17 + "00", "deeply"),
            ("a100" * 17 + "00", "deeply"),
            ("9b4000000000000000", "too long"),
            ("9affffffff00", "too long"),
            ("bb400000000000000000", "truncated"),
            ("5b8000000000000000", "truncated"),
            ("7bffffffffffffffff61", "truncated"),
            ("9f" + "00" * 1024 + "ff", "too many"),
            ("5f" + "40" * 1100 + "ff", "chunk"),
            ("99040000" + "00" * 1023, "too long"),
        ):
            with self.subTest(hex=text[:20]):
                problem = ""
                try:
                    cbor.loads(bytes.fromhex(text))
                except cbor.CBORError as error:
                    problem = str(error)
                self.assertIn(why, problem)

    def test_item_budget(self):
        raw = b"\x9f" + b"\x00" * 9 + b"\xff"
        self.assertEqual(cbor.loads(raw, max_items=10), [0] * 9)
        self.assertRaises(cbor.CBORError, cbor.loads, raw, max_items=9)

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
