"""Makes fota_rsa.json: throw-away keys, and PSS signatures by cryptography and by openssl, good and bad ones.

    build/venv/bin/python tests/data/fota_vectors.py

Everything is made anew but the first key. "quick" and "next" are products of twelve primes: to who checks a signature
they are RSA-3072 like any other, and MicroPython signs with them in 10 ms, which hundreds of tests do.
"""

import json
import math
import subprocess
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

REPO = Path(__file__).resolve().parents[2]
FILE = Path(__file__).with_name("fota_rsa.json")
OPENSSL = REPO / "build" / "bin" / "openssl"
MESSAGE = b"godwit update manifest"
ABOUT = (
    "RSA-PSS verification vectors, made by fota_vectors.py beside this file with the Python package cryptography and "
    "with openssl dgst. The keys are throw-aways for tests: 'own' in modulus means n of 'key'."
)


def quick_key():
    """{"n", "primes"} of 3072 bits, of twelve primes of 254 to 260 bits."""
    def prime(bits):
        command = [OPENSSL, "prime", "-generate", "-hex", "-bits", str(bits)]
        return int(subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout, 16)

    while True:
        primes = [prime(256) for _ in range(11)]
        last = 3072 - math.prod(primes).bit_length()
        primes += [prime(last + 1)]
        n = math.prod(primes)
        if n.bit_length() == 3072 and len(set(primes)) == 12 and all((p - 1) % 65537 for p in primes):
            return {"n": f"{n:x}", "primes": [f"{p:x}" for p in primes]}


def load(stored):
    p, q, d = (int(stored[name], 16) for name in "pqd")
    public = rsa.RSAPublicNumbers(65537, p * q)
    crt = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    return rsa.RSAPrivateNumbers(p, q, d, *crt, public).private_key()


def pss(salt, mgf=hashes.SHA256):
    return padding.PSS(padding.MGF1(mgf()), salt)


def by_openssl(key, message, *options, digest="sha256"):
    """What `openssl dgst -sign` makes of it; options of -sigopt."""
    with tempfile.TemporaryDirectory() as folder:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        Path(folder, "key").write_bytes(pem)
        Path(folder, "message").write_bytes(message)
        words = [word for option in options for word in ("-sigopt", option)]
        command = [OPENSSL, "dgst", "-" + digest, *words, "-sign", "key", "message"]
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=30, check=True).stdout


def openssl_pss(key, salt, mgf="sha256", digest="sha256", message=MESSAGE):
    options = ("rsa_padding_mode:pss", f"rsa_pss_saltlen:{salt}", f"rsa_mgf1_md:{mgf}")
    return by_openssl(key, message, *options, digest=digest)


def vectors(key, other, small):
    """-> [(name, key or its modulus as bytes, message, signature, valid)]."""
    def sign(salt, mgf=hashes.SHA256, message=MESSAGE, digest=hashes.SHA256, by=key):
        return by.sign(message, pss(salt, mgf), digest())

    good = sign(32)
    most = padding.PSS.MAX_LENGTH
    n = key.public_key().public_numbers().n
    found = [
        ("cryptography, salt 32", key, MESSAGE, good, True),
        ("cryptography, empty message", key, b"", sign(32, message=b""), True),
        ("cryptography, long message", key, bytes(range(256)) * 8, sign(32, message=bytes(range(256)) * 8), True),
        ("cryptography, RSA-2048", small, MESSAGE, sign(32, by=small), True),
        ("cryptography, another key", other, MESSAGE, sign(32, by=other), True),
        ("openssl dgst, salt 32", key, MESSAGE, openssl_pss(key, 32), True),
        ("openssl dgst, salt as long as the digest", key, MESSAGE, openssl_pss(key, "digest"), True),
        ("openssl dgst, PKCS1 v1.5", key, MESSAGE, by_openssl(key, MESSAGE), False),
        ("cryptography, PKCS1 v1.5", key, MESSAGE, key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256()), False),
        ("cryptography, PKCS1 v1.5, SHA-1", key, MESSAGE, key.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1()), False),
        ("openssl dgst, X9.31", key, MESSAGE, by_openssl(key, MESSAGE, "rsa_padding_mode:x931"), False),
        *((f"cryptography, salt {salt}", key, MESSAGE, sign(salt), False) for salt in (0, 1, 20, 31, 33, 48, 64)),
        ("cryptography, salt of maximum length", key, MESSAGE, sign(most), False),
        *((f"openssl dgst, salt {salt}", key, MESSAGE, openssl_pss(key, salt), False) for salt in (0, 20, 64, "max")),
        *((f"cryptography, MGF1 {mgf.name}", key, MESSAGE, sign(32, mgf), False)
          for mgf in (hashes.SHA1, hashes.SHA224, hashes.SHA384, hashes.SHA512)),
        *((f"openssl dgst, MGF1 {mgf}", key, MESSAGE, openssl_pss(key, 32, mgf), False) for mgf in ("sha1", "sha384")),
        *((f"cryptography, digest {digest.name}", key, MESSAGE, sign(32, digest=digest), False)
          for digest in (hashes.SHA1, hashes.SHA384, hashes.SHA512)),
        ("another message", key, MESSAGE + b".", good, False),
        ("signed by another key", key, MESSAGE, sign(32, by=other), False),
        ("checked with another key", other, MESSAGE, good, False),
        ("truncated", key, MESSAGE, good[:-1], False),
        ("one byte longer", key, MESSAGE, good + b"\0", False),
        ("a zero in front", key, MESSAGE, b"\0" + good, False),
        ("s + n", key, MESSAGE, (int.from_bytes(good, "big") + n).to_bytes(385, "big"), False),
        ("n - s", key, MESSAGE, (n - int.from_bytes(good, "big")).to_bytes(384, "big"), False),
        ("modulus with a zero in front", b"\0" + n.to_bytes(384, "big"), MESSAGE, good, False),
        ("and signature, too", b"\0" + n.to_bytes(384, "big"), MESSAGE, b"\0" + good, False),
    ]  # fmt: skip
    return found


def row(own, name, by, message, signature, valid):
    """One vector as JSON has it; `own`: the key that is "own" in modulus."""
    public = by if isinstance(by, bytes) else by.public_key().public_numbers().n.to_bytes(by.key_size // 8, "big")
    modulus = "own" if by is own else public.hex()
    return {"name": name, "modulus": modulus, "message": message.hex(), "signature": signature.hex(), "valid": valid}


def main():
    stored = json.loads(FILE.read_text())
    key, other = load(stored["key"]), rsa.generate_private_key(65537, 3072)
    small = rsa.generate_private_key(65537, 2048)
    rows = [row(key, *one) for one in vectors(key, other, small)]
    document = {"about": ABOUT, "key": stored["key"], "quick": quick_key(), "next": quick_key(), "vectors": rows}
    FILE.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{FILE.name}: {len(rows)} vectors, {sum(row['valid'] for row in rows)} of them valid")


if __name__ == "__main__":
    main()
