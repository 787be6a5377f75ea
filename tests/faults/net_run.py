"""The command line of rows N1, N2, N3 and C1: cases, one process each share of them, and the line for the table.

    build/venv/bin/python tests/faults/net_loss.py                     # the whole row
    build/venv/bin/python tests/faults/net_loss.py --only mixed:17 --loud     # one case again, with the node's log
"""

import argparse
import concurrent.futures
import math
import multiprocessing
import os
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
for _folder in ("firmware", "lib", "tools", "tests/stubs", "tests/harness", "tests"):
    if str(REPO / _folder) not in sys.path:
        sys.path.insert(1, str(REPO / _folder))
sys.dont_write_bytecode = True


def _arguments(cases, words):
    parser = argparse.ArgumentParser(description="One row of the fault table; see tests/faults/README.md")
    parser.add_argument("--only", action="append", metavar="NAME:SEED", help="these cases, and no others")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="one in N of all cases")
    parser.add_argument("--first", type=int, default=int(os.environ.get("GODWIT_SEED") or 1), help="added to each seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--loud", action="store_true", help="show the nodes' logs")
    parser.add_argument("--figures", action="store_true", help="one line of figures a case")
    options = parser.parse_args(words)
    if options.only:
        options.cases = [(name, int(seed)) for name, _, seed in (text.rpartition(":") for text in options.only)]
        unknown = {name for name, _ in options.cases} - {name for name, _ in cases}
        if unknown:
            parser.error(f"no such case: {', '.join(sorted(unknown))}")
    else:
        options.cases = [(name, seed + options.first - 1) for name, seed in cases][:: options.share]
    return options


def _prepare():
    from campaign import vtime

    vtime.patch()
    from faults import net_rig

    net_rig.patch()


def _one(job):
    run_case, name, seed, loud = job
    world = run_case(name, seed, loud)
    return f"{name}:{seed}", world.problems, world.figures


def main(row, cases, run_case, script, words=None, also=()):
    """Run `cases`, [(name, seed)], by run_case(name, seed, loud) -> net_rig.World; print what is bad with the command
    that repeats it, and the row's line. `also`: further figures, name -> function(list of values). -> exit
    status."""
    options = _arguments(cases, words)
    began = time.monotonic()
    jobs = [(run_case, name, seed, options.loud) for name, seed in options.cases]
    bad, figures = 0, []
    with concurrent.futures.ProcessPoolExecutor(
        1 if options.loud else options.jobs, multiprocessing.get_context("fork"), _prepare
    ) as pool:
        for name, problems, found in pool.map(_one, jobs, chunksize=4):
            figures.append(found)
            if options.figures or options.loud:
                print(name, {k: round(v, 2) if isinstance(v, float) else v for k, v in found.items()}, flush=True)
            if problems:
                bad += 1
                print(f"bad {name}: {'; '.join(problems)[:900]}", flush=True)
                print(f"    again: build/venv/bin/python tests/faults/{script} --only {name} --loud", flush=True)
    print(_line(row, figures, bad, time.monotonic() - began, dict(also)))
    return 1 if bad or not figures else 0


def _line(row, figures, bad, seconds, also):
    hours = sum(f["virtual_s"] for f in figures if not math.isnan(f["virtual_s"])) / 3600
    said = {"cases": len(figures), "failures": bad, "bricks": sum(f.get("bricks", 0) for f in figures),
            "wrong": sum(f.get("wrong", 0) for f in figures), "reports": sum(f.get("reports", 0) for f in figures),
            "boots": max((f.get("boots", 0) for f in figures), default=0)}  # fmt: skip
    for name, together in also.items():
        said[name] = together([f[name] for f in figures if name in f])
    said["hours"] = round(hours)
    said["seconds"] = round(seconds)
    return f"faults: row={row} " + " ".join(f"{key}={value}" for key, value in said.items())
