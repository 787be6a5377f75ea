"""SIM7080: where the verbs are that are its own (modem.verbs has the others). RAM: none."""

HOMES = {
    "wake": "waking",
    "cells": "cells",
    "signal": "cells",
    "udp_open": "sockets",
    "dtls_open": "secure",
    "close_handle": "sockets",
    "gnss_start": "gnss",
    "gnss_fix": "gnss",
    "gnss_stop": "gnss",
    "gnss_hint": "gnss",
    "xtra": "xtra",
    "xtra_valid_s": "xtra",
}
