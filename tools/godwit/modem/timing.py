"""How long a modem takes for everything (world time), and the timers of power saving (modems.md 7.4, 8.5)."""

# name: (world seconds, what takes so long); --timing changes them
_DELAYS = {
    "boot": (0.8, "power on to the first line"),
    "cfun": (0.3, "radio on or off"),
    "scan": (7.0, "first search without history"),
    "rescan": (2.0, "search where the modem has been registered since power-on"),
    "register": (1.2, "registration with the cell that was found"),
    "pdn": (0.2, "the bearer, after the registration"),
    "pdn_activate": (0.6, "the IP stack of modems where the host asks for it"),
    "cereg_cycle": (3.0, "each step of the fault cereg_cycle"),
    "rrc_setup": (0.3, "first packet after idle"),
    "rrc_inactivity": (5.0, "silence after which the radio connection ends"),
    "rrc_release": (0.5, "instead, when the host said that nothing follows (RAI)"),
    "reattach": (4.0, "after the network has thrown the PDN away"),
    "dns": (0.1, "a name"),
    "ncell_light": (3.0, "light measurement of neighbours"),
    "ncell_complete": (9.0, "complete one"),
    "ncell_gci": (14.0, "search for cells with their identities"),
    "reset": (1.0, "nRF91: a reset by command, before the boot"),
    "flash": (0.05, "one credential written"),
    "cell_poll": (20.0, "between two looks at which cell is the best"),
    "sim_line": (0.5, "SIMCom, Quectel: from the first boot line to the SIM's"),
    "sms_line": (5.0, "and from there to the last"),
}
TIMING = {name: seconds for name, (seconds, _) in _DELAYS.items()}
TIMING_MEANING = {name: meaning for name, (_, meaning) in _DELAYS.items()}


def active_time_s(bits):
    """T3324 in seconds (TS 24.008, GPRS timer 2); None when PSM is off."""
    unit = {"000": 2, "001": 60, "010": 360}.get(bits[:3])
    return None if unit is None else unit * int(bits[3:], 2)


def periodic_time_s(bits):
    """T3412 extended in seconds (GPRS timer 3); 0 when it is off."""
    unit = {"000": 600, "001": 3600, "010": 36000, "011": 2, "100": 30, "101": 60, "110": 1152000}.get(bits[:3], 0)
    return unit * int(bits[3:], 2)
