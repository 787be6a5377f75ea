"""A flash chip in RAM as a MicroPython block device, with power cuts inside and between its operations.

The cut is a "zombie" (facts/fota.md 5.1): at operation k the image is copied, that operation is applied to the copy
as far as the mode says, and the copy is frozen; the live chip goes on, so no exception ever crosses C code.
after_cut() then gives the chip as it would be found at the next start. Memory is taken block by block, so that a
chip fits into a fragmented heap. Works for vfs.VfsLfs2 (MicroPython) and for lib/journal.py (everywhere).
"""

from harness.rng import Rng

BEFORE = 0  # nothing of the operation happened
TORN = 1  # some of it happened: a prefix and a half-programmed byte, or granules of an erase
AFTER = 2  # all of it happened, and nothing after it
MODES = (BEFORE, TORN, AFTER)
NAMES = ("before", "torn", "after")
_GRANULE = 16


class FlashSim:
    """`blocks` blocks of `size` bytes, erased. Counters: `ops`, `programs`, `erases`, `bytes_programmed`,
    `violations` (bytes whose bits would have to go from 0 to 1 without an erase: real NOR would store garbage)."""

    def __init__(self, blocks, size=4096):
        self.blocks = blocks
        self.size = size
        self._blank = b"\xff" * size
        self._image = [bytearray(self._blank) for _ in range(blocks)]
        self._frozen = None  # made by the first cut
        self._cut_at = None
        self._fail = None
        self.is_cut = False
        self.reset_counters()

    def reset_counters(self):
        self.ops = self.programs = self.erases = self.bytes_programmed = self.violations = 0

    def save(self):
        """The content of the chip, for load(); erased blocks take no memory."""
        return [self._blank if block == self._blank else bytes(block) for block in self._image]

    def load(self, image):
        """Back to a saved content (or flat bytes), with counters at zero, no cut armed and no failure."""
        for i in range(self.blocks):
            self._image[i][:] = image[i] if isinstance(image, list) else image[i * self.size : (i + 1) * self.size]
        self._cut_at = self._fail = None
        self.is_cut = False
        self.reset_counters()

    def flat(self):
        """The content as bytes."""
        return b"".join(bytes(block) for block in self._image)

    def flip(self, at, mask=1):
        """Damage one byte: flip the bits of `mask`."""
        self._image[at // self.size][at % self.size] ^= mask

    def cut(self, op, mode, seed=0):
        """Cut the power at operation `op` from now on (0 is the next program or erase), in one of MODES."""
        self._cut_at = self.ops + op
        self._mode = mode
        self._seed = seed
        self.is_cut = False

    def after_cut(self):
        """The power is back: the live chip becomes what the cut has left. True if the cut was reached."""
        if self.is_cut:
            self._image, self._frozen = self._frozen, self._image
        reached = self.is_cut
        self._cut_at = None
        self.is_cut = False
        return reached

    def fail(self, op, errno, times=1):
        """From operation `op` on, `times` programs or erases fail with -errno and change nothing."""
        self._fail = [self.ops + op, errno, times]

    def _failing(self):
        if self._fail and self.ops >= self._fail[0] and self._fail[2] > 0:
            self._fail[2] -= 1
            return self._fail[1]
        return 0

    def _operate(self, apply, block, at, data):
        """Count one operation; if it is the one to be cut, freeze a copy with as much of it as the mode says."""
        if self.ops == self._cut_at:
            if self._frozen is None:
                self._frozen = [bytearray(self.size) for _ in range(self.blocks)]
            for i in range(self.blocks):
                self._frozen[i][:] = self._image[i]
            if self._mode == AFTER:
                apply(self._frozen[block], at, data)
            elif self._mode == TORN:
                self._tear(apply, self._frozen[block], at, data, Rng(self._seed + 7919 * self.ops))
            self.is_cut = True
        self.ops += 1
        apply(self._image[block], at, data)

    def _tear(self, apply, frozen, at, data, rng):
        if data is self._blank:
            # An erase in progress: each granule is erased, untouched, or has some of its bits back.
            for i in range(0, self.size, _GRANULE):
                state = rng.below(3)
                for j in range(i, i + _GRANULE):
                    if state == 0:
                        frozen[j] = 0xFF
                    elif state == 2:
                        frozen[j] |= rng.bits(8)
            return
        n = rng.below(len(data))
        apply(frozen, at, memoryview(data)[:n])
        frozen[at + n] &= data[n] | rng.bits(8)

    def _program(self, target, at, data):
        """NOR: programming only clears bits."""
        old = target[at : at + len(data)]
        if old == self._blank[: len(data)]:
            target[at : at + len(data)] = data
            return
        for i in range(len(data)):
            if data[i] & ~old[i] & 0xFF:
                self.violations += 1
            target[at + i] = old[i] & data[i]

    def _wipe(self, target, at, data):
        target[:] = data

    def readblocks(self, block, buf, offset=0):
        buf[:] = memoryview(self._image[block])[offset : offset + len(buf)]
        return 0

    def writeblocks(self, block, buf, offset=None):
        if offset is None:  # the simple protocol: whole blocks, erased first
            for i in range(len(buf) // self.size):
                self.ioctl(6, block + i)
                self.writeblocks(block + i, memoryview(buf)[i * self.size : (i + 1) * self.size], 0)
            return 0
        error = self._failing()
        if error:
            return -error
        self.programs += 1
        self.bytes_programmed += len(buf)
        self._operate(self._program, block, offset, buf)
        return 0

    def ioctl(self, op, arg):
        if op == 4:
            return self.blocks
        if op == 5:
            return self.size
        if op == 6:
            error = self._failing()
            if error:
                return -error
            self.erases += 1
            self._operate(self._wipe, arg, 0, self._blank)
        return 0
