"""The control: the same campaign on FAT must fail, or it could not see anything (facts/fota.md 2.3).

FAT on flash with blocks of 4096 bytes to erase, its sectors as large or of 512 bytes (a board's Partition with
block_size=512 reads, erases and programs the whole block for each).
"""

from faults.device.cuts import Run
from faults.device.node import Broken, Images, Node
from harness.flashsim import MODES

_SIZE = 4096
_STEP = 3
_BLOCKS = {"512": 64, "4096": 160}


class _Sectors:
    """A flash part as sectors that can be written over."""

    def __init__(self, part, size):
        self._part = part
        self._size = size
        self._buf = bytearray(_SIZE)

    def readblocks(self, n, buf):
        at = n * self._size
        for i in range(0, len(buf), self._size):
            piece = memoryview(buf)[i : i + self._size]
            self._part.readblocks((at + i) // _SIZE, piece, (at + i) % _SIZE)
        return 0

    def writeblocks(self, n, buf):
        for i in range(0, len(buf), self._size):
            at = n * self._size + i
            block = at // _SIZE
            self._part.readblocks(block, self._buf, 0)
            self._buf[at % _SIZE : at % _SIZE + self._size] = memoryview(buf)[i : i + self._size]
            self._part.ioctl(6, block)
            self._part.writeblocks(block, self._buf, 0)
        return 0

    def ioctl(self, op, arg):
        if op == 4:
            return self._part.ioctl(4, 0) * (_SIZE // self._size)
        return self._size if op == 5 else 0


def _make_disk(size):
    import vfs

    def make(part, new):
        sectors = _Sectors(part, size)
        if new:
            vfs.VfsFat.mkfs(sectors)
        return vfs.VfsFat(sectors)

    return make


def _outcome(node):
    """-> how it ended: None for well."""
    try:
        node.finish()
        node.judge(1)
    except Broken as e:
        return e.kind
    except Exception:
        return "other"
    return None


def fat(tally, part, share, seed, full):
    """FAT: cases that broke are what is wanted."""
    node = Node(Images("small"), make_disk=_make_disk(int(part)), blocks=_BLOCKS[part])
    run = Run(node, node.image, None)
    tally.most("ops", len(run))
    for op in range(0, len(run), _STEP):
        if share.mine(op // _STEP):
            mode = MODES[op // _STEP % len(MODES)]
            run.cut(op, mode, seed)
            tally.figures["cases"] += 1
            if _outcome(node):
                tally.add("found")
    broken = tally.figures.get("found", 0)
    if broken * 20 < tally.figures["cases"]:
        tally.fail("control", "only %d of %d broke" % (broken, tally.figures["cases"]), "other")


def again(tally, part, text):
    """--only is not for what must fail."""
    tally.fail(text, "nothing to repeat", "other")
