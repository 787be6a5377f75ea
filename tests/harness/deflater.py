"""Raw deflate streams (RFC 1951) made by hand, also such as no compressor would make; MicroPython has none.

A stream is a list of tokens: bytes (literals) and (length, distance) pairs, coded with the fixed Huffman codes.
Shares nothing with lib/fota or tools/.
"""

_LENGTHS = ((3, 0), (11, 1), (19, 2), (35, 3), (67, 4), (131, 5))  # first length of four codes, their extra bits


class Bits:
    """Bits into bytes, the lowest first; Huffman codes the other way round (RFC 1951 3.1.1)."""

    def __init__(self):
        self.out = bytearray()
        self._bit = 0

    def put(self, value, count):
        for i in range(count):
            if not self._bit:
                self.out.append(0)
            self.out[-1] |= (value >> i & 1) << self._bit
            self._bit = (self._bit + 1) & 7

    def code(self, value, count):
        for i in range(count - 1, -1, -1):
            self.put(value >> i & 1, 1)


def _literal(bits, symbol):
    """A literal or length symbol in the fixed code (RFC 1951 3.2.6)."""
    if symbol < 144:
        bits.code(0x30 + symbol, 8)
    elif symbol < 256:
        bits.code(0x190 + symbol - 144, 9)
    elif symbol < 280:
        bits.code(symbol - 256, 7)
    else:
        bits.code(0xC0 + symbol - 280, 8)


def _length(bits, length):
    if length == 258:
        return _literal(bits, 285)
    if length < 11:
        return _literal(bits, 254 + length)
    group = max(i for i in range(1, 6) if _LENGTHS[i][0] <= length)
    first, extra = _LENGTHS[group]
    step = (length - first) >> extra
    _literal(bits, 261 + 4 * group + step)
    bits.put(length - first - (step << extra), extra)


def _distance(bits, distance):
    if distance < 5:
        return bits.code(distance - 1, 5)
    extra = 1
    while distance - 1 >= 4 << extra:
        extra += 1
    half = distance - 1 >= 3 << extra
    bits.code(2 * extra + 2 + half, 5)
    bits.put((distance - 1) & ((1 << extra) - 1), extra)


def stream(tokens, final=True, end=True):
    """One block of `tokens`; without `final` another one must follow, without `end` it never ends."""
    bits = Bits()
    bits.put(1 if final else 0, 1)
    bits.put(1, 2)
    for token in tokens:
        if isinstance(token, tuple):
            _length(bits, token[0])
            _distance(bits, token[1])
        else:
            for byte in token:
                _literal(bits, byte)
    if end:
        _literal(bits, 256)
    return bytes(bits.out)


def stored(data, final=True):
    """`data` in one stored block."""
    n = len(data)
    return bytes([final, n & 255, n >> 8, ~n & 255, ~n >> 8 & 255]) + data


def squeezed(data, period=32):
    """`data` as literals, and matches where it repeats what was `period` bytes before."""
    tokens = []
    at = 0
    while at < len(data):
        n = 0
        while at >= period and n < 258 and at + n < len(data) and data[at + n] == data[at + n - period]:
            n += 1
        if n > 3:
            tokens.append((n, period))
            at += n
        else:
            tokens.append(data[at : at + 1])
            at += 1
    return stream(tokens)
