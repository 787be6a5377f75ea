"""IEEE 754 float64 bytes made and read with integer arithmetic only.

Boards whose floats are single precision cannot hold a coordinate (1.7 m steps at longitude 180) or a time in
milliseconds; here both stay integers. Method: long division, rounded half to even, exact for every input.
Called by cbor. Owns no RAM; `put` needs no heap while mantissa / 10**k has an integer part below 2**30 and k
<= 8.
"""

import struct

_STEPS = b"\x0a\x0a\x0a\x0a\x0a\x0a\x0a\x06\x03"  # by k: quotient bits per step; 10**k << step < 2**30
_IMPLICIT = 1 << 52


def put(buf, pos, mantissa, exponent):
    """Write the float64 nearest to mantissa x 10**exponent, big endian, to buf[pos:pos + 8].

    Raises OverflowError when it is beyond the normal range of float64 (2.3e-308 to 1.8e308).
    """
    if not mantissa:
        struct.pack_into(">Q", buf, pos, 0)
    elif not -8 <= exponent <= 0 or not _put_small(buf, pos, mantissa, -exponent):
        struct.pack_into(">Q", buf, pos, _exact(mantissa, exponent))


def _put_small(buf, pos, n, k):
    """Write n / 10**k (n != 0, k <= 8) with small ints only; -> False when its integer part needs over 30
    bits.

    The top 24 bits of the significand gather in `a`, the next 29 and a guard bit in `b`. What remains in `r` does
    not matter: a tie would need 24 or more bits behind the point, and n / 10**k has at most k when it ends at all.
    """
    sign = 0
    if n < 0:
        sign = 0x80
        n = -n
    d = 10**k
    a = n // d
    r = n % d
    if a >= 0x40000000:
        return False
    have = _bits(a)
    exponent = 1022 + have
    if not a:  # the leading bit is below the point: find it
        r <<= 1
        while r < d:
            r <<= 1
            exponent -= 1
        r -= d
        a = have = 1
    most = _STEPS[k]
    b = 0
    have -= 24
    if have > 0:
        b = a & ((1 << have) - 1)
        a >>= have
    while have < 0:
        step = min(most, -have)
        r <<= step
        a = a << step | r // d
        r %= d
        have += step
    while have < 30:
        step = min(most, 30 - have)
        r <<= step
        b = b << step | r // d
        r %= d
        have += step
    _round(buf, pos, sign, exponent, a, b)
    return True


def _round(buf, pos, sign, exponent, a, b):
    """Round a (24 bits) and b (29 bits and a guard) to the nearest, and write the eight bytes."""
    b = (b + 1) >> 1
    if b >> 29:
        b = 0
        a += 1
        if a >> 24:
            a >>= 1
            exponent += 1
    buf[pos] = sign | exponent >> 4
    buf[pos + 1] = (exponent & 15) << 4 | a >> 19 & 15
    buf[pos + 2] = a >> 11 & 0xFF
    buf[pos + 3] = a >> 3 & 0xFF
    buf[pos + 4] = (a & 7) << 5 | b >> 24
    buf[pos + 5] = b >> 16 & 0xFF
    buf[pos + 6] = b >> 8 & 0xFF
    buf[pos + 7] = b & 0xFF


def _exact(n, exponent):
    """The same for any size, as a 64-bit word, with big integers (about 0.8 KB of garbage)."""
    sign = 0
    if n < 0:
        sign = 1 << 63
        n = -n
    d = 1
    if exponent < 0:
        d = 10**-exponent
    else:
        n *= 10**exponent
    shift = 55 - (_bits(n) - _bits(d))  # makes a quotient of 55 or 56 bits
    if shift >= 0:
        q, r = divmod(n << shift, d)
    else:
        q, r = divmod(n, d << -shift)
    drop = _bits(q) - 53
    low = q & ((1 << drop) - 1)
    half = 1 << (drop - 1)
    q >>= drop
    if low > half or (low == half and (r or q & 1)):
        q += 1
        if q >> 53:
            q >>= 1
            drop += 1
    biased = drop - shift + 1075
    if not 0 < biased < 2047:
        raise OverflowError("outside the range of float64")
    return sign | biased << 52 | q - _IMPLICIT


def _bits(n):
    """Bit length of n >= 0 (int.bit_length is missing in MicroPython 1.25)."""
    count = 0
    while n >> 24:
        n >>= 24
        count += 24
    while n:
        n >>= 1
        count += 1
    return count


def widen(raw):
    """-> the 8 bytes of the float64 equal to the half (2 bytes) or single (4 bytes) `raw`, big endian."""
    fraction_bits, exponent_bits = (23, 8) if len(raw) == 4 else (10, 5)
    word = int.from_bytes(raw, "big")
    fraction = word & ((1 << fraction_bits) - 1)
    top = (1 << exponent_bits) - 1
    biased = word >> fraction_bits & top
    sign = word >> (fraction_bits + exponent_bits)
    if biased == top:  # infinity, NaN
        biased = 2047
    elif biased or fraction:
        if not biased:  # subnormal there, normal here
            biased = 1
            while not fraction >> fraction_bits:
                fraction <<= 1
                biased -= 1
            fraction -= 1 << fraction_bits
        biased += 1023 - (top >> 1)
    return (sign << 63 | biased << 52 | fraction << (52 - fraction_bits)).to_bytes(8, "big")


def scaled(k):
    """-> a callable(raw) giving the float64 `raw` (8 bytes, big endian) times 10**k as an int, rounded half
    to even.

    It returns None for infinities and NaN. `cbor.loads(buf, floats=cbor.scaled(7))` reads degrees as 1e-7
    degree.
    """
    factor = 10**k

    def convert(raw):
        word = int.from_bytes(raw, "big")
        biased = word >> 52 & 2047
        n = word & (_IMPLICIT - 1)
        if biased == 2047:
            return None
        if biased:
            n += _IMPLICIT
        else:
            biased = 1
        n *= factor
        shift = 1075 - biased
        if shift <= 0:
            n <<= -shift
        else:
            rest = n & ((1 << shift) - 1)
            half = 1 << (shift - 1)
            n >>= shift
            if rest > half or (rest == half and n & 1):
                n += 1
        return -n if word >> 63 else n

    return convert
