"""The board's own IP stack over the modem: `network.PPP` on the UART of an at.Client (modems.md 4.2, RFC 1661).

For boards that have it (ESP32; others by a build option), instead of the modem's sockets: any modem, any protocol, but
no AT command in between (ATError at once), no connection ID in the modem, and 1 to 3 s at each start. Optional; nobody
loads it unasked.
RAM: lwIP's 30 to 60 KB, outside of our heap; here 200 bytes.
"""

import asyncio
from errno import ECONNRESET, ENODEV, ETIMEDOUT
from time import ticks_diff, ticks_ms

from micropython import const

from at.errors import ATError
from net.udp import udp_open

_POLL_MS = const(50)
_TERMINATE_MS = const(5000)  # RFC 1661: two Terminate-Requests, 3 s apart, are usual
_DIAL_MS = const(60000)
_DIAL = {"nrf91": 'AT+CGDATA="PPP",%d'}  # Serial Modem has no dial string
_DIAL_OTHERS = "ATD*99***%d#"


class PPP:
    """One link. `at`: the modem's at.Client, registered and with the context `cid` defined; `uart`: the stream that it
    was made of. While the link is up nobody may send commands.

    user, key: of the access point, by CHAP where the board knows it; None for none.
    """

    guard_ms = 1100  # silence before and after +++ (V.250 S12: 1 s)

    def __init__(self, at, uart, family, cid=1, user=None, key=None):
        self.at = at
        self._uart = uart
        self._dial = _DIAL.get(family, _DIAL_OTHERS) % cid
        self._auth = (user, key)
        self._ppp = None

    async def open(self, timeout_ms=30000):
        """Dial and wait for an address. OSError(ENODEV) on a board without PPP, OSError(ETIMEDOUT) when the network
        does not answer, ATError when the modem refuses to dial; then the modem is in command mode again."""
        try:
            from network import PPP as Driver
        except ImportError:
            raise OSError(ENODEV, "no network.PPP on this board")
        await self.at.command(self._dial, timeout_ms=_DIAL_MS)
        await self.at.stop()  # the bytes belong to PPP from here on
        # What a command ends with, at once, until close().
        self.at.dead = ATError(self._dial.encode(), b"the line is PPP's")
        user, key = self._auth
        try:
            self._ppp = ppp = Driver(self._uart)
            if user is None:
                ppp.connect()
            else:
                ppp.connect(security=Driver.SEC_CHAP, user=user, key=key)
            await self._until(True, timeout_ms)
        except BaseException:
            await self.close()
            raise

    async def udp_open(self, host, port):
        """-> datagram endpoint connected to host:port, over this link. OSError(ECONNRESET) when it is down."""
        self.check()
        return Endpoint(self, await udp_open(host, port))

    def check(self):
        """OSError(ECONNRESET) when the link is down."""
        if self._ppp is None or not self._ppp.isconnected():
            raise OSError(ECONNRESET, "PPP is down")

    async def close(self):
        """End the link; the modem is in command mode afterwards. Fine when it is closed already.

        OSError(ETIMEDOUT) when the modem does not come back: it wants the recovery ladder.
        """
        ppp, self._ppp = self._ppp, None
        if ppp is not None:
            ppp.disconnect()  # LCP Terminate; the modem says NO CARRIER and listens again
            self._ppp = ppp
            try:
                await self._until(False, _TERMINATE_MS)
            except OSError:
                pass  # nobody answered it
            self._ppp = None
            self._uart.irq(None)
        self.at.dead = None
        try:
            await self.at.sync()
        except OSError as error:
            if error.args[0] != ETIMEDOUT:
                raise
            await self._escape()

    async def _escape(self):
        """Still in data mode: silence, +++, silence, and hang up."""
        await asyncio.sleep_ms(self.guard_ms)
        await self.at.write(b"+++")
        await asyncio.sleep_ms(self.guard_ms)
        await self.at.sync()
        await self.at.command("ATH", timeout_ms=_TERMINATE_MS)

    async def _until(self, wanted, timeout_ms):
        began = ticks_ms()
        while self._ppp.isconnected() != wanted:
            if ticks_diff(ticks_ms(), began) > timeout_ms:
                raise OSError(ETIMEDOUT, "no answer to PPP")
            await asyncio.sleep_ms(_POLL_MS)


async def dial(at, uart, family, host, port, **how):
    """-> datagram endpoint connected to host:port over a link of its own, which ends with it. `how`: of PPP(). Raises
    OSError, ATError as PPP.open(). Meanwhile every AT command ends with an ATError."""
    link = PPP(at, uart, family, **how)
    await link.open()
    try:
        endpoint = await link.udp_open(host, port)
    except BaseException:
        await link.close()
        raise
    endpoint.alone = True
    return endpoint


class Endpoint:
    """A net.udp endpoint that knows when its link is down: `mtu`, send, recv_into, close."""

    alone = False  # nobody else uses the link

    def __init__(self, link, udp):
        self._link = link
        self._udp = udp
        self.mtu = udp.mtu

    async def send(self, buf):
        """Send one datagram. OSError(ECONNRESET) when the link is down."""
        self._link.check()
        await self._udp.send(buf)

    async def recv_into(self, buf, timeout_ms):
        """-> length of the next datagram, now in `buf`. OSError(ETIMEDOUT), or OSError(ECONNRESET) as from send()."""
        self._link.check()
        return await self._udp.recv_into(buf, timeout_ms)

    async def close(self):
        await self._udp.close()
        if self.alone:
            self.alone = False
            try:
                await self._link.close()
            except (OSError, ATError):
                pass  # whoever talks to the modem next finds out, and climbs the recovery ladder
