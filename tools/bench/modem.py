"""The modem part: what a first fix costs by the help that the receiver gets, what an uplink costs, what a driver takes.

Whose work it is: lib/ and the firmware's search run under 32-bit MicroPython (device_modem.py) against the simulator of
the family and the cloud twin (modem_rig.py). What is counted is counted by the simulator, at the UART and at its radio.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from godwit import size as godwit_size
from godwit.day.options import FAMILIES
from godwit.modem import xtra
from godwit.places import REPO

from .modem_rig import BITS, RigError, Twin, bench

HELPS = {"nrf91": ("none", "hint", "agnss", "pgps"), "sara_r5": ("none", "hint", "agnss", "pgps")}
HELPS |= {"bg95": ("none", "hint", "xtra"), "sim7080": ("none", "hint", "xtra")}
WORDS = {"none": "none", "hint": "time, position", "agnss": "A-GNSS", "pgps": "P-GPS", "xtra": "XTRA"}
HINTS = {"nrf91": "time, position", "sara_r5": "time, position", "bg95": "time", "sim7080": "time (its clock)"}
# A SARA reads 1,024 bytes of a datagram: the certificate of a server, in one flight, is longer (lib/modem/sara_r5).
SIDES = {"nrf91": ("host", "modem"), "sara_r5": ("modem",), "bg95": ("host", "modem"), "sim7080": ("host", "modem")}
RECORDS = 6
EVERY_H = 4  # one fix in so many hours, the firmware's default, and as long as one prediction of P-GPS serves
PREDICTIONS = 12
XTRA_H = 168
SERVES = {"pgps": PREDICTIONS, "xtra": XTRA_H // EVERY_H}
COUNTED = (
    "bytes_up", "bytes_down", "datagrams_up", "datagrams_down", "uart_in", "uart_out", "commands",
    "rrc_connected_ms", "gnss_on_ms",
)  # fmt: skip
_WARM = 2  # uplinks before those that count: the first ones load code and grow lists
_LINE, _FILE = 120, "http://xtra.example/xtra3grc.bin"


@dataclass(frozen=True)
class Plan:
    """What is run. `speed`: of the simulator, in searches of receivers that are not polled and fetch nothing. In the
    others it would hide polls, and count the link's delays many times."""

    families: tuple[str, ...]
    seeds: tuple[int, ...]
    rounds: int  # uplinks that count
    speed: float = 1.0
    helps: tuple[str, ...] = tuple(WORDS)  # the longest first
    sides: tuple[str, ...] = ("host", "modem")
    most: int = 12  # at a time: nearly all of each is waiting


FULL = Plan(tuple(FAMILIES), (0, 1, 2, 3, 4), 5)
QUICK = Plan(("nrf91",), (1,), 2, 20.0, ("agnss", "pgps", "none", "hint"), ("host",), 4)
_TOLD, _QUIET = ("nrf91", "sara_r5"), ("none", "hint")  # say when there is a fix; need no network for it


@dataclass(frozen=True)
class Job:
    """One node from power-on to its end. `how`: the help of a fix, or the side that speaks DTLS in uplinks."""

    family: str
    what: str  # "fix", "uplink", "objects"
    how: str = ""
    seed: int = 1


@dataclass
class Outcome:
    """What came of a Job; `why` it failed, or "". `spent`: counters of the fix, or of each uplink; `before`: of a
    download that serves many fixes."""

    job: Job
    why: str = ""
    ttff_s: float | None = None
    spent: dict = field(default_factory=dict)
    before: dict = field(default_factory=dict)
    uplinks: list[dict] = field(default_factory=list)
    told: dict = field(default_factory=dict)


@dataclass
class Found:
    """Everything of one run. `sizes`: of the firmware with each family."""

    plan: Plan
    outcomes: list[Outcome]
    sizes: dict[str, godwit_size.Size]

    def of(self, family, what, how=""):
        """-> good outcomes, failed ones."""
        mine = [one for one in self.outcomes if (one.job.family, one.job.what, one.job.how) == (family, what, how)]
        return [one for one in mine if not one.why], [one for one in mine if one.why]


def jobs_of(plan: Plan) -> list[Job]:
    """-> all work, searches first, in the order of `plan.helps`."""
    searches = [
        Job(family, "fix", how, seed)
        for how in plan.helps for family in plan.families for seed in plan.seeds if how in HELPS[family]
    ]  # fmt: skip
    uplinks = [Job(family, "uplink", side) for family in plan.families for side in SIDES[family] if side in plan.sides]
    return searches + uplinks + [Job(family, "objects") for family in plan.families]


def difference(after: dict, before: dict) -> dict:
    """-> what has been counted in between."""
    return {name: after.get(name, 0) - before.get(name, 0) for name in COUNTED}


class Runner:
    """Runs jobs against one twin, each in a folder of its own."""

    def __init__(self, plan, twin, folder):
        self._plan = plan
        self._twin = twin
        self._folder = folder
        self._xtra = folder / "xtra.bin"
        self._xtra.write_bytes(xtra.make(int(time.time()) - 3600, XTRA_H))

    def run(self, job: Job) -> Outcome:
        """One job; a failure is an outcome."""
        outcome = Outcome(job)
        folder = self._folder / "-".join((job.family, job.what, job.how, str(job.seed)))
        fetches = job.family == "sim7080"  # by itself; the others are given the file
        source = {"xtra": _FILE if fetches else "../xtra.bin", "files": [(_FILE, self._xtra)] if fetches else []}
        task = {"what": job.what, "help": job.how, "predictions": PREDICTIONS, "rounds": self._plan.rounds + _WARM}
        speed = self._plan.speed if job.family in _TOLD and job.how in _QUIET else 1
        task["dtls"] = job.how if job.what == "uplink" else FAMILIES[job.family].dtls
        try:
            with bench(folder, self._twin, job.family, job.seed, speed, **source, **task) as made:
                getattr(self, "_" + job.what)(made, outcome)
        except (RigError, OSError) as error:
            outcome.why = str(error)
        return outcome

    def _fix(self, made, outcome):
        counted = []
        for name in ("up", "prepared", "done"):
            outcome.told = made.stage(name)
            counted.append(made.counters())
            made.go()
        outcome.before, outcome.spent = (difference(counted[i + 1], counted[i]) for i in (0, 1))
        fixes = made.modem.objects("event", "gnss_fix")
        if not outcome.told["found"] or len(fixes) != 1:
            raise RigError(f"{len(fixes)} fixes instead of one: {made.device.lines[-5:]}")
        outcome.ttff_s = fixes[0]["ttff_s"]

    def _uplink(self, made, outcome):
        counted = []
        for _ in range(self._plan.rounds + _WARM + 1):
            told = made.stage("each", idle=False)
            counted.append(made.counters())
            if len(counted) > _WARM + 1:
                outcome.uplinks.append(told | difference(counted[-1], counted[-2]))
            made.go()
        if any(one["count"] != RECORDS for one in outcome.uplinks):
            raise RigError("a batch went in pieces")

    def _objects(self, made, outcome):
        outcome.told = made.stage("objects", idle=False)
        made.go()


def measure(plan: Plan, say=lambda _: None) -> Found:
    """Run it all; `say` gets a line after each job."""
    work = jobs_of(plan)
    done = []

    def run(job):
        outcome = runner.run(job)
        done.append(outcome)
        figure = f"{outcome.ttff_s:.1f} s" if outcome.ttff_s is not None else "measured"
        say(f"[{len(done)}/{len(work)}] {job.family} {job.what} {job.how}: {outcome.why or figure}"[:_LINE])
        return outcome

    with tempfile.TemporaryDirectory(prefix="godwit-bench-") as place, ThreadPoolExecutor(plan.most) as pool:
        sizes = pool.submit(lambda: {family: godwit_size.measure(BITS, REPO, family) for family in plan.families})
        with Twin(Path(place)) as twin:
            runner = Runner(plan, twin, Path(place))
            outcomes = list(pool.map(run, work))
        return Found(plan, outcomes, sizes.result())
