"""Deterministic CBOR (RFC 8949, 4.2.1): order of keys, shortest floats by their bits, and input that is not."""

import unittest

import cbor
from cbor.deterministic import dumps, loads
from cbor.floats import shortest, widen, word_of
from harness.rng import Rng, seed

# RFC 8949, 4.2.1: the keys of its example, in their order; each with its number as value
_KEYS = (10, 100, -1, "z", "aa", [100], [-1], False)
_SORTED = "a8" + "0a00" + "186401" + "2002" + "617a03" + "62616104" + "81186405" + "812006" + "f407"

# No single holds these: one bit too many, or just outside its range
_DOUBLES = ("3ff0000000000001", "3ff0000010000000", "47efffffe0000001", "47f0000000000000", "36a0000000000001")


def _word(first, raw):
    """The float64 word of a half or single, by the definition of the formats and in integers; None for NaN."""
    bits, fraction_bits = (16, 10) if first == 0xF9 else (32, 23)
    top = (1 << (bits - 1 - fraction_bits)) - 1
    sign, biased, fraction = raw >> (bits - 1), raw >> fraction_bits & top, raw & ((1 << fraction_bits) - 1)
    if biased == top:
        return None if fraction else sign << 63 | 2047 << 52
    if not biased and not fraction:
        return sign << 63
    exponent = biased - (top >> 1)
    if biased:
        fraction |= 1 << fraction_bits
    else:
        exponent += 1
    while not fraction >> fraction_bits:
        fraction <<= 1
        exponent -= 1
    fraction -= 1 << fraction_bits
    return sign << 63 | exponent + 1023 << 52 | fraction << 52 - fraction_bits


class Encode(unittest.TestCase):
    def test_order_of_the_rfc(self):
        rng = Rng(seed(421))
        for _ in range(50):
            pairs = [(key, i) for i, key in enumerate(_KEYS)]
            rng.shuffle(pairs)
            self.assertEqual(dumps(cbor.Map(pairs)).hex(), _SORTED)

    def test_many_keys(self):
        """No order of insertion shows, whatever the sort's stability; and the decoder accepts what comes out."""
        rng = Rng(seed(8949))
        for _ in range(20):
            pairs = [(rng.bits(1 + rng.below(70)) + i, i) for i in range(40)]
            pairs += [("%d" % rng.bits(20) * (1 + i % 7), i) for i in range(20)]
            unique = dict(pairs)
            pairs = [(key, unique[key]) for key in unique]
            first = dumps(cbor.Map(pairs))
            rng.shuffle(pairs)
            self.assertEqual(dumps(cbor.Map(pairs)), first)
            self.assertEqual(dumps(unique), first)
            self.assertEqual(loads(first), unique)

    def test_equal_keys(self):
        for pairs in (((1, 2), (1, 3)), ((1, 2), (1, 2)), ((1.5, 0), (cbor.F64(1.5), 0)), (([], 1), ([], 2))):
            self.assertRaises(cbor.CBORError, dumps, cbor.Map(pairs))
        self.assertEqual(dumps(cbor.Map(((True, 0), (1, 0), (1.0, 0)))).hex(), "a30100f500f93c0000")

    def test_floats(self):
        values = [1.5, cbor.F64(1.5), cbor.F32(1.5), cbor.F16(1.5), cbor.Decimal(15, -1), cbor.Shortest(1.5)]
        self.assertEqual(dumps(values).hex(), "86" + "f93e00" * 6)
        kept = "86f93e00fb3ff8000000000000fa3fc00000f93e00fb3ff8000000000000f93e00"
        self.assertEqual(dumps(values, widths=True).hex(), kept)
        self.assertEqual(dumps(cbor.F32(0.1)).hex(), "fa3dcccccd")  # what F32 sends, not what it was given
        value = {"b": cbor.Decimal(1, -1), "a": 1}
        self.assertEqual(dumps(value, widths=True).hex(), "a2616101" + "6162fb3fb999999999999a")

    def test_everything_else(self):
        value = [cbor.Tag(70000, {2: [1.5], 1: None}), b"abc", "d\u00e9", cbor.Simple(99), cbor.undefined, 1 << 64, ()]
        text = "87da00011170a201f60281f93e00436162636364c3a9f863f7c24901" + "00" * 8 + "80"
        self.assertEqual(dumps(value).hex(), text)

    def test_refusals(self):
        deep = 0
        for _ in range(16):
            deep = [deep]
        self.assertEqual(dumps(deep), b"\x81" * 16 + b"\x00")
        loop = {}
        loop[1] = loop
        refused = [deep], loop, cbor.Indefinite([1]), cbor.Map([(1, 2, 3)]), object(), {1: {2: 3j}}, cbor.F64("1")
        for value in refused:
            self.assertRaises(cbor.CBORError, dumps, value)


class Widths(unittest.TestCase):
    def _shortened(self, first, raw, size):
        word = _word(first, raw)
        if word is None:
            self.assertEqual(shortest(word_of(widen(raw.to_bytes(size, "big"))))[2], 0x7E00)
            return None
        if int.from_bytes(widen(raw.to_bytes(size, "big")), "big") != word:
            self.assertEqual((first, raw, "widen"), None)
        return shortest(word)

    def test_halves(self):
        """Each half becomes a double and the same half again (every 13th of them, and the corners)."""
        corners = [0, 1, 2, 0x3FE, 0x3FF, 0x400, 0x401, 0x7BFE, 0x7BFF, 0x7C00, 0x7C01, 0x7E00, 0x7FFF]
        for raw in corners + [0x8000 | corner for corner in corners] + list(range(0, 0x10000, 13)):
            found = self._shortened(0xF9, raw, 2)
            if found and found != (0xF9, 2, raw):
                self.assertEqual(found, (0xF9, 2, raw))

    def test_singles(self):
        """A single stays one, unless a half holds it: then the lower 13 bits of its fraction are 0, at least."""
        rng = Rng(seed(754))
        corners = [1, 2, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x33800000, 0x33800001, 0x387FC000, 0x387FE000, 0x38800000]
        corners += [0x477FE000, 0x477FF000, 0x47800000, 0x33000000]
        shorter = 0
        for i in range(3000):
            raw = corners[i] if i < len(corners) else rng.bits(32) & (0xFFFFFFFF, 0xFFFFE000, 0xFFF00000)[i % 3]
            found = self._shortened(0xFA, raw, 4)
            if not found or raw & 0x7FFFFFFF in (0, 0x7F800000):
                continue
            if found[0] == 0xF9:
                shorter += 1
                self.assertFalse(raw & 0x1FFF)
                self.assertEqual(_word(0xF9, found[2]), _word(0xFA, raw))
            elif found != (0xFA, 4, raw):
                self.assertEqual(found, (0xFA, 4, raw))
        self.assertTrue(shorter > 50, str(shorter))

    def test_one_bit_more_needs_the_double(self):
        for text in _DOUBLES:
            word = int(text, 16)
            self.assertEqual(shortest(word), (0xFB, 8, word))
        for word in (1, (1 << 52) - 1, 1 << 52, 2046 << 52, 1 << 63 | 1):  # subnormal, smallest normal, largest
            self.assertEqual(shortest(word), (0xFB, 8, word))


class Decode(unittest.TestCase):
    def test_refused(self):
        """Well-formed, accepted by cbor.loads, and not what the encoder above would have written."""
        for text, pos in (
            ("1817", 0),
            ("190018", 0),
            ("1a00000100", 0),
            ("1b00000000ffffffff", 0),
            ("3800", 0),
            ("5800", 0),
            ("780161", 0),
            ("9800", 0),
            ("b800", 0),
            ("d80000", 0),
            ("8118" + "00", 1),
            ("a202000100", 1),
            ("a2616200" + "616100", 2),
            ("a219010000180001", None),
            ("a1" + "01" + "a202000100", 3),
            ("5fff", 0),
            ("9fff", 0),
            ("bfff", 0),
            ("fa3fc00000", 0),
            ("fb3ff8000000000000", 0),
            ("fb3fb99999a0000000", 0),
            ("f97e01", 2),
            ("f9fe00", 1),
            ("fa7fc00000", 0),
            ("fb7ff8000000000000", 0),
            ("c24101", 0),
            ("c2580101", 0),
            ("c24a00010000000000000000", None),
            ("c340", 0),
        ):
            raw = bytes.fromhex(text)
            with self.subTest(hex=text):
                cbor.loads(raw)
                try:
                    loads(raw)
                    self.assertEqual("accepted", text)
                except cbor.CBORError as error:
                    self.assertEqual(error.reason, "not deterministic")
                    if pos is not None:
                        self.assertEqual(str(error), "not deterministic at byte %d" % pos)

    def test_malformed_stays_malformed(self):
        for text, reason in (("", "truncated"), ("0000", "trailing bytes"), ("a201000100", "duplicate key")):
            try:
                loads(bytes.fromhex(text))
                self.assertEqual("accepted", text)
            except cbor.CBORError as error:
                self.assertEqual(error.reason, reason)

    def test_options(self):
        raw = dumps({1: [b"ab", cbor.Decimal(455240980, -7)], 2: 1.5})
        value = loads(memoryview(raw), floats=cbor.scaled(7), views=True)
        self.assertEqual((bytes(value[1][0]), value[1][1], value[2]), (b"ab", 455240980, 15000000))
        self.assertRaises(cbor.CBORError, loads, raw, max_items=5)
        self.assertRaises(cbor.CBORError, loads, raw, max_depth=1)
        self.assertEqual(len(loads(raw, max_items=7, max_depth=2)), 2)

    def test_what_it_accepts_it_writes(self):
        """Damaged messages: accepted exactly when encoding the value again gives the same bytes."""
        rng = Rng(seed(4211))
        message = dumps({i: [i * i * 99, "t%d" % i, cbor.Decimal(i, -1), {"a": None, "b": b"x"}] for i in range(4)})
        accepted = 0
        for _ in range(600):
            raw = bytearray(message)
            for _ in range(1 + rng.below(2)):
                raw[rng.below(len(raw))] = rng.bits(8)
            try:
                value = loads(raw, floats=cbor.Shortest)
            except cbor.CBORError:
                continue
            accepted += 1
            self.assertEqual(dumps(value), bytes(raw))
        self.assertTrue(accepted > 60, str(accepted))


if __name__ == "__main__":
    unittest.main()
