"""What a journal does at start only: find its state on flash again, or begin a new stream (facts/fota.md 4.3).

Methods of journal.Journal that live apart, hence their `self`: loaded only then, and an application may drop this
module from sys.modules afterwards. RAM: none.
"""

import os
import struct

from micropython import const

from journal import _check, _span
from journal.reading import frame, is_blank

_SECTOR_SIZE = const(32)
_FRAME_SIZE = const(12)
_RECORD = const(1)
_ERASE = const(6)


def recover(self):
    """Take the state of the journal from its newest sector; begin a stream when the device holds none."""
    self.damaged = 0
    newest = None
    for sector in range(self._sectors):
        head = self._header(sector)
        if head and (newest is None or head[1] > newest[1]):
            newest = head
            self._sector = sector
    if newest is None:
        _begin(self)
        return
    self.stream, self._number, self.cursor, self.dropped, self.next = newest
    self._oldest = oldest = _find_oldest(self)
    _scan(self)
    self._read_sector, self._read_at = oldest, _SECTOR_SIZE
    first = self._header(oldest)[4]
    if first > self.cursor + 1:
        self._skip_to(first, oldest)


def start_over(self):
    """Erase everything and begin a new stream."""
    for sector in range(self._sectors):
        _check(self._bdev.ioctl(_ERASE, sector))
    _begin(self)


def _begin(self):
    self.stream = struct.unpack("<I", os.urandom(4))[0]
    self.dropped = self.cursor = self._number = 0
    self.next = 1
    self._oldest = self._read_sector = 0
    self._read_at = _SECTOR_SIZE
    self._sector = self._sectors - 1
    self._at = self._size
    self._open(0)


def _find_oldest(self):
    """Walk back through the ring as far as sector numbers fit; one unreadable header does not end the walk."""
    oldest = self._sector
    for back in range(1, self._sectors):
        sector = (self._sector - back) % self._sectors
        head = self._header(sector)
        if head and head[0] == self.stream and head[1] == self._number - back:
            oldest = sector
    return oldest


def _scan(self):
    """Read the newest sector: its frames move cursor and next sequence number; a dirty end closes it."""
    at = _SECTOR_SIZE
    while True:
        kind, seq, n, found = frame(self, self._sector, at)
        if kind is None:
            break
        if found != at:
            self.damaged += 1
        if kind == _RECORD:
            self.next = max(self.next, seq + 1)
        else:
            # Not below the sector's header: making room for this very frame may have moved both on.
            self.cursor = max(self.cursor, seq)
            self.dropped = max(self.dropped, struct.unpack_from("<I", self._buf, _FRAME_SIZE)[0])
        at = found + _span(n)
    self.next = max(self.next, self.cursor + 1)
    self._at = at
    if not is_blank(self, self._sector, at):
        self._at = self._size  # a torn write: never program over it
        self.damaged += 1
