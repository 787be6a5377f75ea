"""nRF91 (nRF9160/9161/9151) with Nordic's Serial Modem v2 (modems.md 2A).

The verbs of modem.base; each lives in a file of this package that is loaded when first used (modem.nrf91.verbs). This
file holds the AT tables, the state that URCs keep up to date, and the hand-over when sockets are lost. RAM: the AT
client's buffers (2.8 KB), 3 KB per open endpoint.
"""

from errno import ECONNRESET

from micropython import const

from at.client import Client
from at.fields import readable, scan_int, split
from at.wait import Waiter
from modem.base import Modem as Base

# Raw blocks: prefix, index of the count, where they begin (modems.md 2A.6, 2A.7).
_ANNOUNCERS = ((b"#XRECV:", 2, b"\n"), (b"#XRECVFROM:", 2, b"\n"))
_DUAL = (b"+CEREG:",)
_BOOT = (b"Ready", b"INIT ERROR", b"Bootloader mode ready", b"#XMODEM:")
_POLL_GONE = const(8 | 16 | 32)  # error, hang-up, invalid
_RATS = {7: "ltem", 9: "nbiot"}
# News that we know and do nothing with (GNSS: unless a Receiver is there); else each would be logged as unexpected.
_IGNORED = (
    b" %XTIME: %MDMEV: %XMODEMSLEEP: %CESQ: +CEDRXP: +CSCON: +CNEC_EMM: +CNEC_ESM: #XDATAMODE:"
    b" #XGNSS: #XGNSSPOS: #XAGNSS: "
)
_LINE = const(2560)  # a datagram of 1500 bytes, or the longest %NCELLMEAS that is no GCI search
_SYSTEM_MODE = (1, 0, 1, 0)  # LTE-M, no NB-IoT, GNSS, no preference


class Modem(Base):
    """`stream`: see at.client.Client. `power` (optional, from the board): reset(), cycle() (both async), dtr(awake).

    `system_mode`: the four values of AT%XSYSTEMMODE. `log`: callable(text).
    """

    family = "nrf91"
    poll_ms = 5000  # news gets lost: while attaching, the truth is asked for this often
    burst_pause_ms = 1300  # the modem passes a part of a long payload on after 1 s of silence (XDATACTRL)

    def __init__(self, stream, *, power=None, log=None, system_mode=_SYSTEM_MODE, baud=115200):
        super().__init__(log)
        self.at = Client(
            stream, baud=baud, announcers=_ANNOUNCERS, dual=_DUAL, boot=_BOOT, escape=b"+++", log=log, size=_LINE
        )
        self.power = power
        self.system_mode = system_mode
        self.version = None  # of Serial Modem, "v2.0.0"
        self.endpoints = {}  # handle -> open sockets.Endpoint
        self.orphans = []  # handles whose opening failed half-way, to be closed
        self.leaving = False  # the bearer goes down by our own doing, until attach()
        self.registration = {"stat": 0, "tac": None, "eci": None, "rat": None, "cause": None}
        self.changed = Waiter(self.at.deadlines)  # put() when a registration URC came
        self.gnss = None  # receiver.Receiver, from gnss_start to gnss_stop
        self.at.on_boot_line = self._on_boot
        self.at.urc(b"+CEREG:", self._on_cereg)
        self.at.urc(b"+CGEV:", self._on_cgev)
        self.at.urc(b"#XAPOLL:", self._on_poll)
        self.at.data(b"#XRECV", self._on_data)
        self.at.parser.ignored = _IGNORED

    def __getattr__(self, verb):
        """A verb of modem.base: the function of that name in its file, with this modem as first argument."""
        from modem.nrf91.verbs import find

        function = find(verb)
        return lambda *args, **options: function(self, *args, **options)

    # --- URCs ------------------------------------------------------------------------------------------------------

    def note_registration(self, fields):
        """Take over `stat[,tac,ci,AcT[,cause type,cause...]]` of +CEREG, as list of bytes."""
        fields = fields + [b""] * (6 - len(fields))
        state = self.registration
        state["stat"] = scan_int(fields[0])
        state["tac"] = scan_int(fields[1], 16)
        state["eci"] = scan_int(fields[2], 16)
        state["rat"] = _RATS.get(scan_int(fields[3]))
        state["cause"] = scan_int(fields[5]) if fields[4] == b"0" else None
        return state

    def drop_endpoints(self, reason, bearer=False):
        """The modem's sockets are gone: say so to whoever reads or writes one. Of the `bearer` alone: the modem may
        have kept some, and those that our peer knows by connection ID are as good as before."""
        if not bearer:
            self.orphans.clear()
        for handle, endpoint in list(self.endpoints.items()):
            if bearer and endpoint.keep:
                if endpoint.cid:
                    continue
                self.orphans.append(handle)  # the next opening closes it
            endpoint.fail(reason)
            del self.endpoints[handle]

    def _on_cereg(self, line):
        self.note_registration(split(line))
        self.changed.put()

    def _on_cgev(self, line):
        if not self.leaving and (b"PDN DEACT" in line or line.endswith(b"DETACH")):
            self.drop_endpoints("bearer lost", True)
            self.lost(readable(line))

    def _on_poll(self, line):
        """Sockets that asked for it (DTLS) hear that their peer is gone."""
        fields = split(line)
        endpoint = self.endpoints.get(scan_int(fields[0]))
        if endpoint is not None and len(fields) > 1 and (scan_int(fields[1]) or 0) & _POLL_GONE:
            endpoint.fail("closed by the peer")

    def _on_data(self, line, block):
        endpoint = self.endpoints.get(scan_int(split(line)[0]))
        if endpoint is not None:
            endpoint.received(block)

    def _on_boot(self, line):
        """The modem restarted by itself (line), or the stream to it ended (None)."""
        self.restarted = True
        reason = "stream closed" if line is None else "modem restarted: " + readable(line)
        self.drop_endpoints(reason)
        self.registration["stat"] = 0
        self.changed.fail(OSError(ECONNRESET, reason))
        if self.gnss:
            self.gnss.stopped()
        self.lost(reason)
