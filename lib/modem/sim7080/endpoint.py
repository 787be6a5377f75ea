"""SIM7080: one connected socket, plain or with DTLS ended in the modem (modems.md 2B.4).

Receive mode 0: the modem says that something waits, and is asked until it has nothing more. Made by
modem.sim7080.sockets. RAM: that of modem.pull.PullEndpoint.
"""

from modem.endpoint import SEND_MS
from modem.pull import PullEndpoint


class Endpoint(PullEndpoint):
    """See modem.endpoint.Endpoint."""

    fetch_ms = 5000

    async def _transmit(self, buf):
        cmd = "AT+CASEND=%d,%d" % (self.handle, len(buf))
        await self._modem.at.command(cmd, timeout_ms=SEND_MS, data=buf, prompt=b">")

    async def _fetch(self):
        cmd = "AT+CARECV=%d,1460" % self.handle
        await self._modem.at.command(cmd, b"+CARECV:", timeout_ms=self.fetch_ms)  # the prefix: of an empty answer
