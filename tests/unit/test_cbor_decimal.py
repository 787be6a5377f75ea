"""Exact float64 by integers: cbor.Decimal against the definition of rounding, and cbor.scaled on the way back."""

import unittest

import cbor
from harness.rng import Rng, seed


def _is_nearest(raw, n, k):
    """Whether the float64 `raw` is n / 10**k rounded half to even: by the definition, in integers, no division."""
    word = int.from_bytes(raw, "big")
    if n == 0:
        return word == 0
    biased = word >> 52 & 2047
    m = (word & ((1 << 52) - 1)) | 1 << 52
    if word >> 63 != (1 if n < 0 else 0) or not 0 < biased < 2047:
        return False
    n = abs(n)
    d = 10**k
    shift = biased - 1075 - 2  # work in quarters of an ulp
    if shift >= 0:
        d <<= shift
    else:
        n <<= -shift
    error = n - 4 * m * d  # in units of d, a quarter of an ulp
    below = d if m == 1 << 52 else 2 * d  # under a power of two the spacing is half
    if error == 2 * d or error == -below:
        return m % 2 == 0
    return -below < error < 2 * d


class Decimals(unittest.TestCase):
    def test_known(self):
        for n, k, text in (
            (0, 0, "0000000000000000"),
            (1, 0, "3ff0000000000000"),
            (-1, 1, "bfb999999999999a"),
            (1, 7, "3e7ad7f29abcaf48"),
            (1800000000, 7, "4066800000000000"),
            (-1800000000, 7, "c066800000000000"),
            (9007199254740993, 0, "4340000000000000"),  # tie, to even
            (9007199254740995, 0, "4340000000000002"),
            (1631470795000, 0, "4277bdb3cb8f8000"),
            (17976931348623158, -292, "7fefffffffffffff"),  # nearer to the largest than to infinity
            (22250738585072014, 324, "0010000000000000"),  # smallest normal
            (22250738585072011, 324, "000fffffffffffff"),  # a carry less: the famous one, largest subnormal
            (-5, 324, "8000000000000001"),
            (2, 324, "0000000000000000"),
            (1, 399, "0000000000000000"),
        ):
            with self.subTest(n=n, k=k):
                self.assertEqual(cbor.dumps(cbor.Decimal(n, -k)).hex(), "fb" + text)

    def test_random_against_the_definition(self):
        rng = Rng(seed(20260101))
        buf = bytearray(9)
        for i in range(3600):
            k = (0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 8, 9, 12, 18)[i % 14]
            n = rng.bits((4, 11, 21, 29, 30, 31, 32, 45, 53, 55, 56, 63)[i // 14 % 12])
            if i % 3 == 1:
                n = -n
            cbor.dump_into(cbor.Decimal(n, -k), buf)
            if not _is_nearest(buf[1:], n, k):
                self.assertEqual("%d / 10**%d" % (n, k), buf.hex())

    def test_ties(self):
        buf = bytearray(9)
        for n in range(1 << 53, (1 << 53) + 64):
            cbor.dump_into(cbor.Decimal(n, 0), buf)
            self.assertTrue(_is_nearest(buf[1:], n, 0), str(n))
        for n in range((1 << 55) - 40, (1 << 55) + 40):
            cbor.dump_into(cbor.Decimal(-n, 0), buf)
            self.assertTrue(_is_nearest(buf[1:], -n, 0), str(n))

    def test_the_oracle_can_say_no(self):
        raw = bytearray(cbor.dumps(cbor.Decimal(1234567, -7))[1:])
        self.assertTrue(_is_nearest(raw, 1234567, 7))
        for step in (1, 255):
            raw[7] = (raw[7] + step) & 255
            self.assertFalse(_is_nearest(raw, 1234567, 7))
            raw[7] = (raw[7] - step) & 255

    def test_coordinates_return_unchanged(self):
        rng = Rng(seed(7))
        degrees = cbor.scaled(7)
        for _ in range(500):
            n = rng.below(3600000001) - 1800000000
            self.assertEqual(cbor.loads(cbor.dumps(cbor.Decimal(n, -7)), floats=degrees), n)

    def test_scaled(self):
        for text, k, n in (
            ("f93e00", 0, 2),  # 1.5, tie to even
            ("f93800", 0, 0),  # 0.5
            ("f94100", 0, 2),  # 2.5
            ("f9be00", 0, -2),
            ("f93e00", 3, 1500),
            ("f90001", 7, 1),  # 2**-24 = 5.96e-8
            ("f98001", 8, -6),
            ("fa00000001", 7, 0),  # 2**-149
            ("fa4048f5c3", 2, 314),
            ("fb0000000000000001", 9, 0),
            ("fb7fefffffffffffff", 0, ((1 << 53) - 1) << 971),
            ("f98000", 4, 0),
            ("f97c00", 2, None),
            ("f97e00", 2, None),
            ("faff800000", 2, None),
            ("fb7ff8000000000000", 2, None),
        ):
            with self.subTest(hex=text, k=k):
                self.assertEqual(cbor.loads(bytes.fromhex(text), floats=cbor.scaled(k)), n)
        self.assertEqual(cbor.loads(b"\x82\x05\xf9\x3e\x00", floats=cbor.scaled(1)), [5, 15])  # ints stay


if __name__ == "__main__":
    unittest.main()
