"""The campaign's side in MicroPython: one share of one row, in a process of its own; started by __main__.py.

`run.py ROW PART SHARE/OF SEED [full]`, or `run.py ROW PART only SEED CASE` for one case again.
"""

import sys
import time

sys.path.pop(0)  # this folder, whose names are nobody else's business

from faults.device.node import Broken, patch

ROWS = {
    "P1": ("cuts", "one", "replay"),
    "P2": ("cuts", "again", "replay"),
    "P3": ("killed", "killed", "again"),
    "I1": ("images", "work", "again"),
    "P4": ("errors", "refused", "again"),
    "P5": ("errors", "full_disk", None),
    "A1": ("partitions", "one", "replay"),
    "P6": ("queue", "cuts", "again"),
    "P7": ("handles", "unclean", "again"),
    "P8": ("mutants", "mutants", "again"),
    "F": ("control", "fat", "again"),
}


class Share:
    """One case in `of`, by its number."""

    def __init__(self, text):
        first, _, of = text.partition("/")
        self._first = int(first)
        self._of = int(of)

    def mine(self, n):
        return n % self._of == self._first


class Tally:
    """Counts what a share has shown, prints each failure at once, and the figures in the end."""

    def __init__(self, row, part):
        self._row = row
        self._part = part
        self.figures = {"cases": 0, "failures": 0, "bricks": 0, "wrong": 0, "reports": 0, "lost": 0}
        self._began = time.ticks_ms()

    @property
    def _bits(self):
        return 64 if sys.maxsize > 1 << 32 else 32

    def case(self, name, function, *terms):
        """Run one case; whatever it raises is a failure."""
        self.figures["cases"] += 1
        try:
            function(*terms)
        except Broken as e:
            self.fail(name, str(e), e.kind)
        except Exception as e:
            self.fail(name, "%s: %s" % (type(e).__name__, e), "other")

    def fail(self, name, text, kind):
        self.figures["failures"] += 1
        if kind in self.figures:
            self.figures[kind] += 1
        if self.figures["failures"] <= 20:
            print("bad %s:%d:%s: %s" % (self._label(), self._bits, name, text))

    def add(self, key):
        """Count one more of something."""
        self.figures[key] = self.figures.get(key, 0) + 1

    def most(self, key, value):
        """Note the highest value of a figure."""
        self.figures[key] = max(self.figures.get(key, 0), value)

    def counted(self, ops, expected):
        """The number of places is a property of the firmware."""
        self.most("ops", ops)
        if ops != expected:
            self.fail("count", "%d flash operations, expected %d: see OPS in cuts.py" % (ops, expected), "other")

    def _label(self):
        return self._row + ("/" + self._part if self._part else "")

    def tell(self):
        """Print the figures; -> whether all is well."""
        self.figures["seconds"] = "%.1f" % (time.ticks_diff(time.ticks_ms(), self._began) / 1000)
        figures = " ".join("%s=%s" % item for item in self.figures.items())
        print("faults: row=%s part=%s bits=%d %s" % (self._row, self._part, self._bits, figures))
        return not self.figures["failures"]


def main(row, part, share, seed, *more):
    module, work, replay = ROWS[row]
    patch()
    tally = Tally(row, part)
    module = getattr(__import__("faults.device." + module).device, module)
    try:
        if share == "only":
            getattr(module, replay)(tally, part, more[0])
        else:
            getattr(module, work)(tally, part, Share(share), int(seed), "full" in more)
    except Broken as e:
        tally.fail("undisturbed", str(e), e.kind)
    return tally.tell()


sys.exit(0 if main(*sys.argv[1:]) else 1)
