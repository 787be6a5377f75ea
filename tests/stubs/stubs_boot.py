"""Runs one tests/unit file under CPython: adds what MicroPython has beyond it, then CPython's own unittest.

Usage: python -m stubs_boot FILE [-v] [WORD ...]. Prints the same RESULT line as tests/harness/unittest.py.
ticks_ms() wraps at 2**30 as on 32-bit MicroPython and starts two seconds before the wrap, so that a plain
subtraction of ticks fails here and not after twelve days in the field.
"""

import asyncio
import gc
import importlib.util
import sys
import time
import traceback
import unittest

_PERIOD = 1 << 30
_TICKS_BEGIN = _PERIOD - 2000 - time.monotonic_ns() // 1_000_000


def _ticks_ms():
    return (_TICKS_BEGIN + time.monotonic_ns() // 1_000_000) % _PERIOD


def _ticks_us():
    return (_TICKS_BEGIN * 1000 + time.monotonic_ns() // 1000) % _PERIOD


def _ticks_add(ticks, delta):
    return (ticks + delta) % _PERIOD


def _ticks_diff(end, start):
    half = _PERIOD // 2
    return (end - start + half) % _PERIOD - half


async def _sleep_ms(ms):
    await asyncio.sleep(max(0, ms) / 1000)


async def _wait_for_ms(awaitable, ms):
    return await asyncio.wait_for(awaitable, ms / 1000)


class _ThreadSafeFlag(asyncio.Event):
    """One waiter, cleared by waiting, as MicroPython's."""

    async def wait(self):
        await super().wait()
        self.clear()


def install():
    """Add the names that device code expects of a MicroPython interpreter. Twice does no harm."""
    time.ticks_ms = _ticks_ms
    time.ticks_us = _ticks_us
    time.ticks_cpu = _ticks_us
    time.ticks_add = _ticks_add
    time.ticks_diff = _ticks_diff
    time.sleep_ms = lambda ms: time.sleep(ms / 1000)
    time.sleep_us = lambda us: time.sleep(us / 1000000)
    asyncio.sleep_ms = _sleep_ms
    asyncio.wait_for_ms = _wait_for_ms
    asyncio.ThreadSafeFlag = _ThreadSafeFlag
    sys.print_exception = lambda exc, file=None: traceback.print_exception(exc, file=file)
    gc.threshold = lambda amount=None: -1
    gc.mem_alloc = lambda: 0
    gc.mem_free = lambda: 1 << 20


def _selected(suite, words):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _selected(test, words)
        elif not words or any(word in ".".join(test.id().split(".")[-2:]) for word in words):
            yield test


def main(argv):
    install()
    words = [word for word in argv[1:] if word != "-v"]
    spec = importlib.util.spec_from_file_location("unit_test_file", argv[0])
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    tests = _selected(unittest.defaultTestLoader.loadTestsFromModule(module), words)
    verbosity = 2 if "-v" in argv else 0
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=verbosity).run(unittest.TestSuite(tests))
    bad = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    passed = max(0, result.testsRun - bad - skipped)
    print(f"RESULT pass={passed} fail={bad} skip={skipped}")
    return 1 if bad or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
