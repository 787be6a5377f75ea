"""lib/clock: uptime over a wrapping counter, UTC, and waits that let the board rest (virtual time)."""

import asyncio
import time
import unittest

import clock
from harness.virtual import Board, together


class Virtual(unittest.TestCase):
    def setUp(self):
        self.board = Board().install()

    def tearDown(self):
        clock.reset()


class Uptime(Virtual):
    def test_counts_over_the_wrap_of_the_tick_counter(self):
        step = 1 << 28  # three days: below half the period on every port
        before = clock.uptime_ms()
        for _ in range(10):
            self.board.ms = time.ticks_add(self.board.ms, step)
            clock.uptime_ms()
        self.assertEqual(clock.uptime_ms() - before, 10 * step)


class Utc(Virtual):
    def test_is_unknown_until_told(self):
        self.assertIsNone(clock.now())
        self.assertIsNone(clock.now_ms())

    def test_advances_with_uptime_and_sets_the_rtc(self):
        clock.set_utc(1763625600123)
        self.board.ms = time.ticks_add(self.board.ms, 2500)
        self.assertEqual(clock.now_ms(), 1763625602623)
        self.assertEqual(clock.now(), 1763625602)
        self.assertEqual(self.board.rtc, 1763625600)


class Waits(Virtual):
    def test_a_day_of_sleep_passes_at_once_when_everybody_sleeps(self):
        began = clock.uptime_ms()
        woken = []

        async def sleeper(name, seconds):
            await clock.sleep(seconds)
            woken.append((name, (clock.uptime_ms() - began) // 1000))

        together(sleeper("day", 86400), sleeper("hour", 3600))
        self.assertEqual(woken, [("hour", 3600), ("day", 86400)])

    def test_no_rest_while_somebody_is_busy(self):
        async def busy():
            for _ in range(20):
                await asyncio.sleep(0)
            self.assertEqual(self.board.rests, [])

        async def sleeper():
            await clock.sleep(10)

        together(sleeper(), busy())
        self.assertEqual(sum(self.board.rests), 10000)

    def test_a_signal_ends_a_wait_before_its_time(self):
        signal = clock.Signal()
        seen = []

        async def waiter():
            seen.append(await clock.wait(signal, 86400))
            seen.append(clock.uptime_ms())

        async def setter():
            await clock.sleep(5)
            signal.set()

        began = clock.uptime_ms()
        together(waiter(), setter())
        self.assertEqual(seen, [True, began + 5000])

    def test_a_wait_times_out_when_nobody_signals(self):
        signal = clock.Signal()

        async def waiter():
            self.assertEqual(await clock.wait(signal, 7), False)

        began = clock.uptime_ms()
        together(waiter())
        self.assertEqual(clock.uptime_ms() - began, 7000)

    def test_a_set_signal_does_not_wait(self):
        signal = clock.Signal()
        signal.set()

        async def waiter():
            self.assertEqual(await clock.wait(signal), True)

        together(waiter())
        self.assertEqual(self.board.rests, [])

    def test_a_cancelled_wait_leaves_nothing_behind(self):
        async def cancelled():
            task = asyncio.create_task(clock.sleep(100))
            await asyncio.sleep(0)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            await clock.sleep(3)

        began = clock.uptime_ms()
        together(cancelled())
        self.assertEqual(clock.uptime_ms() - began, 3000)


if __name__ == "__main__":
    unittest.main()
