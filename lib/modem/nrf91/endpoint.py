"""nRF91: one connected socket of Serial Modem as a datagram endpoint (modems.md 2A.6).

Datagrams go out in counted data mode and come in by automatic receive into a queue, oldest dropped first. Made by
modem.nrf91.sockets; used by lib/coap and lib/net. RAM: the queue, `rx_bytes`.
"""

from errno import ECONNRESET, EINVAL, ETIMEDOUT

from micropython import const

from at.errors import ATError
from at.wait import Waiter
from modem.queue import DatagramQueue

_MTU = const(1200)  # fits the smallest IPv6 link; the modem's own limit is its 4096 byte buffer
_SEND_MS = const(15000)  # a datagram that the modem cannot get rid of by then is old news
_BAD_SENDS = const(2)  # failed sends in a row after which the socket is given up
_CONN_SAVE = const(19)
_CONN_LOAD = const(20)


class Endpoint:
    """One connected socket: send, recv_into, close, mtu. `lost` counts datagrams that never reached a reader.

    `cid`: the server knows our DTLS records by a connection ID, whatever address they come from (RFC 9146). `keep`:
    the modem keeps the socket when the bearer goes; with both, the endpoint outlives it. `paused`: see pause().
    """

    mtu = _MTU
    cid = keep = paused = False

    def __init__(self, modem, handle, rx_bytes):
        self._modem = modem
        self.handle = handle
        self._queue = DatagramQueue(rx_bytes)
        self._arrived = Waiter(modem.at.deadlines)
        self._dead = None
        self._bad_sends = 0

    @property
    def lost(self):
        return self._queue.dropped

    async def send(self, buf):
        """Send one datagram (1..mtu bytes). A datagram that the modem could not send counts as lost on the way, as
        UDP does; the second in a row, or a socket that is no more, is OSError(ECONNRESET). Resumes a paused one."""
        self.check()
        if self.paused:
            await self.resume()
        n = len(buf)
        if not 0 < n <= _MTU:
            raise OSError(EINVAL, "%d bytes in a datagram" % n)
        try:
            await self._modem.at.command(
                "AT#XSEND=%d,2,0,%d" % (self.handle, n),
                timeout_ms=_SEND_MS,
                data=buf,
                prompt=b"OK",
                done=b"#XDATAMODE:",
            )
            self._bad_sends = 0
        except ATError as refusal:
            if self.paused:  # by somebody whose turn at the modem came before ours
                return await self.send(buf)
            self._failed(refusal.code is None)  # no code: a plain ERROR, there is no such socket any more
        except OSError as error:
            if error.errno != ETIMEDOUT:
                raise
            self._failed(False)

    def _failed(self, gone):
        self._bad_sends += 1
        if gone or self._bad_sends >= _BAD_SENDS:
            self.fail("send refused")
            raise self._dead

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

    async def close(self):
        """Close the socket; fine when it is closed or lost already."""
        if self._dead is None:
            self.fail("closed")
            self._modem.endpoints.pop(self.handle, None)
            await self._modem.close_handle(self.handle)

    def received(self, block):
        """A datagram came (memoryview, or None when it was larger than the parser's buffer)."""
        if block is None:
            self._queue.dropped += 1
        elif self._queue.put(block):
            self._arrived.put()

    def fail(self, reason):
        """The socket is gone; whoever reads or writes learns it."""
        if self._dead is None:
            self._dead = OSError(ECONNRESET, reason)
            self._arrived.fail(self._dead)

    def check(self):
        """OSError(ECONNRESET) when the socket is gone."""
        if self._dead is not None:
            raise self._dead
