"""Health: how much heap the node really needs, how often its tasks died, and proof of life for the watchdog.

`Heap.mark()` is called at the heavy moments (handshake, assistance, download): it collects and notes the bytes still
in use, so that the peak is what the node needs and not what garbage happened to lie around.

The watchdog is fed every `_LOOK_S`, by this task, which shows that the event loop turns, and only while there is real
progress: an uplink within the last three periods while the link is up, the planned steps of recovery while it is not.
A link without an uplink for so long is taken down, which climbs a rung (modems.md 5.1).
"""

import gc

from micropython import const

import clock
import coap
import log

_LOOK_S = const(900)
_PERIODS_MS = const(3000)  # three, in ms a second


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
    """`feed()`: the watchdog's food."""

    def __init__(self, state, config, records, heap, feed):
        self._state = state
        self._config = config
        self._records = records
        self._heap = heap
        self._feed = feed

    async def run(self):
        link = self._state.link
        due_ms = None  # of the next report; the first as soon as there is a link
        while True:
            if self._alive():
                self._feed()
            if link.is_set() and (due_ms is None or clock.uptime_ms() >= due_ms):
                due_ms = clock.uptime_ms() + self._config["health_interval_s"] * 1000
                self._report()
            if due_ms is None:
                await clock.wait(link, _LOOK_S)
            else:
                await clock.sleep(_LOOK_S)

    def _alive(self):
        """-> whether there is progress; a link that brings none is taken down."""
        state = self._state
        now = clock.uptime_ms()
        if not state.link.is_set():
            return now < state.due_ms
        if state.heard is None or now - state.heard < _PERIODS_MS * self._config["uplink_interval_s"]:
            return True
        state.heard = None
        state.fail(coap.Timeout("no uplink for three periods"))
        return True

    def _report(self):
        used = self._heap.mark()
        log.info("health", "heap %d in use, peak %d, free %d", used, self._state.heap_peak, gc.mem_free())
        if self._state.restarts:
            log.warn("health", "tasks restarted: %s", self._state.restarts)
        if clock.now_ms() is not None:
            self._records.add("heap", self._state.heap_peak)
