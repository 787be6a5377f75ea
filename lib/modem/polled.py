"""A GNSS receiver that is asked for its fix again and again, as it does not tell by itself: BG95, SIM7080.

`Polled` is their modem.gnss from gnss_start to gnss_stop; `fix` is what their gnss_fix is made of. RAM: a few ints.
"""

import asyncio
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

_POLL_MS = const(1000)  # a receiver computes one fix a second


class Polled:
    """interval_s: 0 one fix, 1 continuous, more: periodic. timeout_s: of each fix, 0 none."""

    def __init__(self, interval_s, timeout_s):
        self.interval_s = interval_s
        self.timeout_s = timeout_s
        self.running = True
        self.due = ticks_ms()  # from when on a fix is looked for

    def stopped(self):
        """It will bring nothing any more."""
        self.running = False

    def done(self):
        """A fix was found, or given up: what next?"""
        if self.interval_s:
            self.due = ticks_add(ticks_ms(), self.interval_s * 1000)
        else:
            self.running = False


async def fix(modem, ask, timeout_ms):
    """Ask (`await ask(modem)` -> fix record or None) until there is a fix; -> it, or None when the receiver gave up,
    was stopped, or `timeout_ms` passed."""
    state = modem.gnss
    began = ticks_ms()
    pause = min(_POLL_MS, modem.poll_ms)
    while state and state.running:
        looked = ticks_diff(ticks_ms(), state.due)
        if looked >= 0:
            found = await ask(modem)
            if not state.running:
                break
            if found or state.timeout_s and looked >= state.timeout_s * 1000:
                state.done()
                return found
        left = timeout_ms - ticks_diff(ticks_ms(), began)
        if left <= 0:
            break
        await asyncio.sleep_ms(min(pause, left))
    return None
