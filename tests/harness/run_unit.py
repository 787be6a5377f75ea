"""Runs one tests/unit file under one interpreter in its own process; pytest and `run-unit` come through here.

An interpreter is mp64, mp32 (MicroPython, 64 and 32 bit), mpf (64 bit, but with the single-precision floats of
the boards) or cpython. A file may narrow the choice in one of its first ten lines: `# interpreters: mp64 mp32`.
GODWIT_BUILD names the folder that tools/bootstrap.py filled (default build/).
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
_PROGRAMS = {
    "mp64": "bin/micropython64",
    "mp32": "bin/micropython32",
    "mpf": "bin/micropython-float",
    "cpython": "venv/bin/python",
}
INTERPRETERS = tuple(_PROGRAMS)
TIMEOUT_S = 120
_RESULT = re.compile(r"^RESULT pass=(\d+) fail=(\d+) skip=(\d+)$", re.MULTILINE)
_HEAP_32 = "1m"  # bounds what a test file may cost: 32-bit boards are the small ones


def build_dir():
    return Path(os.environ.get("GODWIT_BUILD") or REPO / "build").resolve()


def program(interpreter):
    """Path of the executable for mp64, mp32, mpf or cpython, or None when set-up did not provide it."""
    path = build_dir() / _PROGRAMS[interpreter]
    return path if path.exists() else None


def interpreters_for(path):
    """The interpreters that the file's header asks for; all of them when it says nothing."""
    with open(path, encoding="utf-8") as file:
        for _, line in zip(range(10), file, strict=False):
            match = re.match(r"# interpreters:(.*)", line)
            if match:
                names = match.group(1).split()
                unknown = [name for name in names if name not in INTERPRETERS]
                if unknown or not names:
                    raise ValueError(f"{path}: interpreters are {', '.join(INTERPRETERS)}, not {unknown}")
                return tuple(names)
    return INTERPRETERS


def _command(path, interpreter, executable, words):
    if interpreter == "cpython":
        return [executable, "-m", "stubs_boot", path, *words]
    heap = ["-X", "heapsize=" + _HEAP_32] if interpreter == "mp32" else []
    return [executable, *heap, path, *words]


def _environment(interpreter):
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MICROPYPATH", "PYTHONHOME")}
    folders = [REPO / name for name in ("lib", "firmware", "boards/unix", "tests")]
    if interpreter == "cpython":
        env["PYTHONPATH"] = os.pathsep.join(map(str, [*folders, REPO / "tests" / "stubs"]))
        env["PYTHONDONTWRITEBYTECODE"] = "1"
    else:
        env["MICROPYPATH"] = ":".join([*map(str, folders), str(REPO / "tests" / "harness"), ".frozen"])
    return env


class Outcome:
    """What one run gave: counts (None: no RESULT line), exit status (None: timeout), output, seconds."""

    def __init__(self, output, status, seconds):
        self.output = output
        self.status = status
        self.seconds = seconds
        found = _RESULT.findall(output)
        self.counts = tuple(map(int, found[-1])) if found else None

    @property
    def problem(self):
        """Why this run does not count as passed, or None."""
        if self.status is None:
            return f"did not end within {TIMEOUT_S} s"
        if self.counts is None:
            return f"no RESULT line (exit status {self.status}): crashed, or no unittest.main() at its end?"
        passed, failed, skipped = self.counts
        if passed + failed + skipped == 0:
            return "no test ran"
        if failed or self.status:
            return f"{failed} failed (exit status {self.status})"
        return None


def run(path, interpreter, words=()):
    """Run the tests of one file (those matching `words`, or all) and return its Outcome."""
    executable = program(interpreter)
    if executable is None:
        raise FileNotFoundError(f"{interpreter} is not set up: run `make setup-test` first")
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in _command(path, interpreter, executable, words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=REPO,
        env=_environment(interpreter),
    )
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
        status = process.returncode
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        status = None
    return Outcome(output.decode("utf-8", "replace"), status, time.monotonic() - started)


def main(argv):
    """run-unit FILE [mp64|mp32|mpf|cpython ...] [-v] [WORD ...]: exit status 1 when any interpreter fails."""
    if not argv or argv[0] in ("-h", "--help"):
        print(main.__doc__)
        return 2
    path = Path(argv[0]).resolve()
    chosen = [word for word in argv[1:] if word in INTERPRETERS] or interpreters_for(path)
    words = [word for word in argv[1:] if word not in INTERPRETERS]
    bad = 0
    for interpreter in chosen:
        outcome = run(path, interpreter, words)
        print(f"--- {path.name} on {interpreter}, {outcome.seconds:.1f} s", outcome.problem or "ok")
        print(outcome.output, end="", flush=True)
        bad += outcome.problem is not None
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
