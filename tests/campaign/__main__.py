"""`make campaign`: every fault x every family x every phase x a few seeds, the whole firmware against the simulator.

`make campaign ARGS="--only bg95:stall:dtls:3 --loud"` repeats one run, with the node's log. Exit status 1 when a claim
does not hold; each such run is printed by name. RESULTS.md is written by a whole campaign only.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
for _folder in ("firmware", "lib", "tools", "tests/stubs", "tests/harness", "tests"):
    sys.path.insert(1, str(REPO / _folder))
sys.dont_write_bytecode = True

from campaign import report  # noqa: E402
from campaign.faults import BY_NAME, FAMILIES, PHASES, plan  # noqa: E402
from harness.campaign_mutants import MUTANTS  # noqa: E402


def _arguments():
    parser = argparse.ArgumentParser(prog="make campaign ARGS=..", description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", metavar="FAMILY:FAULT:PHASE:SEED", help="these runs, and no others")
    parser.add_argument("--families", default=",".join(FAMILIES), help="comma-separated (all)")
    parser.add_argument("--faults", default=",".join(BY_NAME), help="comma-separated (all)")
    parser.add_argument("--phases", default=",".join(PHASES), help="comma-separated (all)")
    parser.add_argument("--seeds", type=int, default=3, help="how many of each")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="one in N of all that")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--mutant", choices=MUTANTS, help="break the firmware first (harness/campaign_mutants.py)")
    parser.add_argument("--loud", action="store_true", help="show the nodes' logs")
    parser.add_argument("--write", action="store_true", help="write RESULTS.md, if nothing was left out")
    options = parser.parse_args()
    for name, known in (("families", FAMILIES), ("faults", tuple(BY_NAME)), ("phases", PHASES)):
        words = tuple(getattr(options, name).split(","))
        if not set(words) <= set(known):
            parser.error(f"--{name}: " + ", ".join(known))
        setattr(options, name, words)
    options.whole = (options.families, options.faults, options.phases) == (FAMILIES, tuple(BY_NAME), PHASES)
    try:
        options.only = [_job(name) for name in options.only or ()]
    except (ValueError, KeyError):
        parser.error("--only FAMILY:FAULT:PHASE:SEED, FAULT may be `none`")
    return options


def _job(name):
    family, fault, phase, seed = name.split(":")
    if fault != "none":
        BY_NAME[fault]
    return FAMILIES[FAMILIES.index(family)], fault, PHASES[PHASES.index(phase)], int(seed)


def prepare(mutant=None):
    """In each process that runs trials, and in no other: time stands still here for whoever else asks."""
    from campaign import vtime

    vtime.patch()  # before anything of the device is imported
    from campaign import rig
    from harness import campaign_mutants, campaign_node

    rig.patch()
    campaign_node.patch()
    if mutant:
        campaign_mutants.MUTANTS[mutant]()


def _run(job, loud=False):
    from campaign import trial

    return trial.run(*job, loud=loud)


def _tell(outcome):
    if outcome.problems:
        print(outcome.name, "; ".join(outcome.problems)[:600], flush=True)
    return outcome


def main():
    """Run, print, and say how it went."""
    options = _arguments()
    seeds = range(options.first, options.first + options.seeds)
    jobs = options.only or plan(options.families, options.faults, options.phases, seeds, options.share)
    if options.loud or options.jobs == 1 or len(jobs) == 1:
        prepare(options.mutant)
        outcomes = [_tell(_run(job, options.loud)) for job in jobs]
    else:
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(options.jobs, context, prepare, (options.mutant,)) as pool:
            outcomes = list(map(_tell, pool.map(_run, jobs, chunksize=8)))
    print(report.table(outcomes))
    print(report.summary(outcomes))
    if options.write and options.whole and options.share == 1 and not (options.only or options.mutant):
        (HERE / "RESULTS.md").write_text(report.page(outcomes))
    return 1 if any(outcome.problems for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
