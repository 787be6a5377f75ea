"""sara_r5: one connected socket as a datagram endpoint (modems.md 2D.3).

A datagram goes out behind the prompt `@` and is fetched with +USORF when +UUSORF says so, or when it is time to look.
Made by modem.sara_r5.sockets. RAM: see modem.pull.
"""

from micropython import const

from at.errors import ATError
from modem.endpoint import SEND_MS
from modem.pull import PullEndpoint

_MTU = const(1024)  # what one +USOWR takes, and one +USORF gives: the rest of a longer datagram is lost
_SETTLE_MS = const(60)  # bytes that follow the prompt within 50 get lost, and a tick is not exact
_FETCH_MS = const(10000)


class Endpoint(PullEndpoint):
    """See modem.endpoint.Endpoint."""

    mtu = _MTU
    _told = False  # the modem said so itself: no need to ask how much waits

    def arrived(self):
        self._told = True
        super().arrived()

    async def _transmit(self, buf):
        await self._modem.at.command(
            "AT+USOWR=%d,%d" % (self.handle, len(buf)),
            b"+USOWR:",
            timeout_ms=SEND_MS,
            data=(None, buf),
            pause_ms=_SETTLE_MS,
            prompt=b"@",
        )

    async def _fetch(self):
        """What an empty socket answers to a read is not documented; so, when not told, ask how much waits."""
        told, self._told = self._told, False
        if told:
            try:
                return await self._ask(_MTU)
            except ATError:  # told twice of the same, perhaps; if the socket is gone, this will be refused, too
                pass
        if (await self._ask(0))[-1:] not in (b"0", b""):
            await self._ask(_MTU)

    async def _ask(self, most):
        """-> the last info line: `+USORF: handle,waiting` for `most` 0; a datagram comes as received()."""
        cmd = "AT+USORF=%d,%d" % (self.handle, most)
        lines = await self._modem.at.command(cmd, b"+USORF:", timeout_ms=_FETCH_MS)
        return lines[-1] if lines else b""
