"""Mutated messages from a corpus of real ones: seeded, and nearly free of garbage. Runs under MicroPython and CPython.

A corpus is a file of (2-byte length, bytes) records. Inputs come in batches; a batch depends on (seed, batch number)
alone, so that any of them can be made again without those before it.
"""

from array import array


class Corpus:
    """The records of a corpus file, which stays on disk: the heap is for the code under test."""

    def __init__(self, path):
        self._file = open(path, "rb")
        self._starts = array("I")
        head = bytearray(2)
        at = 0
        while self._read(at, head) == 2:
            self._starts.append(at)
            at += 2 + (head[0] << 8 | head[1])
        self._starts.append(at)

    def _read(self, at, view):
        self._file.seek(at)
        return self._file.readinto(view)

    def __len__(self):
        return len(self._starts) - 1

    def size(self, i):
        """Length of record i."""
        return self._starts[i + 1] - self._starts[i] - 2

    def read(self, i, skip, view):
        """Fill the memoryview with record i from byte `skip` on; it must not be longer than that."""
        self._read(self._starts[i] + 2 + skip, view)


class Mutator:
    """Makes one input after the other in `buf`: next() gives its length.

    One in 16 is a record as it is, one in 8 random bytes, the others are records with one to four changes. `favoured`
    are bytes that mean something in this format, attack(mutator, n) -> n is a change that only this format knows.
    """

    def __init__(self, corpus, rng, size, favoured, attack, plausible):
        self.corpus = corpus
        self.rng = rng
        self.buf = bytearray(size)
        self.view = memoryview(self.buf)
        self.favoured = favoured
        self._attack = attack
        self._plausible = plausible  # makes random bytes look like a beginning
        self._changes = (
            self._flip, self._flip, self._any, self._favour, self._favour, self._cut, self._insert, self._delete,
            self._splice, self._repeat, self._special, self._special,
        )  # fmt: skip

    def next(self):
        """Make the next input; its length."""
        rng = self.rng
        kind = rng.below(16)
        if kind < 2:
            return self._random()
        n = self.pick()
        if kind == 2:
            return n
        for _ in range(1 + rng.below(4)):
            n = self._changes[rng.below(len(self._changes))](n)
        return n

    def rest(self):
        """The end of a batch: nothing to let go of here."""

    def pick(self):
        """A record of the corpus into the buffer; its length."""
        i = self.rng.below(len(self.corpus))
        n = min(self.corpus.size(i), len(self.buf))
        self.corpus.read(i, 0, self.view[:n])
        return n

    def load(self, data):
        """Put an input of the caller's into the buffer, as much as fits; its length."""
        n = min(len(data), len(self.buf))
        self.buf[:n] = data[:n]
        return n

    def change(self, n, first, count):
        """`count` changes behind byte `first` of the n bytes in the buffer; the new length."""
        for _ in range(count):
            before = self.buf[:first]
            n = self._changes[self.rng.below(len(self._changes))](n)
            if n < first:
                n = first
            self.buf[:first] = before
        return n

    def _random(self):
        rng = self.rng
        n = rng.below(len(self.buf) + 1) if not rng.below(64) else rng.below(48)
        for i in range(n):
            self.buf[i] = rng.bits() & 255
        if rng.below(4):
            self._plausible(self, n)
        return n

    def _flip(self, n):
        if n:
            self.buf[self.rng.below(n)] ^= 1 << self.rng.below(8)
        return n

    def _any(self, n):
        if n:
            self.buf[self.rng.below(n)] = self.rng.bits() & 255
        return n

    def _favour(self, n):
        if n:
            self.buf[self.rng.below(n)] = self.favoured[self.rng.below(len(self.favoured))]
        return n

    def _cut(self, n):
        return self.rng.below(n + 1)

    def _insert(self, n):
        rng = self.rng
        count = min(1 + rng.below(8), len(self.buf) - n)
        at = rng.below(n + 1)
        self.buf[at + count : n + count] = self.view[at:n]
        for i in range(at, at + count):
            self.buf[i] = rng.bits() & 255
        return n + count

    def _delete(self, n):
        rng = self.rng
        count = min(1 + rng.below(8), n)
        at = rng.below(n - count + 1)
        self.buf[at : n - count] = self.view[at + count : n]
        return n - count

    def _splice(self, n):
        """The beginning of this one, then the end of another."""
        i = self.rng.below(len(self.corpus))
        size = self.corpus.size(i)
        skip = self.rng.below(size + 1)
        keep = self.rng.below(n + 1)
        count = min(size - skip, len(self.buf) - keep)
        self.corpus.read(i, skip, self.view[keep : keep + count])
        return keep + count

    def _repeat(self, n):
        """A piece of it once more, behind itself."""
        rng = self.rng
        at = rng.below(n + 1)
        count = min(rng.below(min(n - at, 24) + 1), len(self.buf) - n)
        self.buf[at + count : n + count] = self.view[at:n]
        return n + count

    def _special(self, n):
        return self._attack(self, n)
