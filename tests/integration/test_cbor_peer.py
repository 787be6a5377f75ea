"""CBOR between the device's codec under MicroPython and cbor2: each decodes what the other encoded.

Values cross in a notation of their own (JSON in which nothing is equal that differs in CBOR), so that a mistake made
twice, once in each direction, cannot cancel out. One interpreter process per test takes all cases on its standard
input. Seeds are fixed; GODWIT_SEED replaces them.
"""

import io
import json
import math
import os
import random
import struct
import subprocess

import cbor2
import pytest

from harness.run_unit import REPO, program

_INTERPRETERS = ("mp64", "mp32")

# Runs on the device's side. "d" decodes hex into the notation, "e" encodes the notation, "c" does so deterministically,
# "s" decodes only what is deterministic.
_AGENT = """
import sys, json, struct, cbor, cbor.deterministic
exact = False
def tree(v):
    if v is None or v is True or v is False: return str(v)
    if isinstance(v, int): return ["int", str(v)]
    if isinstance(v, tuple): return ["float", v[0]]
    if isinstance(v, bytes): return ["bytes", v.hex() or ""]
    if isinstance(v, str): return ["text", v.encode().hex() or ""]
    if isinstance(v, list): return ["array", [tree(i) for i in v]]
    if isinstance(v, cbor.Tag): return ["tag", str(v.number), tree(v.value)]
    if isinstance(v, cbor.Simple): return ["simple", v.value]
    return ["map", [[tree(k), tree(v[k])] for k in v]]
def value(t):
    if isinstance(t, str): return {"None": None, "True": True, "False": False}[t]
    k, v = t[0], t[1]
    if k == "int": return int(v)
    if k == "float" and exact: return cbor.Shortest(bytes.fromhex(v))
    if k == "float": return cbor.F64(struct.unpack(">d", bytes.fromhex(v))[0])
    if k == "single": return cbor.F32(struct.unpack(">f", bytes.fromhex(v))[0])
    if k == "decimal": return cbor.Decimal(int(v), t[2])
    if k == "bytes": return bytes.fromhex(v)
    if k == "text": return bytes.fromhex(v).decode()
    if k == "array": return [value(i) for i in v]
    if k == "tag": return cbor.Tag(int(v), value(t[2]))
    if k == "simple": return cbor.Simple(v)
    return cbor.Map([(value(a), value(b)) for a, b in v])
for line in sys.stdin:
    line = line.strip()
    try:
        exact = line[0] == "c"
        if line[0] in "ds":
            loads = cbor.loads if line[0] == "d" else cbor.deterministic.loads
            print(json.dumps(tree(loads(bytes.fromhex(line[1:]), floats=lambda raw: (raw.hex(),)))))
        else:
            dumps = cbor.deterministic.dumps if exact else cbor.dumps
            print(json.dumps(dumps(value(json.loads(line[1:]))).hex()))
    except cbor.CBORError as error:
        print(json.dumps({"error": str(error)}))
"""


def _agent(interpreter, lines):
    """One answer per line, from a MicroPython process that ends by itself."""
    env = {**os.environ, "MICROPYPATH": f"{REPO / 'lib'}:.frozen"}
    done = subprocess.run(
        [str(program(interpreter)), "-X", "heapsize=1m", "-c", _AGENT],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr[-500:]
    answers = [json.loads(line) for line in done.stdout.splitlines() if not line.startswith("Warning: Comparison")]
    assert len(answers) == len(lines)
    return answers


def _random(default):
    seed = int(os.environ.get("GODWIT_SEED") or default)
    print("seed", seed)
    return random.Random(seed)


def _scalar(rng):
    kind = rng.randrange(8)
    if kind == 0:
        n = rng.getrandbits(rng.choice((4, 8, 16, 31, 32, 33, 63, 64, 65, 70, 130)))
        return rng.choice((n, -1 - n))
    if kind == 1:
        return rng.randbytes(rng.choice((0, 1, 23, 24, 32, 33, 255, 256, 300)))
    if kind == 2:
        return "".join(rng.choice("aZ \u00fc\u6c34\U00010151\x00\"") for _ in range(rng.randrange(40)))
    if kind == 3:
        return rng.choice((None, True, False, cbor2.undefined))
    if kind == 4:
        return cbor2.CBORSimpleValue(rng.choice((0, 19, 32, 255)))
    if kind == 5:
        return rng.choice((0.0, -0.0, 1.5, 65504.0, 5.960464477539063e-08, 3.4028234663852886e38, float("inf")))
    if kind == 6:
        return struct.unpack(">f", struct.pack(">f", rng.uniform(-1e6, 1e6)))[0]
    return rng.uniform(-180, 180) * 10.0 ** rng.randrange(-30, 30)


def _value(rng, depth):
    kind = rng.randrange(6)
    if not depth or kind > 3:
        return _scalar(rng)
    if kind == 0:
        return cbor2.CBORTag(100000 + rng.getrandbits(rng.choice((8, 16, 40))), _value(rng, depth - 1))
    if kind == 1:
        # No floats or booleans, and not 0 and 1: 1, 1.0 and True are one key to Python though three to CBOR.
        keys = [k for k in (_scalar(rng) for _ in range(6)) if isinstance(k, (int, str, bytes)) and k not in (0, 1)]
        return {key: _value(rng, depth - 1) for key in keys}
    return [_value(rng, depth - 1) for _ in range(rng.randrange(6))]


def _tree(value):
    """The host's side of the notation, from what cbor2 decodes to."""
    if value is None or value is True or value is False:
        return str(value)
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", struct.pack(">d", value).hex()]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, str):
        return ["text", value.encode().hex()]
    if isinstance(value, (list, tuple)):
        return ["array", [_tree(item) for item in value]]
    if isinstance(value, cbor2.CBORTag):
        return ["tag", str(value.tag), _tree(value.value)]
    if value is cbor2.undefined:
        return ["simple", 23]
    if isinstance(value, cbor2.CBORSimpleValue):
        return ["simple", value.value]
    return ["map", [[_tree(key), _tree(item)] for key, item in value.items()]]


def _sorted(tree):
    """Maps in one order, as MicroPython's dict has none, and one NaN, as Python does not keep its payload."""
    if not isinstance(tree, list):
        return tree
    if tree[0] == "float" and math.isnan(struct.unpack(">d", bytes.fromhex(tree[1]))[0]):
        return ["float", "nan"]
    if tree[0] == "map":
        return ["map", sorted(([_sorted(k), _sorted(v)] for k, v in tree[1]), key=str)]
    if tree[0] == "array":
        return ["array", [_sorted(item) for item in tree[1]]]
    if tree[0] == "tag":
        return ["tag", tree[1], _sorted(tree[2])]
    return tree


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_device_decodes_what_cbor2_encodes(interpreter):
    rng = _random(42)
    values = [_value(rng, 4) for _ in range(400)]
    styles = [{}, {"canonical": True}, {"indefinite_containers": True}]
    raw = [cbor2.dumps(value, **styles[i % 3]) for i, value in enumerate(values)]
    for value, answer in zip(values, _agent(interpreter, ["d" + r.hex() for r in raw])):
        assert _sorted(answer) == _sorted(_tree(value))


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_cbor2_decodes_what_device_encodes(interpreter):
    rng = _random(43)
    trees = [_tree(_value(rng, 4)) for _ in range(400)]
    for tree, answer in zip(trees, _agent(interpreter, ["e" + json.dumps(tree) for tree in trees])):
        assert _tree(cbor2.loads(bytes.fromhex(answer))) == tree


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_device_encodes_integers_and_strings_as_short_as_cbor2(interpreter):
    rng = _random(44)
    values = [v for v in (_scalar(rng) for _ in range(600)) if isinstance(v, (int, bytes, str))]
    answers = _agent(interpreter, ["e" + json.dumps(_tree(value)) for value in values])
    assert answers == [cbor2.dumps(value).hex() for value in values]


def _ordered(value):
    """`value` with every map in the order of RFC 8949: cbor2's canonical mode sorts by length first (RFC 7049)."""
    if isinstance(value, dict):
        pairs = sorted(value.items(), key=lambda pair: cbor2.dumps(pair[0], canonical=True))
        return {key: _ordered(item) for key, item in pairs}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, cbor2.CBORTag):
        return cbor2.CBORTag(value.tag, _ordered(value.value))
    return value


def _deterministic(value):
    """-> bytes: cbor2's canonical scalars in containers whose order is already right."""
    if isinstance(value, dict):
        parts = [_deterministic(part) for pair in value.items() for part in pair]
        return bytes([cbor2.dumps(len(value))[0] | 0xA0]) + cbor2.dumps(len(value))[1:] + b"".join(parts)
    if isinstance(value, list):
        head = cbor2.dumps(len(value))
        return bytes([head[0] | 0x80]) + head[1:] + b"".join(map(_deterministic, value))
    if isinstance(value, cbor2.CBORTag):
        head = cbor2.dumps(value.tag)
        return bytes([head[0] | 0xC0]) + head[1:] + _deterministic(value.value)
    return cbor2.dumps(value, canonical=True)


@pytest.mark.parametrize("interpreter", ("mp32", "mpf"))
def test_deterministic_both_ways(interpreter):
    """Our bytes are the reference's, whatever the order of the keys; and the reference's are accepted."""
    if program(interpreter) is None and not os.environ.get("CI"):
        pytest.skip(f"no {interpreter} on this machine")
    rng = _random(48)
    values = [_value(rng, 4) for _ in range(400)]
    wanted = [_deterministic(_ordered(value)) for value in values]
    answers = _agent(interpreter, ["c" + json.dumps(_tree(value)) for value in values])
    assert answers == [raw.hex() for raw in wanted]
    for value, answer in zip(values, _agent(interpreter, ["s" + raw.hex() for raw in wanted])):
        assert _sorted(answer) == _sorted(_tree(value))


def test_not_deterministic():
    """Of cbor2's other encodings exactly those are refused that differ."""
    rng = _random(49)
    values = [_value(rng, 3) for _ in range(400)]
    styles = [{}, {"canonical": True}, {"indefinite_containers": True}]
    raw = [cbor2.dumps(value, **styles[i % 3]) for i, value in enumerate(values)]
    refused = 0
    for value, given, answer in zip(values, raw, _agent("mp32", ["s" + r.hex() for r in raw])):
        if given == _deterministic(_ordered(value)):
            assert _sorted(answer) == _sorted(_tree(value))
        else:
            refused += 1
            assert "not deterministic" in answer["error"], (given.hex(), answer)
    assert 50 < refused < 350


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_decimals_are_the_doubles_of_the_host(interpreter):
    rng = _random(45)
    cases = [
        (rng.getrandbits(rng.choice((8, 24, 30, 31, 32, 53, 63))) * rng.choice((1, -1)), rng.choice((0, 1, 3, 6, 7, 9)))
        for _ in range(1500)
    ]
    answers = _agent(interpreter, ["e" + json.dumps(["decimal", str(n), -k]) for n, k in cases])
    for (n, k), answer in zip(cases, answers):
        assert answer == "fb" + struct.pack(">d", n / 10**k).hex(), (n, k)


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_singles(interpreter):
    rng = _random(46)
    cases = [struct.pack(">f", rng.uniform(-200, 200)).hex() for _ in range(200)] + ["00000001", "807fffff", "7f800000"]
    answers = _agent(interpreter, ["e" + json.dumps(["single", case]) for case in cases])
    assert answers == ["fa" + case for case in cases]


def _cbor2_verdict(raw):
    """("ok", tree) or ("bad", None), by cbor2 and by nothing being left over."""
    try:
        stream = io.BytesIO(raw)
        value = cbor2.CBORDecoder(stream, max_depth=17, allow_duplicate_keys=False).decode()
        return ("bad", None) if stream.read(1) else ("ok", _tree(value))
    except cbor2.CBORDecodeError:
        return "bad", None


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_same_verdict_on_damaged_bytes(interpreter):
    """Whatever one of the two accepts the other accepts too, with the same value."""
    rng = _random(47)
    cases = []
    while len(cases) < 1200:
        raw = bytearray(cbor2.dumps(_value(rng, 3)))
        for _ in range(rng.randrange(1, 4)):
            raw[rng.randrange(len(raw))] = rng.choice((0xFF, 0x9F, 0xBF, 0x5F, 0x7F, 0xF8, rng.getrandbits(8)))
        cases.append(bytes(raw[: rng.choice((len(raw), rng.randrange(len(raw) + 1)))]))
    accepted = 0
    for raw, answer in zip(cases, _agent(interpreter, ["d" + raw.hex() for raw in cases])):
        if "tag" in json.dumps(answer):
            continue  # cbor2 interprets the tags it knows, and refuses contents that do not fit
        verdict, tree = _cbor2_verdict(raw)
        if isinstance(answer, dict):
            by_design = any(word in answer["error"] for word in ("unhashable", "duplicate"))
            assert verdict == "bad" or by_design, (raw.hex(), answer, tree)
        else:
            accepted += 1
            assert verdict == "ok" and _sorted(tree) == _sorted(answer), (raw.hex(), answer)
    assert accepted > 100
