"""`machine` of the desk: reset, reset cause and watchdog, with the names that boards have. Like a frozen module.

The watchdog is alarm(2), whose signal ends the process as hardware would: no exception, nothing flushed. It runs in
real time, so that time which a warped desk skips is none to it. Whoever restarts the process says in GODWIT_RESET how
the last one ended (`tools/godwit/day/node.py`); without it, the power has come. GODWIT_WDT_S replaces the watchdog's
period, for tests. The port's own `machine` (pins, memory) is hidden.
"""

import os
import time

import ffi

PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = range(1, 6)

_CAUSES = {"power": PWRON_RESET, "hard": HARD_RESET, "watchdog": WDT_RESET, "deepsleep": DEEPSLEEP_RESET}
_RESET_STATUS = 3  # whoever started us starts us again
_SLEEP_STATUS = 4  # and, after this one, with GODWIT_RESET=deepsleep

_libc = ffi.open("libc.so.6")
_exit = _libc.func("v", "_exit", "i")
_alarm = _libc.func("I", "alarm", "I")


def reset_cause():
    return _CAUSES.get(os.getenv("GODWIT_RESET"), PWRON_RESET)


def reset():
    """End the process as a reset ends a start: no finaliser closes, and so commits, a file that is half written."""
    _exit(_RESET_STATUS)


def deepsleep(ms=0):
    """What wakes up begins anew. The desk does not sleep."""
    _exit(_SLEEP_STATUS)


class WDT:
    """One for all: making another sets its period."""

    def __init__(self, id=0, timeout=5000):
        self._s = int(os.getenv("GODWIT_WDT_S") or 0) or (timeout + 999) // 1000
        self.feed()

    def feed(self):
        _alarm(self._s)


def skip_ms(ms):
    """time.sleep_ms of a desk that skips time (GODWIT_WARP): the world's clock is moved, by our half of it."""
    path = os.getenv("GODWIT_WORLD")
    if path:
        with open(path, "r+b") as world:
            world.seek(8)
            ours = int.from_bytes(world.read(8), "little") + ms
            world.seek(8)
            world.write(ours.to_bytes(8, "little"))
    time.sleep_ms(min(ms, 1))
