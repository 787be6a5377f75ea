"""World clock of the desk: real Unix time plus an offset that everybody shares.

The offset lives in a file of two little-endian int64 of milliseconds, whose sum counts, so that
the twin, the modem simulator and a node in its own process agree on "now" while a day is
compressed. Whoever skips a wait adds it: the host's programs to the first number, under flock, and
the node to the second, which only it writes (MicroPython has no flock, and a lost update would
turn time back). No file means offset 0, kept in memory.
Called by the twin, the modem simulator and the day's orchestrator.
"""

import fcntl
import os
import struct
import time

_OFFSETS = struct.Struct("<qq")
_OURS = struct.Struct("<q")


class World:
    """One process's view of the world clock. `path` is the shared offset file, or None."""

    def __init__(self, path=None):
        self._offset = 0
        self._fd = -1
        if path is not None:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self.advance(0)  # a new file gets its 16 bytes

    def offset_ms(self):
        """Milliseconds that the world is ahead of the real clock."""
        if self._fd < 0:
            return self._offset
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        try:
            return sum(self._read())
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def now_ms(self):
        """World time, Unix milliseconds."""
        return time.time_ns() // 1_000_000 + self.offset_ms()

    def now_s(self):
        """World time, Unix seconds."""
        return self.now_ms() // 1000

    def advance(self, ms):
        """Add `ms` to the shared offset; returns the new world time in Unix milliseconds."""
        if self._fd < 0:
            self._offset += ms
            return self.now_ms()
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            ours, node = self._read()
            if os.fstat(self._fd).st_size < _OFFSETS.size:
                os.pwrite(self._fd, _OFFSETS.pack(ours + ms, node), 0)
            else:
                os.pwrite(self._fd, _OURS.pack(ours + ms), 0)
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        return time.time_ns() // 1_000_000 + ours + ms + node

    def close(self):
        """Release the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read(self):
        raw = os.pread(self._fd, _OFFSETS.size, 0)
        # An empty file is a fresh world; a short one can only be a foreign file, read as 0 too.
        return _OFFSETS.unpack(raw) if len(raw) == _OFFSETS.size else (0, 0)
