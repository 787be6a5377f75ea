"""The serial line of BG95: profile, boot lines, what is said unasked, and the state that commands share.

Unsolicited lines may come between any two lines, unless +QURCCFG sends them to another port. What a power cut forgets
is made anew in `_start_state`.
"""

from godwit.modem import sim
from godwit.modem.line import Line
from godwit.modem.profile import SETTINGS, Profile
from godwit.modem.quectel import cmd_context, cmd_file, cmd_gnss, cmd_radio, cmd_socket, cmd_ssl, cmd_system
from godwit.modem.registry import Registry

# What +QCFG holds in a factory-new BG95, as the values after the name are printed.
QCFG = {
    "nwscanseq": ["020301"], "nwscanmode": ["0"], "iotopmode": ["2"], "band": ["0xf", "0x2000000000f0e189f", "0x0"],
    "servicedomain": ["2"], "urc/delay": ["0"], "risignaltype": ['"respective"'], "psm/urc": ["0"], "psm/enter": ["0"],
    "urc/ri/ring": ['"pulse"', "120", "1000", "5000", '"off"', "1"], "urc/ri/other": ['"pulse"', "120"],
    "celevel": ["0"], "apready": ["0", "0", "500"], "lte/bandprior": ["0x0"], "airplanecontrol": ["0"],
}  # fmt: skip
QGPSCFG = {"outport": ['"usbnmea"'], "nmeasrc": ["0"], "gpsnmeatype": ["31"], "glonassnmeatype": ["0"],
           "gnssconfig": ["1"], "priority": ["0"], "autogps": ["0"], "xtraweb": ["1"], "lbsapn": ["16"]}

PROFILE = Profile(
    name="bg95", manufacturer="Quectel", model="BG95-M3", firmware="BG95M3LAR02A04",
    settings={**SETTINGS, "gnss_priority": 0, "qcfg": QCFG, "qgpscfg": QGPSCFG, "psm_threshold": 60, "xtra": 0,
              "urcport": "uart1"},
    cfun_at_boot=1, auto_pdn=False, gnss="priority", handles=12, acts={7: 8},
)  # fmt: skip

_BOOT = (("RDY", 0.0), ("APP RDY", 0.4), ("+CFUN: 1", 0.1))
_LATE = (("+QUSIM: 1", 0.1), ("+QIND: SMS DONE", 0.3), ("+QIND: PB DONE", 0.2))
_PIN_LINES = {sim.READY: "+CPIN: READY", sim.PIN: "+CPIN: SIM PIN", sim.PUK: "+CPIN: SIM PUK",
              sim.MISSING: "+CPIN: NOT INSERTED", sim.FAILURE: "+CPIN: NOT READY"}


class Session(Line):
    """Personality object."""

    commands = Registry()
    command_max = 1100
    unset_clock = "80/01/06,00:00:00+00"

    def __init__(self, core, channel, **options):
        super().__init__(core, channel, **options)
        self._start_state()

    def _start_state(self):
        self.active = False  # PDP context 1, as +QIACT has it
        self.lost = False  # the network took it away, and nobody has said +QIDEACT yet
        self.connects = {}  # connect id -> Connect; both stacks share the sockets, not the ids
        self.ssl_connects = {}
        self.ssl = {}  # SSL context -> {name: value}
        self.last_error = 0  # +QIGETERROR
        self.gnss_on = False
        self.fixes_left = 0
        self.xtra_on = bool(self.core.settings["xtra"])  # takes effect with a reboot
        self.xtra_time_known = False

    async def start_up(self):
        """RDY .. APP RDY, then what the SIM says."""
        self._start_state()
        for text, delay_s in _BOOT:
            await self.core.clock.sleep(delay_s)
            self.announce(text)
        kind = self.core.sim.kind
        self.announce(_PIN_LINES[kind])
        for text, delay_s in _LATE if kind == sim.READY else ():
            await self.core.clock.sleep(delay_s)
            self.announce(text)

    def power(self, what):
        """Off, asleep or rebooting: connects and contexts are gone."""
        if what == "psm" and self.qcfg("psm/urc") == "1":
            self.announce("PSM POWER DOWN")
        super().power(what)
        self._start_state()

    def configured(self, key, item):
        """A stored setting has changed; some of them the core has to know."""
        if (key, item) == ("qgpscfg", "priority"):
            self.core.set("gnss_priority", int(self.core.settings["qgpscfg"]["priority"][0]))
            self.core.gnss.update_blocking()

    def qcfg(self, name):
        """First value of one +QCFG setting, as text."""
        return self.core.settings["qcfg"][name][0]

    def unsolicited(self, kind, *args):
        """What BG95 says of what happens."""
        said = _SAID.get(kind)
        lines = said(self, *args) if said else None
        return None if self.core.settings["urcport"] != "uart1" else lines


_SAID = {
    "cereg": cmd_radio.registration,
    "rrc": cmd_radio.connection_changed,
    "pdn": lambda dev, up: cmd_context.bearer_lost(dev),
    "cgev": cmd_radio.packet_event,
    "rx": cmd_socket.data_arrived,
    "rx_full": lambda dev, sock: '+QIURC: "incoming full"',
    "closed": cmd_socket.peer_closed,
    "gnss_fix": cmd_gnss.fixed,
}

for _part in (cmd_system, cmd_radio, cmd_context, cmd_socket, cmd_ssl, cmd_file, cmd_gnss):
    Session.commands.include(_part.COMMANDS)
