"""RSA-PSS signature check (RFC 8017 section 8.1.2) with SHA-256, MGF1-SHA-256, a 32-byte salt and e = 65537.

The smallest and cheapest signature that stock MicroPython can check (facts/fota.md 3.2: 25 million Cortex-M
instructions for 3072 bits). Not by the three-argument pow(): that wants half a dozen pieces of 770 bytes, which a heap
with 16 KB free in crumbs has not got; in steps of 384 bits it takes as long, and no piece is larger than 450 bytes.
Verification handles no secret, so nothing here needs constant time. Called by lib/fota/manifest.py. RAM: about 4 KB at
a time, and 300 KB of garbage in all.
"""

from hashlib import sha256

from micropython import const

_HASH = const(32)
_STEP = const(384)  # bits of one factor that are multiplied at a time


def pss_open(modulus, signature, em):
    """Fill the bytearray `em`, as long as `modulus`, with the encoded message in `signature`, for pss_check(). -> False
    when the signature is malformed.

    `modulus`: n, big-endian, its top bit set (so its length is the key size); `signature`: as long as `modulus`. All of
    the heap that a check needs is needed here.
    """
    k = len(modulus)
    n = int.from_bytes(modulus, "big")
    s = int.from_bytes(signature, "big")
    if len(signature) != k or k < 2 * _HASH + 2 or not modulus[0] & 0x80 or s >= n:
        return False
    power = s
    for _ in range(16):
        power = _times(power, power, n, 8 * k)
    em[:] = _times(power, s, n, 8 * k).to_bytes(k, "big")  # s ** 65537
    return True


def _times(a, b, n, bits):
    """a * b modulo n; `bits`: of n, and of a at most."""
    product = 0
    mask = (1 << _STEP) - 1
    for shift in range((bits - 1) // _STEP * _STEP, -1, -_STEP):
        product = ((product << _STEP) + (a >> shift & mask) * b) % n
    return product


def pss_check(em, digest):
    """Return True when `em` of pss_open() is what a signature of the SHA-256 `digest` holds."""
    if em[-1] != 0xBC or em[0] & 0x80:
        return False
    split = len(em) - _HASH - 1
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


def pss_verify(modulus, digest, signature):
    """Return True when `signature` is a PSS signature of the SHA-256 `digest` under `modulus` (both as pss_open() takes
    them). Anything malformed is False, never an exception."""
    em = bytearray(len(modulus))
    return pss_open(modulus, signature, em) and pss_check(em, digest)
