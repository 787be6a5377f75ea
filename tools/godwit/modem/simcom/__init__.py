"""The personality of SIMCom SIM7070/7080/7090 as modems.md 2B says: one file per group of commands."""

from godwit.modem.profile import REPORTS, SETTINGS, Profile
from godwit.modem.simcom.registry import COMMANDS
from godwit.modem.simcom.session import Session

__all__ = ["COMMANDS", "FILE_ROOT", "PROFILE", "Session"]

FILE_ROOT = "3/"  # where --file puts names without a folder: the customer's

PROFILE = Profile(
    name="sim7080",
    manufacturer="SIMCOM INCORPORATED",
    model="SIMCOM_SIM7080G",
    firmware="Revision:1951B08SIM7080G",
    settings={**SETTINGS, "ipr": 0, "clts": 0, "cnmp": 2, "cmnb": 3, "csclk": 0, "xtra": 0,
              "gnss_mode": [1, 1, 0, 0, 0]},
    reports=(*REPORTS, "cpsmstatus"),
    gnss="exclusive",
    handles=13,
    timing={"boot": 2.5},
)
