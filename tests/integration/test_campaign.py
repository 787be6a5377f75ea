"""A share of `make campaign` (tests/campaign); that it would notice broken firmware; a count of what ran."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from campaign.faults import FAULTS
from godwit.modem.faults import CATALOGUE

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
    assert told["faults"] >= 40
    assert told["readings"] > 2 * told["runs"]
    assert (status, told["bad"]) == (0, 0)


FOUND = (  # runs that have found something once
    "nrf91:byte_doubled:boot:1", "nrf91:garbage_at_boot:dtls:1", "nrf91:stall:dtls:1", "nrf91:errors:dtls:2",
    "nrf91:data_pause:socket:2", "nrf91:sim_pin:attach:1", "nrf91:news_in_answers:boot:1", "bg95:no_answer:socket:1",
    "bg95:restart_in_output:boot:1", "bg95:bit_flipped:sleep:1", "sara_r5:closed_by_peer:gnss:1",
    "sara_r5:noise:boot:2", "sara_r5:garbage_at_boot:sleep:1", "sim7080:late_answers:dtls:1",
    "sim7080:wrong_speed:socket:1",
)  # fmt: skip


def test_every_fault_of_the_simulator_has_its_turn():
    used = {name for fault in FAULTS for seed in range(50) for name, _ in fault.sets(random.Random(seed))}
    assert set(CATALOGUE) - used == {"dtr"}  # this board has no such line


def test_what_was_found_stays_mended():
    status, _, told = campaign(*[word for name in FOUND for word in ("--only", name)])
    assert (status, told["runs"], told["bad"]) == (0, len(FOUND), 0)


def test_a_run_is_the_same_each_time():
    name = ("--only", "bg95:byte_lost:socket:4", "--loud")
    assert campaign(*name)[1] == campaign(*name)[1]


@pytest.mark.parametrize(("mutant", "faults", "phases", "word"), [
    ("no_ladder", "hangs_until_power_cut", "socket", "nobody did"),
    ("acknowledged_too_soon", "closed_by_peer,no_coverage", "socket,sleep", "let go"),
    ("leaky_close", "closed_by_peer,dtls_silent", "attach,socket", "sockets open"),
])  # fmt: skip
def test_a_mutant_is_noticed(mutant, faults, phases, word):
    status, said, told = campaign(
        "--families", "nrf91", "--faults", faults, "--phases", phases, "--seeds", "2", "--mutant", mutant
    )
    assert status == 1 and told["bad"] and word in said
