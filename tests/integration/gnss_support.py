"""tests/device/gnss_device.py as a process that answers a list of questions, and random numbers with a seed."""

import os
import random

import dialogue
import pytest

from harness.run_unit import REPO, program


def ask(interpreter, questions):
    """-> the answers of lib/gnss, under MicroPython, in the order of the questions."""
    if program(interpreter) is None and not os.environ.get("CI"):
        pytest.skip(f"no {interpreter} on this machine")
    return dialogue.ask(interpreter, [str(REPO / "tests" / "device" / "gnss_device.py")], questions)


def seeded(default):
    """-> a random source; GODWIT_SEED replaces its seed, which is printed."""
    seed = int(os.environ.get("GODWIT_SEED") or default)
    print("seed", seed)
    return random.Random(seed)
