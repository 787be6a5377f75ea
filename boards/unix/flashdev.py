"""The desk's flash chip: a file seen as a MicroPython block device (extended protocol, 4096-byte blocks).

One file holds the littlefs2 file system and, behind it, the journal's raw region, as a partition table would lay
them out on a board. Every write goes to the host at once, so that killing the process is a power cut. Boards have
their own: `esp32.Partition`, `rp2.Flash`.
"""

import os

from micropython import const

BLOCK = const(4096)
FS_BLOCKS = const(448)  # 1.75 MiB of littlefs2: two slots and a download, a block per file at least
JOURNAL_BLOCKS = const(64)  # 256 KiB of raw ring

_PIECE = const(256)  # what an erase writes at a time: heap on the desk stands for heap on a board
_IOCTL_SYNC = const(3)
_IOCTL_BLOCK_COUNT = const(4)
_IOCTL_BLOCK_SIZE = const(5)
_IOCTL_ERASE = const(6)


def create(path):
    """Make an erased chip (all 0xFF) of FS_BLOCKS + JOURNAL_BLOCKS blocks in file `path`."""
    blank = b"\xff" * BLOCK
    with open(path, "wb") as chip:
        for _ in range(FS_BLOCKS + JOURNAL_BLOCKS):
            chip.write(blank)


class FileBlockDevice:
    """`blocks` blocks of file `path` from block `first` on. OSError when the file is missing or too short."""

    def __init__(self, path, first, blocks):
        if os.stat(path)[6] < (first + blocks) * BLOCK:
            raise OSError(5, "flash image is too short")
        self._file = open(path, "r+b")
        self._base = first * BLOCK
        self._blocks = blocks
        self._blank = b"\xff" * _PIECE

    def readblocks(self, block, buf, offset=0):
        self._file.seek(self._base + block * BLOCK + offset)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, offset=None):
        if offset is None:  # the plain protocol erases first
            self.ioctl(_IOCTL_ERASE, block)
            offset = 0
        self._file.seek(self._base + block * BLOCK + offset)
        self._file.write(buf)

    def ioctl(self, op, arg):
        if op == _IOCTL_BLOCK_COUNT:
            return self._blocks
        if op == _IOCTL_BLOCK_SIZE:
            return BLOCK
        if op == _IOCTL_ERASE:
            self._file.seek(self._base + arg * BLOCK)
            for _ in range(BLOCK // _PIECE):
                self._file.write(self._blank)
            return 0
        return 0 if op <= _IOCTL_SYNC else None


def filesystem(path):
    """-> block device of the littlefs2 part."""
    return FileBlockDevice(path, 0, FS_BLOCKS)


def journal(path):
    """-> block device of the journal's part."""
    return FileBlockDevice(path, FS_BLOCKS, JOURNAL_BLOCKS)
