"""What a campaign found: one Outcome a run, and tables: family x phase, and the faults that took longest."""

import collections
import dataclasses

from campaign.faults import FAMILIES, PHASES


@dataclasses.dataclass
class Outcome:
    """What one run showed. `problems` is empty when every claim holds."""

    family: str
    fault: str
    phase: str
    seed: int
    problems: list = dataclasses.field(default_factory=list)
    bitten: int = 0  # times the fault was set
    cure_s: float = 0.0  # until the node had done what ends a fault that does not pass
    recover_s: float = 0.0
    restarts: int = 0
    readings: int = 0
    lost: int = 0
    leaks: int = 0
    virtual_s: float = 0.0
    real_s: float = 0.0

    @property
    def name(self):
        return f"{self.family}:{self.fault}:{self.phase}:{self.seed}"


def _rows(outcomes):
    groups = collections.defaultdict(list)
    for outcome in outcomes:
        groups[outcome.family, outcome.phase].append(outcome)
    for family in FAMILIES:
        for phase in PHASES:
            if groups[family, phase]:
                yield family, phase, groups[family, phase]


def _cells(found):
    times = sorted(outcome.recover_s for outcome in found)
    return [len(found), sum(not o.problems for o in found), sum(o.lost for o in found), sum(o.leaks for o in found),
            f"{times[len(times) // 2]:.0f}", f"{times[-1]:.0f}", f"{max(o.cure_s for o in found):.0f}"]


def table(outcomes):
    """Markdown: runs, recovered, lost, leaks; seconds of virtual time from the end of the fault to the first new
    reading that is accepted, median and worst; the longest until the node had done what ends a fault that stays."""
    lines = ["| family | phase | runs | good | readings lost | sockets leaked | median s | worst s | cured s |",
             "|---|---|--:|--:|--:|--:|--:|--:|--:|"]
    for family, phase, found in _rows(outcomes):
        lines.append("| " + " | ".join(map(str, [family, phase, *_cells(found)])) + " |")
    lines.append("| " + " | ".join(map(str, ["all", "", *_cells(outcomes)])) + " |")
    return "\n".join(lines)


def slowest(outcomes):
    """Markdown: for each fault the worst seconds, and where."""
    worst = {}
    for outcome in outcomes:
        if outcome.fault not in worst or outcome.recover_s > worst[outcome.fault].recover_s:
            worst[outcome.fault] = outcome
    counts = collections.Counter(outcome.fault for outcome in outcomes)
    lines = ["| fault | runs | worst s | in |", "|---|--:|--:|---|"]
    for fault, outcome in sorted(worst.items(), key=lambda item: -item[1].recover_s):
        lines.append(f"| {fault} | {counts[fault]} | {outcome.recover_s:.0f} | `{outcome.name}` |")
    return "\n".join(lines)


def summary(outcomes):
    """One line that a test can read."""
    bad = sum(bool(outcome.problems) for outcome in outcomes)
    hours = sum(outcome.virtual_s for outcome in outcomes) / 3600
    kinds = len({outcome.fault for outcome in outcomes})
    places = len({(outcome.family, outcome.phase) for outcome in outcomes})
    bitten = sum(outcome.bitten > 0 for outcome in outcomes)
    readings = sum(outcome.readings for outcome in outcomes)
    return (f"campaign: runs={len(outcomes)} bad={bad} bitten={bitten} faults={kinds} places={places} "
            f"readings={readings} hours={hours:.0f}")


def page(outcomes):
    """RESULTS.md."""
    seeds = sorted({outcome.seed for outcome in outcomes})
    return f"""# The campaign's last whole run

Made by `make campaign`; see [README](README.md) for what is claimed. Seeds {seeds[0]} to {seeds[-1]}, virtual time; a
reading is taken every 60 s and sent every 120 s, so that no recovery is seen sooner than that.

{table(outcomes)}

{summary(outcomes)}

## The longest way back, by fault

{slowest(outcomes)}
"""
