"""Download of a whole image straight into the ESP32 app partition that is not running (facts/fota.md 2.2).

The image is the application, MicroPython and all: there is nothing to unpack, so its blocks are written where they
will run from, and which of them are there already is the download's progress. `part` is what `board.partition()`
gives, an esp32.Partition of the running image. The image format is Espressif's ("App Image Format" of ESP-IDF's API
reference). Called by firmware/parts.py, which hands PartitionBlocks to Fetch. RAM: 600 bytes.
"""

import os
import struct

from micropython import const

from fota import InstallError, ManifestError
from fota.space import blocks as occupied
from fota.space import folder

_BLOCK_SIZE = const(4096)
_ERASE = const(6)  # ioctl
_COUNT = const(4)
_PIECE = const(256)
_HEAD = const(112)  # image header, first segment's header, application description as far as the project's name
_OTA_0 = const(16)  # subtypes of app partitions: factory 0, ota_0 16, ota_1 17
_MAGIC = const(0xE9)
_DESCRIBED = const(0xABCD5432)
_EIO = const(5)
_FILES_BLOCKS = const(7)  # two folders, keys, what littlefs moves; and twice the head, which is on flash once already


def other_of(part):
    """Return the app partition that is not running, ota_0 or ota_1; InstallError "partition" when the table has no
    such pair (most boards are sold with a single one)."""
    try:
        other = part.get_next_update()
    except OSError as e:
        raise InstallError("partition", e.args[0], True) from None
    subtypes = part.info()[1], other.info()[1]
    if sorted(subtypes) != [_OTA_0, _OTA_0 + 1]:
        raise InstallError("partition", "subtypes %d, %d" % subtypes, True)
    return other


def slot_of(part):
    """Return "a" for ota_0, "b" for ota_1: the names of the selector's state record."""
    return "ab"[part.info()[1] & 1]


def check_head(view, own):
    """Raise ManifestError unless `view`, the first bytes of an image, is one for the chip and of the project of `own`,
    the first 112 bytes of the image that runs: "image", "chip" or "project"."""
    if len(view) < _HEAD or view[0] != _MAGIC or struct.unpack_from("<I", view, 32)[0] != _DESCRIBED or view[23] != 1:
        raise ManifestError("image")  # byte 23: its SHA-256 is appended, without which it has no identity
    chip = struct.unpack_from("<H", view, 12)[0]
    if chip != struct.unpack_from("<H", own, 12)[0]:
        raise ManifestError("chip", chip)
    if view[80:112] != own[80:112]:
        raise ManifestError("project", text(view[80:112]))


def text(view):
    """Return the characters of a field that is filled up with zeros; what is not ASCII becomes "?"."""
    raw = bytes(view) + b"\0"
    return "".join([chr(c) if 31 < c < 127 else "?" for c in raw[: raw.find(b"\0")]])


def head_of(part):
    """Return the first 112 bytes of the image in a partition; raises OSError."""
    head = bytearray(_HEAD)
    part.readblocks(0, head, 0)
    return memoryview(head)


def room(root, part, manifest):
    """Raise InstallError "size" or "space" unless the image fits the other partition, and what is kept about it the
    file system; may raise OSError."""
    fits(other_of(part), manifest)
    stat = os.statvfs(root or "/")
    older = occupied(folder(root), stat[1])  # a download that goes before this one comes
    need = _FILES_BLOCKS + 2 * (1 + len(manifest.blocks) // _BLOCK_SIZE)
    if older:
        need -= 2  # room was found before that began, and what a cut has left behind must not count against it
    free = older + (stat[4] if stat[4] <= stat[2] else 0)  # littlefs may count more blocks than there are
    if free < need:
        raise InstallError("space", "%d of %d blocks" % (free, need))


def fits(other, manifest):
    """Raise InstallError "size" when the image is larger than the partition `other`."""
    blocks = other.ioctl(_COUNT, 0)
    if manifest.count > blocks:
        raise InstallError("size", "%d of %d blocks" % (manifest.count, blocks), True)


class PartitionBlocks:
    """A store as fota.blocks describes it, in the other partition. `trial`: the running image is not confirmed yet,
    and the other partition holds the only one to go back to: InstallError "trial"."""

    def __init__(self, part, trial=False):
        if trial:
            raise InstallError("trial")
        self._own = part
        self._part = other_of(part)
        self._piece = memoryview(bytearray(_PIECE))

    def read(self, i, view):
        """Fill `view` from block `i`; -> its length, whatever lies there. Raises OSError."""
        if i >= self._part.ioctl(_COUNT, 0):
            return 0
        self._part.readblocks(i, view, 0)
        return len(view)

    def write(self, i, view):
        """Erase block `i`, program it, and read it back. Raises OSError; ManifestError when the first block is not
        that of an image for this chip and project, before anything is erased."""
        part = self._part
        if not i:
            check_head(view, head_of(self._own))
        if i >= part.ioctl(_COUNT, 0):
            raise OSError(_EIO)
        part.ioctl(_ERASE, i)
        part.writeblocks(i, view, 0)  # with an offset it programs only: a short last block needs no padding
        at = 0
        while at < len(view):
            piece = self._piece[: min(_PIECE, len(view) - at)]
            part.readblocks(i, piece, at)
            if piece != view[at : at + len(piece)]:
                raise OSError(_EIO)
            at += len(piece)

    def close(self):
        """There is nothing to let go of."""
