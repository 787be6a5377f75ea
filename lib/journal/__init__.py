"""Durable telemetry queue: a ring of flash sectors written directly, without a file system (facts/fota.md 4.3).

append() is durable on return, ack() moves the cursor by an appended frame, the oldest sector is erased when the ring
is full and what it still held is counted as dropped. Nothing is ever rewritten in place: 1.3 bytes programmed per
byte, where a file system needs 34. Called by firmware/records.py. Block device: readblocks(n, buf, off),
writeblocks(n, buf, off) (programs only), ioctl 4, 5, 6. RAM: max_payload + 48 bytes of buffers, 12 integers.
Writing is always at hand; reading (journal.reading) and the start (journal.recover) are loaded when it is their time.

Sector: header of 32 bytes (magic, stream id, sector number, cursor, dropped, sequence number of the next record, 0,
CRC32), then frames. Frame: header of 12 bytes (length, type, sequence number, CRC32 of those and the payload),
payload, zeros up to 4 bytes, the programming granularity. A record's sequence number is never used again.
"""

import struct
from binascii import crc32
from errno import EIO

from micropython import const

_MAGIC = const(0x314A5747)  # "GWJ1"
_SECTOR = "<IIIIIII"
_SECTOR_SIZE = const(32)
_FRAME_SIZE = const(12)
_RECORD = const(1)
_ACK = const(2)  # sequence number: the cursor; payload: the count of dropped records
_ERASE = const(6)


class JournalError(Exception):
    """A call that cannot be done: args[0] is "size", "cursor" or "geometry"."""


class Journal:
    """The queue on block device `bdev` (2 sectors or more) for records of up to `max_payload` bytes; formats the
    device when it holds no journal. For one task at a time. Any call may raise OSError when the flash fails.

    Attributes, to be read only: `next`, sequence number that the next record will get; `cursor`, that of the last
    acknowledged (or dropped) record, 0 at first; `stream`, 32 random bits made at format (with its sequence number they
    identify a record anywhere); `dropped`, the count of records ever lost to a full ring or to damage; `damaged`, dirty
    places met at start.
    """

    def __init__(self, bdev, max_payload=512):
        self._bdev = bdev
        self._sectors = bdev.ioctl(4, 0)
        self._size = bdev.ioctl(5, 0)
        if self._sectors < 2 or self._size < _SECTOR_SIZE + _span(max_payload) + _span(4):
            raise JournalError("geometry")
        self._max = max_payload
        self._head = bytearray(_SECTOR_SIZE)
        self._buf = bytearray(_span(max_payload))
        self._view = memoryview(self._buf)
        from journal.recover import recover  # needed once in a life

        recover(self)

    @property
    def pending(self):
        """Number of records that are not acknowledged."""
        return self.next - 1 - self.cursor

    def append(self, payload):
        """Store one record of 1 to max_payload bytes; returns its sequence number. Durable on return."""
        n = len(payload)
        if not 0 < n <= self._max:
            raise JournalError("size")
        self._view[_FRAME_SIZE : _FRAME_SIZE + n] = payload
        self._write(_RECORD, self.next, n)
        self.next += 1
        return self.next - 1

    def peek(self, count=16, max_bytes=1024):
        """Return up to `count` records [(seq, bytes)] from the cursor on, oldest first, `max_bytes` in all.

        The first one is returned even if it is longer than that. Peeking again gives the same records.
        """
        from journal.reading import peek

        return peek(self, count, max_bytes)

    def ack(self, seq):
        """All records up to `seq` have arrived: move the cursor there, durably. A lower cursor is a no-op.

        Raises JournalError "cursor" for a record that was never appended.
        """
        if seq >= self.next:
            raise JournalError("cursor")
        before = self.cursor
        if seq <= before:
            return
        self.cursor = seq
        struct.pack_into("<I", self._buf, _FRAME_SIZE, self.dropped)
        try:
            self._write(_ACK, seq, 4)
        except OSError:
            if self.cursor == seq:
                self.cursor = before  # not durable, so not done
            raise

    def format(self):
        """Erase everything and begin a new stream."""
        from journal.recover import start_over

        start_over(self)

    # Writing

    def _write(self, kind, seq, n):
        """Program one frame whose payload is in the buffer; opens the next sector when this one has no room."""
        span = _span(n)
        if self._at + span > self._size:
            self._advance()
        for i in range(_FRAME_SIZE + n, span):
            self._buf[i] = 0
        struct.pack_into("<HHI", self._buf, 0, n, kind, seq)
        struct.pack_into("<I", self._buf, 8, self._crc(n))
        at = self._at
        self._at = self._size  # should programming fail, the rest of this sector is not to be trusted
        _check(self._bdev.writeblocks(self._sector, self._view[:span], at))
        self._at = at + span

    def _advance(self):
        """Open the sector after the current one. If it is the oldest, its records go, acknowledged or not."""
        victim = (self._sector + 1) % self._sectors
        if victim == self._oldest:
            self._oldest, _, first = self._after(victim)
            if first > self.cursor + 1:
                self._skip_to(first, self._oldest)
            if self._read_sector == victim:
                self._read_sector, self._read_at = self._oldest, _SECTOR_SIZE
        self._open(victim)

    def _open(self, sector):
        """Erase a sector and write its header, which carries cursor and count on: one program, whole or not."""
        _check(self._bdev.ioctl(_ERASE, sector))
        number = self._number + 1
        head = self._head
        struct.pack_into(_SECTOR, head, 0, _MAGIC, self.stream, number, self.cursor, self.dropped, self.next, 0)
        struct.pack_into("<I", head, 28, crc32(memoryview(head)[:28]) & 0xFFFFFFFF)
        _check(self._bdev.writeblocks(sector, head, 0))
        self._sector, self._number, self._at = sector, number, _SECTOR_SIZE

    # Reading

    def _header(self, sector):
        """Read a sector's header: (stream, number, cursor, dropped, next seq), or None when there is no valid one."""
        _check(self._bdev.readblocks(sector, self._head, 0))
        if struct.unpack_from("<I", self._head, 28)[0] != crc32(memoryview(self._head)[:28]) & 0xFFFFFFFF:
            return None
        fields = struct.unpack_from(_SECTOR, self._head, 0)
        return fields[1:6] if fields[0] == _MAGIC else None

    def _after(self, sector):
        """Return (sector, offset of its first frame, its first sequence number) of the next readable sector.

        After the current sector comes nothing: its end and the sequence number that is next.
        """
        while sector != self._sector:
            sector = (sector + 1) % self._sectors
            head = self._header(sector)
            if head:
                return sector, _SECTOR_SIZE, head[4]
        return sector, self._size, self.next

    def _crc(self, n):
        return crc32(self._view[_FRAME_SIZE : _FRAME_SIZE + n], crc32(self._view[:8])) & 0xFFFFFFFF

    def _skip_to(self, seq, sector):
        """Records before `seq` are gone: count them. The count reaches flash with the next ack or sector."""
        self.dropped += seq - 1 - self.cursor
        self.cursor = seq - 1
        self._read_sector, self._read_at = sector, _SECTOR_SIZE


def _check(result):
    """Block devices answer None, True or 0 for success, False or a negative errno for failure."""
    if result is False:
        raise OSError(EIO)
    if result and result is not True:
        raise OSError(-result)


def _span(n):
    """Bytes of flash that a frame with `n` bytes of payload takes."""
    return (_FRAME_SIZE + n + 3) & ~3
