"""sara_r5: what the positioning request said last, from gnss_start to gnss_stop (modems.md 2D.5).

Apart from modem.sara_r5.gnss, because it lives between two verbs. RAM: one line.
"""

from at.wait import Waiter


class Receiver:
    """One per modem. `fix` gets the newest +UULOC line, and is woken when there will be none."""

    def __init__(self, at):
        self.fix = Waiter(at.deadlines)
        self.asked = False  # +ULOC was accepted, and has not answered
        self.over = False  # it will bring nothing any more
        self.acks = False  # it says what it thinks of assistance data
        self.interval_s = self.timeout_s = 0  # of gnss_start
        self.due = 0  # ticks in ms: when the next fix is due
        self._at = at
        self._entry = at.urc(b"+UULOC:", self._on_fix)

    def close(self):
        """Hear no news any more."""
        self.stopped()
        self._at.forget(self._entry)

    def stopped(self):
        """It was switched off, by us or with the modem."""
        self.over = True
        self.fix.put()

    def _on_fix(self, line):
        self.asked = False
        if not self.over:
            self.fix.clear()
            self.fix.put(line)
