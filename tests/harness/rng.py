"""A small deterministic random source: the same numbers on every interpreter and word size.

A 32-bit linear congruential generator (the constants of Numerical Recipes); only its upper 24 bits are
handed out, because the lower ones repeat quickly. For fuzz and property tests, not for secrets.
"""

import os


def seed(default):
    """GODWIT_SEED from the environment, else `default`; printed, so that a failure can be repeated."""
    value = int(os.getenv("GODWIT_SEED") or default)
    print("seed", value)
    return value


class Rng:
    def __init__(self, seed):
        self._x = (seed ^ 0x5DEECE66) & 0xFFFFFFFF
        self.bits(24)

    def bits(self, n):
        """An integer of n random bits."""
        value = 0
        have = 0
        while have < n:
            self._x = (self._x * 1664525 + 1013904223) & 0xFFFFFFFF
            value = value << 24 | self._x >> 8
            have += 24
        return value >> (have - n)

    def below(self, n):
        """0 <= result < n (the bias is below n / 2**24, or n / 2**48 for n > 65536)."""
        if n <= 0:
            raise ValueError("nothing below %d" % n)
        width = 24 if n <= 65536 else 48
        while 1 << width < n << 8:
            width += 24
        return self.bits(width) % n

    def between(self, low, high):
        """low <= result <= high."""
        return low + self.below(high - low + 1)

    def chance(self, percent):
        """True in about `percent` of 100 calls."""
        return self.below(10000) < percent * 100

    def choice(self, seq):
        return seq[self.below(len(seq))]

    def bytes(self, n):
        out = bytearray(n)
        for i in range(n):
            out[i] = self.bits(8)
        return bytes(out)

    def shuffle(self, items):
        """Shuffle a list in place."""
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
