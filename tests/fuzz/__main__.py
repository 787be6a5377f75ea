"""`make fuzz`: every campaign in full, with progress. `make fuzz ARGS="cbor --inputs 5000000 --seed 7"` and the like.

Exit status 1 when one has found something; the input and the command that repeats it are printed.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path[1:1] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[2] / "tools")]
sys.dont_write_bytecode = True

from fuzz import campaign  # noqa: E402


def _arguments():
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=..", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="campaigns: " + ", ".join(campaign.CAMPAIGNS) + " (all of them)")
    parser.add_argument("--seed", type=int, help="printed by each run; a new one when not given")
    parser.add_argument("--inputs", type=int, help="how many for each campaign")
    parser.add_argument("--batch", type=int, help="only this batch")
    parser.add_argument("--hex", help="only this input (codec, cbor)")
    parser.add_argument("--lib", type=Path, default=campaign.REPO / "lib", help="another lib/ to try")
    parser.add_argument("--verbose", action="store_true", help="print each input before it is tried")
    options = parser.parse_args()
    for name in options.names:
        if name not in campaign.CAMPAIGNS:
            parser.error(f"no campaign {name}")
    if (options.hex or options.batch is not None) and len(options.names) != 1:
        parser.error("--hex and --batch are for one campaign")
    return options


class Progress:
    """One line now and then, on a terminal and in a log alike."""

    def __init__(self):
        self._next = time.monotonic() + 5

    def __call__(self, report, total):
        if time.monotonic() >= self._next:
            self._next += 5
            print(f"{report.name:10} {report.inputs:,} of {total:,}", flush=True)


def _one(folder, name, seed, options):
    """Repeat a batch or an input, and show what the device says."""
    job = {"seed": seed, "first": options.batch or 0, "step": 1, "verbose": options.verbose}
    job["batches"] = job["first"] + 1
    if options.hex:
        job["hex"] = "" if options.hex == "-" else options.hex
    device = campaign.Device(folder, name, job, verbose=print if options.verbose else None)
    try:
        for line in device.lines():
            print(line, flush=True)
        print(*device.errors(), sep="\n")
    finally:
        device.end()
    return device.process.returncode


def main():
    options = _arguments()
    seed = options.seed or int(os.environ.get("GODWIT_SEED") or time.time_ns() % 1_000_000 + 1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        campaign.build(folder, options.lib)
        if options.hex or options.batch is not None:
            return _one(folder, options.names[0], seed, options)
        found = 0
        for name in options.names or campaign.CAMPAIGNS:
            inputs = options.inputs or campaign.CAMPAIGNS[name].full
            try:
                print(campaign.run(folder, name, seed, inputs, os.cpu_count() or 1, Progress()), flush=True)
            except campaign.Failure as failure:
                print(f"FAILED {failure}", flush=True)
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
