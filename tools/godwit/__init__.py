"""Host side of Godwit: the `godwit` command line, the cloud twin, the modem simulator, the day, the bundles.

Nothing in this package imports device code (lib/, firmware/): both ends must not share a mistake.
"""
