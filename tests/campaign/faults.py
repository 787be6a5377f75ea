"""What goes wrong, by the numbers of modems.md 7.3, and when: the phases of a node's life.

A fault is a name and what it sets on the simulator's board (godwit.modem.faults) for a while. `again` is set anew every
few seconds, because it bites once. Arguments are drawn from the run's generator.
"""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable

FAMILIES = ("nrf91", "sara_r5", "bg95", "sim7080")
PHASES = ("boot", "attach", "dtls", "socket", "gnss", "sleep")

# phase -> verb of the modem (of the cloud: publish) whose beginning it is, longest delay after it in s
TRIGGERS = {
    "attach": ("attach", 10),
    "dtls": ("dtls_open", 2),
    "socket": ("publish", 2),
    "gnss": ("gnss_start", 40),
    "sleep": ("gnss_stop", 100),
}


@dataclasses.dataclass(frozen=True)
class Fault:
    """`sets(rng)` -> [(name, argument or None)]; `families` None: all that know it."""

    number: int
    name: str
    sets: Callable
    again: bool = False
    families: tuple = FAMILIES
    peer: Callable | None = None  # called with the peer, too
    pin: str | None = None
    damages: bool = False  # what the node sends, where nothing protects it
    cure: str | None = None  # what ends it, instead of time: an event of the simulator, or a use of the power lines


def _one(name, low=None, high=None):
    return lambda rng: [(name, None if low is None else rng.randint(low, high))]


def _any(name, *choices):
    return lambda rng: [(name, rng.choice(choices))]


def _with_reboot(name, arg=None):
    return lambda rng: [(name, arg), ("reboot", None)]


FAULTS = (
    Fault(1, "byte_lost", _one("drop_byte", 1, 120), again=True),
    Fault(1, "byte_doubled", _one("dup_byte", 1, 120), again=True),
    Fault(1, "bit_flipped", _one("flip_byte", 1, 120), again=True),
    Fault(1, "input_byte_lost", _one("drop_in", 1, 60), again=True, damages=True),
    Fault(1, "input_byte_doubled", _one("dup_in", 1, 60), again=True, damages=True),
    Fault(1, "input_bit_flipped", _one("flip_in", 1, 60), again=True, damages=True),
    Fault(1, "noise", _any("flip", 0.001, 0.005)),
    Fault(2, "byte_by_byte", _one("split")),
    Fault(3, "news_glued", _any("urc_inside", "glued")),
    Fault(4, "news_in_answers", _any("urc_inside", "before", "inside", "after")),
    Fault(5, "no_answer", _any("mute", "AT")),
    Fault(5, "some_answers_missing", _any("mute", "AT+C", "AT#X", "AT+Q", "AT+U", "AT+CA", "AT%")),
    Fault(6, "late_answers", _any("late", "AT:1.5", "AT:4", "AT:12")),
    Fault(7, "error_for_prompt", _one("prompt_error")),
    Fault(7, "errors", _any("error", "AT+C", "AT#X", "AT+Q", "AT+U", "AT+CA", "AT%")),
    Fault(8, "strict_prompt", _one("prompt_strict")),
    Fault(8, "tight_prompt", _one("prompt_tight")),
    Fault(9, "poison", _one("poison"), again=True),
    Fault(10, "length_lies", _any("length", 1, 3, 40, -1, -3, -40)),
    Fault(11, "restart_in_output", _one("reboot_out", 1, 200), again=True),
    Fault(11, "restart_in_input", _one("reboot_in", 1, 200), again=True),
    Fault(11, "restart_in_command", _any("reboot_on", "AT", "AT#X", "AT+Q", "AT+U", "AT+CA", "AT+CFUN")),
    Fault(11, "brownout", _one("brownout")),
    Fault(11, "power_key", _one("pwrkey"), families=FAMILIES[1:]),
    Fault(11, "restart", _one("reboot")),
    Fault(11, "crash", _one("crash")),
    Fault(12, "echo_on", _with_reboot("echo")),
    Fault(13, "garbage_at_boot", _with_reboot("boot_garbage", 20)),
    Fault(14, "sleepy", _one("sleepy", 1, 4)),
    Fault(15, "stall", _any("stall", 1, 5, 20), again=True),
    Fault(16, "no_sim", _with_reboot("no_sim")),
    Fault(16, "sim_failure", _with_reboot("sim_failure")),
    Fault(16, "sim_pin", _with_reboot("sim_pin", "1234"), pin="1234"),
    Fault(17, "cereg_cycle", _one("cereg_cycle"), again=True),
    Fault(17, "denied", lambda rng: [("denied", rng.choice((11, 13, 15, 17))), ("cereg_cycle", None)]),
    Fault(18, "pdn_lost", _one("pdn_deact"), again=True),
    Fault(18, "pdn_lost_in_command", _any("pdn_deact_on", "AT#XSEND", "AT+QI", "AT+US", "AT+CA", "AT")),
    Fault(19, "closed_by_peer", _one("remote_close"), again=True),
    Fault(19, "closed_by_peer_in_command", _any("remote_close_on", "AT#XSEND", "AT+QI", "AT+US", "AT+CA", "AT")),
    Fault(20, "nat_rebind", _one("nat_rebind"), again=True),
    Fault(21, "dtls_alert", _one("dtls_alert"), peer=lambda peer: peer.sessions.clear()),
    Fault(21, "dtls_silent", _one("dtls_silent"), peer=lambda peer: peer.sessions.clear()),
    Fault(22, "buffer_full", _one("rx_full")),
    Fault(23, "news_lost", _any("urc_lost", 0.5, 1.0)),
    Fault(23, "news_twice", _any("urc_twice", 0.5, 1.0)),
    Fault(24, "results_twice", _one("final_twice")),
    Fault(25, "storm", _one("storm", 20, 200), again=True),
    Fault(26, "ncell_fail", _one("ncell_fail")),
    Fault(26, "ncell_big", _one("ncell_big")),
    Fault(27, "no_fix", _one("no_fix")),
    Fault(27, "week_rollover", _one("week_rollover")),
    Fault(27, "gnss_busy", _one("gnss_busy"), families=("sara_r5",)),
    Fault(28, "data_pause", _one("data_pause", 1, 40), families=("nrf91",)),
    Fault(29, "data_mode_fails", _one("no_data"), families=("nrf91",)),
    Fault(30, "wrong_speed", _one("baud")),
    Fault(31, "datagrams_lost", _any("drop", 0.3, 0.7)),
    Fault(31, "datagrams_doubled", _any("dup", 0.5, 1.0)),
    Fault(31, "datagrams_reordered", _any("reorder", 0.3, 0.7)),
    Fault(31, "datagrams_slow", _any("delay", 900, 3000, 9000)),
    Fault(31, "weak_signal", _any("signal", -125, -140)),
    Fault(31, "deaf_until_radio_off", _any("drop", 1.0), cure="cfun"),
    Fault(31, "deaf_until_restart", _any("drop", 1.0), cure="restart"),
    Fault(5, "hangs_until_restart", _any("mute", "AT"), cure="restart"),
    Fault(5, "hangs_until_power_cut", _any("mute", "AT"), cure="cycle"),
    Fault(31, "no_coverage", lambda rng: [("no_coverage", None), ("cereg_cycle", None)]),
)
BY_NAME = {fault.name: fault for fault in FAULTS}
HOLDS_S = (2, 15, 60, 300)
EVERY_S = 7  # how often what bites once is set again


def plan(families, faults, phases, seeds, share=1):
    """-> [(family, fault, phase, seed)]; with `share` one in so many, some of every family in every phase."""
    jobs = []
    for place, (family, phase) in enumerate(itertools.product(families, phases)):
        here = [(family, name, phase, seed) for seed in seeds for name in faults if family in BY_NAME[name].families]
        here.sort(key=lambda job: hashlib.sha256(repr(job).encode()).digest())
        jobs += here[place % share :: share]
    return jobs
