"""Make the flash image of a desk node: littlefs2 file system first, journal partition behind it.

Runs under the unix MicroPython port, through the same block device class as the firmware, so that the image is what
the node itself would have made: `micropython mkflash.py IMAGE TREE`. TREE is a host folder; its content becomes the
content of the file system. The journal partition is left erased: the journal formats it at first use.
Called by `godwit run` (tools/godwit/day/factory.py). RAM: one 4096-byte copy buffer.
"""

import os
import sys

import vfs
from micropython import const

import flashdev

_MOUNT = "/image"
_DIRECTORY = const(0x4000)  # st_mode of a directory on every port


def _copy_file(source, target, buf):
    count = 0
    with open(source, "rb") as src, open(target, "wb") as dst:
        while True:
            n = src.readinto(buf)
            if not n:
                return count
            dst.write(memoryview(buf)[:n])
            count += n


def _copy_tree(source, target, buf):
    """Copy a folder's content, files in sorted order so that equal trees give equal images; -> (files, bytes)."""
    files = size = 0
    for entry in sorted(os.ilistdir(source)):
        src, dst = source + "/" + entry[0], target + "/" + entry[0]
        if entry[1] == _DIRECTORY:
            os.mkdir(dst)
            more_files, more_size = _copy_tree(src, dst, buf)
            files += more_files
            size += more_size
        else:
            size += _copy_file(src, dst, buf)
            files += 1
    return files, size


def main(image, tree):
    """Build `image` from the folder `tree`; prints one line with what was written."""
    flashdev.create(image)
    device = flashdev.filesystem(image)
    vfs.VfsLfs2.mkfs(device)
    vfs.mount(device, _MOUNT)
    files, size = _copy_tree(tree, _MOUNT, bytearray(flashdev.BLOCK))
    stat = os.statvfs(_MOUNT)
    vfs.umount(_MOUNT)
    print("flash: %d files, %d bytes, %d of %d blocks free" % (files, size, stat[3], stat[2]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        print("usage: micropython mkflash.py IMAGE TREE")
        sys.exit(2)
    main(sys.argv[1], sys.argv[2])
