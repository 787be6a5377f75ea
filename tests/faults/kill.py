"""Row E1: a whole node, over DTLS through the AT modem, killed with -9 a hundred times while it updates itself.

Run by pytest: `GODWIT_CAMPAIGN=full build/venv/bin/python -m pytest -q -s tests/faults/kill.py` (the whole),
`GODWIT_KILLS=10 ..` (so many), `GODWIT_SEED=n` (other choices; what a kill hits is also a matter of timing).
"""

import asyncio
import os
import time

import pytest

from .kill_autopsy import PHASES
from .kill_life import Fire
from .kill_rig import Rig

FULL = os.environ.get("GODWIT_CAMPAIGN") == "full"
HEAP = int(os.environ.get("GODWIT_HEAP") or 0)  # KB, for the 32-bit node; 184 unless told otherwise
KILLS = int(os.environ.get("GODWIT_KILLS") or (100 if FULL else 10))


def campaign(workdir, bits, kills, seed, *, board=0.0, resets=0.0, updates=0, doomed=(7,), say=print, **more):
    """One campaign; -> the Fire when it is over."""

    async def burn():
        async with Rig(workdir, bits, HEAP << 10 if bits == 32 else None, seed=seed, **more) as rig:
            fire = Fire(rig, seed, say, board, resets)
            await fire.run(kills, updates, doomed)
            return fire

    return asyncio.run(burn())


def report(part, bits, fire, seconds):
    """Print what the table of the campaign wants to know."""
    tally = fire.tally
    for problem in fire.problems:
        print("bad", problem)
    print("kills:", ", ".join(f"{phase} {tally.kills[phase]}" for phase in PHASES), f"(aimed: {dict(tally.aimed)})")
    print(
        f"updates: {dict(tally.updates)}; {tally.boots} boots, {tally.missed} kills of a process that had just ended; "
        f"{tally.refetched} B of payload and {tally.head_again} B of heads again, at most {tally.worst} B a kill; "
        f"{tally.records} readings followed, {tally.doubled} came twice; {tally.late_reports} reports sent again; "
        f"{tally.resets} modems restarted; paces {fire.paces}"
    )
    bricks = sum("slot" in problem for problem in fire.problems)
    print(
        f"faults: row=E1 part={part} bits={bits} cases={tally.kills.total()} failures={len(fire.problems)} "
        f"again={tally.worst} boots={tally.most_starts} bricks={bricks} seconds={seconds:.0f}"
    )


def judge(part, bits, workdir, kills, **more):
    """Run, report, and hold the node to its promises; -> the tally."""
    started = time.monotonic()
    fire = campaign(workdir, bits, kills, int(os.environ.get("GODWIT_SEED") or 1), **more)
    report(part, bits, fire, time.monotonic() - started)
    assert fire.problems == []
    assert fire.tally.kills.total() >= kills
    return fire.tally


@pytest.mark.limit(1200)
@pytest.mark.parametrize("bits", [64, 32])
def test_killed_a_hundred_times(bits, tmp_path):
    tally = judge("kill", bits, tmp_path / "day", KILLS)
    if KILLS >= 100:
        missed = [phase for phase in PHASES if not tally.kills[phase]]
        assert missed in ([], ["idle"]), f"never hit: {missed}"
        assert tally.updates["FAILED"] == 1 and tally.updates["SUCCEEDED"] >= 10


VARIANTS = {  # name -> (word size, what of the day, what of the campaign)
    "modem": (32, {"dtls": "modem", "jwt": "modem"}, {}),  # DTLS and the token are the modem's
    "loss": (32, {"drop": 0.05}, {}),
    "board": (64, {}, {"board": 0.5}),  # every other power cut takes the modem as well
    "reset": (32, {}, {"resets": 0.5}),  # every other time it is the modem that restarts, and the node lives on
}


@pytest.mark.limit(900)
@pytest.mark.parametrize("name", VARIANTS)
def test_killed_under_worse_conditions(name, tmp_path):
    bits, day, how = VARIANTS[name]
    share = 5 if os.environ.get("GODWIT_FAULTS_FULL") else 25  # of the kills
    tally = judge(name, bits, tmp_path / "day", max(4, KILLS // share), doomed=(), **day, **how)
    assert tally.resets > 0 or name not in ("board", "reset")
