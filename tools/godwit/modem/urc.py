"""Unsolicited lines on their way out: a queue that the family's rules open and shut (modems.md 7.1).

Serial Modem holds them while a command executes, in data mode and while somebody types; the others let them go between
any two lines. Nobody writes into a payload that the host is sending. When the queue is full, all of it is lost.
"""


class UrcQueue:
    """Owned by Line."""

    def __init__(self, dev, holds, limit):
        self._dev = dev
        self._holds = holds
        self._limit = limit
        self._queue = []
        self._size = 0

    def add(self, data):
        """Queue framed bytes."""
        faults, log = self._dev.core.faults, self._dev.core.log
        if faults.chance("urc_lost"):
            log.count("urcs_lost")
            return
        for _ in range(2 if faults.chance("urc_twice") else 1):
            if self._size + len(data) > self._limit:
                log.event("urc_overflow", lost=len(self._queue) + 1)
                self.clear()
                return
            self._queue.append(data)
            self._size += len(data)

    def clear(self):
        """Forget everything."""
        self._queue.clear()
        self._size = 0

    def flush(self):
        """Write what is waiting, if it may be written now."""
        if self._dev.in_data_mode or (self._holds and self._dev.executing):
            return
        waiting = self._queue[:]
        self.clear()
        for data in waiting:
            self._dev.send(data)
