"""Queue of datagrams in one preallocated buffer: a URC brings them, a reader takes them, the oldest make room.

Each is stored behind its length (2 bytes); what is taken from the front lets the rest move up, which costs less code
than a ring and little time beside a UART's. Used by modem endpoints. RAM: `size` bytes.
"""


class DatagramQueue:
    """`count` waiting; `dropped` counts what was thrown away: oldest ones that made room, and ones too large."""

    def __init__(self, size=4096):
        self.size = size
        self._buf = memoryview(bytearray(size))
        self.clear()

    def clear(self):
        """As new."""
        self._used = self.count = self.dropped = 0

    def put(self, data):
        """Append a datagram (memoryview or bytes); returns whether it was kept."""
        n = len(data)
        room = len(self._buf) - n - 2
        if room < 0:
            self.dropped += 1
            return False
        while self._used > room:
            self.take_into(b"")
            self.dropped += 1
        at = self._used
        self._buf[at] = n >> 8
        self._buf[at + 1] = n & 0xFF
        self._used = end = at + 2 + n
        self._buf[at + 2 : end] = data
        self.count += 1
        return True

    def take_into(self, buf):
        """Move the oldest datagram into `buf` (cut to its size, as UDP does); -> its length. IndexError if none."""
        if not self.count:
            raise IndexError("empty")
        queue = self._buf
        end = 2 + (queue[0] << 8 | queue[1])
        n = min(end - 2, len(buf))
        if n:
            buf[:n] = queue[2 : 2 + n]
        self._used = left = self._used - end
        queue[:left] = queue[end : end + left]
        self.count -= 1
        return n
