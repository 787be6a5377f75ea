"""A socket whose datagrams wait in the modem until they are fetched: SARA, BG95, SIM7080 (modems.md 2B.4, 2C.4, 2D.3).

The modem says once that something waits (`arrived`), and its word may get lost; so after each sending it is also asked
without being told, at growing distances. A datagram goes from the AT parser straight into the reader's buffer.
RAM: that of modem.endpoint.Endpoint.
"""

from errno import ETIMEDOUT
from time import ticks_diff, ticks_ms

from at.errors import ATError
from modem.endpoint import Endpoint

# After a sending, how long to wait for the modem's word before looking: an answer is due within these times or never.
_LOOKS_MS = (3000, 6000, 12000, 24000)


def deliver(modem, block):
    """A datagram that does not say whose it is (+QIRD, +CARECV) is of the socket that the command in flight asks."""
    cmd = modem.at.parser.cmd or b""
    endpoint = modem.endpoint(cmd[cmd.find(b"=") + 1 : cmd.find(b",")])
    if endpoint is not None:
        endpoint.received(block)
    elif block is None or len(block):
        modem.note("a datagram that nobody asked for")


class PullEndpoint(Endpoint):
    """A family adds `_transmit(buf)` and `_fetch()`: ask for one datagram, which comes as received()."""

    def __init__(self, modem, handle):
        super().__init__(modem, handle)
        self.lost = 0
        self._into = None  # where the reader wants the datagram
        self._size = 0
        self._looks = len(_LOOKS_MS)

    async def send(self, buf):
        """As Endpoint.send; an answer is expected from now on."""
        await super().send(buf)
        self._looks = 0

    def arrived(self):
        """The modem says that something waits."""
        self._arrived.put()

    def received(self, block):
        """The datagram that _fetch() asked for (memoryview, or None when it was larger than the parser's buffer)."""
        into = self._into
        if block is None or into is None:
            self.lost += 1
        elif len(block):
            self._size = n = min(len(block), len(into))
            into[:n] = block[:n]

    async def recv_into(self, buf, timeout_ms):
        """-> length of the next datagram, now in `buf` (what does not fit is cut off). OSError(ETIMEDOUT) if none."""
        began = ticks_ms()
        while True:
            self.check()
            if self._arrived.ready():
                self._arrived.clear()  # before asking: what comes meanwhile is told again
                n = await self._take(buf)
                if n:
                    self._arrived.put()  # there may be more: only an empty answer ends it
                    return n
            left = timeout_ms - ticks_diff(ticks_ms(), began)
            if left <= 0:
                raise OSError(ETIMEDOUT, "timed out")
            await self._wait(left)

    async def _take(self, buf):
        """-> length of the datagram fetched, 0 if none. After a failure (cancelled, no answer) it is asked for again:
        a modem says once that something waits."""
        self._into = memoryview(buf)
        self._size = 0
        again = True
        try:
            await self._fetch()
            again = False
        except ATError:
            self.fail("read refused")
            raise self._dead
        except OSError as error:
            if error.args[0] != ETIMEDOUT or not self._size:  # else it came whole, and only the result got lost
                raise
        finally:
            self._into = None
            if again:
                self._arrived.put()
        return self._size

    async def _wait(self, left):
        """Until there is something to fetch, or it is time to look, or `left` ms have passed."""
        looks = self._looks
        # Without a reason to look it wakes all the same now and then: a sending meanwhile is a reason.
        patience = _LOOKS_MS[looks % len(_LOOKS_MS)]
        try:
            await self._arrived.wait(min(left, patience))
        except OSError as error:
            if error.args[0] != ETIMEDOUT:
                raise
            if patience <= left and looks < len(_LOOKS_MS):
                self._looks = looks + 1
                self._arrived.put()
