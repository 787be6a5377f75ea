"""`make powercut`: the update and the queue against power cuts, kills, failing flash, a full disk, and the rest of
facts/fota.md 5.2. Exit status 1 when a claim does not hold; each such case is printed with the command that repeats it.
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
for _folder in ("tools", "tests"):
    sys.path.insert(1, str(REPO / _folder))
sys.dont_write_bytecode = True

from faults import payloads, report  # noqa: E402
from faults.rows import BITS, BY_NAME, ROWS, missing  # noqa: E402
from harness import run_unit  # noqa: E402

_HEAP = {64: "24m", 32: "16m"}
_JOB_S = 1500
_MEMORY = "/dev/shm"  # who is killed need not wait for a disk: what is written stays
_FOLDERS = ("lib", "firmware", "tests", "tests/harness", "boards/unix")
_DEVICE_PATH = ":".join([*(str(REPO / folder) for folder in _FOLDERS), ".frozen"])


def _arguments():
    parser = argparse.ArgumentParser(prog="make powercut ARGS=..", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--rows", default=",".join(BY_NAME), help="comma-separated (all): " + ", ".join(BY_NAME))
    parser.add_argument("--parts", default="", help="comma-separated parts of the rows (all)")
    parser.add_argument("--bits", default="64,32", help="word sizes (both)")
    parser.add_argument("--full", action="store_true", help="second cuts everywhere and more seeds: some hours")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="one case in N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", metavar="ROW/PART:BITS:CASE", help="one case again, as a failure has named it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write", action="store_true", help="write RESULTS.md, if nothing was left out")
    options = parser.parse_args()
    options.rows = options.rows.split(",")
    options.parts = options.parts.split(",") if options.parts else []
    options.bits = [int(bits) for bits in options.bits.split(",")]
    if not set(options.rows) <= set(BY_NAME) or not set(options.bits) <= set(BITS):
        parser.error("--rows: some of " + ", ".join(BY_NAME) + "; --bits: 64, 32")
    options.whole = options.rows == list(BY_NAME) and options.bits == list(BITS) and options.share == 1
    options.whole = options.whole and not options.parts
    return options


class Runner:
    """Runs jobs; knows where the interpreters are and what they are given."""

    def __init__(self, options, scratch):
        self.options = options
        self.scratch = scratch
        self._lock = threading.Lock()

    def device(self, bits, words):
        """-> the command of device/run.py."""
        program = run_unit.program(f"mp{bits}")
        script = HERE / "device" / "run.py"
        return None if program is None else [program, "-X", "heapsize=" + _HEAP[bits], script, *words]

    def run(self, job):
        """-> (output, status); status None when it did not end."""
        environment = dict(os.environ, **dict(job.environment))
        if job.bits:
            command = self.device(job.bits, job.words)
            environment["MICROPYPATH"] = _DEVICE_PATH
        else:
            command = job.words
        environment.update(GODWIT_PAYLOADS=str(self.scratch), GODWIT_SEED=str(self.options.seed))
        if self.options.full:
            environment["GODWIT_FAULTS_FULL"] = "1"
        try:
            done = subprocess.run(
                [*map(str, command)], cwd=REPO, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, text=True, errors="replace",
                timeout=_JOB_S * (20 if self.options.full else 1),
            )  # fmt: skip
        except subprocess.TimeoutExpired as late:
            return (late.output or b"").decode(errors="replace"), None
        return done.stdout, done.returncode

    def all(self, jobs, page):
        """Run all jobs, the longest first, and collect."""
        ready = []
        for job in jobs:
            why = missing(REPO, job) or (job.bits and run_unit.program(f"mp{job.bits}") is None and "no interpreter")
            page.skip(job, why) if why else ready.append(job)
        ready.sort(key=lambda job: -job.weight)
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            waiting = {pool.submit(self.run, job): job for job in ready}
            for future in concurrent.futures.as_completed(waiting):
                page.take(waiting[future], *future.result())
                for text in report.parse(future.result()[0])[1]:
                    print("bad", text, flush=True)


def _jobs(options):
    for name in options.rows:
        for job in BY_NAME[name].jobs(options.full, options.seed, options.share):
            if job.bits in (0, *options.bits) and (not options.parts or job.part in options.parts):
                yield job


def _only(options, runner):
    """One case again, with what it says."""
    name, bits, case = options.only.split(":", 2)
    row, _, part = name.partition("/")
    command = runner.device(int(bits), (row, part, "only", str(options.seed), case))
    environment = dict(os.environ, GODWIT_PAYLOADS=str(runner.scratch), MICROPYPATH=_DEVICE_PATH)
    return subprocess.run([*map(str, command)], cwd=REPO, env=environment, stdin=subprocess.DEVNULL).returncode


def main():
    """Run, print, and say how it went."""
    options = _arguments()
    began = time.monotonic()
    memory = _MEMORY if os.path.isdir(_MEMORY) else None
    with tempfile.TemporaryDirectory(prefix="godwit-faults-", dir=memory) as scratch:
        payloads.write(scratch)
        runner = Runner(options, scratch)
        if options.only:
            return _only(options, runner)
        page = report.Page(ROWS)
        runner.all(list(_jobs(options)), page)
    print(page.table())
    for text in page.bad:
        print("bad", text)
    print("powercut:", page.summary())
    if options.write and options.whole:
        (HERE / "RESULTS.md").write_text(page.document(options, time.monotonic() - began))
    return 0 if page.good else 1


if __name__ == "__main__":
    sys.exit(main())
