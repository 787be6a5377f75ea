"""float64 bytes of a decimal number, made with small integers only.

Boards whose floats are single precision cannot hold a coordinate (1.7 m steps at longitude 180) or a time in
milliseconds; here both stay integers. Method: long division, rounded half to even, exact for every input. Used by
cbor.encode. Owns no RAM; needs no heap while mantissa and 10**k are small ints and mantissa / 5**k is below 2**30.
"""

import struct

_STEPS = b"\x1d\x1b\x19\x17\x14\x12\x10\x0d\x0b\x09"  # by k: quotient bits per step, so that 5**k << step < 2**30


def put(buf, pos, mantissa, exponent):
    """Write the float64 nearest to mantissa x 10**exponent, big endian, to buf[pos:pos + 8].

    Raises OverflowError above 1.8e308.
    """
    if not mantissa:
        struct.pack_into(">Q", buf, pos, 0)
    elif not -10 < exponent <= 0 or not _put_small(buf, pos, mantissa, -exponent):
        from cbor.floats import nearest

        mantissa = nearest(mantissa, exponent)
        struct.pack_into(">Q", buf, pos, mantissa)


def _put_small(buf, pos, n, k):
    """Write n / 10**k (n != 0) with small ints only; -> False when that is not possible.

    It is n / 5**k, and k less in the exponent. The top 24 bits of the significand gather in `a`, the next 28 and a
    guard bit in `b`. What remains in `n` does not matter: there is no tie, since a quotient by 5**k either ends at
    the point, within 30 bits, or never.
    """
    sign = 0
    if n < 0:
        sign = 0x8000
        n = -n
    d = 5**k
    a = n // d
    if a >= 0x40000000:
        return False
    n %= d
    most = _STEPS[k]
    have = 0
    while a >> have:
        have += 1
    k = 1022 + have - k
    if not a:  # the leading bit is below the point: find it
        n <<= 1
        while n < d:
            n <<= 1
            k -= 1
        n -= d
        a = have = 1
    b = 0
    have -= 24
    if have > 0:
        b = a & ((1 << have) - 1)
        a >>= have
    while have < 0:
        step = most if most < -have else -have
        n <<= step
        a = a << step | n // d
        n %= d
        have += step
    while have < 30:
        step = most if most < 30 - have else 30 - have
        n <<= step
        b = b << step | n // d
        n %= d
        have += step
    b = (b + 1) >> 1  # carries nothing: 30 ones in a row would take a divisor above 2**30
    sign |= k << 4 | a >> 19 & 15
    struct.pack_into(">HHHH", buf, pos, sign, a >> 3 & 0xFFFF, (a & 7) << 13 | b >> 16, b & 0xFFFF)
    return True
