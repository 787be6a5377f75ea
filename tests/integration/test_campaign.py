"""A share of `make campaign` (tests/campaign); that it would notice broken firmware; a count of what ran."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SEED = os.environ.get("GODWIT_SEED") or "1"
FAMILIES, PHASES = 4, 6

pytestmark = pytest.mark.limit(300)


def campaign(*words):
    """-> (exit status, output, figures of the last line)."""
    command = [sys.executable, REPO / "tests" / "campaign", "--jobs", "1", "--first", SEED, *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)
    print(done.stdout[-6000:], done.stderr[-2000:])
    last = re.search(r"^campaign: (.*)$", done.stdout, re.MULTILINE)
    assert last, "it did not get to its end"
    return done.returncode, done.stdout, {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", last.group(1))}


def test_share():
    status, _, told = campaign("--seeds", "1", "--share", "12")
    assert told["runs"] == told["bitten"] >= 90
    assert told["places"] == FAMILIES * PHASES
    assert told["faults"] >= 35
    assert told["readings"] > 2 * told["runs"]
    assert (status, told["bad"]) == (0, 0)


def test_a_run_is_the_same_each_time():
    name = ("--only", "bg95:byte_lost:socket:4", "--loud")
    assert campaign(*name)[1] == campaign(*name)[1]


@pytest.mark.parametrize(("mutant", "faults", "phases", "word"), [
    ("no_ladder", "hangs_until_power_cut", "socket", "nobody did"),
    ("acknowledged_too_soon", "no_answer,restart_in_output,pdn_lost_in_command", "socket,sleep", "let go"),
    ("leaky_close", "closed_by_peer,dtls_silent", "attach,socket", "sockets open"),
])  # fmt: skip
def test_a_mutant_is_noticed(mutant, faults, phases, word):
    status, said, told = campaign(
        "--families", "nrf91", "--faults", faults, "--phases", phases, "--seeds", "2", "--mutant", mutant
    )
    assert status == 1 and told["bad"] and word in said
