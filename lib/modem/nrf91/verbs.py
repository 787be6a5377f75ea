"""nRF91: where the verbs are that are its own (modem.verbs has the others). RAM: none."""

HOMES = {
    "cells": "cells",
    "search": "cells",
    "udp_open": "sockets",
    "dtls_open": "sockets",
    "close_handle": "sockets",
    "gnss_start": "gnss",
    "gnss_need": "gnss",
    "gnss_fix": "gnss",
    "gnss_stop": "gnss",
    "gnss_hint": "gnss",
    "agnss_inject": "gnss",
    "jwt": "keys",
    "attestation": "keys",
    "execute": "keys",
}
