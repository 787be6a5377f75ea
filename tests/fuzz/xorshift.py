"""The random numbers of the fuzz campaigns: cheap on 32 bits, and the same on every interpreter."""

MASK = 0xFFFF


class Xorshift:
    """32 bits of state in two 16-bit words, so that no step needs more than a small int (period 2**32 - 1)."""

    def __init__(self):
        self.x = self.y = 1

    def seed(self, seed, batch):
        """Start the sequence of (seed, batch)."""
        self.x = (seed * 40503 + batch * 30011 + 0x9E37) & MASK
        self.y = (seed * 25173 ^ batch * 13849 ^ seed >> 16 ^ 0x79B9) & MASK
        if not (self.x or self.y):
            self.y = 1
        for _ in range(16):
            self.bits()

    def bits(self):
        """16 random bits."""
        t = (self.x ^ self.x << 5) & MASK
        self.x = y = self.y
        self.y = y = y ^ y >> 1 ^ t ^ t >> 3
        return y

    def below(self, n):
        """0 <= result < n <= 65536; the bias does not matter here."""
        return self.bits() % n
