"""An ESP32's flash and bootloader: two app partitions, otadata and littlefs2 on one simulated chip, with power cuts.

Written from Espressif's documents ("Over The Air Updates" and "App Image Format" of ESP-IDF's API reference; the
select entry of 32 bytes: ota_seq, seq_label, ota_state, crc of ota_seq) and facts/fota.md 2.2, not from our driver.
What matters for power cuts is kept as it is there: an entry is rewritten in place, erase then program, also by the
bootloader; the CRC covers the sequence number only; whoever marks an image valid marks the entry in force.
"""

import struct
from binascii import crc32

from harness.espimage import is_valid
from harness.flashsim import FlashSim

NEW, PENDING, VALID, INVALID, ABORTED = range(5)
_NONE = 0xFFFFFFFF
_ENTRY = "<I20sII"
_OTADATA = 2  # blocks, one for each entry
_BLOCK = 4096
_FLASH_FAILED = -0x6001  # ESP_ERR_FLASH_OP_FAIL
VALIDATE_FAILED = -5379
NOT_FOUND = -261


class Reset(Exception):
    """machine.reset()."""


def reset():
    raise Reset


def crc(seq):
    """CRC32 of an entry, over its sequence number only, begun with ones."""
    return crc32(struct.pack("<I", seq), _NONE) & _NONE


class Esp32:
    """`blocks` of each app partition, `files` of the file system. `rollback`: the bootloader's; without it each image
    marks itself valid before anything else runs (facts 2.2: one stock board does). `running`: 0 or 1 after boot()."""

    def __init__(self, blocks=6, files=20, rollback=True):
        self.blocks = blocks
        self.rollback = rollback
        self.chip = FlashSim(_OTADATA + 2 * blocks + files)
        self.files = self.chip.part(_OTADATA + 2 * blocks, files)
        self.partitions = [Partition(self, i) for i in range(2)]
        self.single = False  # a table with one app partition only
        self.marks = 0  # calls of mark_app_valid_cancel_rollback() that wrote
        self.running = None

    def boot(self):
        """The bootloader: choose, write what it must, and start -> index of the partition, None when nothing starts."""
        self.running = None
        if self.rollback:
            for i in range(2):
                if self.entry(i)[1] == PENDING:  # it was started once and never confirmed
                    self._rewrite(i, ABORTED)
        active = self.active()
        entries = [self.entry(0), self.entry(1)]
        blank = not [e for e in entries if e[0] != _NONE and e[2] == crc(e[0])]
        first = 0 if active is None else (self.entry(active)[0] - 1) % 2
        if self.rollback and active is not None and self.entry(active)[1] == NEW:
            self._rewrite(active, PENDING)
        for index in (first, 1 - first):
            if self.is_bootable(index):
                if blank:
                    self._first(index)
                self.running = index
                break
        if not self.rollback and self.running is not None:
            self.mark()
        return self.running

    def _first(self, index):
        try:
            self._write(0, index + 1, VALID, crc(index + 1))
        except OSError:
            pass

    def entry(self, i):
        """(ota_seq, ota_state, crc) of one of the two entries."""
        raw = bytearray(32)
        self.chip.readblocks(i, raw, 0)
        seq, _, state, check = struct.unpack(_ENTRY, raw)
        return seq, state, check

    def active(self):
        """Index of the entry in force: the valid one with the highest number; None."""
        best = None
        for i in range(2):
            seq, state, check = self.entry(i)
            if seq == _NONE or check != crc(seq) or state in (INVALID, ABORTED):
                continue
            if best is None or seq > self.entry(best)[0]:
                best = i
        return best

    def _rewrite(self, i, state):
        # The bootloader logs a flash that refuses, and goes on.
        seq, _, check = self.entry(i)
        try:
            self._write(i, seq, state, check)
        except OSError:
            pass

    def _write(self, i, seq, state, check):
        raw = struct.pack(_ENTRY, seq, b"\xff" * 20, state, check)
        for result in (self.chip.ioctl(6, i), self.chip.writeblocks(i, raw, 0)):
            if result:
                raise OSError(_FLASH_FAILED)

    def is_bootable(self, index):
        """What the bootloader checks of an image before it starts it, and set_boot() before it chooses it."""
        return is_valid(lambda at, n: self.content(index, at, n), self.blocks * _BLOCK)

    def content(self, index, at, n):
        """`n` bytes of a partition."""
        out = bytearray(n)
        view = memoryview(out)
        done = 0
        while done < n:
            i = (at + done) // _BLOCK
            offset = (at + done) % _BLOCK
            size = min(n - done, _BLOCK - offset)
            self.chip.readblocks(_OTADATA + index * self.blocks + i, view[done : done + size], offset)
            done += size
        return bytes(out)

    def flash(self, index, image):
        """Write an image by cable."""
        for i in range(self.blocks):
            part = image[i * _BLOCK : (i + 1) * _BLOCK]
            self.chip.writeblocks(_OTADATA + index * self.blocks + i, part + b"\xff" * (_BLOCK - len(part)))

    def select(self, index):
        """esp_ota_set_boot_partition: the next higher number that means this partition, over the older entry."""
        if not self.is_bootable(index):
            raise OSError(VALIDATE_FAILED)
        active = self.active()
        state = NEW if self.rollback else _NONE
        if active is None:
            self._write(0, index + 1, state, crc(index + 1))
            return
        seq = (index + 1) % 2
        while seq < self.entry(active)[0]:
            seq += 2
        self._write(1 - active, seq, state, crc(seq))

    def mark(self):
        """esp_ota_mark_app_valid_cancel_rollback: of the entry in force, whichever image that is."""
        active = self.active()
        if active is None:
            raise OSError(-1)
        seq, state, check = self.entry(active)
        if state != VALID:
            self._write(active, seq, VALID, check)
            self.marks += 1


class Partition:
    """One of the app partitions, as esp32.Partition shows it; made by Esp32."""

    def __init__(self, board, index):
        self._board = board
        self._index = index
        self._first = _OTADATA + index * board.blocks

    def info(self):
        size = self._board.blocks * _BLOCK
        return 0, 16 + self._index, 0x10000 + self._index * size, size, "ota_%d" % self._index, False

    def _device(self, block, n, offset):
        if block < 0 or block * _BLOCK + offset + n > self._board.blocks * _BLOCK:
            raise OSError(-0x104)  # ESP_ERR_INVALID_SIZE
        return self._board.chip

    def readblocks(self, block, buf, offset=0):
        self._device(block, len(buf), offset)
        done = 0
        while done < len(buf):  # over block borders, as esp_partition_read does
            at = offset + done
            n = min(len(buf) - done, _BLOCK - at % _BLOCK)
            view = memoryview(buf)[done : done + n]
            if self._board.chip.readblocks(self._first + block + at // _BLOCK, view, at % _BLOCK):
                raise OSError(_FLASH_FAILED)
            done += n

    def writeblocks(self, block, buf, offset=None):
        chip = self._device(block, len(buf), offset or 0)
        if offset is None and len(buf) % _BLOCK:
            raise OSError(-0x104)  # an erase is of whole blocks
        if chip.writeblocks(self._first + block, buf, offset):
            raise OSError(_FLASH_FAILED)

    def ioctl(self, op, arg):
        if op == 4:
            return self._board.blocks
        if op == 5:
            return _BLOCK
        if op == 6 and self._device(arg, _BLOCK, 0).ioctl(6, self._first + arg):
            raise OSError(_FLASH_FAILED)
        return 0

    def get_next_update(self):
        if self._board.single:
            raise OSError(NOT_FOUND)
        return self._board.partitions[1 - self._index]

    def set_boot(self):
        self._board.select(self._index)

    def mark_app_valid_cancel_rollback(self):
        self._board.mark()
