"""Virtual time for tests of policy: a board whose time passes only while every counted task waits."""

import asyncio
import time

import clock
from harness.aio import run

START_MS = 1763625600000  # 2025-11-20 08:00 UTC


class Board:
    """The three hooks of `clock.configure`, with a memory: `rests` (ms of each rest), `rtc`."""

    def __init__(self):
        self.ms = time.ticks_ms()
        self.rests = []
        self.rtc = None

    def ticks_ms(self):
        return self.ms

    async def rest(self, ms):
        self.rests.append(ms)
        self.ms = time.ticks_add(self.ms, ms)
        await asyncio.sleep(0)

    def set_rtc(self, unix_s):
        self.rtc = unix_s

    def install(self):
        """Give the clock this board, at uptime 0 and without UTC."""
        clock.reset()
        clock.configure(self.ticks_ms, self.rest, self.set_rtc)
        return self


def together(*jobs, until=None, timeout_s=20):
    """Run coroutines as counted tasks in virtual time until all have ended, one has raised (that is raised here), or
    `until()` (polled) is true."""
    failed = []

    async def counted(job):
        clock.enter()
        try:
            await job
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            failed.append(error)
        finally:
            clock.leave()

    async def watch(tasks):
        while not failed and not (until and until()):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()

    async def all_of_them():
        keeper = asyncio.create_task(clock.keep())
        tasks = [asyncio.create_task(counted(job)) for job in jobs]
        watcher = asyncio.create_task(watch(tasks))
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            keeper.cancel()
            watcher.cancel()

    run(all_of_them(), timeout_s)
    if failed:
        raise failed[0]
