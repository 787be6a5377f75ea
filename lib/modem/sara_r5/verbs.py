"""sara_r5: where the verbs are that are its own (modem.verbs has the others). RAM: none."""

HOMES = {
    "cells": "cells",
    "udp_open": "sockets",
    "dtls_open": "secure",
    "close_handle": "sockets",
    "gnss_start": "gnss",
    "gnss_fix": "gnss",
    "gnss_stop": "gnss",
    "gnss_need": "assist",
    "gnss_hint": "assist",
    "agnss_inject": "assist",
}
