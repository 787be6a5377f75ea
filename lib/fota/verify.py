"""RSA-PSS signature check (RFC 8017 section 8.1.2) with SHA-256, MGF1-SHA-256, a 32-byte salt and e = 65537.

Three-argument pow() is one C call, so this is the smallest and cheapest signature that stock MicroPython can
check (facts/fota.md 3.2: 25 million Cortex-M instructions for 3072 bits). Verification handles no secret, so
nothing here needs constant time. Called by lib/fota/manifest.py. RAM: about 12 KB of garbage for one check.
"""

from hashlib import sha256

from micropython import const

_E = const(65537)
_HASH = const(32)


def pss_verify(modulus, digest, signature):
    """Return True when `signature` is a PSS signature of the SHA-256 `digest` under `modulus`.

    `modulus`: n, big-endian, its top bit set (so its length is the key size); `signature`: as long as `modulus`.
    Anything malformed is False, never an exception.
    """
    k = len(modulus)
    n = int.from_bytes(modulus, "big")
    s = int.from_bytes(signature, "big")
    if len(signature) != k or k < 2 * _HASH + 2 or not modulus[0] & 0x80 or s >= n:
        return False
    em = pow(s, _E, n).to_bytes(k, "big")
    if em[-1] != 0xBC or em[0] & 0x80:
        return False
    split = k - _HASH - 1
    h = em[split:-1]
    db = bytearray(em[:split])
    for i in range(split):
        if not i % _HASH:
            mask = sha256(h + (i // _HASH).to_bytes(4, "big")).digest()
        db[i] ^= mask[i % _HASH]
    db[0] &= 0x7F
    start = split - _HASH  # of the salt; before it zeros and one 0x01, which rules out any other salt length
    if any(db[: start - 1]) or db[start - 1] != 1:
        return False
    return sha256(bytes(8) + digest + db[start:]).digest() == h
