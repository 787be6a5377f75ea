"""Personality of u-blox SARA-R5 (R510M8S) and SARA-R422M8S (modems.md 2D)."""
