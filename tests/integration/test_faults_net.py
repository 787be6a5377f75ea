"""Slices of the rows N1 (the network), N2 (server faults), N3 (wrong servers) and C1 (clocks) of tests/faults."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.limit(300)


def row(script, *words):
    """-> (exit status, output, figures of the row's line)."""
    command = [sys.executable, REPO / "tests" / "faults" / script, "--jobs", "1", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)
    print(done.stdout[-6000:], done.stderr[-2000:])
    line = re.search(r"^faults: (.*)$", done.stdout, re.MULTILINE)
    assert line, "it did not get to its end"
    return done.returncode, done.stdout, dict(re.findall(r"(\w+)=(\S+)", line.group(1)))


@pytest.mark.parametrize(("script", "share", "least"), [("net_loss.py", 25, 8), ("net_server.py", 9, 11),
                                                      ("net_wrong.py", 1, 12), ("net_clock.py", 4, 5)])  # fmt: skip
def test_share(script, share, least):
    status, _, told = row(script, "--share", str(share))
    assert int(told["cases"]) >= least
    assert (status, told["failures"], told["bricks"]) == (0, "0", "0")


def test_what_was_found_stays_mended():
    """A path one byte too narrow for block 16; RST to update_check; a report that is not taken."""
    assert row("net_loss.py", "--only", "mixed:60")[0] == 0
    found = ("check-reset", "report-500")
    assert row("net_server.py", *[word for name in found for word in ("--only", f"{name}:1")])[0] == 0
