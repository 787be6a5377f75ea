"""Codecs on the device: telemetry POSTs of lib/coap beside microCoAPy, and CBOR beside json, for both word sizes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import click

from godwit.places import REPO

from .jobs import OURS, device_env, micropython
from .report import Goal, Table

STAND_IN = "stand-in"
_HERE = Path(__file__).parent
_OPERATIONS = ("encode", "encode again", "decode", "decode ACK", "decode, take format and payload", "exchange")
# Measured once, on another machine, from microCoAPy 0.6.0 (coap.md 3.1): bytes per operation, and what a preallocated
# encoder and an option walk without objects reached beside it in the same run.
QUOTED_HEAP = {
    64: {"encode": 1184, "encode again": 1184, "decode": 1568, "decode ACK": 768, "exchange": 3168},
    32: {"encode": 640, "encode again": 640, "decode": 816, "decode ACK": 384, "exchange": 1696},
}
QUOTED_PROTOTYPE = "4.2 to 5.1 times (64 bit) and 5.8 to 6.5 times (32 bit) its encoding speed"
_ENCODES = ("encode", "encode again")
GOAL_SPEED, GOAL_HEAP = 4.0, 0.1


def run_device(script: str, bits: int, heap: str = "2m") -> list[dict]:
    """-> the JSON lines of a device script. Raises ClickException."""
    command = [micropython(bits), "-X", f"heapsize={heap}", _HERE / script]
    try:
        done = subprocess.run(
            command, env=device_env(REPO / "lib", _HERE), capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise click.ClickException(f"{script}, {bits} bit: {error}") from error
    if done.returncode:
        words = (done.stdout + done.stderr).strip().splitlines() or [f"status {done.returncode}"]
        raise click.ClickException(f"{script}, {bits} bit: {words[-1]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def coap(bits: int) -> dict[tuple[str, str], dict]:
    """-> {(operation, who): line} of device_codec.py."""
    return {(line["op"], line["who"]): line for line in run_device("device_codec.py", bits)}


def coap_table(found: dict[int, dict]) -> Table:
    """`found`: {bits: coap(bits)}."""
    heads = ["POST of 88 bytes", "bits", "ops/s", "stand-in", "ratio", "heap B/op", "stand-in", "microCoAPy, quoted"]
    rows = []
    for operation in _OPERATIONS:
        for bits, lines in found.items():
            ours, other = lines[operation, OURS], lines[operation, STAND_IN]
            rows.append(_row(operation, bits, ours, other, QUOTED_HEAP[bits].get(operation, "-")))
    for encode in _ENCODES:
        for bits, lines in found.items():
            ours, other = (_both(lines, encode, who) for who in (OURS, STAND_IN))
            rows.append(_row(f"{encode} + decode", bits, ours, other, _quoted(bits)))
    return Table("Encoding and decoding a telemetry POST on MicroPython", heads, rows, notes=[
        "The stand-in (tools/bench/device_standin.py) is our own code in the manner of microCoAPy, which cannot be "
        "installed here; when it was written, the original took 4 to 14 % longer for each operation.",
        "\"encode\" is the first request of its kind. \"encode again\" is one that differs from the last in payload, "
        "token and message id, so that the client writes no more than these.",
        "Quoted: bytes that microCoAPy 0.6.0 allocated, measured once elsewhere; its exchange is post() and "
        "loop(). The stand-in's is encode and decode only, while ours is a whole request: task, timers, matching.",
        f"Also quoted: a preallocated encoder reached {QUOTED_PROTOTYPE}, at 96 and 48 bytes.",
    ])  # fmt: skip


def _row(operation, bits, ours, other, quoted):
    speeds = [int(1_000_000 / line["us"]) for line in (ours, other)]
    return [operation, bits, *speeds, f"{other['us'] / ours['us']:.1f}", ours["heap"], other["heap"], quoted]


def coap_goals(found: dict[int, dict]) -> list[Goal]:
    """The issue's: four times the speed and a tenth of the allocation, for encode and decode together.

    Judged for a request like the one before, which is what telemetry is; the table has the first of its kind as well.
    """
    goals = []
    for bits, lines in found.items():
        ours, other = (_both(lines, "encode again", who) for who in (OURS, STAND_IN))
        ratio, heap = other["us"] / ours["us"], ours["heap"] / _quoted(bits)
        name = f"telemetry encode + decode, {bits} bit"
        goals += [
            Goal(f"{name}: speed to the stand-in", f"{ratio:.1f} times", f">= {GOAL_SPEED:.0f}", ratio >= GOAL_SPEED),
            Goal(f"{name}: bytes to microCoAPy's", f"{heap:.1%}", f"<= {GOAL_HEAP:.0%}", heap <= GOAL_HEAP),
        ]
        whole, quoted = lines["exchange", OURS]["heap"], QUOTED_HEAP[bits]["exchange"]
        name = f"a whole request, {bits} bit: bytes to microCoAPy's exchange"
        goals.append(Goal(name, f"{whole} of {quoted}", "fewer", whole < quoted))
    return goals


def _both(lines, encode, who):
    parts = lines[encode, who], lines["decode", who]
    return {key: parts[0][key] + parts[1][key] for key in ("us", "heap")}


def _quoted(bits):
    return QUOTED_HEAP[bits]["encode"] + QUOTED_HEAP[bits]["decode"]


def cbor_table(found: dict[int, list[dict]]) -> Table:
    """`found`: {bits: lines of device_cbor.py}."""
    heads = ["CBOR", "message", "bits", "bytes", "ops/s", "to json in this run", "heap B/op"]
    rows = []
    for bits, lines in found.items():
        for line in lines:
            ratio = f"{line['json']:.2f}"
            rows.append([line["op"], line["message"], bits, line["bytes"], line["ops_s"], ratio, line["heap"]])
    return Table("CBOR on MicroPython, beside the interpreter's own json", heads, rows)
