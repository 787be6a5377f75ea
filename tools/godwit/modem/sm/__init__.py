"""The personality of Nordic's Serial Modem v2: grammar, commands, data mode and unsolicited lines as modems.md 2A says.

One file per group of commands; each command is a function registered in `registry.py`. Texts are made in `format.py`.
"""

from godwit.modem.profile import Profile
from godwit.modem.sm.registry import COMMANDS
from godwit.modem.sm.session import Session

__all__ = ["COMMANDS", "PROFILE", "Session"]

PROFILE = Profile(
    name="nrf91",
    manufacturer="Nordic Semiconductor ASA",
    model="nRF9151-LACA",
    firmware="mfw_nrf91x1_2.0.2",
    settings={
        "system_mode": [1, 0, 1, 0],
        "apn": None,
        "pdn_type": "IPV4V6",
        "auth": None,
        "psm": [1, "00100001", "00000101"],
        "edrx": None,
        "rai": 0,
        "coex0": None,
        "magpio": None,
    },
    # Reporting that every power cycle, CFUN=0 and modem reset switches off again (modems.md 2A.3).
    reports=("cereg", "cgerep", "cscon", "cnec", "xtime", "mdmev", "modemsleep", "cesq", "xsim", "rai", "cedrxp"),
    cfun_modes={
        0: (False, False, False),
        1: (True, True, True),
        2: (False, False, True),
        4: (False, False, False),
        20: (False, None, None),
        21: (True, None, True),
        30: (None, False, None),
        31: (None, True, None),
        40: (None, None, False),
        41: (None, None, True),
        44: (False, False, True),
    },
    cfun_at_boot=0,
    auto_pdn=True,
    saves_at_once=False,
    gnss="shared",
    psm_off=False,
    handles=8,
    context=0,
    no_sim_stat=90,
)
