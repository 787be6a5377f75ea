"""Quectel BG95, BG96, BG77 (modems.md 2C).

Here: the AT tables, and what becomes of the news that is this family's own. RAM: the AT client's buffers (1.8 KB).
"""

from micropython import const

from at.fields import split
from modem.family import Family
from modem.pull import deliver

_ANNOUNCERS = ((b"+QIRD:", 0, b"\n"), (b"+QSSLRECV:", 0, b"\n"))
# Not APP RDY: it follows RDY by seconds, and would be a second restart.
_BOOT = (b"RDY", b"POWERED DOWN", b"NORMAL POWER DOWN", b"PSM POWER DOWN")
_IGNORED = b" +CPIN: +CFUN: +QUSIM: +QIND: +QPSMTIMER: +CEDRXP: +CSCON: +CTZV: +CTZE: +QIOPEN: +QSSLOPEN: "
_LINE = const(1536)  # a datagram of 1500 bytes
_SYSTEM_MODE = (3, 0)  # LTE only, LTE-M only (AT+QCFG="nwscanmode", "iotopmode")


class Modem(Family):
    """See modem.family.Family. `system_mode`: values of "nwscanmode" and "iotopmode"."""

    family = "bg95"

    def __init__(self, stream, *, power=None, log=None, system_mode=_SYSTEM_MODE, baud=115200):
        super().__init__(stream, power, log, baud, announcers=_ANNOUNCERS, boot=_BOOT, size=_LINE)
        self.system_mode = system_mode
        self.booting = False  # RDY was said, and APP RDY not yet
        at = self.at
        at.urc(b"+QIURC:", self._on_socket)
        at.urc(b"+QSSLURC:", self._on_socket)
        at.urc(b"APP RDY", self._on_ready)
        at.data(b"+Q", lambda line, block: deliver(self, block))
        at.parser.ignored = _IGNORED

    def _on_socket(self, line):
        fields = split(line) + [b""]
        kind = fields[0]
        if kind == b"pdpdeact":
            self.bearer_lost("PDN deactivated")
            return
        endpoint = self.endpoint(fields[1])
        if endpoint is None:
            return
        if kind == b"recv":
            endpoint.arrived()
        elif kind == b"closed":  # the modem keeps its number until it is told
            endpoint.fail("closed by the peer")
            self.orphans.append(endpoint.handle)
            del self.endpoints[endpoint.handle]

    def _on_ready(self, line):
        self.booting = False

    def rebooted(self, line):
        self.booting = line == b"RDY"
        if line == b"PSM POWER DOWN":
            self.at.expect_boot = True  # it wakes for its periodic update, and sleeps again: no news until start()
        super().rebooted(line)
