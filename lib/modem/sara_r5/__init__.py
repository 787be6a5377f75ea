"""u-blox SARA-R5 (R500, R510) and SARA-R422, each with or without a receiver inside (modems.md 2D).

Here: the AT tables, and what becomes of the news that is this family's own. RAM: the AT client's buffers (1.9 KB), what
the receiver was given.
"""

from micropython import const

from at.fields import readable, split
from modem.family import Family

_ANNOUNCERS = ((b"+USORF:", 3, b'"'),)  # the bytes of a datagram, in the middle of the line (modems.md 1.3.6)
# News that we know and do nothing with (while nobody waits for it); else each would be logged as unexpected.
_IGNORED = b" +UUPSDA: +UUPSMR: +UULOC: +UUGIND: +UUSIMSTAT: +UUDNSRN: +UUSOCO: +CIEV: +CTZV: +CTZE: +CSCON: "
_LINE = const(1600)  # +UGUBX with the orbits of 124 satellites; a datagram has 1024 bytes at most


class Modem(Family):
    """See modem.family.Family."""

    family = "sara_r5"
    retry_ms = 100  # before what was not ready is tried again, then twice as long, and so on: 1.5 s for a busy receiver

    def __init__(self, stream, *, power=None, log=None, baud=115200):
        super().__init__(stream, power, log, baud, announcers=_ANNOUNCERS, size=_LINE)
        self.at.least_ms = 8000  # even for a query (modems.md 1.6)
        self.model = ""  # SARA-R510M8S, ..
        self.given = None  # what the receiver took (gnss.ubx_need.Given), as long as it may remember
        self.at.urc(b"+UUSOR", self._on_waiting)  # F: datagrams, D: a stream
        self.at.urc(b"+UUSOCL:", self._on_closed)
        self.at.urc(b"+UUPSDD:", self._on_deactivated)
        self.at.urc(b"+UUPSMR: 1", self._on_asleep)
        self.at.data(b"+USORF", self._on_data)
        self.at.parser.ignored = _IGNORED

    def _on_waiting(self, line):
        endpoint = self.endpoint(split(line)[0])
        if endpoint is not None:
            endpoint.arrived()

    def _on_closed(self, line):
        """By the peer, or by the modem; nobody says whether the handle is free again, so the next opening closes it."""
        endpoint = self.endpoint(split(line)[0])
        if endpoint is not None:
            endpoint.fail("closed by the peer")
            del self.endpoints[endpoint.handle]
            self.orphans.append(endpoint.handle)

    def _on_deactivated(self, line):
        self.bearer_lost(readable(line))

    def _on_asleep(self, line):
        """PSM: it is as good as off, and its sockets do not live through it."""
        self.rebooted(b"asleep, " + line)

    def _on_data(self, line, block):
        endpoint = self.endpoint(split(line)[0])
        if endpoint is not None:
            endpoint.received(block)
