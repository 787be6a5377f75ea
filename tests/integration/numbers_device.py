"""The device's side of test_cbor_numbers.py; runs under MicroPython: numbers_device.py JOB SEED COUNT.

It makes the cases of a job from the seed, which the test makes again on its side, and writes what lib/cbor made of them
to its standard output: eight bytes a Decimal (FF.. for one that it refuses), one line an integer, seven bytes a float
narrowed. Nothing in here knows what is right.
"""

import sys

from harness.rng import Rng


def _tie(rng):
    """54 significant bits, the last one set: half way between two doubles."""
    return 1 << 53 | rng.bits(53) | 1


def _beside(rng, n):
    """n, or one of its neighbours."""
    return n + rng.below(3) - 1


def _coordinate(rng):
    return rng.below(3600000001) - 1800000000, -7


def _short(rng):
    return rng.bits(12), -rng.below(10)


def _any_size(rng):
    return rng.bits(1 + rng.below(63)), -rng.below(19)


def _thirty_bits(rng):
    """Around the border of the small integers of 32-bit ports."""
    return (1 << 29 + rng.below(4)) + rng.below(9) - 4, -rng.below(11)


def _tie_of_integers(rng):
    return _beside(rng, _tie(rng) << rng.below(60)), 0


def _tie_of_decimals(rng):
    k = rng.below(30)
    return _beside(rng, _tie(rng) * 5**k), -k


def _carry(rng):
    """Just below, at and above a power of two: the significand overflows into the exponent."""
    k = rng.below(12)
    return (10**k << rng.below(60)) + rng.below(7) - 3, -k


def _neighbour_of_2_53(rng):
    return (1 << 53) + rng.below(65) - 32, rng.below(5) - 2


def _edge_of_range(rng):
    """Beside the largest double, the smallest normal one, the subnormals and nothing."""
    n, exponent = rng.choice(
        (
            (17976931348623157, 292),
            (179769313486231580793728971405303415, 274),  # half way from the largest double to 2**1024, to 36 digits
            (22250738585072014, -324),
            (22250738585072011, -324),
            (4940656458412465, -339),
            (2470328229206232, -339),
            (1, 308),
            (1, -323),
        )
    )
    return n + rng.below(21) - 10, exponent


def _any_exponent(rng):
    return rng.bits(1 + rng.below(70)), rng.below(700) - 370


_KINDS = (
    _coordinate,
    _short,
    _any_size,
    _thirty_bits,
    _tie_of_integers,
    _tie_of_decimals,
    _carry,
    _neighbour_of_2_53,
    _edge_of_range,
    _any_exponent,
)


def decimals(seed, count):
    """Yields (mantissa, exponent)."""
    rng = Rng(seed)
    for i in range(count):
        n, exponent = _KINDS[i % 10](rng)
        yield (-n if rng.bits(1) else n), exponent


_CORNERS = ((2047, 0), (2047, 1 << 51), (2047, 1), (0, 0), (0, 1), (2046, (1 << 52) - 1))


def _biased(rng, kind):
    """An exponent in the range of singles, of halves, or of what lies around 1."""
    return (867 + rng.below(290), 995 + rng.below(50), 1000 + rng.below(70))[kind % 3]


def doubles(seed, count):
    """Yields (word of a float64, k): of any exponent, of those that meet halves and singles, with many zeros."""
    rng = Rng(seed)
    for i in range(count):
        kind = i % 8
        biased = rng.bits(11) if kind == 0 else _biased(rng, kind)
        fraction = rng.bits(52)
        if kind > 2:  # ends in zeros, or just beside: ties and exact values of the smaller formats
            zeros = 20 + rng.below(33)
            fraction = _beside(rng, fraction >> zeros << zeros) & (1 << 52) - 1
        if i % 200 == 0:
            biased, fraction = rng.choice(_CORNERS)
        yield rng.bits(1) << 63 | biased << 52 | fraction, rng.below(10)


def _decimals(seed, count):
    import cbor

    buf = bytearray(9)
    for n, exponent in decimals(seed, count):
        try:
            cbor.dump_into(cbor.Decimal(n, exponent), buf)
        except cbor.CBORError:
            buf[1:] = b"\xff" * 8
        sys.stdout.buffer.write(memoryview(buf)[1:])


def _scaled(seed, count):
    import cbor

    ways = [cbor.scaled(k) for k in range(10)]
    buf = bytearray(b"\xfb" + bytes(8))
    for word, k in doubles(seed, count):
        buf[1:] = word.to_bytes(8, "big")
        print(cbor.loads(buf, floats=ways[k]))


def _narrow(seed, count):
    from cbor.floats import narrow, shortest

    for word, _ in doubles(seed, count):
        half, _ = narrow(word, 5, 10)
        single, _ = narrow(word, 8, 23)
        first, _, _ = shortest(word)
        sys.stdout.buffer.write(half.to_bytes(2, "big") + single.to_bytes(4, "big") + bytes((first,)))


if __name__ == "__main__":
    {"decimals": _decimals, "scaled": _scaled, "narrow": _narrow}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
