"""Unsolicited lines of the Serial Modem: what Core notifies becomes text, and waits while SM would hold it back.

Lines queue up to 4096 bytes; on overflow the whole queue is lost, as in the original. Auto-received datagrams wait in
their sockets instead. Which lines are wanted at all is in `core.reports` (+CEREG=n and its like).
"""

from godwit.modem.sm import format as fmt

QUEUE_MAX = 4096
_AUTO_COMMAND, _AUTO_DATA = 1, 2


class Urcs:
    """Queue and formatting; `notify` is Core's outlet."""

    def __init__(self, dev):
        self._dev = dev
        self._core = dev.core
        self._queue = []
        self._size = 0
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
            "storm": lambda i: ("RING", f'+CMTI: "ME",{i}', "+CEREG: 1")[i % 3],
            "rx": lambda: None,
        }

    def notify(self, kind, *args):
        """Turn a notification into a line, if anybody asked for it."""
        if kind in self._always:
            text = self._always[kind](*args)
        else:
            report = self._aliases.get(kind, kind)
            level = self._core.reports[report]
            text = self._makers[report](level, *args) if level else None
        if text is not None:
            self._append(text)
        self._dev.idle()

    def line(self, text):
        """Queue one line that needs no switch."""
        self._append(text)
        self._dev.idle()

    def clear(self):
        """Forget everything."""
        self._queue.clear()
        self._size = 0

    def _append(self, text):
        if self._core.faults.chance("urc_lost"):
            self._core.log.count("urcs_lost")
            return
        data = b"\r\n" + text.encode() + b"\r\n"
        if self._size + len(data) > QUEUE_MAX:
            self._core.log.event("urc_overflow", lost=len(self._queue) + 1)
            self.clear()
            return
        self._queue.append(data)
        self._size += len(data)

    def flush(self):
        """Write what is waiting; in data mode only datagrams of sockets that ask for it there."""
        if not self._dev.in_data_mode:
            for data in self._queue:
                self._dev.send(data)
            self.clear()
        wanted = _AUTO_DATA if self._dev.in_data_mode else _AUTO_COMMAND
        for sock in self._core.net.all():
            flags, as_hex = sock.auto
            while flags & wanted and sock.queue:
                data, source = sock.take()
                self._dev.send(fmt.received(sock, data, source, as_hex, not sock.connected) + b"\r\n")

    def _need(self):
        need = self._core.gnss.need() if self._core.gnss.forwards else None
        return None if need is None else fmt.agnss_need(need)

    def _edrx(self):
        value = self._core.settings["edrx"]
        return f'+CEDRXP: 4,"{value}","{value}","0011"' if value else None
