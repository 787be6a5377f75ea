"""tests/device/gnss_device.py as a process that answers a list of questions, and random numbers with a seed."""

import json
import os
import random
import subprocess

import pytest

from harness.run_unit import REPO, program


def ask(interpreter, questions):
    """-> the answers of lib/gnss, under MicroPython, in the order of the questions."""
    if program(interpreter) is None and not os.environ.get("CI"):
        pytest.skip(f"no {interpreter} on this machine")
    done = subprocess.run(
        [str(program(interpreter)), "-X", "heapsize=1m", str(REPO / "tests" / "device" / "gnss_device.py")],
        input="".join(json.dumps(question) + "\n" for question in questions),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MICROPYPATH": f"{REPO / 'lib'}:.frozen"},
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(questions)
    return answers


def seeded(default):
    """-> a random source; GODWIT_SEED replaces its seed, which is printed."""
    seed = int(os.environ.get("GODWIT_SEED") or default)
    print("seed", seed)
    return random.Random(seed)
