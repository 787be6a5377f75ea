"""Time for the whole node: uptime, UTC, and the waits of policy.

Two kinds of time are kept apart. Protocol time-outs (CoAP, AT, DTLS) run on `asyncio` and `time.ticks_ms`. Policy
("measure every 15 minutes") runs on this module, which knows when every task is waiting and then lets the board
rest: on a board that is a light sleep, on the desk the unix board skips the time. UTC is an int of milliseconds
since 1970, or None while nobody has told us. RAM: a few small ints and one record per waiting task.
"""

import asyncio
import time

_ticks = time.ticks_ms  # replaced by the board where sleep stops the tick counter
_rest = None  # async callable(ms): the board's way to pass time when nothing runs
_set_rtc = None  # callable(unix_s): the board's real-time clock, which certificate checks read
_last = time.ticks_ms()
_uptime = 0
_utc = None  # UTC milliseconds at uptime 0, None while unknown

_sleepers = []  # [deadline_ms or None, asyncio.Event] of every task that waits here
_tasks = 0  # tasks that count: when all of them wait here, the board may rest
_kick = asyncio.Event()


def configure(ticks_ms=None, rest=None, set_rtc=None):
    """Install the board's hooks: `ticks_ms() -> int` (wrapping like time.ticks_ms, but counting through sleep),
    `await rest(ms)` (returns after at most `ms`), `set_rtc(unix_s)`. Called once by the composition root."""
    global _ticks, _rest, _set_rtc, _last
    if ticks_ms:
        _ticks = ticks_ms
        _last = ticks_ms()
    _rest = rest or _rest
    _set_rtc = set_rtc or _set_rtc


def uptime_ms():
    """Milliseconds since start, never wrapping as long as it is called once in six days (ticks wrap at 2**30)."""
    global _last, _uptime
    now = _ticks()
    _uptime += time.ticks_diff(now, _last)
    _last = now
    return _uptime


def set_utc(unix_ms):
    """Tell the clock what time it is: UTC milliseconds since 1970, from the network or a GNSS fix."""
    global _utc
    _utc = unix_ms - uptime_ms()
    if _set_rtc:
        _set_rtc(unix_ms // 1000)


def now_ms():
    """UTC milliseconds since 1970, or None while the time is unknown."""
    return None if _utc is None else _utc + uptime_ms()


def now():
    """UTC seconds since 1970, or None while the time is unknown."""
    return None if _utc is None else (_utc + uptime_ms()) // 1000


class Signal:
    """A flag that policy tasks wait for with `clock.wait`; unlike asyncio.Event the wait lets the board rest."""

    def __init__(self):
        self._set = False
        self._waiting = []

    def is_set(self):
        return self._set

    def set(self):
        self._set = True
        for event in self._waiting:
            event.set()

    def clear(self):
        self._set = False


async def wait(signal, timeout_s=None):
    """Wait until `signal` is set or `timeout_s` seconds of node time have passed; -> whether it is set."""
    if not signal.is_set():
        event = asyncio.Event()
        signal._waiting.append(event)
        try:
            await _wait(event, timeout_s)
        finally:
            signal._waiting.remove(event)
    return signal.is_set()


async def sleep(seconds):
    """Sleep for `seconds` of node time (int)."""
    await _wait(asyncio.Event(), seconds)


async def _wait(event, timeout_s):
    deadline = None if timeout_s is None else uptime_ms() + int(timeout_s * 1000)
    entry = (deadline, event)
    _sleepers.append(entry)
    _kick.set()
    try:
        await event.wait()
    finally:
        _sleepers.remove(entry)


def enter():
    """Count one more task whose activity keeps the board awake (the supervisor calls this)."""
    global _tasks
    _tasks += 1


def leave():
    """One task fewer: its end must not keep the board awake."""
    global _tasks
    _tasks -= 1
    _kick.set()


def _wake_due(now):
    """Set the event of every sleeper whose time has come; -> (milliseconds to the next one or None, any woken)."""
    nearest = None
    woken = False
    for deadline, event in _sleepers:
        if deadline is None:
            continue
        left = deadline - now
        if left <= 0:
            woken = woken or not event.is_set()
            event.set()
        elif nearest is None or left < nearest:
            nearest = left
    return nearest, woken


async def keep():
    """Run for ever: wake sleepers when due, and let the board rest while every counted task waits."""
    while True:
        nearest, woken = _wake_due(uptime_ms())
        if woken:
            await asyncio.sleep_ms(0)
            continue
        if nearest is None or nearest > 60000:
            span = 60000  # also keeps uptime_ms() inside one wrap of the tick counter
        else:
            span = nearest
        if _rest and nearest is not None and len(_sleepers) >= _tasks and not _any_set():
            await _rest(nearest)
            continue
        _kick.clear()
        try:
            await asyncio.wait_for_ms(_kick.wait(), span)
        except asyncio.TimeoutError:
            pass


def _any_set():
    """Whether a sleeper has been woken but has not run yet: then somebody is about to be busy."""
    for _, event in _sleepers:
        if event.is_set():
            return True
    return False


def reset():
    """Forget hooks, time and waits: what a test needs between two runs of a node in one interpreter."""
    global _ticks, _rest, _set_rtc, _last, _uptime, _utc, _tasks, _kick
    _ticks = time.ticks_ms
    _rest = _set_rtc = _utc = None
    _last = _ticks()
    _uptime = _tasks = 0
    _sleepers.clear()
    _kick = asyncio.Event()
