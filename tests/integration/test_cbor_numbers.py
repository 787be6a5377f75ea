"""Floats that the device's codec makes and reads with integers, against CPython's: decimal, fractions, struct.

The cases come from a seed on both sides (numbers_device.py says which kinds), so that only results cross the pipe.
100,000 Decimals a word size; GODWIT_SEED takes others.
"""

import math
import os
import struct
import subprocess
from decimal import Decimal
from fractions import Fraction

import pytest
from numbers_device import decimals, doubles

from harness.run_unit import REPO, program

pytestmark = pytest.mark.limit(110)
_AGENT = REPO / "tests" / "integration" / "numbers_device.py"
_REFUSED = b"\xff" * 8
_COUNTS = (("mp32", 100_000), ("mp64", 100_000), ("mpf", 30_000))


def _seed(default):
    seed = int(os.environ.get("GODWIT_SEED") or default)
    print("seed", seed)
    return seed


def _run(interpreter, job, seed, count):
    executable = program(interpreter)
    if executable is None and not os.environ.get("CI"):
        pytest.skip(f"no {interpreter} on this machine")
    env = {**os.environ, "MICROPYPATH": f"{REPO / 'lib'}:{REPO / 'tests'}:.frozen"}
    command = [str(executable), "-X", "heapsize=1m", str(_AGENT), job, str(seed), str(count)]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=100, env=env, check=False)
    assert done.returncode == 0, done.stderr[-500:] or done.stdout[-500:]
    return done.stdout


def _nearest(n, exponent):
    """The eight bytes that CPython's own conversion of the decimal gives; None for what is beyond the largest."""
    value = float(Decimal(f"{n}e{exponent}"))  # of a text: scaleb would round to 28 digits
    return _REFUSED if math.isinf(value) else struct.pack(">d", value)


@pytest.mark.parametrize(("interpreter", "count"), _COUNTS)
def test_decimals(interpreter, count):
    seed = _seed(20260101)
    found = _run(interpreter, "decimals", seed, count)
    assert len(found) == 8 * count
    refused = subnormal = 0
    for i, (n, exponent) in enumerate(decimals(seed, count)):
        raw = found[8 * i : 8 * i + 8]
        expected = _nearest(n, exponent) if n else bytes(8)  # there is no -0 among integers
        assert raw == expected, f"{n}e{exponent}: {raw.hex()} is not {expected.hex()}"
        refused += raw == _REFUSED
        subnormal += n != 0 and raw[0] & 0x7F == 0 and raw[1] < 0x10
    assert refused > count // 500 and subnormal > count // 500  # the edges were met


def test_the_oracles_agree():
    """CPython divides integers and reads decimals in two ways of its own."""
    for n, exponent in decimals(7, 3000):
        ways = {_nearest(n, exponent)}
        try:
            ways.add(struct.pack(">d", n / 10**-exponent if exponent < 0 else float(n * 10**exponent)))
        except OverflowError:
            ways.add(_REFUSED)
        assert len(ways) == 1 or n == 0, (n, exponent, ways)


@pytest.mark.parametrize(("interpreter", "count"), [("mp32", 30_000), ("mpf", 30_000)])
def test_scaled(interpreter, count):
    seed = _seed(754)
    found = _run(interpreter, "scaled", seed, count).split()
    assert len(found) == count
    for text, (word, k) in zip(found, doubles(seed, count), strict=True):
        value = struct.unpack(">d", word.to_bytes(8, "big"))[0]
        expected = str(round(Fraction(value) * 10**k)) if math.isfinite(value) else "None"  # half to even
        assert text.decode() == expected, (hex(word), k)


def _packed(width, value):
    """struct's half or single; too large is infinity, NaN the quiet one."""
    if math.isnan(value):
        return {"e": "7e00", "f": "7fc00000"}[width]
    try:
        return struct.pack(">" + width, value).hex()
    except OverflowError:
        return struct.pack(">" + width, math.copysign(math.inf, value)).hex()


@pytest.mark.parametrize("interpreter", ["mp32", "mpf"])
def test_halves_and_singles(interpreter):
    count = 20_000
    seed = _seed(16)
    found = _run(interpreter, "narrow", seed, count)
    seen = {0xF9: 0, 0xFA: 0, 0xFB: 0}
    for i, (word, _) in enumerate(doubles(seed, count)):
        raw = found[7 * i : 7 * i + 7]
        value = struct.unpack(">d", word.to_bytes(8, "big"))[0]
        half, single = _packed("e", value), _packed("f", value)
        assert (raw[:2].hex(), raw[2:6].hex()) == (half, single), hex(word)
        short = 0xFB
        for first, width, text in ((0xFA, ">f", single), (0xF9, ">e", half)):
            back = struct.unpack(width, bytes.fromhex(text))[0]
            if math.isnan(value) or (back == value and math.copysign(1, back) == math.copysign(1, value)):
                short = first
        assert raw[6] == short, hex(word)
        seen[short] += 1
    assert min(seen.values()) > 500, seen
