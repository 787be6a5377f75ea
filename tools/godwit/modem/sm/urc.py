"""Unsolicited lines of the Serial Modem: what Core notifies becomes text.

Auto-received datagrams wait in their sockets. Which lines are wanted at all is in `core.reports` (+CEREG=n and its
like).
"""

from godwit.modem.sm import format as fmt

_AUTO_COMMAND, _AUTO_DATA = 1, 2


class Urcs:
    """Formatting, and the datagrams that come without being asked for."""

    def __init__(self, dev):
        self._dev = dev
        self._core = dev.core
        self._makers = {
            "cereg": lambda n: f"+CEREG: {fmt.cereg(self._core, n)}",
            "cscon": lambda n: f"+CSCON: {fmt.cscon(self._core, n)}",
            "cgerep": lambda n, text: f"+CGEV: {text}",
            "cnec": lambda n, cause: f"+CNEC_EMM: {cause}" if n & 8 else None,
            "xtime": lambda n: fmt.xtime(self._core.clock.now_ms()),
            "mdmev": lambda n, text: f"%MDMEV: {text}",
            "cesq": lambda n: fmt.nordic_cesq(self._core),
            "cedrxp": lambda n: self._edrx(),
            "modemsleep": lambda n, kind, ms: f"%XMODEMSLEEP: {kind},{ms}",
        }
        # Notification -> report that must be switched on, where the names differ.
        self._aliases = {"rrc": "cscon", "cgev": "cgerep", "cnec_emm": "cnec", "edrx": "cedrxp", "sleep": "modemsleep"}
        self._always = {
            "ncellmeas": lambda kind, found: fmt.ncellmeas(self._core, kind, found),
            "xapoll": lambda handle, events: f"#XAPOLL: {handle},{events}",
            "gnss_status": lambda status: f"#XGNSS: 1,{status}",
            "gnss_fix": fmt.gnss_position,
            "gnss_need": self._need,
        }

    def text(self, kind, *args):
        """The line for a notification, None when nobody asked for it."""
        if kind in self._always:
            return self._always[kind](*args)
        report = self._aliases.get(kind, kind)
        level = self._core.reports.get(report)
        return self._makers[report](level, *args) if level else None

    def flush_data(self):
        """Write datagrams of sockets that ask for it; in data mode only those that ask for it there."""
        wanted = _AUTO_DATA if self._dev.in_data_mode else _AUTO_COMMAND
        for sock in self._core.net.all():
            flags, as_hex = sock.auto
            while flags & wanted and sock.queue:
                data, source = sock.take()
                self._dev.send_block(fmt.received(sock, data, source, as_hex, not sock.connected), b"\r\n")

    def _need(self):
        need = self._core.gnss.need() if self._core.gnss.forwards else None
        return None if need is None else fmt.agnss_need(need)

    def _edrx(self):
        value = self._core.settings["edrx"]
        return f'+CEDRXP: 4,"{value}","{value}","0011"' if value else None
