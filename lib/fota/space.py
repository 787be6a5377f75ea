"""Where an update lies on the flash while it comes in, and whether there is room for it. Called by fetch and slots."""

import os

from micropython import const

import store
from fota import InstallError

_DIR = const(0x4000)
_SPARE_BLOCKS = const(4)  # for copy-on-write while the old and the new copy of a file exist


def folder(root):
    """The folder of a download below `root`."""
    return root + "/dl"


def discard(root):
    """Forget a download: the head goes first, so that a cut in here leaves nothing that looks resumable."""
    store.remove_tree(folder(root), "head")


def room(root, other, manifest):
    """Raise InstallError "space" unless download and unpacked image of `manifest` fit; may raise OSError.

    littlefs gives every file at least one block and every folder two. What the slot `other` and an older download
    hold now counts as free: both go before their successors come, and none before this has been asked.
    """
    if not store.exists(folder(root) + "/head"):
        discard(root)  # begun and cut off: it is of no use, and counts
    stat = os.statvfs(root or "/")
    block, free = stat[1], stat[4]
    if free > stat[2]:
        free = 0  # MicroPython 1.25 counts the blocks of each folder twice; what goes below zero comes out huge
    free += blocks(root + "/" + other, block) + blocks(folder(root), block)
    download = manifest.count + 4  # folder, head and its temporary
    need = download + manifest.flash_blocks + 1 + _SPARE_BLOCKS  # and MANIFEST
    if free < need:
        raise InstallError("space", "%d of %d blocks" % (free, need))


def blocks(path, block):
    """Blocks that a file or folder occupies, at least; 0 when absent."""
    try:
        stat = os.stat(path)
        if not stat[0] & _DIR:
            return (stat[6] + block - 1) // block
        total = 2
        for name in os.listdir(path):
            total += blocks(path + "/" + name, block)
        return total
    except OSError:
        return 0
