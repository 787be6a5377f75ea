"""What CBOR (RFC 8949) has and Python has not: tags, simple values, float widths, exact decimals, ordered maps.

Plain value classes and the errors, shared by encode and decode; users take them from the package: `cbor.Tag`.
No RAM beyond one small object (`undefined`).
"""


class CBORError(ValueError):
    """Malformed, unsupported or too large input, or an object that CBOR cannot carry.

    From the decoder its `reason` is one of the words in README.md, and its text says at which byte."""

    reason = None


class NoRoom(CBORError):
    """The caller's buffer is too small. Nothing was written past it; what is inside it is undefined."""


class Tag:
    """A tagged item (major type 6): `number`, `value`. Handed through and never interpreted, but for bignums."""

    def __init__(self, number, value):
        self.number = number
        self.value = value

    def __eq__(self, other):
        return isinstance(other, Tag) and self.number == other.number and self.value == other.value


class _Value:
    def __init__(self, value):
        self.value = value


class Simple(_Value):
    """A simple value (major type 7) 0..23 or 32..255; on decoding false, true and null are Python's own."""

    def __eq__(self, other):
        return isinstance(other, Simple) and self.value == other.value


undefined = Simple(23)


class Map(_Value):
    """A map with a fixed order, from a sequence of (key, value) pairs. MicroPython's dict keeps no order."""


class F32(_Value):
    """A float that must travel as 4 bytes (nRF Cloud's rsrq)."""


class F64(_Value):
    """A number that must travel as 8 bytes whatever the build's own float is; an int is converted exactly."""


class Decimal:
    """mantissa x 10**exponent, both int; travels as the nearest float64, ties to even: Decimal(455240980, -7)."""

    def __init__(self, mantissa, exponent):
        if not isinstance(mantissa, int) or not isinstance(exponent, int) or not -400 < exponent < 400:
            raise CBORError("Decimal takes two integers")
        self.mantissa = mantissa
        self.exponent = exponent
