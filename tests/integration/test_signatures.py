"""Fresh keys, fresh signatures by cryptography and openssl, good and bad: lib/fota's verdict on MicroPython is theirs.

tests/data/fota_vectors.py makes the fixed ones (unit/test_verify.py); this makes the same kinds anew in each run, flips
bits at random, and asks the cryptography package what it thinks of each.
"""

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from godwit import keys
from harness.rng import Rng, seed
from harness.run_unit import REPO, program

_DEVICE = Path(__file__).with_name("signature_device.py")
_FLIPS = 60


def _maker():
    spec = importlib.util.spec_from_file_location("fota_vectors", REPO / "tests" / "data" / "fota_vectors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def vectors():
    """[{"name", "modulus", "message", "signature", "valid"}], made now."""
    maker = _maker()
    key, other = rsa.generate_private_key(65537, 3072), rsa.generate_private_key(65537, 3072)
    small = rsa.generate_private_key(65537, 2048)
    found = [maker.row(key, *one) for one in maker.vectors(key, other, small)]
    signed = keys.sign(key, maker.MESSAGE)
    found.append(maker.row(key, "godwit keys", key, maker.MESSAGE, signed, True))
    rng = Rng(seed(20261121))
    for _ in range(_FLIPS):
        bad = bytearray(signed)
        bad[rng.below(len(bad))] ^= 1 << rng.below(8)
        found.append(maker.row(key, "flipped", key, maker.MESSAGE, bytes(bad), False))
    for one in found:  # the first key is named by what it is here
        if one["modulus"] == "own":
            one["modulus"] = keys.modulus(key).hex()
    return found


def _cryptography(one):
    modulus, signature = bytes.fromhex(one["modulus"]), bytes.fromhex(one["signature"])
    try:
        keys.verify(keys.public_key(modulus), bytes.fromhex(one["message"]), signature)
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize("interpreter", ["mp64", "mp32", "mpf"])
def test_what_a_node_takes(interpreter, vectors, tmp_path):
    executable = program(interpreter)
    if executable is None:
        pytest.skip(f"no {interpreter} on this machine")
    (tmp_path / "vectors").write_text(json.dumps(vectors))
    command = [executable, _DEVICE, REPO, tmp_path / "vectors"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert [(one["name"], verdict) for one, verdict in zip(vectors, told, strict=True)] == [
        (one["name"], one["valid"]) for one in vectors
    ]


def test_what_cryptography_takes(vectors):
    """The expectations are not ours alone. (It does not mind zeros in front of a modulus; we do.)"""
    for one in vectors:
        if not one["modulus"].startswith("00"):
            assert _cryptography(one) == one["valid"], one["name"]
    assert sum(one["valid"] for one in vectors) == 8
