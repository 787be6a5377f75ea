"""The line between the twin's UDP socket and the world: loses, repeats, swaps and delays datagrams, and counts them.

By chance (`drop`) or by number (`drop_up`, `repeat_down`, `swap_up` ...); see faults.py.
Called by dtls.py for every datagram of either direction.
"""

import asyncio
import random

_SWAP_S = 1.0  # how long a datagram waits for another one to overtake it


class Link:
    """Lets datagrams through; `counters` has both directions, lost datagrams too."""

    def __init__(self, faults, seed=None):
        self.faults = faults
        self._random = random.Random(seed)
        self._timers = set()
        self._held = {"up": None, "down": None}  # the datagram that the next one overtakes
        self.counters = {f"{what}_{way}": 0 for way in ("up", "down") for what in ("datagrams", "bytes", "dropped")}

    def deliver(self, way, size, action):
        """Count a datagram of `size` bytes going "up" or "down" and run `action`: now, later, twice or never."""
        faults = self.faults
        self.counters[f"datagrams_{way}"] += 1
        self.counters[f"bytes_{way}"] += size
        # every list counts every datagram, so none of these may be skipped
        lost, twice, held = (faults.due(f"{what}_{way}") for what in ("drop", "repeat", "swap"))
        if faults.drop and self._random.random() < faults.drop:
            lost = True
            faults.note("drop")
        if lost:
            self.counters[f"dropped_{way}"] += 1
            return
        if held:
            self._release(way)
            self._held[way] = action
            self._later(_SWAP_S, lambda: self._release(way, action))
            return
        for _ in range(2 if twice else 1):
            if way == "down" and faults.delay_ms:
                faults.note("delay_ms")
                self._later(faults.delay_ms / 1000, action)
            else:
                action()
        self._release(way)

    def close(self):
        """Forget the datagrams that are still under way."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _release(self, way, only=None):
        """Send the datagram that was held back (only if it is `only`, when given)."""
        action = self._held[way]
        if action is not None and only in (None, action):
            self._held[way] = None
            action()

    def _later(self, delay_s, action):
        def fire():
            self._timers.discard(timer)
            action()

        timer = asyncio.get_running_loop().call_later(delay_s, fire)
        self._timers.add(timer)
