"""SM data mode (modems.md 2A.6): raw bytes after `OK`, until a length is reached or `+++` arrives.

Three traps of the original are kept. The inactivity timer sends whatever is buffered, even when a length was given:
a pause in mid-payload splits one datagram into two. The ring holds 4096 bytes: a longer burst overflows, SM says
`+++` and drops the rest. With a length, `+++` is payload; the count alone ends the mode.
"""

import asyncio

RING = 4096
ESCAPE = b"+++"


class DataPhase:
    """One stay in data mode. `sink(bytes)` is async and returns False when sending failed."""

    def __init__(self, sink, length=None):
        self._sink = sink
        self._length = length
        self._left = length
        self._ring = bytearray()
        self._failed = False
        self._timer = None
        self._jobs = None
        self._dev = None

    def begin(self, dev):
        """Enter, after OK."""
        self._dev = dev
        self._jobs = asyncio.Queue()
        dev.core.spawn(self._work())

    def cancel(self):
        """Left without a result: reboot."""
        self._stop_timer()

    def feed(self, data):
        """Take bytes; returns how many were ours, the rest comes after the mode."""
        self._stop_timer()
        used = self._feed_counted(data) if self._length is not None else self._feed_escaped(data)
        return used

    def _feed_counted(self, data):
        mine = data[: self._left]
        self._left -= len(mine)
        at = self._dev.core.faults.reached("data_pause", len(mine))
        if at and self._left + len(mine) > at:
            self._keep(mine[:at])
            self._dev.core.log.event("data_split", sent=len(self._ring), missing=self._left + len(mine) - at)
            self._flush()
            self._keep(mine[at:])
        else:
            self._keep(mine)
        if self._left == 0:
            self._finish()
        else:
            self._start_timer()
        return len(mine)

    def _feed_escaped(self, data):
        before = len(self._ring)
        self._ring += data
        at = self._ring.find(ESCAPE, max(before - 2, 0))
        if at < 0:
            del self._ring[before:]
            self._keep(data)
            self._start_timer()
            return len(data)
        used = at + len(ESCAPE) - before
        del self._ring[at:]
        if len(self._ring) > RING:
            self._overflow()
        self._finish()
        return used

    def _keep(self, data):
        if self._failed:
            # Only the possible beginning of an escape is remembered.
            self._ring[:] = (self._ring + data)[-2:] if self._length is None else b""
        elif len(self._ring) + len(data) > RING:
            self._overflow()
        else:
            self._ring += data

    def _overflow(self):
        self._dev.core.log.event("data_overflow", limit=RING)
        self._ring.clear()
        self._fail()

    def _fail(self):
        if not self._failed:
            self._failed = True
            self._dev.send(ESCAPE)

    def _start_timer(self):
        if not self._failed:
            self._timer = asyncio.get_running_loop().call_later(self._dev.data_limit_ms / 1000, self._expired)

    def _stop_timer(self):
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _expired(self):
        # Bytes that are already here arrived in time; it is we who are late.
        if self._dev.take_pending():
            return
        if self._ring:
            if self._left:
                self._dev.core.log.event("data_split", sent=len(self._ring), missing=self._left)
            self._flush()

    def _flush(self):
        self._jobs.put_nowait(bytes(self._ring))
        self._ring.clear()

    def _finish(self):
        self._stop_timer()
        if self._ring and not self._failed:
            self._flush()
        self._jobs.put_nowait(None)
        self._dev.phase_ending()

    async def _work(self):
        while True:
            part = await self._jobs.get()
            if part is None:
                break
            if not self._failed and not await self._sink(part):
                self._fail()
        self._dev.phase_done(f"#XDATAMODE: {-1 if self._failed else 0}")
