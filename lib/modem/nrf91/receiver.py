"""nRF91: what the GNSS receiver said last (modems.md 2A.8, 3.2), as lines that modem.nrf91.gnss reads.

Apart from modem.nrf91.gnss, because it lives from gnss_start to gnss_stop. RAM: two lines.
"""

from micropython import const

from at.fields import scan_int, split
from at.wait import Waiter

_STOPPED = const(0)
_GAVE_UP = const(3)


class Receiver:
    """One per modem. `need` and `fix` get the newest line of their kind, or None when there will be none."""

    def __init__(self, at):
        self.status = _STOPPED
        self.need = Waiter(at.deadlines)
        self.fix = Waiter(at.deadlines)
        self._at = at
        self._entries = (
            at.urc(b"#XGNSS:", self._on_status),
            at.urc(b"#XGNSSPOS:", lambda line: _replace(self.fix, line)),
            at.urc(b"#XAGNSS:", lambda line: _replace(self.need, line)),
        )

    def close(self):
        """Hear no news any more."""
        self.stopped()
        for entry in self._entries:
            self._at.forget(entry)

    def began(self):
        """The start was accepted: a `stopped` that came late was about the run before."""
        for waiter in (self.need, self.fix):
            if waiter.ready() and waiter.value is None:
                waiter.clear()

    def stopped(self):
        """It will bring nothing any more."""
        self.status = _STOPPED
        self.need.put(None)
        self.fix.put(None)

    def _on_status(self, line):
        fields = split(line)
        self.status = scan_int(fields[1]) if len(fields) > 1 else None
        if self.status in (_STOPPED, _GAVE_UP):
            self.stopped()


def _replace(waiter, line):
    """A newer line takes the place of one that nobody took."""
    waiter.clear()
    waiter.put(line)
