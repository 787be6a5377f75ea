"""What the campaign's jobs say, line by line, and the tables made of it.

A job prints `faults: row=P1 part=small bits=32 cases=1200 ..` as often as it likes. Keys, all but `row` optional:
`part`; `bits` (0: no matter); `ops`: places where something can go wrong; `cases`; `failures`; of them `bricks`
(nothing starts), `wrong` (another image than promised), `reports` (lost, doubled or contradicting), `lost` (records);
`found`: cases that failed as they must (controls); `again`: most bytes fetched twice in one case; `boots`: most starts
until the update had ended; `erases`; `seconds`.
"""

import re

_LINE = re.compile(r"^faults: (.*)$", re.MULTILINE)
_BAD = re.compile(r"^bad (.*)$", re.MULTILINE)
SUMS = ("cases", "failures", "bricks", "wrong", "reports", "lost", "found", "seconds")
RANDOM = ("P2", "P4/read-flip", "P6/three", "N1", "E1")  # rows, and parts of rows, whose cases are drawn by lot
MOSTS = ("ops", "again", "boots", "erases")


class Found:
    """What is known of one (row, part, bits): figures, or why there are none."""

    def __init__(self, row, part, bits):
        self.row = row
        self.part = part
        self.bits = bits
        self.figures = {}
        self.problem = None

    def add(self, told):
        """Add the figures of one more share."""
        for key, value in told.items():
            if key in SUMS:
                self.figures[key] = self.figures.get(key, 0) + value
            elif key in MOSTS:
                self.figures[key] = max(self.figures.get(key, 0), value)

    @property
    def good(self):
        return self.problem is None and not self.figures.get("failures") and bool(self.figures.get("cases"))


def parse(output):
    """-> ([{key: value}] of the lines that a job has printed, [text] of its failing cases)."""
    lines = []
    for text in _LINE.findall(output):
        told = {}
        for key, _, value in (pair.partition("=") for pair in text.split()):
            told[key] = float(value) if key == "seconds" else int(value) if re.fullmatch(r"\d+", value) else value
        lines.append(told)
    return lines, _BAD.findall(output)


class Page:
    """All that was found, in the order of the rows."""

    def __init__(self, rows):
        self._rows = rows
        self._found = {}
        self.bad = []

    def take(self, job, output, status):
        """One job has ended with `status` (None: it did not end, or could not begin) and `output`."""
        lines, bad = parse(output)
        self.bad += bad
        for told in lines:
            self._of(told.get("row", job.row), told.get("part", ""), told.get("bits", job.bits)).add(told)
        failures = sum(told.get("failures", 0) for told in lines)
        if status is None or not lines or (status and not failures):
            self._of(job.row, job.part, job.bits).problem = "crashed" if lines or status else "no figures"
            self.bad.append(f"{job.name} ended with {status}: {output[-300:].strip()}")

    def skip(self, job, why):
        """A job cannot run."""
        self._of(job.row, job.part, job.bits).problem = f"not run: {why}"

    def _of(self, *key):
        if key not in self._found:
            self._found[key] = Found(*key)
        return self._found[key]

    @property
    def good(self):
        """Whether everything that ran is as claimed."""
        return not self.bad and all(found.good or (found.problem or "").startswith("not run") for found in self._all)

    @property
    def _all(self):
        order = {row.name: i for i, row in enumerate(self._rows)}
        return sorted(self._found.values(), key=lambda found: order.get(found.row, 99))

    def total(self, key):
        """Sum of a figure over everything."""
        return sum(found.figures.get(key, 0) for found in self._all)

    def table(self):
        """Markdown, one line for each row, part and word size."""
        titles = {row.name: row.title for row in self._rows}
        lines = [
            "| row | fault | bits | places | cases | failed | fetched twice, most | starts, most | erases | s |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for found in self._all:
            title = titles.get(found.row, "") + (f": {found.part}" if found.part else "")
            if found.problem and not found.figures:
                lines.append(f"| {found.row} | {title} | | | {found.problem} | | | | | |")
                continue
            cells = [found.row, title, found.bits or "", *map(found.figures.get, ("ops", "cases", "failures"))]
            if "found" in found.figures:  # a control: what has to fail
                cells[-1] = f"{cells[-1]} ({found.figures['found']} did, as they must)"
            again = found.figures.get("again")
            cells += [None if again is None else f"{again} B", *map(found.figures.get, ("boots", "erases"))]
            cells.append(f"{found.figures.get('seconds', 0):.0f}")
            lines.append("| " + " | ".join("" if cell is None else str(cell) for cell in cells) + " |")
        return "\n".join(lines)

    def summary(self):
        """One line for people and tests."""
        return (
            f"{self.total('cases'):,} cases: {self.total('bricks')} bricks, {self.total('wrong')} wrong slot, "
            f"{self.total('reports')} reports lost or doubled, {self.total('lost')} records lost, "
            f"{self.total('failures')} failures"
        )

    def odds(self):
        """What so many cases without a failure say, and what they do not (facts/fota.md 5.3)."""
        drawn = [f for f in self._all if f.row in RANDOM or f"{f.row}/{f.part}" in RANDOM]
        cases = sum(f.figures.get("cases", 0) for f in drawn)
        if not cases or self.total("failures"):
            return ""
        return (
            f"Cuts at every operation are all there are, in the model of flash that is used. Of the {cases:,} cases "
            f"that were drawn by lot ({', '.join(RANDOM)}) none failed: with 95 % confidence fewer than 1 in "
            f"{cases // 3:,} do.\n"
        )

    def document(self, options, seconds):
        """RESULTS.md."""
        return f"""# The campaign's last whole run

Made by `make powercut`, seed {options.seed}, in {seconds / 60:.0f} minutes; [README](README.md) says what is claimed.

{self.table()}

**{self.summary()}.**

{self.odds()}"""
