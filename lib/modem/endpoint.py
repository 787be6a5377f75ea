"""One connected socket of a modem as a datagram endpoint: what all families have in common.

A family adds `_transmit(buf)` and how datagrams come in: by news into a queue (modem.nrf91.endpoint), or fetched when
the modem says that there is something (modem.pull). Used by lib/coap and lib/net. RAM: about 200 bytes.
"""

from errno import ECONNRESET, EINVAL, ETIMEDOUT

from micropython import const

from at.errors import ATError
from at.wait import Waiter

SEND_MS = const(15000)  # a datagram that the modem cannot get rid of by then is old news
_BAD_SENDS = const(2)  # failed sends in a row after which the socket is given up


class Endpoint:
    """One connected socket: send, recv_into, close, mtu. `lost` counts datagrams that never reached a reader.

    `cid`: the server knows our DTLS records by a connection ID, whatever address they come from (RFC 9146). `keep`:
    the modem keeps the socket when the bearer goes; with both, the endpoint outlives it. `paused`: put away.
    """

    mtu = 1200  # fits the smallest IPv6 link; families that take less say so
    cid = keep = paused = False

    def __init__(self, modem, handle):
        self._modem = modem
        self.handle = handle
        self._arrived = Waiter(modem.at.deadlines)
        self._dead = None
        self._bad_sends = 0

    async def send(self, buf):
        """Send one datagram (1..mtu bytes). A datagram that the modem could not send counts as lost on the way, as
        UDP does; the second in a row, or a socket that is no more, is OSError(ECONNRESET). Resumes a paused one."""
        self.check()
        if self.paused:
            await self.resume()
        if not 0 < len(buf) <= self.mtu:
            raise OSError(EINVAL, "%d bytes in a datagram" % len(buf))
        try:
            await self._transmit(buf)
            self._bad_sends = 0
        except ATError as refusal:
            if self.paused:  # by somebody whose turn at the modem came before ours
                return await self.send(buf)
            # A plain ERROR: there is no such socket any more.
            self._failed(refusal.code is None and refusal.text != "SEND FAIL")
        except OSError as error:
            if error.args[0] != ETIMEDOUT:
                raise
            self._failed(False)

    def _failed(self, gone):
        self._bad_sends += 1
        if gone or self._bad_sends >= _BAD_SENDS:
            self.fail("send refused")
            raise self._dead

    async def close(self):
        """Close the socket, in the modem too if it may have it still; fine when it is closed or lost already, and when
        the modem does not answer: then the next opening closes it."""
        self.fail("closed")
        modem, handle = self._modem, self.handle
        if modem.endpoints.get(handle) is self:
            del modem.endpoints[handle]
            modem.orphans.append(handle)  # until it is done: the next opening closes it, should we be cancelled
            try:
                if await modem.close_handle(handle) is None:  # refused: gone already, or the next opening tries again
                    return
            except OSError:  # it does not answer, or restarts: what we hold is gone all the same
                return
            if handle in modem.orphans:
                modem.orphans.remove(handle)

    def fail(self, reason):
        """The socket is gone; whoever reads or writes learns it."""
        if self._dead is None:
            self._dead = OSError(ECONNRESET, reason)
            self._arrived.fail(self._dead)

    def check(self):
        """OSError(ECONNRESET) when the socket is gone."""
        if self._dead is not None:
            raise self._dead
