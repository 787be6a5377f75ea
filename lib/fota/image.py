"""What a download keeps of a bundle's head: the 64 fixed bytes, and the decoded manifest. Reading them is manifest.py,
which need not stay for it. RAM: a Manifest keeps 16 bytes per 4 KB of payload and about 500 bytes.
"""

import struct
from binascii import crc32
from hashlib import sha256

from micropython import const

from fota import FetchError, ManifestError

HEADER_SIZE = 64
BLOCK_SIZE = 4096
MANIFEST_MAX = 8192
_HEADER = "<4sHHIII32s8sI"
_MAGIC = b"GWB1"
_ALIGN = const(1024)  # the payload starts on a CoAP block, so that one flash block is whole blocks on the wire
_KEY_SIZE = const(384)  # of the signature, RSA-3072
_HASH_CUT = const(16)
_ENOSPC = const(28)
_ATTRIBUTES = (
    "digest", "sequence", "version", "device_class", "min_from", "component", "size", "sha256", "blocks", "flags",
    "key_id", "file_count", "flash_blocks",
)  # fmt: skip


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


def parse_header(buf):
    """Return the Header in the first 64 bytes of `buf`; raises ManifestError "magic", "header" or "length"."""
    raw = bytes(buf[:HEADER_SIZE])
    if len(raw) < HEADER_SIZE:
        raise ManifestError("header")
    magic, size, sig_size, manifest_size, offset, payload, digest, key_id, crc = struct.unpack(_HEADER, raw)
    if magic != _MAGIC:
        raise ManifestError("magic")
    if crc != crc32(raw[:-4]) or size != HEADER_SIZE or sig_size != _KEY_SIZE:
        raise ManifestError("header")
    header = Header(raw, key_id, manifest_size, offset, payload, digest)
    start = (header.head_size + _ALIGN - 1) // _ALIGN * _ALIGN
    if not 0 < manifest_size <= MANIFEST_MAX or not payload or offset != start:
        raise ManifestError("length")
    return header


class Manifest:
    """The decoded manifest. Attributes: those of manifest._FIELDS but the file table, and

    `digest`: SHA-256 of the signed bytes, which is the image's identity; `file_count`; `flash_blocks`: blocks of
    4096 bytes that the unpacked files need on littlefs, where each file has its own and each folder two.
    """

    def __init__(self, digest):
        self.digest = digest

    def moved(self):
        """Return a copy. What was made while the manifest was read lies between what is forgotten after it, and keeps
        a small heap in pieces; the copy lies where there is room now."""
        other = Manifest(None)
        for name in _ATTRIBUTES:
            value = getattr(self, name)
            if isinstance(value, bytes):
                value = bytes(memoryview(value))
            elif isinstance(value, str):
                value = str(value.encode(), "utf-8")
            setattr(other, name, value)
        return other

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


def flash(operation, *args):
    """Run a flash operation; its OSError becomes FetchError, because the caller takes OSError for the link's."""
    try:
        return operation(*args)
    except OSError as e:
        raise FetchError("space" if e.errno == _ENOSPC else "flash", e.errno) from None
