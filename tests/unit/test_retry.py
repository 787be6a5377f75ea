"""Back-off: growth, cap, jitter and reset, with the random source in the test's hand."""

import unittest

from retry import Backoff


def _low(n):
    return bytes(n)


class Growth(unittest.TestCase):
    def test_without_jitter(self):
        backoff = Backoff(5, 60, jitter=0)
        self.assertEqual([backoff.next_ms() for _ in range(6)], [5000, 10000, 20000, 40000, 60000, 60000])
        self.assertEqual(backoff.attempts, 6)
        backoff.reset()
        self.assertEqual(backoff.attempts, 0)
        self.assertEqual([backoff.next() for _ in range(5)], [5, 10, 20, 40, 60])

    def test_factor(self):
        backoff = Backoff(2, 10, factor=1.5, jitter=0)
        self.assertEqual([backoff.next_ms() for _ in range(6)], [2000, 3000, 4500, 6750, 10000, 10000])
        steady = Backoff(3, 9, factor=1, jitter=0)
        self.assertEqual([steady.next() for _ in range(3)], [3, 3, 3])

    def test_small_bases(self):
        backoff = Backoff(0.05, 0.4, jitter=0)
        self.assertEqual([backoff.next_ms() for _ in range(5)], [50, 100, 200, 400, 400])
        backoff.reset()
        self.assertEqual(backoff.next(), 1)  # whole seconds never round to a busy loop
        self.assertEqual(Backoff(0.0001, 1, jitter=0).next_ms(), 1)

    def test_a_year_of_failures(self):
        backoff = Backoff(1, 3600)
        for _ in range(10000):
            self.assertTrue(500 <= backoff.next_ms() <= 3600000)


class Jitter(unittest.TestCase):
    def test_edges(self):
        self.assertEqual(Backoff(8, 60, random=_low).next_ms(), 8000)  # nothing taken away
        # 4000 of 0..4000: the most that 0.5 takes away
        self.assertEqual(Backoff(8, 60, random=lambda n: (4000).to_bytes(n, "big")).next_ms(), 4000)
        self.assertEqual(Backoff(8, 60, jitter=1, random=lambda n: (8000).to_bytes(n, "big")).next_ms(), 0)

    def test_jitter_does_not_slow_the_growth(self):
        backoff = Backoff(1, 100, random=lambda n: (500).to_bytes(n, "big"))
        self.assertEqual([backoff.next_ms() for _ in range(4)], [500, 1500, 3500, 7500])

    def test_spread(self):
        """Real random bytes: 200 nodes do not come back in the same hundredth of a second."""
        delays = [Backoff(60, 60).next_ms() for _ in range(200)]
        self.assertTrue(min(delays) >= 30000 and max(delays) <= 60000)
        self.assertTrue(len(set([delay // 10 for delay in delays])) > 120)
        self.assertTrue(min(delays) < 35000 and max(delays) > 55000)


class Arguments(unittest.TestCase):
    def test_nonsense(self):
        for args in ((0, 1), (-1, 1), (5, 4), (1, 2, 0.5), (1, 2, 2, -0.1), (1, 2, 2, 1.1)):
            with self.subTest(args=args):
                self.assertRaises(ValueError, Backoff, *args)


if __name__ == "__main__":
    unittest.main()
