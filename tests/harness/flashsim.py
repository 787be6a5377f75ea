"""A flash chip in RAM as a MicroPython block device, with power cuts inside and between its operations.

The cut is a "zombie" (facts/fota.md 5.1): at operation k the image is copied, that operation is applied to the copy
as far as the mode says, and the copy is frozen; the live chip goes on, so no exception ever crosses C code.
after_cut() then gives the chip as it would be found at the next start. Or, for campaigns: record() a run that nothing
disturbs, and let a Tape put the chip into the state that a cut at any of its operations leaves, without running again
what came before. Memory is taken block by block, so that a chip fits into a fragmented heap. Works for vfs.VfsLfs2
(MicroPython) and for lib/journal (everywhere).
"""

from errno import EIO

from harness.rng import Rng

BEFORE = 0  # nothing of the operation happened
TORN = 1  # some of it happened: a prefix and a half-programmed byte, or granules of an erase
AFTER = 2  # all of it happened, and nothing after it
MODES = (BEFORE, TORN, AFTER)
NAMES = ("before", "torn", "after")
_GRANULE = 16


class FlashSim:
    """`blocks` blocks of `size` bytes, erased. Counters: `ops`, `programs`, `erases`, `bytes_programmed`, `reads`,
    `violations` (bytes whose bits would have to go from 0 to 1 without an erase: real NOR would store garbage);
    `wear`: erases of each block. Faults, until load(): `bad`, blocks that answer every program and erase with -EIO;
    `stuck`, blocks that keep what they hold and say nothing; fail() and flip_read()."""

    def __init__(self, blocks, size=4096):
        self.blocks = blocks
        self.size = size
        self._blank = b"\xff" * size
        self._image = [bytearray(self._blank) for _ in range(blocks)]
        self._frozen = None  # made by the first cut
        self._cut_at = None
        self._heal()
        self.is_cut = False
        self.log = None  # of record()
        self.frugal = False  # nothing is allocated: finalisers run while the heap is locked
        self.reset_counters()

    def _heal(self):
        self._fail = self._flip_at = None
        self.bad = ()
        self.stuck = ()

    def reset_counters(self):
        self.ops = self.programs = self.erases = self.bytes_programmed = self.violations = self.reads = 0
        self.wear = [0] * self.blocks

    def record(self):
        """Keep every operation from now on in `log`, for a Tape: (block, offset, bytes programmed or None: erased)."""
        self.log = []

    def save(self):
        """The content of the chip, for load(); erased blocks take no memory."""
        return [self._blank if block == self._blank else bytes(block) for block in self._image]

    def load(self, image):
        """Back to a saved content (or flat bytes), with counters at zero, no cut armed and no failure."""
        for i in range(self.blocks):
            self._image[i][:] = image[i] if isinstance(image, list) else image[i * self.size : (i + 1) * self.size]
        self._cut_at = self.log = None
        self._heal()
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

    def flip_read(self, read, mask=1):
        """The first byte of what read number `read` from now on returns is wrong; what the chip holds is right."""
        self._flip_at = (self.reads + read, mask)

    def spare(self, faults=None):
        """Whoever looks at the chip from outside is not to meet the faults: without `faults` they rest, and are
        returned; with them they are back, and no read has been counted meanwhile."""
        if faults:
            self._flip_at, self.reads = faults
            return None
        faults = self._flip_at, self.reads
        self._flip_at = None
        return faults

    def part(self, first, count):
        """The blocks from `first` on as a device of their own, on this chip's one count of operations."""
        return Part(self, first, count)

    def _failing(self, block):
        if block in self.bad:
            return EIO
        if self._fail and self.ops >= self._fail[0] and self._fail[2] > 0:
            self._fail[2] -= 1
            return self._fail[1]
        return 0

    def _operate(self, apply, block, at, data):
        """Count one operation; if it is the one to be cut, freeze a copy with as much of it as the mode says."""
        if self.log is not None:
            self.log.append((block, at, None if data is self._blank else bytes(data)))
        if self.ops == self._cut_at:
            if self._frozen is None:
                self._frozen = [bytearray(self.size) for _ in range(self.blocks)]
            for i in range(self.blocks):
                self._frozen[i][:] = self._image[i]
            self._partly(apply, self._frozen[block], at, data, self._mode, self._seed, self.ops)
            self.is_cut = True
        self.ops += 1
        if block not in self.stuck:
            apply(self._image[block], at, data)

    def _partly(self, apply, target, at, data, mode, seed, op):
        """Apply one operation as far as the power lasts."""
        if mode == AFTER:
            apply(target, at, data)
        elif mode == TORN:
            self._tear(apply, target, at, data, Rng(seed + 7919 * op))

    def apply(self, target, entry, mode=AFTER, seed=0, op=0):
        """Apply an entry of `log` to the block `target` (bytearray), wholly or as a cut in `mode` leaves it."""
        _, at, data = entry
        if data is None:
            self._partly(self._wipe, target, 0, self._blank, mode, seed, op)
        else:
            self._partly(self._program, target, at, data, mode, seed, op)

    def _tear(self, apply, frozen, at, data, rng):
        if data is self._blank:
            # An erase in progress: each granule is erased, untouched, or has some of its bits back.
            for i in range(0, self.size, _GRANULE):
                state = rng.below(3)
                if state == 0:
                    frozen[i : i + _GRANULE] = self._blank[:_GRANULE]
                elif state == 2:
                    for j in range(i, i + _GRANULE):
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

    def _plain(self, target, buf, offset):
        for i in range(len(buf)):
            target[offset + i] &= buf[i]
        self.ops += 1
        return 0

    def readblocks(self, block, buf, offset=0):
        content = self._image[block]
        if self.frugal:
            for i in range(len(buf)):
                buf[i] = content[offset + i]
            return 0
        buf[:] = memoryview(content)[offset : offset + len(buf)]
        if self._flip_at and self.reads == self._flip_at[0]:
            buf[0] ^= self._flip_at[1]
        self.reads += 1
        return 0

    def writeblocks(self, block, buf, offset=None):
        if offset is None:  # the simple protocol: whole blocks, erased first
            for i in range(len(buf) // self.size):
                self.ioctl(6, block + i)
                self.writeblocks(block + i, memoryview(buf)[i * self.size : (i + 1) * self.size], 0)
            return 0
        if self.frugal:
            return self._plain(self._image[block], buf, offset)
        error = self._failing(block)
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
            error = self._failing(arg)
            if error:
                return -error
            if self.frugal:
                for i in range(self.size):
                    self._image[arg][i] = 0xFF
                self.ops += 1
                return 0
            self.erases += 1
            self.wear[arg] += 1
            self._operate(self._wipe, arg, 0, self._blank)
        return 0


class Part:
    """Some blocks of a FlashSim, as a block device."""

    def __init__(self, chip, first, count):
        self._chip = chip
        self._first = first
        self._count = count

    def readblocks(self, block, buf, offset=0):
        return self._chip.readblocks(self._first + block, buf, offset)

    def writeblocks(self, block, buf, offset=None):
        return self._chip.writeblocks(self._first + block, buf, offset)

    def ioctl(self, op, arg):
        if op == 4:
            return self._count
        return self._chip.ioctl(op, arg + self._first if op == 6 else arg)


class Tape:
    """A recorded run: `image`, the chip before it (FlashSim.save()), and `log`. put() in rising order of operations."""

    def __init__(self, chip, image, log):
        self._chip = chip
        self._start = image
        self._image = None
        self.log = log

    def __len__(self):
        return len(self.log)

    def _seek(self, op):
        if self._image is None or op < self._at:
            self._image = [bytearray(block) for block in self._start]
            self._at = 0
        while self._at < op:
            entry = self.log[self._at]
            self._chip.apply(self._image[entry[0]], entry)
            self._at += 1

    def put(self, op, mode, seed=0):
        """The chip as a cut at operation `op` leaves it."""
        self._seek(op)
        chip = self._chip
        chip.load(self._image)
        entry = self.log[op]
        chip.apply(chip._image[entry[0]], entry, mode, seed, op)
