"""SIMCom SIM7070, SIM7080, SIM7090 (modems.md 2B).

Here: the AT tables, and what becomes of the news that is this family's own. RAM: the AT client's buffers (1.8 KB).
"""

from micropython import const

from at.fields import split
from modem.family import Family
from modem.pull import deliver

_ANNOUNCERS = ((b"+CARECV:", 0, b","),)
# Not SMS Ready: it comes up to ten seconds after the modem began to answer. With automatic baud rate there is no RDY;
# then the echo, which is on again, tells of a restart.
# In PSM its UART is dead, and all that is not stored is gone; it comes back without a word (2B.8).
_ASLEEP = b'+CPSMSTATUS: "ENTER'
_BOOT = (b"RDY", b"NORMAL POWER DOWN", b"UNDER-VOLTAGE POWER DOWN", b"OVER-VOLTAGE POWER DOWN", _ASLEEP)
_IGNORED = (
    b" +CPSMSTATUS: +CPIN: +CFUN: *PSUTTZ: DST: +CTZV: +CTZE: +CGNSXTRA: +CENG: +CAOPEN: +CSCON: +CEDRXP: +CAURC: "
)
_LINE = const(1536)  # a datagram of 1460 bytes
_SYSTEM_MODE = (38, 1)  # LTE only, LTE-M only (AT+CNMP, AT+CMNB)


class Modem(Family):
    """See modem.family.Family. `system_mode`: values of AT+CNMP and AT+CMNB."""

    family = "sim7080"

    def __init__(self, stream, *, power=None, log=None, system_mode=_SYSTEM_MODE, baud=115200):
        super().__init__(stream, power, log, baud, announcers=_ANNOUNCERS, boot=_BOOT, size=_LINE)
        self.system_mode = system_mode
        self.baud = baud
        self.fresh = False  # predictions were loaded, which the receiver reads at its next cold start
        at = self.at
        at.urc(b"+CADATAIND:", self._on_data)
        at.urc(b"+CASTATE:", self._on_state)
        at.urc(b"+APP PDP:", self._on_bearer)
        at.urc(b"SMS Ready", lambda line: None)
        at.data(b"+CARECV:", lambda line, block: deliver(self, block))
        at.parser.ignored = _IGNORED

    def _on_data(self, line):
        endpoint = self.endpoint(split(line)[0])
        if endpoint is not None:
            endpoint.arrived()

    def _on_state(self, line):
        fields = split(line)
        endpoint = self.endpoint(fields[0])
        if endpoint is not None and fields[-1] == b"0":  # the modem may keep its number until it is told
            endpoint.fail("closed by the peer")
            self.orphans.append(endpoint.handle)
            del self.endpoints[endpoint.handle]

    def _on_bearer(self, line):
        if line.endswith(b" 0,DEACTIVE"):
            self.bearer_lost("PDN deactivated")

    def rebooted(self, line):
        if line and line.startswith(_ASLEEP):
            self.at.expect_boot = True  # it wakes for its periodic update, and sleeps again: no news until start()
        super().rebooted(line)
