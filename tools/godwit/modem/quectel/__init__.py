"""Personality of Quectel BG95-M3 (modems.md 2C).

`Session` is what a Channel talks to; PROFILE is what the core has to know.
"""

from godwit.modem.quectel.session import PROFILE, Session

__all__ = ["PROFILE", "Session"]
