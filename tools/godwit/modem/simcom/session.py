"""The serial line of SIM7080: its boot lines, its power key, and what it says unasked (modems.md 1.7, 2B.1, 2B.8)."""

from godwit.modem.line import Line
from godwit.modem.sim import PIN, PUK, READY
from godwit.modem.simcom import (  # noqa: F401 fills the table
    cmd_file,
    cmd_gnss,
    cmd_radio,
    cmd_socket,
    cmd_system,
    cmd_tls,
)
from godwit.modem.simcom import format as fmt
from godwit.modem.simcom.registry import COMMANDS

_CARD = {READY: "READY", PIN: "SIM PIN", PUK: "SIM PUK"}


class Session(Line):
    """Personality object. What is below `forget` is lost with the power."""

    commands = COMMANDS
    command_max = 1024
    noise = ("RING", '+CMTI: "ME",3', '*PSUTTZ: 2026,1,2,3,4,5,"+8",0', "DST: 0")

    def _reset_line(self):
        super()._reset_line()
        self.forget()

    def forget(self):
        """Power-on state of everything that is not stored."""
        self.sockets = {}  # cid -> cmd_socket.Connection
        self.secure = {}  # cid -> what +CASSLCFG said
        self.contexts = {}  # SSL context -> what +CSSLCFG said
        self.show_source = False  # +CASRIP
        self.files_open = False  # +CFSINIT
        self.engineering = False  # +CENG
        self.powered_gnss = False
        self.stream = None  # +SGNSCMD

    async def start_up(self):
        """Lines after power-on. None after PSM, and none at a speed that is still to be found out (+IPR=0)."""
        if self.woke_from == "psm" or not self.core.settings["ipr"]:
            return
        self.announce("RDY")
        self.announce(f"+CFUN: {self.core.cfun}")
        await self.core.clock.sleep(self.core.timing["sim_line"])
        self.announce(_card(self))
        await self.core.clock.sleep(self.core.timing["sms_line"])
        if self.core.sim.kind == READY:
            self.announce("SMS Ready")

    def key(self, what, arg):
        """PWRKEY toggles: pressed on a running modem it ends it. DTR high lets it sleep when +CSCLK=1 allows it."""
        if what == "pwrkey" and self._up:
            self.announce("NORMAL POWER DOWN")
            self.power("off")
        elif what == "dtr" and not arg and self._up and self.core.settings["csclk"]:
            self.doze()
        else:
            super().key(what, arg)

    def wakes(self, why):
        """Bytes do not wake it; DTR and PWRKEY do."""
        return False

    def unsolicited(self, kind, *args):
        """A notification as lines."""
        maker = _LINES.get(kind)
        return maker(self, *args) if maker else None


def _registration(dev):
    reports, core = dev.core.reports, dev.core
    lines = [f"+CEREG: {fmt.cereg(core, reports['cereg'])}"] if reports["cereg"] else []
    return lines + ([f"+CREG: {core.radio.stat}"] if reports["creg"] else [])


def _card(dev):
    return "+CPIN: " + _CARD.get(dev.core.sim.kind, "NOT INSERTED")


def _sleep(dev, kind, tau_ms):
    if not dev.core.reports["cpsmstatus"]:
        return None
    return '+CPSMSTATUS: "%s PSM"' % ("ENTER" if tau_ms else "EXIT")


def _time(dev):
    return fmt.network_time(dev.core.clock.now_ms()) if dev.core.settings["clts"] else None


_LINES = {
    "cereg": _registration,
    "cgev": lambda dev, text: f"+CGEV: {text}" if dev.core.reports["cgerep"] else None,
    "xtime": _time,
    "sim": _card,
    "brownout": lambda dev: ["UNDER-VOLTAGE WARNNING", "UNDER-VOLTAGE POWER DOWN"],
    "sleep": _sleep,
    "pdn": lambda dev, up: f"+APP PDP: 0,{'ACTIVE' if up else 'DEACTIVE'}",
    "rx": cmd_socket.received,
    "rx_full": lambda dev, sock: '+CAURC: "buffer full"',
    "closed": cmd_socket.closed,
    "gnss_fix": cmd_gnss.fixed,
    "gnss_status": cmd_gnss.ended,
}
