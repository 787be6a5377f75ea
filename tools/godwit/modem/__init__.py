"""The modem simulator: four families of modems over one engine, as its own process on a PTY.

channel (bytes, pacing) -> wire (faults of the line) -> a personality over `line` (commands, formatting, prompts) ->
core (power, SIM, radio, sockets, GNSS, credentials). A family is a package with its own command table.
Started by `godwit modem`, by `godwit run` and by the tests. Imports nothing from lib/: both ends of the AT dialogue
are written from the manuals, so that they cannot share a mistake.
"""
