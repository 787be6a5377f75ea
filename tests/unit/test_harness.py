"""The test harness itself: failures must be seen. The cases run on the same unittest they test."""

import asyncio
import sys
import time
import unittest

from harness.aio import run
from harness.rng import Rng


async def _answer():
    await asyncio.sleep_ms(1)
    return 42


async def _forever():
    while True:
        await asyncio.sleep_ms(20)


async def _dies():
    raise ValueError("boom")


async def _leaves_a_dying_task():
    asyncio.create_task(_dies())
    await asyncio.sleep_ms(20)


class Aio(unittest.TestCase):
    def test_result(self):
        self.assertEqual(run(_answer()), 42)

    def test_time_limit(self):
        started = time.time()
        with self.assertRaises(AssertionError):
            run(_forever(), timeout_s=1)
        self.assertLessEqual(time.time() - started, 3)

    def test_own_exception_passes(self):
        with self.assertRaises(ValueError) as caught:
            run(_dies())
        self.assertEqual(str(caught.exception), "boom")

    def test_dead_background_task_is_noticed(self):
        with self.assertRaises(AssertionError):
            run(_leaves_a_dying_task())

    def test_loop_is_fresh_after_a_failure(self):
        self.assertRaises(ValueError, run, _dies())
        self.assertEqual(run(_answer()), 42)


class Ticks(unittest.TestCase):
    def test_difference_survives_the_wrap(self):
        start = time.ticks_add(time.ticks_ms(), -50)
        late = time.ticks_diff(time.ticks_ms(), start)
        self.assertTrue(50 <= late < 1000)
        self.assertEqual(time.ticks_diff(time.ticks_add(start, 1 << 20), start), 1 << 20)
        self.assertEqual(time.ticks_diff(start, time.ticks_add(start, 7)), -7)


class Random(unittest.TestCase):
    def test_same_numbers_everywhere(self):
        rng = Rng(1)
        self.assertEqual([rng.below(1000) for _ in range(6)], [103, 670, 228, 16, 732, 121])
        self.assertEqual(rng.bytes(4), b"Z=\xe8\x1d")
        self.assertEqual(rng.bits(60), 246222261575507563)

    def test_ranges(self):
        rng = Rng(7)
        for n in (1, 2, 255, 65536, 1 << 20, 1 << 40):
            for _ in range(50):
                self.assertTrue(0 <= rng.below(n) < n)
        self.assertEqual(sorted(set([rng.between(-1, 1) for _ in range(100)])), [-1, 0, 1])
        self.assertRaises(ValueError, rng.below, 0)

    def test_shuffle_keeps_the_items(self):
        items = list(range(20))
        Rng(3).shuffle(items)
        self.assertNotEqual(items, list(range(20)))
        self.assertEqual(sorted(items), list(range(20)))


class Asserts(unittest.TestCase):
    """Each assertion both holds and fails; one that cannot fail would make every suite worthless."""

    CASES = (
        ("assertEqual", (1, 1), (1, 2)),
        ("assertNotEqual", (1, 2), (1, 1)),
        ("assertTrue", (1,), (0,)),
        ("assertFalse", ("",), ("x",)),
        ("assertIs", (None, None), (None, 0)),
        ("assertIsNot", (None, 0), (None, None)),
        ("assertIsNone", (None,), (0,)),
        ("assertIsNotNone", (0,), (None,)),
        ("assertIn", (1, [1]), (2, [1])),
        ("assertIsInstance", (1, int), ("1", int)),
        ("assertLessEqual", (1, 1), (2, 1)),
        ("assertGreaterEqual", (1, 1), (1, 2)),
        ("assertAlmostEqual", (1.0, 1.0), (1.0, 1.1)),
        ("assertRaises", (ValueError, int, "x"), (ValueError, int, "1")),
    )

    def test_each(self):
        for name, good, bad in self.CASES:
            with self.subTest(name=name):
                getattr(self, name)(*good)
                failed = False
                try:
                    getattr(self, name)(*bad)
                except AssertionError:
                    failed = True
                if not failed:
                    raise RuntimeError("%s%r passed" % (name, bad))

    def test_other_exceptions_pass_through_assert_raises(self):
        try:
            with self.assertRaises(ValueError):
                raise OSError(5)
        except OSError as exc:
            self.assertEqual(exc.args[0], 5)
            return
        self.fail("OSError was swallowed")


class Skips(unittest.TestCase):
    def test_skip(self):
        self.skipTest("shows that a skip is counted")

    @unittest.skipIf(sys.implementation.name in ("micropython", "cpython"), "decorator")
    def test_skip_decorator(self):
        self.fail("ran")


if __name__ == "__main__":
    unittest.main()
