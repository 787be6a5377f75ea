"""CBOR encoder: widths, every type it takes, what it refuses, full buffers, and the heap it does not use."""

import sys
import unittest

import micropython

import cbor

_DOUBLE = float("16777217") != float("16777216")
_MICROPYTHON = sys.implementation.name == "micropython"
_TS = 1631470795000


class Encoder(unittest.TestCase):
    def test_integer_widths(self):
        for n, text in (
            (255, "18ff"),
            (256, "190100"),
            (65535, "19ffff"),
            (65536, "1a00010000"),
            (1 << 30, "1a40000000"),  # first big integer of 32-bit ports
            ((1 << 32) - 1, "1affffffff"),
            (1 << 32, "1b0000000100000000"),
            (-256, "38ff"),
            (-257, "390100"),
            (-(1 << 30) - 1, "3a40000000"),
            (-(1 << 32), "3affffffff"),
            (-(1 << 63), "3b7fffffffffffffff"),
        ):
            with self.subTest(n=n):
                self.assertEqual(cbor.dumps(n).hex(), text)
                self.assertEqual(cbor.loads(bytes.fromhex(text)), n)

    def test_float_widths(self):
        self.assertEqual(cbor.dumps(cbor.F32(-8.5)).hex(), "fac1080000")
        self.assertEqual(cbor.dumps(cbor.F64(-8.5)).hex(), "fbc021000000000000")
        self.assertEqual(cbor.dumps(cbor.F64(_TS)).hex(), "fb4277bdb3cb8f8000")  # exact whatever the build
        self.assertEqual(cbor.dumps(cbor.F64(-1)).hex(), "fbbff0000000000000")
        native = cbor.dumps(-8.5).hex()
        self.assertEqual(native, "fbc021000000000000" if _DOUBLE else "fac1080000")

    def test_bignums(self):
        for n, text in (
            ((1 << 64) - 1, "1bffffffffffffffff"),
            (1 << 64, "c249010000000000000000"),
            (-(1 << 64), "3bffffffffffffffff"),
            (-(1 << 64) - 1, "c349010000000000000000"),
            ((1 << 1024) - 1, "c25880" + "ff" * 128),
            (-(1 << 1024), "c35880" + "ff" * 128),
        ):
            with self.subTest(hex=text[:20]):
                self.assertEqual(cbor.dumps(n).hex(), text)
                self.assertEqual(cbor.loads(bytes.fromhex(text)), n)
        buf = bytearray(11)
        for size in range(11):
            self.assertRaises(cbor.NoRoom, cbor.dump_into, 1 << 64, memoryview(buf)[:size])

    def test_halves_and_shortest(self):
        for value, half, shortest in (
            (0.0, "f90000", "f90000"),
            (-0.0, "f98000", "f98000"),
            (1, "f93c00", "f93c00"),
            (cbor.Decimal(15, -1), "f93e00", "f93e00"),
            (cbor.Decimal(1, -1), "f92e66", "fb3fb999999999999a"),
            (65504, "f97bff", "f97bff"),
            (65519, "f97bff", "fa477fef00"),
            (2049, "f96800", "fa45001000"),  # ties to even, down
            (2051, "f96802", "fa45003000"),  # ... and up
            (2.0**-24, "f90001", "f90001"),
            (2.0**-25, "f90000", "fa33000000"),
            (1.5 * 2.0**-24, "f90002", "fa33c00000"),
            (2.0**-14, "f90400", "f90400"),
            (float("inf"), "f97c00", "f97c00"),
            (float("-inf"), "f9fc00", "f9fc00"),
            (float("nan"), "f97e00", "f97e00"),
            (16777217, None, "fb4170000010000000"),
            (_TS, None, "fb4277bdb3cb8f8000"),
            (cbor.Decimal(-1226884080, -7), "f9d7ab", "fbc05eac0ee06d9381"),
        ):
            with self.subTest(half=half, shortest=shortest):
                self.assertEqual(cbor.dumps(cbor.Shortest(value)).hex(), shortest)
                if half:
                    self.assertEqual(cbor.dumps(cbor.F16(value)).hex(), half)
                else:
                    self.assertRaises(cbor.CBORError, cbor.dumps, cbor.F16(value))
        self.assertEqual(cbor.dumps(cbor.Shortest(cbor.F64(1.5))).hex(), "f93e00")
        self.assertEqual(cbor.dumps(cbor.Shortest(cbor.F32(100000.0))).hex(), "fa47c35000")
        for size in range(3):
            self.assertRaises(cbor.NoRoom, cbor.dump_into, cbor.F16(1), bytearray(size))

    def test_indefinite(self):
        self.assertRaises(cbor.CBORError, cbor.Indefinite, (i for i in range(3)))  # could not be read a second time
        self.assertRaises(cbor.CBORError, cbor.Indefinite, [1], object)
        value = {1: cbor.Indefinite((bytes(60), [cbor.Indefinite((("k", 1 << 70),), dict)]))}
        raw = cbor.dumps(value)
        self.assertEqual(cbor.loads(raw), {1: [bytes(60), [{"k": 1 << 70}]]})
        for size in range(len(raw)):
            self.assertRaises(cbor.NoRoom, cbor.dump_into, value, bytearray(size))
        deep = 0
        for _ in range(16):
            deep = cbor.Indefinite([deep])
        self.assertEqual(cbor.dumps(deep), b"\x9f" * 16 + b"\x00" + b"\xff" * 16)
        self.assertRaises(cbor.CBORError, cbor.dumps, [deep])

    def test_own_classes(self):
        class Point:
            def __init__(self, x, y):
                self.x, self.y = x, y

            def dump_into(self, buf, pos, depth):
                return cbor.dump_into([self.x, self.y], buf, pos, depth)

        self.assertEqual(cbor.dumps([Point(1, 2), {0: Point(Point(3, 4), 5)}]).hex(), "82820102a10082820304" + "05")
        deep = 0
        for _ in range(16):
            deep = Point(deep, 0)
        self.assertEqual(cbor.dumps(deep)[:16], b"\x82" * 16)
        self.assertRaises(cbor.CBORError, cbor.dumps, [deep])

    def test_nothing_is_remembered_of_a_class(self):
        """A class that is not in the table is in it for one call only; a dict on the way may hold anything."""
        from collections import OrderedDict

        from cbor import encode

        before = len(encode._WRITERS)
        cbor.dumps([OrderedDict(), {1: OrderedDict()}])
        self.assertRaises(cbor.CBORError, cbor.dumps, [OrderedDict(), object()])
        self.assertEqual(len(encode._WRITERS), before)

    def test_containers(self):
        strings = (1, "a", b"b", bytearray(b"c"), memoryview(b"d"))
        self.assertEqual(cbor.dumps(strings).hex(), "85016161416241634164")
        self.assertEqual(cbor.dumps(cbor.Map([(2, 0), (1, 0)])).hex(), "a202000100")
        long = bytes(range(256)) * 2
        self.assertEqual(cbor.dumps(long), b"\x59\x02\x00" + long)
        self.assertEqual(cbor.dumps("\u6c34" * 20), b"\x78\x3c" + "\u6c34".encode() * 20)

    def test_subclasses(self):
        class Half(int):
            pass

        from collections import OrderedDict, namedtuple

        self.assertEqual(cbor.dumps(OrderedDict([(2, 0), (1, 0)])).hex(), "a202000100")
        self.assertEqual(cbor.dumps(namedtuple("P", ("x", "y"))(1, 2)).hex(), "820102")
        if not _MICROPYTHON:  # there an int subclass is no int to struct
            self.assertEqual(cbor.dumps(Half(7)), b"\x07")

    def test_what_cbor_cannot_carry(self):
        loop = []
        loop.append(loop)
        deep = 0
        for _ in range(17):
            deep = [deep]
        class Stubborn:
            def dump_into(self, buf, pos, depth):
                raise KeyError(7)

        for value in (
            object(),
            {1, 2},
            loop,
            deep,
            cbor.Simple(24),
            cbor.Simple(256),
            cbor.Simple(-1),
            cbor.Tag(-1, 0),
            cbor.Tag(1 << 64, 0),
            cbor.F32("1"),
            cbor.F64(None),
            cbor.F64(10**309),
            cbor.Decimal(1, 309),
            cbor.Decimal(17976931348623159, 292),
            cbor.Map([(1, 2, 3)]),
            cbor.Map([(1,)]),
            cbor.Map(7),
            cbor.F16(65520),
            cbor.F16("1"),
            cbor.Shortest(None),
            cbor.Shortest(10**309),
            cbor.Indefinite([1], dict),
            cbor.Indefinite(["a"], bytes),
            [1, {2: object()}],
            [Stubborn()],
        ):
            with self.subTest(type=str(type(value))):
                self.assertRaises(cbor.CBORError, cbor.dumps, value)
        self.assertRaises(cbor.CBORError, cbor.Decimal, 1.5, 0)
        self.assertRaises(cbor.CBORError, cbor.Decimal, 1, 1000000)
        self.assertTrue(issubclass(cbor.CBORError, ValueError))

    def test_sixteen_levels(self):
        value = 0
        for i in range(16):
            value = ([value], {0: value}, cbor.Tag(1, value))[i % 3]
        self.assertEqual(cbor.dumps(cbor.loads(cbor.dumps(value))), cbor.dumps(value))

    def test_every_buffer_that_is_too_small(self):
        pairs = ((1, cbor.Decimal(-1226884080, -7)), (100, -300), (70000, _TS), ("MCELL", {-9: b"abc"}))
        value = [cbor.Map(pairs), True, bytes(40), 1.5, cbor.F32(1.5), cbor.Tag(70000, None), "x" * 40]
        whole = cbor.dumps(value)
        for size in range(len(whole)):
            buf = bytearray(b"\xa5" * (size + 8))
            self.assertRaises(cbor.NoRoom, cbor.dump_into, value, memoryview(buf)[:size])
            self.assertEqual(bytes(buf[size:]), b"\xa5" * 8)
        buf = bytearray(b"\xa5" * (len(whole) + 8))
        self.assertEqual(cbor.dump_into(value, buf, 3), len(whole) + 3)
        self.assertEqual(bytes(buf), b"\xa5\xa5\xa5" + whole + b"\xa5" * 5)
        for pos in (-1, len(buf), len(buf) + 1):
            self.assertRaises(cbor.NoRoom, cbor.dump_into, 0, buf, pos)

    def test_no_heap(self):
        if not _MICROPYTHON:
            self.skipTest("heap_lock is MicroPython's")
        buf = bytearray(160)
        values = (
            1,
            -1,
            250,
            70000,
            _TS,
            True,
            None,
            1.5,
            cbor.F32(1.5),
            cbor.Simple(99),
            bytes(32),
            bytearray(7),
            [1, [2, b"three"]],
            {1: 2, 3: {4: b"five"}},
            cbor.Map(((1, cbor.Decimal(455240980, -7)), (2, cbor.Decimal(-1, -3)), (3, _TS))),
            cbor.Tag(1, 1363896240),
            (-5, 1 << 20, (False, b"")),
            [cbor.F64(-8.5), [cbor.Decimal(0, 0), cbor.Decimal(1073741823, -9)]],
        )
        for value in values:
            cbor.dump_into(value, buf)
            problem = None
            micropython.heap_lock()
            try:
                cbor.dump_into(value, buf)
            except MemoryError as error:
                problem = error
            finally:
                micropython.heap_unlock()
            self.assertIsNone(problem, "%r allocates" % (value,))


if __name__ == "__main__":
    unittest.main()
