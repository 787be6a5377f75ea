"""What a download keeps of a bundle's head: the 64 fixed bytes, and the decoded manifest. Reading them is manifest.py,
which need not stay for it. RAM: a Manifest keeps 16 bytes per 4 KB of payload and about 500 bytes.
"""

from hashlib import sha256

from micropython import const

HEADER_SIZE = 64
BLOCK_SIZE = 4096
_KEY_SIZE = const(384)  # of the signature, RSA-3072
_HASH_CUT = const(16)


class Header:
    """The 64 fixed bytes at the start of a bundle. `raw` is a copy of them: it identifies the image."""

    def __init__(self, raw, key_id, manifest_size, offset, payload_size, digest):
        self.raw = raw
        self.key_id = key_id
        self.manifest_size = manifest_size
        self.offset = offset
        self.payload_size = payload_size
        self.digest = digest

    @property
    def head_size(self):
        """Bytes of header, manifest and signature together."""
        return HEADER_SIZE + self.manifest_size + _KEY_SIZE

    @property
    def total(self):
        """Bytes of the whole bundle file."""
        return self.offset + self.payload_size


class Manifest:
    """The decoded manifest. Attributes: those of manifest._FIELDS but the file table, and

    `digest`: SHA-256 of the signed bytes, which is the image's identity; `file_count`; `flash_blocks`: blocks of
    4096 bytes that the unpacked files need on littlefs, where each file has its own and each folder two.
    """

    def __init__(self, digest):
        self.digest = digest

    @property
    def count(self):
        """Number of blocks of the payload."""
        return (self.size + BLOCK_SIZE - 1) // BLOCK_SIZE

    def block_size_of(self, i):
        """Bytes in block `i`: 4096, or what is left for the last one."""
        return min(BLOCK_SIZE, self.size - i * BLOCK_SIZE)

    def block_ok(self, i, view):
        """True when `view` holds exactly the content of block `i`."""
        want = self.blocks[i * _HASH_CUT : (i + 1) * _HASH_CUT]
        return len(view) == self.block_size_of(i) and sha256(view).digest()[:_HASH_CUT] == want
