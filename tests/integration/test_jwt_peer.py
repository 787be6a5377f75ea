"""JWT and ES256 between the device's code under MicroPython and others: cryptography (OpenSSL) and the openssl program.

Tokens made by the device are checked by cryptography, foreign signatures are checked by the device, and keys come as
the openssl program writes them. One interpreter process per test. Keys are made at run time.
"""

import base64
import hashlib
import json
import os
import subprocess

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from dialogue import ask

from harness.run_unit import build_dir

_INTERPRETERS = ("mp64", "mp32")
_ECDSA = ec.ECDSA(hashes.SHA256())

# Runs on the device's side: one JSON request per line, one JSON answer per line.
_AGENT = """
import sys, json, es256, jwt
for line in sys.stdin:
    q = json.loads(line)
    if q["do"] == "token":
        key = es256.load_private_key(q["key"])
        print(json.dumps(jwt.device_token(jwt.KeySigner(key), q["id"], q["now"], q["lifetime"]).decode()))
    elif q["do"] == "public":
        print(json.dumps(es256.public_key(es256.load_private_key(q["key"])).hex()))
    else:
        print(json.dumps(es256.verify(*[bytes.fromhex(q[k]) for k in ("public", "digest", "signature")])))
"""


def _agent(interpreter, requests):
    return ask(interpreter, ["-c", _AGENT], requests)


def _keys(n):
    return [ec.generate_private_key(ec.SECP256R1()) for _ in range(n)]


def _pem(key, form=serialization.PrivateFormat.PKCS8):
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _public(key):
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    return point[1:].hex()


def _decode(part):
    assert "=" not in part and "+" not in part and "/" not in part
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _check(token, public_key):
    """-> (header, claims) of a token whose signature OpenSSL accepts; else InvalidSignature."""
    message, _, signature = token.rpartition(".")
    raw = _decode(signature)
    assert len(raw) == 64
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public_key.verify(der, message.encode(), _ECDSA)
    return tuple(json.loads(_decode(part)) for part in message.split("."))


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_device_tokens_pass_at_the_peer(interpreter):
    keys = _keys(12)
    forms = (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL)
    requests = [
        {"do": "token", "key": _pem(key, forms[i % 2]), "id": f"nrf-{i}", "now": 1631470795 + i, "lifetime": 600}
        for i, key in enumerate(keys)
    ]
    tokens = _agent(interpreter, requests)
    for i, (key, token) in enumerate(zip(keys, tokens)):
        header, claims = _check(token, key.public_key())
        assert header == {"alg": "ES256", "typ": "JWT"}
        assert claims == {"sub": f"nrf-{i}", "exp": 1631471395 + i}
        with pytest.raises(InvalidSignature):
            _check(token, keys[i - 1].public_key())


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_foreign_signatures_pass_at_the_device(interpreter):
    requests, expected = [], []
    for i, key in enumerate(_keys(10)):
        message = os.urandom(40)
        r, s = decode_dss_signature(key.sign(message, _ECDSA))
        signature = bytearray(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
        if i % 3 == 2:
            signature[os.urandom(1)[0] % 64] ^= 0x10
        digest = hashlib.sha256(message).hexdigest()
        requests.append({"do": "verify", "public": _public(key), "digest": digest, "signature": signature.hex()})
        expected.append(i % 3 != 2)
    assert _agent(interpreter, requests) == expected


def _openssl(*words, data=None):
    done = subprocess.run(
        [str(build_dir() / "bin" / "openssl"), *words], input=data, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.parametrize("interpreter", _INTERPRETERS)
def test_keys_as_the_openssl_program_writes_them(interpreter):
    parameters_and_key = _openssl("ecparam", "-name", "prime256v1", "-genkey").decode()
    assert "EC PARAMETERS" in parameters_and_key
    pkcs8 = _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256").decode()
    again = _openssl("pkcs8", "-topk8", "-nocrypt", data=parameters_and_key.encode()).decode()
    forms = [parameters_and_key, pkcs8, again]
    wanted = [_public(serialization.load_pem_private_key(form.encode(), None)) for form in forms]
    assert wanted[0] == wanted[2] != wanted[1]
    assert _agent(interpreter, [{"do": "public", "key": form} for form in forms]) == wanted
