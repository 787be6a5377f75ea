"""nRF91: where each verb of modem.base lives. Most are needed for seconds a day, and are loaded for these only.

Called by modem.nrf91.Modem for a verb that it has not; an application may drop this module, and those that it names,
from sys.modules in between. RAM: none.
"""

_HOMES = {
    "start": "link",
    "attach": "link",
    "detach": "link",
    "registered": "link",
    "reset": "ladder",
    "identity": "info",
    "time": "info",
    "signal": "info",
    "battery_mv": "info",
    "cells": "cells",
    "search": "cells",
    "udp_open": "sockets",
    "dtls_open": "sockets",
    "close_handle": "sockets",
    "gnss_start": "gnss",
    "gnss_need": "gnss",
    "gnss_fix": "gnss",
    "gnss_stop": "gnss",
    "agnss_inject": "gnss",
    "jwt": "keys",
    "attestation": "keys",
    "execute": "keys",
    "power_save": "power",
    "sleep": "power",
    "wake": "power",
}


def find(verb):
    """-> the function `verb`(modem, ...), its file loaded. AttributeError when there is no such verb."""
    home = _HOMES.get(verb)
    if home is None:
        raise AttributeError(verb)
    return getattr(__import__("modem.nrf91." + home, None, None, (verb,)), verb)
