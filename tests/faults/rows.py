"""The rows of the campaign (facts/fota.md 5.2): what each claims, and what runs it.

A row is made of jobs, each a process of its own: `device/run.py` under a MicroPython for what happens on the flash, any
command for the rest. Every job says how it went in lines `faults: key=value ..` on its output (report.py has the keys).
A job whose file is not there is "not run" in the table, never absent from it.
"""

import dataclasses
import os
import sys

BITS = (64, 32)


@dataclasses.dataclass(frozen=True)
class Job:
    """One process. `words`: of device/run.py, or the whole command when `bits` is 0; `weight`: about its seconds."""

    row: str
    part: str
    bits: int
    words: tuple
    weight: float = 1.0
    needs: str = ""  # file without which there is nothing to run
    environment: tuple = ()

    @property
    def name(self):
        return ":".join([self.row + ("/" + self.part if self.part else ""), str(self.bits)])


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table. `parts`: {part: (weight in s, shares)} for device/run.py; else a `command`."""

    name: str
    title: str
    claim: str
    parts: dict = dataclasses.field(default_factory=dict)
    command: tuple = ()
    needs: str = ""
    weight: float = 60.0
    environment: tuple = (("GODWIT_CAMPAIGN", "full"),)

    def jobs(self, full, seed, thin=1):
        """The jobs of the row; `thin`: one case in so many."""
        if not self.parts:
            words = (word.format(python=sys.executable, seed=seed) for word in self.command)
            return [Job(self.name, "", 0, tuple(words), self.weight, self.needs, self.environment)]
        more = ("full",) if full else ()
        return [
            Job(self.name, part, bits, (self.name, part, f"{share}/{shares * thin}", str(seed), *more), weight)
            for part, (weight, shares) in self.parts.items()
            for bits in BITS
            for share in range(shares)
        ]


def _pytest(path):
    return {"command": ("{python}", "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", path), "needs": path}


def _script(path):
    return {"command": ("{python}", path, "--jobs", "1"), "needs": path}


_CUTS = {"small": (40, 1), "small-deflated": (40, 1), "big": (60, 3), "big-deflated": (60, 3), "rollback": (40, 1),
         "lossy": (40, 1)}  # fmt: skip

_ERRORS = {"refused-once": (15, 1), "refused-until-restart": (40, 1), "worn-out": (60, 1), "bad-block": (5, 1),
           "read-flip": (10, 1)}  # fmt: skip

_SCENARIOS = {"proved": (10, 1), "keys": (10, 1), "brown-out": (10, 1), "never-proved": (15, 1),
              "given-up": (10, 1), "proved-alone": (10, 1), "never-proved-alone": (10, 1)}  # fmt: skip

ROWS = (
    Row("P1", "one cut", "old or new starts, whole; the update ends; each report once", _CUTS),
    Row("P2", "more cuts while it recovers", "the same", {"small": (60, 1), "rollback": (60, 1), "lossy": (60, 1)}),
    Row("P3", "kill -9 at every change to a file", "the same, on the host's file system",
        {"update": (25, 1), "rollback": (30, 1)}),
    Row("P4", "flash that fails", "old or new, whole; reason reported; queue intact", _ERRORS),
    Row("P5", "full disk", "refused before anything goes; what fits is not refused after a cut", {"": (15, 1)}),
    Row("P6", "cuts in the queue", "0 lost, at most a batch sent again", {"300": (25, 1), "three": (8, 1)}),
    Row("P7", "exceptions between open and close", "a collection later the state is the same; the update ends",
        {"update": (15, 1), "rollback": (20, 1)}),
    Row("P8", "mutants", "each is noticed by one of the rows above", {"": (40, 1)}),
    Row("F", "control: FAT must fail", "at least one case in twenty", {"512": (20, 1), "4096": (20, 1)}),
    Row("N1", "the network", "loss, doubles, order, delay, NAT, MTU: completes", **_script("tests/faults/net_loss.py"),
        weight=150),
    Row("N2", "server faults", "classified, back-off bounded", **_script("tests/faults/net_server.py")),
    Row("N3", "wrong server", "no byte written, event queued", **_script("tests/faults/net_wrong.py")),
    Row("C1", "clock", "order kept, nobody locked out", **_script("tests/faults/net_clock.py")),
    Row("I1", "image faults", "refused before the pointer moves; the download before is kept; the next good one taken",
        {"": (25, 1), "middle": (8, 1)}),
    Row("I2", "bad behaviour", "rolled back in 3 starts, digest refused, reason right",
        **_pytest("tests/integration/test_bad_images.py")),
    Row("A1", "ESP32 partitions", "old or new starts, whole; the update ends as without the cut", _SCENARIOS),
    Row("H1", "heap", "no brick down to the floor", **_pytest("tests/faults/heap.py")),
    Row("E1", "kill -9, end to end", "over DTLS through the modem, both word sizes", **_pytest("tests/faults/kill.py"),
        weight=700),  # a hundred kills a word size, in real time and mostly waiting: it begins first
)  # fmt: skip

BY_NAME = {row.name: row for row in ROWS}


def missing(repo, job):
    """Why a job cannot run, or None."""
    return f"no {job.needs}" if job.needs and not os.path.exists(repo / job.needs) else None
