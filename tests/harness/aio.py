"""Runs one coroutine to its end inside a plain test method: with a time limit, on a fresh event loop.

MicroPython keeps its loop's state across asyncio.run and only prints what a background task died of; here
both become visible: the loop is made new before and after, and a task whose exception nobody fetched fails
the test.
"""

import asyncio
import sys
import time

_MICROPYTHON = sys.implementation.name == "micropython"


async def _bounded(coro, timeout_s, deaths):
    loop = asyncio.get_event_loop()
    loop.set_exception_handler(lambda _loop, context: deaths.append(context))
    started = time.time()
    try:
        return await asyncio.wait_for(coro, timeout_s)
    except asyncio.TimeoutError:
        # The code under test may raise the same class by itself; only the clock tells the two apart.
        if time.time() - started < timeout_s * 0.9 - 1:
            raise
        raise AssertionError("coroutine did not end within %s s" % timeout_s)


def run(coro, timeout_s=5):
    """Result of `coro`; AssertionError when it takes longer than timeout_s or a task it left behind died."""
    deaths = []
    if _MICROPYTHON:
        asyncio.new_event_loop()
    try:
        result = asyncio.run(_bounded(coro, timeout_s, deaths))
    finally:
        if _MICROPYTHON:
            asyncio.new_event_loop()
    if deaths:
        exc = deaths[0].get("exception")
        raise AssertionError("a background task died: %r (%s)" % (exc, deaths[0].get("message")))
    return result
