"""What every family keeps between two verbs: AT client, registration, open endpoints, and the hand-over when they die.

Base of the classes `Modem` in modem/<family>/__init__.py, which add their tables and the news (URCs) of their kind.
The verbs are functions in files that come and go (modem.verbs). RAM: the AT client's buffers.
"""

from errno import ECONNRESET

from micropython import const

from at.client import Client
from at.fields import is_urc, readable, scan_int, split
from at.wait import Waiter
from modem.base import Modem

_NO_TAC = const(0xFFFE)  # and the one above: none (TS 23.003)
_NO_ECI = const(0xFFFFFFF)  # 28 bits, or more
_RATS = {7: "ltem", 8: "ltem", 9: "nbiot"}  # 8: Quectel's way to say LTE-M (modems.md 2C.2)


class Family(Modem):
    """`stream`: see at.client.Client. `power` (optional, from the board): async reset(), cycle(), on(); dtr(awake).

    `log`: callable(text). `tables`: what at.client.Client takes: announcers, boot, escape, size.
    """

    family = None  # name of the package
    poll_ms = 5000  # news gets lost: while attaching, the truth is asked for this often

    def __init__(self, stream, power, log, baud, **tables):
        super().__init__(log)
        self.at = Client(stream, baud=baud, dual=(b"+CEREG:",), log=log, **tables)
        self.power = power
        self.apn = None  # of the last attach(): modems that register by themselves learn it late
        self.version = None  # of the modem's application, if it tells
        self.endpoints = {}  # handle -> open endpoint
        self.orphans = []  # handles whose opening failed half-way, to be closed
        self.leaving = False  # the bearer goes down by our own doing, until attach()
        self.registration = {"stat": 0, "tac": None, "eci": None, "rat": None, "cause": None}
        self.changed = Waiter(self.at.deadlines)  # put() when a registration URC came
        self.gnss = None  # what the receiver said last, from gnss_start to gnss_stop; has stopped()
        self.at.on_boot_line = self.rebooted
        self.at.urc(b"+CEREG:", self._on_cereg)

    def reserve(self, rx_bytes):
        """Make now what one endpoint buffers, while the heap is in one piece; a family that fetches datagrams has no
        such buffer."""

    def __getattr__(self, verb):
        """A verb of modem.base: the function of that name in its file, with this modem as first argument."""
        from modem.verbs import find

        function = find(self.family, verb)
        return lambda *args, **options: function(self, *args, **options)

    def note_registration(self, fields):
        """Take over `stat[,tac,ci,AcT[,cause type,cause...]]` of +CEREG, as list of bytes."""
        fields = fields + [b""] * (6 - len(fields))
        state = self.registration
        state["stat"] = scan_int(fields[0])
        state["tac"] = scan_int(fields[1], 16)
        state["eci"] = scan_int(fields[2], 16)
        if (state["tac"] or 0) >= _NO_TAC:
            state["tac"] = None
        if (state["eci"] or 0) >= _NO_ECI:
            state["eci"] = None
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

    def bearer_lost(self, reason):
        """The network, or the modem, took the bearer away (not when we are leaving): sockets are gone with it."""
        if not self.leaving:
            self.drop_endpoints("bearer lost", True)
            self.lost(reason)

    def endpoint(self, number):
        """-> the open endpoint whose handle is `number` (bytes), or None."""
        return self.endpoints.get(scan_int(number))

    def _on_cereg(self, line):
        fields = split(line)
        # An answer to poll() that came too late begins with n: 5 is not `roaming` then (modems.md 1.3.4, edge 14).
        self.note_registration(fields if is_urc(line) else fields[1:])
        self.changed.put()

    def rebooted(self, line):
        """The modem restarted by itself (line), or the stream to it ended (None)."""
        self.restarted = True
        reason = "stream closed" if line is None else "modem restarted: " + readable(line)
        self.drop_endpoints(reason)
        self.registration["stat"] = 0
        self.changed.fail(OSError(ECONNRESET, reason))
        if self.gnss:
            self.gnss.stopped()
        self.lost(reason)
