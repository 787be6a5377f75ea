"""Modems behind one set of verbs; a family is loaded by name (modems.md section 8).

`Modem = modem.load("nrf91")`, then `Modem(uart)`. The contract (verbs, records, errors, capability names) is written
down in modem.base. Called by boards/<name>/board.py.
"""


def load(family):
    """-> the Modem class of `family` (the name of a package in lib/modem). Raises ImportError when there is none."""
    return __import__("modem." + family, None, None, ("Modem",)).Modem
