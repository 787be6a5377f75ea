"""The serial line of SARA-R5 and SARA-R422: profile, what is said unasked, and the state that commands share.

Nothing is said at power-on unless a greeting is stored (+CSGT); the host polls `AT`. Unsolicited lines may come between
any two lines. What a power cut forgets is made anew in `_start_state`.
"""

import dataclasses

from godwit.modem import generic_format
from godwit.modem.line import Line
from godwit.modem.profile import CFUN_MODES, SETTINGS, Profile
from godwit.modem.registry import Registry
from godwit.modem.ublox import cmd_gnss, cmd_security, cmd_socket, cmd_system
from godwit.modem.ublox.receiver import M8

HANDLES = 7

_SETTINGS = {**SETTINGS, "upsv": 0, "upsmr": 0, "urat": [7, 8], "umnoprof": 90, "greeting": None, "uband": None}

PROFILE = Profile(
    name="sara_r5", manufacturer="u-blox", model="SARA-R510M8S", firmware="03.15", settings=_SETTINGS,
    cfun_modes=CFUN_MODES, cfun_at_boot=1, auto_pdn=False, gnss="own", handles=HANDLES,
)  # fmt: skip

# --model -> Profile. R422 has no cell identity in +UCGED, another prefix for DNS, and its one bearer is always up.
MODELS = {
    "r510": PROFILE,
    "r422": dataclasses.replace(PROFILE, model="SARA-R422M8S", firmware="00.12", auto_pdn=True),
}


@dataclasses.dataclass
class Psd:
    """One packet switched data profile of the internal stack: mapped to a context, and of which IP version."""

    mapped: bool = False
    protocol: int = 0
    active: bool = False


class Session(Line):
    """Personality object."""

    commands = Registry()
    command_max = 1100  # hex data of 512 bytes and what stands before it
    cmee_default = 0

    def __init__(self, core, channel, **options):
        self.receiver = M8(core)
        self._slept = False
        super().__init__(core, channel, **options)
        self._start_state()

    def _start_state(self):
        self.psd = Psd()
        self.hex_data = False
        self.last_error = 0  # of sockets, +USOER
        self.told = set()  # handles whose data the host has been told of
        self.secured = {}  # handle -> security profile
        self.traffic = {}  # handle -> [bytes sent, bytes received]
        self.peers = {}  # handle -> (host, port) of a connected socket
        self.profiles = {}  # security profiles of +USECPRF
        self.ugind = self.ugrmc = 0
        self.locating = None  # the task of +ULOC
        self.locating_form = ()
        self.ucged = 0

    @property
    def is_r422(self):
        """The R4 flavour?"""
        return "R422" in self.core.profile.model

    @property
    def online(self):
        """May sockets be opened?"""
        return self.core.radio.pdn_up and self.psd.active

    async def start_up(self):
        """A greeting text, if one is stored; the end of PSM, for those who asked."""
        if self._slept and self.core.settings["upsmr"]:
            self.announce("+UUPSMR: 0")
        self._slept = False
        if self.core.settings["greeting"]:
            self.announce(self.core.settings["greeting"])

    def power(self, what):
        """Everything but the flash is gone, the receiver's memory first of all."""
        if what == "psm" and self.core.settings["upsmr"]:
            self.announce("+UUPSMR: 1")
        self._slept = what == "psm"
        self.receiver.power_cut()
        super().power(what)
        self._start_state()

    def unsolicited(self, kind, *args):
        """What R5 says of what happens."""
        said = _SAID.get(kind)
        return said(self, *args) if said else None


def _registration(dev):
    """What a change of registration makes the modem say; the bearer goes with it."""
    core, lines = dev.core, cmd_system.bearer_lost(dev)
    level = core.reports["cereg"]
    if level:
        lines.append("+CEREG: " + generic_format.cereg(core, level))
    if core.reports["creg"]:
        lines.append(f"+CREG: {core.radio.stat}")
    return lines


_SAID = {
    "cereg": _registration,
    "cgev": cmd_system.packet_event,
    "pdn": lambda dev, up: cmd_system.bearer_lost(dev),
    "rx": cmd_socket.data_arrived,
    "closed": cmd_socket.peer_closed,
}

for _part in (cmd_system, cmd_socket, cmd_security, cmd_gnss):
    Session.commands.include(_part.COMMANDS)
