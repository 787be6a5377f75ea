"""What IEEE 754 formats need now and then, with integers only: any rounding to float64, other widths, scaled reading.

Loaded when it is asked for (cbor.decode, cbor.float64, cbor.rare, cbor.deterministic) and holds no state: an
application may drop it in between. Owns no RAM. Big integers cost up to 1 KB of garbage a call.

A float64 is an int `word` of 64 bits here: sign, 11 bits of exponent, 52 of fraction.
"""

import struct

from micropython import const

from cbor.float64 import put
from cbor.item import CBORError, Decimal

_FRACTION = const(52)
_FORMATS = ((0xF9, 2, 5, 10), (0xFA, 4, 8, 23))  # initial byte, size, bits of exponent, bits of fraction


def nearest(n, exponent):
    """-> the word of the float64 nearest to n x 10**exponent, ties to even, down to subnormals and 0. Raises
    OverflowError above 1.8e308."""
    if not n:
        return 0
    sign = 0
    if n < 0:
        sign = 1 << 63
        n = -n
    d = 1
    if exponent < 0:
        d = 10**-exponent
    else:
        n *= 10**exponent
    shift = 55 - (bits(n) - bits(d))  # makes a quotient of 55 or 56 bits
    if shift >= 0:
        n, rest = divmod(n << shift, d)
    else:
        n, rest = divmod(n, d << -shift)
    drop = bits(n) - 53
    biased = drop - shift + 1075
    if biased < 1:  # subnormal
        drop += 1 - biased
        biased = 1
    n = _halve(n | 1 if rest else n, drop)  # two bits or more go: of the lowest only counts whether it is 0
    n += biased - 1 << _FRACTION  # a carry, and the implicit bit, go into the exponent
    if n >= 2047 << _FRACTION:
        raise OverflowError("outside the range of float64")
    return sign | n


def bits(n):
    """-> bit length of n >= 0 (int.bit_length is missing in MicroPython 1.25)."""
    count = 0
    while n >> 24:
        n >>= 24
        count += 24
    while n:
        n >>= 1
        count += 1
    return count


def _halve(n, count):
    """-> n / 2**count, rounded half to even."""
    if count <= 0:
        return n << -count
    rest = n & ((1 << count) - 1)
    half = 1 << (count - 1)
    n >>= count
    return n + (rest > half or (rest == half and n & 1))


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


def word_of(value):
    """-> the word of a float, an int, a Decimal or the 8 bytes of a float64; floats of this build's own precision are
    exact. Raises CBORError for other types, OverflowError."""
    raw = bytearray(8)
    if isinstance(value, float):
        struct.pack_into(">d", raw, 0, value)
    elif isinstance(value, Decimal):
        put(raw, 0, value.mantissa, value.exponent)
    elif isinstance(value, int):
        put(raw, 0, value, 0)
    elif isinstance(value, bytes) and len(value) == 8:
        raw = value
    else:
        raise CBORError("not a number")
    return int.from_bytes(raw, "big")


def narrow(word, exponent_bits, fraction_bits):
    """-> (the smaller format's word nearest to the float64 `word`, whether it is equal); too large becomes infinity.

    NaN becomes the quiet NaN without payload (RFC 8949, 4.2.2), which counts as equal."""
    biased = word >> _FRACTION & 2047
    fraction = word & ((1 << _FRACTION) - 1)
    top = (1 << exponent_bits) - 1
    sign = word >> 63 << (exponent_bits + fraction_bits)
    infinity = top << fraction_bits
    if biased == 2047:
        return (infinity | 1 << (fraction_bits - 1) if fraction else sign | infinity), True
    drop = _FRACTION - fraction_bits
    biased += (top >> 1) - 1023
    if biased <= 0:  # subnormal there, or nothing at all
        drop += 1 - biased
        biased = 1
    if word << 1 & ((1 << 64) - 1):
        fraction |= 1 << _FRACTION  # a subnormal float64 is nothing in any smaller format, so one bit more is as good
    significand = _halve(fraction, drop)
    equal = significand << drop == fraction
    n = (biased - 1 << fraction_bits) + significand  # a carry, and the implicit bit, go into the exponent
    if n >= infinity:
        n = infinity
        equal = False
    return sign | n, equal


def shortest(word):
    """-> (initial byte, size, value) of the shortest of half, single and double that is equal to `word`."""
    for first, size, exponent_bits, fraction_bits in _FORMATS:
        value, equal = narrow(word, exponent_bits, fraction_bits)
        if equal:
            return first, size, value
    return 0xFB, 8, word


def scaled(k):
    """-> a callable(raw) giving the float64 `raw` (8 bytes, big endian) times 10**k as an int, rounded half to even.

    It returns None for infinities and NaN. `cbor.loads(buf, floats=cbor.scaled(7))` reads degrees as 1e-7 degree.
    """
    factor = 10**k

    def convert(raw):
        word = int.from_bytes(raw, "big")
        biased = word >> _FRACTION & 2047
        n = word & ((1 << _FRACTION) - 1)
        if biased == 2047:
            return None
        if biased:
            n |= 1 << _FRACTION
        else:
            biased = 1
        n = _halve(n * factor, 1075 - biased)
        return -n if word >> 63 else n

    return convert
