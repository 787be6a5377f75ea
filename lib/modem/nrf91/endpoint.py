"""nRF91: one connected socket of Serial Modem as a datagram endpoint (modems.md 2A.6).

Datagrams go out in counted data mode and come in by automatic receive into a queue, oldest dropped first. Made by
modem.nrf91.sockets. RAM: the queue, `rx_bytes`; the modem keeps one for the next endpoint.
"""

from micropython import const

from at.errors import ATError
from modem.endpoint import Endpoint as Base
from modem.queue import DatagramQueue

_SEND_MS = const(32000)  # the modem itself gives up after 30 s (SNDTIMEO, modems.md 1.6)
_CONN_SAVE = const(19)
_RAI = const(61)
_NO_DATA = const(1)
_CONN_LOAD = const(20)


_CLOSED = DatagramQueue(0)


class Endpoint(Base):
    """See modem.endpoint.Endpoint."""

    def __init__(self, modem, handle, rx_bytes):
        super().__init__(modem, handle)
        queue = modem.spare
        modem.spare = None
        self._queue = DatagramQueue(rx_bytes) if queue is None or queue.size < rx_bytes else queue

    async def close(self):
        """See modem.endpoint.Endpoint."""
        queue = self._queue
        self._queue = _CLOSED
        await super().close()
        if queue is not _CLOSED:
            queue.clear()
            self._modem.spare = queue  # a heap in use for weeks has no piece as large

    @property
    def lost(self):
        return self._queue.dropped

    async def _transmit(self, buf):
        await self._modem.at.command(
            "AT#XSEND=%d,2,0,%d" % (self.handle, len(buf)),
            timeout_ms=_SEND_MS,
            data=buf,
            prompt=b"OK",
            done=b"#XDATAMODE:",
        )

    async def release(self):
        """Nothing follows for a while: the network may have the connection back at once, instead of after the seconds
        of its inactivity timer (release assistance, modems.md 2A.6 option 61). Only a hint; OSError as from send()."""
        self.check()
        try:
            await self._modem.at.command("AT#XSOCKETOPT=%d,1,%d,%d" % (self.handle, _RAI, _NO_DATA))
        except ATError:
            pass  # firmware without it

    async def pause(self):
        """Let the modem put the DTLS association away (modems.md 2A.6: CONN_SAVE), to free its memory or to outlive a
        long sleep; what arrives meanwhile is lost. -> False when it would not: no connection ID, no AEAD suite, busy,
        or four saved already; then nothing has changed. OSError as from send()."""
        self.check()
        if self.cid and not self.paused:
            try:
                await self._option(_CONN_SAVE)
                self.paused = True
            except ATError:
                pass
        return self.paused

    async def resume(self):
        """Take the association up again, without a packet; fine when it is not paused. OSError(ECONNRESET) when the
        modem has it no more: only a new endpoint helps."""
        self.check()
        if self.paused:
            self.paused = False  # whoever sends from now on comes after us at the modem
            try:
                await self._option(_CONN_LOAD)
            except ATError:
                self.fail("not restored")
                raise self._dead

    def _option(self, name):
        return self._modem.at.command("AT#XSSOCKETOPT=%d,1,%d,1" % (self.handle, name), timeout_ms=_SEND_MS)

    async def recv_into(self, buf, timeout_ms):
        """-> length of the next datagram, now in `buf` (what does not fit is cut off). OSError(ETIMEDOUT) if none."""
        queue = self._queue
        if not queue.count:
            self.check()
            self._arrived.clear()
            await self._arrived.wait(timeout_ms)
        return queue.take_into(buf)

    def received(self, block):
        """A datagram came (memoryview, or None when it was larger than the parser's buffer)."""
        if block is None:
            self._queue.dropped += 1
        elif self._queue.put(block):
            self._arrived.put()
