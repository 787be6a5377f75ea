"""The wire: a raw PTY whose other end the firmware opens as its UART.

The simulator keeps the slave end open itself, so that the device node outlives the firmware process and a modem
keeps its state when the host crashes. A PTY has no baud rate: `baud` paces the output when asked to.
Output that nobody reads is kept up to 64 KB, then dropped and counted, as an overrun UART would.
"""

import asyncio
import os
import select
import tty

_READ = 4096
_QUEUE_MAX = 65536
_BURST = 32  # bytes between two pauses of a paced line


class PtyChannel:
    """Bytes in and out. `on_bytes(data)` gets what the host wrote."""

    def __init__(self, faults, log, baud=0, trace=None):
        self._faults = faults
        self._log = log
        self.baud = baud
        self._trace = trace
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self.on_bytes = lambda data: None
        self._queue = bytearray()
        self._wake = asyncio.Event()
        self._task = None

    def start(self):
        """Begin to read and write; needs a running loop."""
        asyncio.get_running_loop().add_reader(self._master, self.poll)
        self._task = asyncio.create_task(self._writer())

    def close(self):
        """Let go of the PTY."""
        asyncio.get_running_loop().remove_reader(self._master)
        if self._task:
            self._task.cancel()
        os.close(self._master)
        os.close(self._slave)

    def poll(self):
        """Take in what has arrived; True when there was something."""
        try:
            data = os.read(self._master, _READ)
        except (BlockingIOError, OSError):
            return False
        if data:
            self._record("rx", data)
            self.on_bytes(data)
        return bool(data)

    def pending(self):
        """Has the host written bytes that we have not read yet?"""
        return bool(select.select([self._master], [], [], 0)[0])

    def write(self, data):
        """Queue bytes for the host."""
        self._record("tx", data)
        if len(self._queue) + len(data) > _QUEUE_MAX:
            self._log.count("uart_overrun_bytes", len(data))
            return
        self._queue += data
        if self._plain() and not self._wake.is_set():
            self._push()
        if self._queue:
            self._wake.set()

    def _plain(self):
        return not self.baud and "split" not in self._faults.state()

    def _push(self):
        try:
            sent = os.write(self._master, self._queue)
        except BlockingIOError:
            return False
        del self._queue[:sent]
        return True

    async def _writer(self):
        while True:
            await self._wake.wait()
            if self._plain():
                if not self._push():
                    await asyncio.sleep(0.005)  # the PTY is full: nobody reads
            else:
                await self._write_slowly()
            if not self._queue:
                self._wake.clear()

    async def _write_slowly(self):
        gap_ms = self._faults.arg("split", 3)
        size = 1 if gap_ms is not None else _BURST
        try:
            sent = os.write(self._master, self._queue[:size])
        except BlockingIOError:
            sent = 0
        del self._queue[:sent]
        pause = sent * 10 / self.baud if self.baud else 0
        if gap_ms is not None:
            # Mostly glued, sometimes apart: both halves of every pair of bytes get their turn.
            pause += self._faults.rng.choice((0, 0, 0, gap_ms)) / 1000
        await asyncio.sleep(pause if sent else 0.005)

    def _record(self, direction, data):
        if self._trace:
            self._trace(direction, bytes(data))
