"""The fault board: every way in which the simulated modem can be made to misbehave (modems.md 7.3).

A *state* fault holds until it is cleared (or for `count` uses); an *action* happens at once. Both are set with
`--fault NAME[=ARG]` or over the control socket. The parts ask the board at the moment the fault would bite, so
that a fault can be set at any time. Probabilities come from the simulator's seeded generator.
"""

import difflib
import random

# name: (kind, kind of the argument, meaning)
CATALOGUE = {
    "split": ("state", "int", "write the output byte by byte, with pauses of up to ARG ms (default 3)"),
    "boot_garbage": ("state", "int", "ARG random bytes (default 20) before the boot line"),
    "echo": ("state", None, "echo is on after boot"),
    "mute": ("state", "text", "never answer commands that begin with ARG"),
    "late": ("state", "text", "answer late: ARG is CMD:s, the beginning of commands and seconds"),
    "error": ("state", "text", "ERROR instead of executing commands that begin with ARG"),
    "reboot_on": ("state", "text", "reboot while executing a command that begins with ARG"),
    "denied": ("state", "int", "registration denied with EMM cause ARG (default 15)"),
    "no_coverage": ("state", None, "no cell is found"),
    "signal": ("state", "int", "the serving cell is received with ARG dBm"),
    "no_sim": ("state", None, "the SIM does not answer"),
    "urc_lost": ("state", "float", "lose unsolicited lines with probability ARG"),
    "week_rollover": ("state", None, "GNSS dates are 1024 weeks in the past"),
    "gnss_busy": ("state", None, "the u-blox receiver does not take frames: ERROR to +UGUBX"),
    "no_fix": ("state", None, "GNSS never gets a fix"),
    "ncell_fail": ("state", None, "neighbour measurements fail"),
    "sim_pin": ("state", "text", "the SIM wants PIN ARG after each start"),
    "sim_failure": ("state", None, "the SIM does not work"),
    "urc_twice": ("state", "float", "say unsolicited lines twice with probability ARG"),
    "urc_inside": ("state", "text", "an unsolicited line in each answer: ARG is before, inside, after, glued, prompt"),
    "final_twice": ("state", None, "each final result comes twice"),
    "length": ("state", "int", "counted bytes: ARG fewer come than announced, or -ARG more"),
    "prompt_error": ("state", None, "ERROR instead of a prompt"),
    "prompt_strict": ("state", None, "payload that comes too soon after a prompt (u-blox: 50 ms) is lost, not counted"),
    "prompt_tight": ("state", None, "no space behind the prompt"),
    "drop_byte": ("state", "int", "the ARG-th byte of output from now on is lost"),
    "dup_byte": ("state", "int", "the ARG-th byte of output from now on comes twice"),
    "flip_byte": ("state", "int", "one bit of the ARG-th byte of output from now on is wrong"),
    "drop_in": ("state", "int", "the ARG-th byte of input from now on is lost"),
    "dup_in": ("state", "int", "the ARG-th byte of input from now on comes twice"),
    "flip_in": ("state", "int", "one bit of the ARG-th byte of input from now on is wrong"),
    "reboot_out": ("state", "int", "reboot before the ARG-th byte of output from now on"),
    "reboot_in": ("state", "int", "reboot before the ARG-th byte of input from now on"),
    "sleepy": ("state", "int", "after half a second without input its first ARG bytes are lost"),
    "stall": ("state", "float", "input is not read for ARG s (default 1), once"),
    "baud": ("state", None, "output is noise, as at a wrong speed"),
    "pdn_deact_on": ("state", "text", "the network deactivates the PDN while a command that begins with ARG executes"),
    "remote_close_on": ("state", "text", "the peer closes while a command that begins with ARG executes"),
    "dtls_alert": ("state", None, "DTLS handshakes end with a fatal alert"),
    "dtls_silent": ("state", None, "DTLS handshakes get no answer"),
    "rx_full": ("state", None, "the receive buffer is full: datagrams are lost, and the modem says so if it can"),
    "ncell_big": ("state", None, "neighbour measurements find a great many cells"),
    "data_pause": ("state", "int", "nRF91: the data mode's timer runs out after ARG bytes of a payload"),
    "drop": ("state", "float", "lose datagrams with probability ARG, both directions"),
    "dup": ("state", "float", "duplicate datagrams with probability ARG, both directions"),
    "reorder": ("state", "float", "datagrams are overtaken by the next with probability ARG, both directions"),
    "delay": ("state", "int", "each datagram takes ARG ms, each direction"),
    "flip": ("state", "float", "flip one bit of an output byte with probability ARG"),
    "no_data": ("state", None, "nRF91: data mode fails as if the socket had died"),
    "reboot": ("action", None, "power glitch: everything but the NVM is lost"),
    "crash": ("action", None, "nRF91: the modem core dies alone (#XMODEM: FAULT); the others reboot"),
    "pdn_deact": ("action", None, "the network deactivates the PDN; it comes back later"),
    "nat_rebind": ("action", None, "every socket gets a new source port"),
    "remote_close": ("action", None, "the peer closes every connection"),
    "poison": ("action", None, "a datagram full of result codes, prompts and controls arrives on every socket"),
    "cereg_cycle": ("action", None, "registration is lost, searched and found again, as roaming"),
    "brownout": ("action", None, "the supply sags: the modem says so if it can, and is off"),
    "pwrkey": ("action", None, "the power key is pressed"),
    "dtr": ("action", "int", "DTR says awake (1) or sleep (0)"),
    "storm": ("action", "int", "ARG unsolicited lines at once (default 200)"),
}


URC_PLACES = ("before", "inside", "after", "glued", "prompt")
_OPTIONAL = ("urc_inside",)
_WANTED = {"int": "a whole number", "float": "a number", "text": "CMD:seconds"}


class FaultError(ValueError):
    """Unknown fault or an argument that does not fit."""


class FaultBoard:
    """Which faults are set. `on_action(name, arg)` is the core's."""

    def __init__(self, seed=1):
        self.rng = random.Random(seed)
        self.on_action = lambda name, arg: None
        self.on_change = lambda name: None
        self._set = {}

    def apply(self, name, arg=None, count=None):
        """Set a state fault, or do an action. Raises FaultError."""
        arg = convert(name, arg)
        if CATALOGUE[name][0] == "action":
            self.on_action(name, arg)
        else:
            self._set[name] = [arg, count, 0]  # 0: bytes that have passed since (reached)
            self.on_change(name)

    def apply_text(self, text):
        """`NAME` or `NAME=ARG`, as on the command line."""
        name, equals, arg = text.partition("=")
        self.apply(name, arg if equals else None)

    def clear(self, name=None):
        """Clear one state fault, or all."""
        if name is None:
            self._set.clear()
        else:
            self._set.pop(name, None)
        self.on_change(name)

    def arg(self, name, default=None):
        """The argument of a set fault (or `default` when it has none); None when the fault is not set."""
        entry = self._set.get(name)
        if entry is None:
            return None
        if entry[1] is not None:
            entry[1] -= 1
            if entry[1] <= 0:
                del self._set[name]
        return default if entry[0] is None else entry[0]

    def on(self, name):
        """Is the fault set? Uses up one count."""
        return self.arg(name, True) is not None

    def reached(self, name, n):
        """`n` more bytes pass: the place (from 1) among them where the fault bites, once; None when it does not."""
        entry = self._set.get(name)
        if entry is None:
            return None
        wanted = 1 if entry[0] is None else max(entry[0], 1)
        before, entry[2] = entry[2], entry[2] + n
        if entry[2] < wanted:
            return None
        del self._set[name]
        return wanted - before

    def chance(self, name):
        """Does a fault with a probability bite this time?"""
        probability = self.arg(name, 1.0)
        return probability is not None and self.rng.random() < probability

    def hits(self, name, command):
        """Does the fault's command prefix match `command` (upper case, without AT)? Returns the seconds for `late`."""
        entry = self._set.get(name)
        if entry is None:
            return None
        prefix, _, seconds = (entry[0] or "").partition(":")
        if not command.startswith(prefix.upper().removeprefix("AT")):
            return None
        self.arg(name)
        return float(seconds) if seconds else 1.0

    def state(self):
        """The set faults, for the control socket."""
        return {name: entry[0] for name, entry in self._set.items()}


def convert(name, arg):
    """The argument of a fault as its kind. Raises FaultError."""
    if name not in CATALOGUE:
        raise FaultError(f"no such fault: {name}{near(name, CATALOGUE)}; `godwit modem --list-faults` shows all")
    arg_kind = CATALOGUE[name][1]
    if arg is None or arg_kind is None:
        if arg_kind == "text" and name not in _OPTIONAL:
            raise FaultError(f"{name} needs an argument: {CATALOGUE[name][2]}")
        return None
    try:
        value = {"int": int, "float": float, "text": str}[arg_kind](arg)
        if name == "late":
            float(value.partition(":")[2] or 1.0)
    except (TypeError, ValueError) as err:
        raise FaultError(f"{name}: bad argument {arg!r}, {_WANTED[arg_kind]} is wanted") from err
    if name == "urc_inside" and value not in URC_PLACES:
        raise FaultError(f"urc_inside: one of {', '.join(URC_PLACES)}")
    return value


def near(name, names):
    """-> " (did you mean X?)" with the nearest of `names`, or "" when none is near."""
    found = difflib.get_close_matches(name, names, 1)
    return f" (did you mean {found[0]}?)" if found else ""
