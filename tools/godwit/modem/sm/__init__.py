"""Personality of Nordic's Serial Modem v2 on nRF91: grammar, formatting, data mode, URC policy (modems.md 2A).

`Session` is what a Channel talks to. A personality of another family offers the same: feed(data), boot(), and the
notifications of Core turned into its own unsolicited lines.
"""

from godwit.modem.sm.session import Session

__all__ = ["Session"]
