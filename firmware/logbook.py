"""Log lines on their way to the cloud: the newest few, in RAM, until an uplink takes them.

`lib/log` gives it what is at or below the level that the shadow's control section asks for (`logLvl`). Lines are worth
less than measurements: they are not kept over a restart, and the oldest make room. RAM: `_MOST_BYTES` of text.
"""

from micropython import const

import clock

_MOST = const(24)  # lines
_MOST_BYTES = const(1200)
_LONGEST = const(160)  # characters of a line


class Logbook:
    """`add` is a log.sink. `dropped` counts lines that made room."""

    def __init__(self):
        self._entries = []
        self._bytes = 0
        self._seq = 0
        self.dropped = 0

    def add(self, level, layer, text):
        """Keep one line."""
        text = text[:_LONGEST]
        self._seq += 1
        self._entries.append((self._seq, clock.now_ms(), level, layer, text))
        self._bytes += len(text)
        while len(self._entries) > _MOST or self._bytes > _MOST_BYTES:
            self._bytes -= len(self._entries.pop(0)[4])
            self.dropped += 1

    def entries(self):
        """-> list of entries (cloud.base), oldest first."""
        return self._entries

    def taken(self, seq):
        """The cloud has every line up to `seq`."""
        while self._entries and self._entries[0][0] <= seq:
            self._bytes -= len(self._entries.pop(0)[4])
