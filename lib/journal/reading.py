"""Reading a journal: the records behind the cursor, frame by frame (facts/fota.md 4.3).

Methods of journal.Journal that live apart, hence their `self`: loaded for an uplink and at start, and an application
may drop this module from sys.modules in between. RAM: none; frames come into the journal's buffer.
"""

import struct

from micropython import const

from journal import _check, _span

_FRAME_SIZE = const(12)
_RECORD = const(1)
_ACK = const(2)


def peek(self, count, max_bytes):
    """See Journal.peek."""
    _seek(self)
    records = []
    sector, at = self._read_sector, self._read_at
    seq = self.cursor + 1
    while len(records) < count and seq < self.next:
        kind, found, n, at = frame(self, sector, at)
        if kind is None:
            sector, at, found = self._after(sector)
        if found > seq and kind != _ACK:
            # A sector or a record that does not continue where the last one ended: what was between is lost.
            if records:
                break
            self._skip_to(found, sector)
            seq = found
        if kind is None:
            continue
        if kind == _RECORD and found == seq:
            if records and n > max_bytes:
                break
            records.append((seq, bytes(self._view[_FRAME_SIZE : _FRAME_SIZE + n])))
            max_bytes -= n
            seq += 1
        at += _span(n)
    return records


def _seek(self):
    """Move the reading position behind the cursor, so that no peek walks twice over what is acknowledged."""
    sector, at = self._read_sector, self._read_at
    while sector != self._sector or at < self._at:
        kind, seq, n, found = frame(self, sector, at)
        if kind is None:
            if sector == self._sector:
                at = self._at
                break
            following, start, first = self._after(sector)
            if first > self.cursor + 1:
                break
            sector, at = following, start
        elif kind == _RECORD and seq > self.cursor:
            break
        else:
            at = found + _span(n)
    self._read_sector, self._read_at = sector, at


def frame(self, sector, at):
    """Find the first valid frame at or after `at`: (type, seq, length, at), its bytes in the buffer.

    (None, 0, 0, size) at the end of the sector. Damage is stepped over in programming units, so that one
    broken record does not take those behind it along.
    """
    read = self._bdev.readblocks
    while at + _FRAME_SIZE < self._size:
        _check(read(sector, self._view[:_FRAME_SIZE], at))
        n, kind, seq, crc = struct.unpack_from("<HHII", self._buf, 0)
        if n == kind == 0xFFFF and seq == crc == 0xFFFFFFFF and is_blank(self, sector, at):
            break
        if n <= self._max and (kind == _RECORD or kind == _ACK) and at + _span(n) <= self._size:
            _check(read(sector, self._view[_FRAME_SIZE : _FRAME_SIZE + n], at + _FRAME_SIZE))
            if crc == self._crc(n):
                return kind, seq, n, at
        at += 4
    return None, 0, 0, self._size


def is_blank(self, sector, at):
    """True when everything from `at` to the end of the sector is erased."""
    room = len(self._buf)
    while at < self._size:
        part = self._view[: min(room, self._size - at)]
        _check(self._bdev.readblocks(sector, part, at))
        if bytes(part).strip(b"\xff"):
            return False
        at += len(part)
    return True
