"""nRF91 (nRF9160/9161/9151) with Nordic's Serial Modem v2 (modems.md 2A).

Here: the AT tables, and what becomes of the news that is this family's own. RAM: the AT client's buffers (2.8 KB),
3 KB per open endpoint.
"""

from micropython import const

from at.fields import readable, scan_int, split
from modem.family import Family

# Raw blocks: prefix, index of the count, where they begin (modems.md 2A.6, 2A.7).
_ANNOUNCERS = ((b"#XRECV:", 2, b"\n"), (b"#XRECVFROM:", 2, b"\n"))
_BOOT = (b"Ready", b"INIT ERROR", b"Bootloader mode ready", b"#XMODEM:")
_POLL_GONE = const(8 | 16 | 32)  # error, hang-up, invalid
# News that we know and do nothing with (GNSS: unless a Receiver is there); else each would be logged as unexpected.
_IGNORED = (
    b" %XTIME: %MDMEV: %XMODEMSLEEP: %CESQ: +CEDRXP: +CSCON: +CNEC_EMM: +CNEC_ESM: #XDATAMODE:"
    b" #XGNSS: #XGNSSPOS: #XAGNSS: "
)
_LINE = const(2560)  # a datagram of 1500 bytes, or the longest %NCELLMEAS that is no GCI search
_SYSTEM_MODE = (1, 0, 1, 0)  # LTE-M, no NB-IoT, GNSS, no preference


class Modem(Family):
    """See modem.family.Family. `system_mode`: the four values of AT%XSYSTEMMODE."""

    family = "nrf91"
    ip = 1  # family of the bearer's address as AT#XSOCKET counts: IPv4, and 2: IPv6 alone
    spare = None  # a queue that no endpoint has
    burst_pause_ms = 1300  # the modem passes a part of a long payload on after 1 s of silence (XDATACTRL)

    def __init__(self, stream, *, power=None, log=None, system_mode=_SYSTEM_MODE, baud=115200):
        super().__init__(stream, power, log, baud, announcers=_ANNOUNCERS, boot=_BOOT, escape=b"+++", size=_LINE)
        self.system_mode = system_mode
        self.at.urc(b"+CGEV:", self._on_cgev)
        self.at.urc(b"#XAPOLL:", self._on_poll)
        self.at.data(b"#XRECV", self._on_data)
        self.at.parser.ignored = _IGNORED

    def reserve(self, rx_bytes):
        """See modem.family.Family."""
        from modem.queue import DatagramQueue

        self.spare = DatagramQueue(rx_bytes)

    def _on_cgev(self, line):
        if b"PDN DEACT" in line or line.endswith(b"DETACH"):
            self.bearer_lost(readable(line))

    def _on_poll(self, line):
        """Sockets that asked for it (DTLS) hear that their peer is gone."""
        fields = split(line)
        endpoint = self.endpoint(fields[0])
        if endpoint is not None and len(fields) > 1 and (scan_int(fields[1]) or 0) & _POLL_GONE:
            endpoint.fail("closed by the peer")

    def _on_data(self, line, block):
        endpoint = self.endpoint(split(line)[0])
        if endpoint is not None:
            endpoint.received(block)
