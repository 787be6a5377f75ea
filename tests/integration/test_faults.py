"""A share of `make powercut` (tests/faults); that it would notice broken firmware; that a case can be run again."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from faults import report
from faults.rows import BITS, BY_NAME, ROWS, Job
from harness import run_unit

REPO = Path(__file__).resolve().parents[2]
SEED = os.environ.get("GODWIT_SEED") or "1"

pytestmark = [
    pytest.mark.limit(300),
    pytest.mark.skipif(not all(run_unit.program(f"mp{bits}") for bits in BITS), reason="needs both MicroPythons"),
]


def faults(*words):
    """-> (exit status, output)."""
    command = [sys.executable, REPO / "tests" / "faults", "--seed", SEED, "--jobs", "1", *words]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=280)
    print(done.stdout[-6000:], done.stderr[-2000:])
    return done.returncode, done.stdout


def cells(output, row):
    """The lines of the table that are about a row, as lists of cells."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in output.splitlines()]
    return [line for line in lines if line[0] == row]


def test_share():
    status, said = faults("--rows", "P1,P2,P7", "--parts", "small,rollback,update", "--share", "60")
    found = cells(said, "P1") + cells(said, "P2") + cells(said, "P7")
    assert len(found) == 12 and {line[2] for line in found} == {"64", "32"}
    assert all(int(line[4]) > 2 and line[5] == "0" for line in found)
    assert status == 0
    assert "0 bricks, 0 wrong slot, 0 reports lost or doubled, 0 records lost, 0 failures" in said


def test_flash_that_fails_and_a_control_that_must():
    status, said = faults("--rows", "P4,F", "--parts", "refused-once,bad-block,512", "--share", "16", "--bits", "32")
    assert status == 0 and len(cells(said, "P4")) == 2
    assert int(re.search(r"\((\d+) did, as they must\)", said).group(1)) > 0


@pytest.mark.parametrize(
    "mutant", ["report_before_its_number", "floor_raised_when_armed", "refused_record_called_kept"]
)
def test_a_mutant_is_noticed(mutant):
    status, said = faults("--only", f"P8:64:{mutant}")
    assert status == 0 and "found=1" in said and "NOT NOTICED" not in said


def test_one_case_is_the_same_each_time():
    first, second = (faults("--only", "P2/small:32:120.torn.7+40.before.3") for _ in range(2))
    assert first[0] == 0 and "cut at operation 120" in first[1]
    assert [line for line in first[1].splitlines() if "seconds" not in line] == [
        line for line in second[1].splitlines() if "seconds" not in line
    ]


def test_a_failure_is_told():
    page = report.Page(ROWS)
    good, bad, silent = (Job("P1", part, 64, ()) for part in ("small", "big", "lossy"))
    page.take(good, "faults: row=P1 part=small bits=64 cases=3 failures=0 ops=2\n", 0)
    assert page.good and "| P1 | one cut: small | 64 | 2 | 3 | 0 |" in page.table()
    said = "bad P1/big:64:1.torn.0: nothing starts\nfaults: row=P1 part=big bits=64 cases=2 failures=1 bricks=1"
    page.take(bad, said, 1)
    assert not page.good and page.bad == ["P1/big:64:1.torn.0: nothing starts"] and "1 bricks" in page.summary()
    page = report.Page(ROWS)
    page.take(silent, "Traceback", 1)
    assert not page.good and "crashed" in page.table()
    page = report.Page(ROWS)
    page.skip(silent, "no such file")
    assert "not run: no such file" in page.table()


def test_odds_are_those_of_what_was_drawn_by_lot():
    page = report.Page(ROWS)
    for row, part, cases in (("P1", "small", 5000), ("P4", "read-flip", 240), ("P4", "bad-block", 124), ("N1", "", 60)):
        page.take(Job(row, part, 64, ()), f"faults: row={row} part={part} bits=64 cases={cases} failures=0\n", 0)
    assert "Of the 300 cases" in page.odds() and "fewer than 1 in 100 do" in page.odds()


def test_every_row_says_what_it_runs():
    assert all(bool(row.parts) != bool(row.command) for row in ROWS) and len(BY_NAME) == len(ROWS)
