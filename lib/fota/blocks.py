"""Where the blocks of a download lie: in a file. (In an app partition: fota.partition.) Called by fetch.py.

A store has `read(i, view)` -> bytes of block `i` that are there, `write(i, view)`, durable on return, and `close()`;
each may raise OSError. Blocks are of 4096 bytes, the last one may be shorter, and are written in order. RAM: one file.
"""

from fota.image import BLOCK_SIZE
from fota.space import folder


class FileBlocks:
    """The blocks in `<root>/dl/data`, one behind the other."""

    def __init__(self, root):
        self._path = folder(root) + "/data"
        self._file = None
        self._writing = False

    def _open(self, mode, i):
        if self._file is None:
            self._file = open(self._path, mode)
        self._file.seek(i * BLOCK_SIZE)
        return self._file

    def read(self, i, view):
        """Fill `view` from block `i`; -> how many bytes there were, 0 without a file. Raises OSError."""
        if self._writing:
            self.close()  # what is read is what is on flash, not what a file still holds
        try:
            f = self._open("rb", i)
        except OSError:
            return 0
        return f.readinto(view) or 0

    def write(self, i, view):
        """Write block `i` durably: after a power cut at most the next one is fetched again. Raises OSError."""
        if not self._writing:
            self.close()
            self._writing = True
        f = self._open("r+b" if i else "wb", i)
        f.write(view)
        f.flush()

    def close(self):
        """Let go of the file; only whole, verified blocks were ever written. Raises OSError."""
        f = self._file
        self._file = None
        self._writing = False
        if f:
            f.close()
