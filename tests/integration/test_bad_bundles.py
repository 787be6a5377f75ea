"""A share of row I1 (tests/faults): images that a node must not take, on both word sizes; `make powercut` has all."""

import re
import subprocess
import sys

import pytest

from harness.run_unit import REPO, program


@pytest.mark.parametrize("bits", [64, 32])
def test_a_share_of_the_images(bits):
    if program(f"mp{bits}") is None:
        pytest.skip(f"no {bits}-bit MicroPython on this machine")
    command = [sys.executable, REPO / "tests" / "faults", "--rows", "I1", "--bits", str(bits), "--share", "25"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cases, failures = re.search(r"powercut: ([\d,]+) cases:.* (\d+) failures", done.stdout).groups()
    assert int(cases.replace(",", "")) > 60 and failures == "0", done.stdout
