"""Exponential back-off with jitter and a cap: how long to wait before the next try.

Called by everything that retries towards the network: session set-up, login, polling, the supervisor. Jitter keeps
1,000 nodes that lost the same cell from coming back in the same second (RFC 7252, 4.2 has the same purpose).
Pure: it computes delays and never sleeps. RAM: one small object per Backoff.
"""

import os


class Backoff:
    """Delays base, base * factor, ... up to cap, each shortened by a random part of at most `jitter` (0 to 1).

    So no delay exceeds the cap. `attempts` counts the delays given since the last reset().
    """

    def __init__(self, base_s, cap_s, factor=2, jitter=0.5, random=os.urandom):
        """`random(n)` gives n random bytes; only tests replace it. Raises ValueError for parameters without sense."""
        if not 0 < base_s <= cap_s or factor < 1 or not 0 <= jitter <= 1:
            raise ValueError("needs 0 < base <= cap, factor >= 1, jitter 0 to 1")
        self._base = int(base_s * 1000) or 1
        self._cap = int(cap_s * 1000)
        self._factor = factor
        self._percent = int(jitter * 100 + 0.5)
        self._random = random
        self.reset()

    def reset(self):
        """Start again from the base: call it after a success."""
        self._delay = self._base
        self.attempts = 0

    def next(self):
        """-> the whole seconds to wait before the next try, an int, at least 1."""
        return max((self.next_ms() + 500) // 1000, 1)

    def next_ms(self):
        """-> the milliseconds to wait before the next try, an int."""
        self.attempts += 1
        delay = self._delay
        self._delay = min(int(delay * self._factor), self._cap)
        span = delay * self._percent // 100
        if span:
            delay -= int.from_bytes(self._random(4), "big") % (span + 1)
        return delay
