"""Health: how much heap the node really needs, how often its tasks died, and proof of life for the watchdog.

`Heap.mark()` is called at the heavy moments (handshake, assistance, download): it collects and notes the bytes still
in use, so that the peak is what the node needs and not what garbage happened to lie around.
"""

import gc

import clock
import log


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
    def __init__(self, state, config, records, heap, feed):
        self._state = state
        self._config = config
        self._records = records
        self._heap = heap
        self._feed = feed

    async def run(self):
        while True:
            await clock.wait(self._state.link, self._config["health_interval_s"])
            used = self._heap.mark()
            log.info("health", "heap %d in use, peak %d, free %d", used, self._state.heap_peak, gc.mem_free())
            if self._state.restarts:
                log.warn("health", "tasks restarted: %s", self._state.restarts)
            self._feed()
            if clock.now_ms() is not None:
                self._records.add("heap", self._state.heap_peak)
            await clock.sleep(self._config["health_interval_s"])
