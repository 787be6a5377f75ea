"""The modem simulator: a simulated nRF9151 with Nordic's Serial Modem v2, as its own process on a PTY.

channel (bytes, pacing) -> sm (the personality: grammar, formatting, data mode) -> core (power, radio, sockets,
GNSS, credentials). A further family is a further package beside `sm`; core, radio, sockets and gnss stay as they are.
Started by `godwit modem`, by `godwit run` and by the tests. Imports nothing from lib/: both ends of the AT dialogue
are written from the manuals, so that they cannot share a mistake.
"""
