"""BG95: one connected socket, plain or with DTLS ended in the modem (modems.md 2C.4, 2C.5).

Buffer mode: the modem says once that something waits, and is asked until it has nothing more. Made by
modem.bg95.sockets. RAM: that of modem.pull.PullEndpoint.
"""

from modem.endpoint import SEND_MS
from modem.pull import PullEndpoint


class Endpoint(PullEndpoint):
    """See modem.endpoint.Endpoint. `SEND OK` means that the modem has it, not that it is on the air."""

    fetch_ms = 5000

    def __init__(self, modem, handle, secure=False):
        super().__init__(modem, handle)
        self._send = "AT+QSSLSEND=%d,%d" if secure else "AT+QISEND=%d,%d"
        self._read = "AT+QSSLRECV=%d,1500" if secure else "AT+QIRD=%d,1500"

    async def _transmit(self, buf):
        cmd = self._send % (self.handle, len(buf))
        await self._modem.at.command(cmd, timeout_ms=SEND_MS, data=buf, prompt=b">")

    async def _fetch(self):
        await self._modem.at.command(self._read % self.handle, timeout_ms=self.fetch_ms)
