"""Health: how much heap the node really needs, and proof of life for the watchdog. tasks/uplink reports the heap.

`Heap.mark()` is called at the heavy moments (handshake, assistance, download): it collects and notes the bytes still
in use, so that the peak is what the node needs and not what garbage happened to lie around.

The watchdog is fed every `_LOOK_S`, by this task, which shows that the event loop turns, and only while there is real
progress: an uplink within the last three periods while the link is up, the planned steps of recovery while it is not.
A link without an uplink for so long is taken down, which climbs a rung (modems.md 5.1).

A start that was counted as one that may end badly (bootsafe.py) has proved itself when an uplink was accepted and no
task died for `_QUIET_MS`: the time after which the supervisor forgives a death, so that none can always come after it.
"""

import gc

from micropython import const

import clock
import coap

_LOOK_S = const(900)
_PERIODS_MS = const(3000)  # three, in ms a second
_QUIET_MS = const(3600000)  # as in app.py


class Heap:
    """Peak bytes in use after a collection, seen at any mark()."""

    def __init__(self, state):
        self._state = state

    def mark(self):
        """Collect, and note what is left; -> bytes in use."""
        gc.collect()
        used = gc.mem_alloc()
        if used > self._state.heap_peak:
            self._state.heap_peak = used
        return used


class Health:
    """`feed()`: the watchdog's food; `part("prove")` -> whether it is written that this start has proved itself; None
    when nobody wants to know."""

    def __init__(self, state, config, feed, part=None):
        self._state = state
        self._config = config
        self._feed = feed
        self._part = part

    async def run(self):
        while True:
            if self._alive():
                self._feed()
            if self._part and self._is_proved() and self._part("prove"):
                self._part = None
            await clock.sleep(_LOOK_S)

    def _is_proved(self):
        """Not while an errand is visited: the heap is its own then."""
        state = self._state
        return state.sent and not state.visiting and clock.uptime_ms() - state.died_ms >= _QUIET_MS

    def _alive(self):
        """-> whether there is progress; a link that brings none is taken down."""
        state = self._state
        now = clock.uptime_ms()
        if not state.link.is_set():
            return now < state.due_ms
        if now - (state.heard or 0) >= _PERIODS_MS * self._config["uplink_interval_s"]:
            state.heard = None
            state.fail(coap.Timeout("no uplink for three periods"))
        return True
