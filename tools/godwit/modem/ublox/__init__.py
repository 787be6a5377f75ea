"""Personality of u-blox SARA-R5 (R510M8S) and SARA-R422M8S (modems.md 2D).

`Session` is what a Channel talks to; PROFILE is what the core has to know; MODELS are the variants of --model.
"""

from godwit.modem.ublox.session import MODELS, PROFILE, Session

__all__ = ["MODELS", "PROFILE", "Session"]
