"""What distinguishes one family's modem from another's below its commands: identity, factory settings, radio habits."""

import dataclasses
import importlib

# --family -> package of its personality, which has PROFILE (a Profile) and Session (a Line).
FAMILIES = {
    "nrf91": "godwit.modem.sm",
    "sara_r5": "godwit.modem.ublox",
    "bg95": "godwit.modem.quectel",
    "sim7080": "godwit.modem.simcom",
    "gnss": "godwit.modem.standalone",  # no modem: a u-blox receiver on a UART of its own
}

# CFUN: value -> (LTE on, GNSS on, UICC on); None leaves as it is. Those of TS 27.007; GNSS has its own switch.
CFUN_MODES = {0: (False, None, False), 1: (True, None, True), 4: (False, None, True)}

# Settings that every family has.
SETTINGS = {"apn": None, "pdn_type": "IP", "auth": None, "psm": [0, "00100001", "00000101"], "edrx": None, "rai": 0}

# Reports that every family has; the first three are +CEREG=n and its like.
REPORTS = ("cereg", "creg", "cgreg", "cgerep", "ctzr")


@dataclasses.dataclass(frozen=True)
class Profile:
    """One family.

    settings: what a factory-new modem has in its NVM. reports: switches of unsolicited lines, off after each start.
    gnss: `shared` waits for RRC idle, `exclusive` needs LTE off, `priority` takes turns as settings["gnss_priority"]
    says (0 GNSS first, 1 LTE first), `own` is independent, None is not there. psm_off: in PSM the UART is dead and all
    RAM is lost, until PWRKEY or the end of the TAU timer. auto_pdn: the IP stack comes up with the registration;
    else after radio.activate(). acts: how the family numbers an access technology (TS 27.007: 7 LTE-M).
    """

    name: str
    manufacturer: str
    model: str
    firmware: str
    settings: dict = dataclasses.field(default_factory=lambda: dict(SETTINGS))
    reports: tuple = REPORTS
    cfun_modes: dict = dataclasses.field(default_factory=lambda: dict(CFUN_MODES))
    cfun_at_boot: int = 1
    auto_pdn: bool = False
    saves_at_once: bool = True
    gnss: str | None = "own"
    psm_off: bool = True
    handles: int = 12
    queue_bytes: int = 32768
    context: int = 1
    no_sim_stat: int = 0
    acts: dict = dataclasses.field(default_factory=dict)
    timing: dict = dataclasses.field(default_factory=dict)


def personality(name):
    """The package of a family. Raises ValueError when it is not there."""
    try:
        return importlib.import_module(FAMILIES[name])
    except (KeyError, ModuleNotFoundError) as err:
        raise ValueError(f"no such family: {name}") from err
