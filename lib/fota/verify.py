"""RSA-PSS signature check (RFC 8017 section 8.1.2) with SHA-256, MGF1-SHA-256, a 32-byte salt and e = 65537.

The smallest and cheapest signature that stock MicroPython can check (facts/fota.md 3.2). Not by the three-argument
pow(): that wants half a dozen pieces of 770 bytes, and a heap that has been in use for weeks has its free 20 KB in
crumbs. In limbs of 512 bits no piece is larger than 160 bytes, and it takes three times as long. Verification handles
no secret, so nothing here needs constant time. Called by lib/fota/manifest.py. RAM: about 2 KB at a time, and much
garbage in all.
"""

from hashlib import sha256

from micropython import const

_HASH = const(32)
_BITS = const(512)  # of a limb
_BYTES = const(64)


def pss_open(modulus, signature, em):
    """Fill the buffer `em`, as long as `modulus`, with the encoded message in `signature`, for pss_check(). -> False
    when the signature is malformed.

    `modulus`: n, big-endian, its top bit set (so its length is the key size), of a multiple of 64 bytes; `signature`:
    as long as `modulus`; all three may be memoryviews. All of the heap that a check needs is needed here.
    """
    k = len(modulus)
    if len(signature) != k or k < 2 * _HASH + 2 or k % _BYTES or not modulus[0] & 0x80:
        return False
    n = _limbs(modulus)
    s = _limbs(signature)
    if not _is_below(s, n):
        return False
    power = s
    for _ in range(16):
        power = _times(power, power, n)
    at = k
    for limb in _times(power, s, n):  # s ** 65537
        em[at - _BYTES : at] = limb.to_bytes(_BYTES, "big")
        at -= _BYTES
    return True


def _limbs(data):
    """The number in big-endian bytes as limbs, the least significant first."""
    return [int.from_bytes(data[at - _BYTES : at], "big") for at in range(len(data), 0, -_BYTES)]


def _is_below(a, n):
    for i in range(len(n) - 1, -1, -1):
        if a[i] != n[i]:
            return a[i] < n[i]
    return False


def _times(a, b, n):
    """a * b modulo n, all three as limbs, a and b below n, whose top bit is set: schoolbook, and after each limb of `a`
    what is above n is taken off (Knuth, The Art of Computer Programming, volume 2, 4.3.1, algorithm D)."""
    count = len(n)
    mask = (1 << _BITS) - 1
    rest = [0] * (count + 1)
    for i in range(count - 1, -1, -1):
        carry = 0
        for j in range(count, 0, -1):
            rest[j] = rest[j - 1]
        rest[0] = 0
        for j in range(count):
            value = a[i] * b[j] + rest[j] + carry
            rest[j] = value & mask
            carry = value >> _BITS
        rest[count] += carry
        # At most a few too many: each is given back below.
        _take(rest, (rest[count] << _BITS | rest[count - 1]) // n[count - 1], n, mask)
    return rest[:count]


def _take(rest, times, n, mask):
    """rest -= times * n, or as much less as keeps it above nothing."""
    count = len(n)
    borrow = 0
    for j in range(count):
        borrow += times * n[j]
        value = rest[j] - (borrow & mask)
        borrow >>= _BITS
        if value < 0:
            value += mask + 1
            borrow += 1
        rest[j] = value
    rest[count] -= borrow
    while rest[count] < 0:
        carry = 0
        for j in range(count):
            value = rest[j] + n[j] + carry
            rest[j] = value & mask
            carry = value >> _BITS
        rest[count] += carry


def pss_check(em, digest):
    """Return True when `em` of pss_open() is what a signature of the SHA-256 `digest` holds. Changes `em` (a bytearray
    or a memoryview of one)."""
    if em[-1] != 0xBC or em[0] & 0x80:
        return False
    split = len(em) - _HASH - 1
    h = bytes(em[split:-1])
    for i in range(split):
        if not i % _HASH:
            mask = sha256(h + (i // _HASH).to_bytes(4, "big")).digest()
        em[i] ^= mask[i % _HASH]
    em[0] &= 0x7F
    start = split - _HASH  # of the salt; before it zeros and one 0x01, which rules out any other salt length
    for i in range(start - 1):
        if em[i]:
            return False
    return em[start - 1] == 1 and sha256(bytes(8) + digest + bytes(em[start:split])).digest() == h


def pss_verify(modulus, digest, signature):
    """Return True when `signature` is a PSS signature of the SHA-256 `digest` under `modulus` (both as pss_open() takes
    them). Anything malformed is False, never an exception."""
    em = bytearray(len(modulus))
    return pss_open(modulus, signature, em) and pss_check(em, digest)
