"""Personality of Quectel BG95-M3 (modems.md 2C)."""
