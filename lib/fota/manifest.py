"""The signed manifest of a firmware bundle: parse, verify, and decide whether this node may take the image.

Pure: bytes and numbers in, a Manifest or a ManifestError out; no files, no clock. The format is in README.md beside
this file; it follows RFC 9124 (signed sequence number, vendor class, precursor, digest, size, block hashes). Its
CBOR is a fixed subset in a fixed order, read item by item (table.py), because the file table decoded at once would
cost 150 bytes a file. Called by head.py. RAM: what image.py keeps.
"""

from hashlib import sha256

from micropython import const

from fota import ManifestError
from fota.image import BLOCK_SIZE, HEADER_SIZE, MANIFEST_MAX, Manifest, parse_header  # noqa: F401
from fota.table import NAME_CHARS, check_code, files, item, keys_of, rows, strange  # noqa: F401

_SIZE_MAX = const(16777216)  # of the payload, and of the files in it
_KEY_SIZE = const(384)  # RSA-3072
_FILES_MAX = const(192)
_HASH_CUT = const(16)
WORK = 1280  # bytes: signature, what it holds, and what is hashed at a time
_FORMAT = const(1)
_FLAG_DEFLATE = const(2)  # the payload is one raw deflate stream of the files, window 2 KB
_FLAGS_KNOWN = const(3)  # and 1: machine code, see table.py

# The manifest is a map of keys 1 to 13 in this order: (name, type, smallest, largest) value or length.
_FIELDS = (
    ("format", int, _FORMAT, _FORMAT),
    ("sequence", int, 1, 0xFFFFFFFF),
    ("version", str, 1, 32),
    ("device_class", str, 1, 32),
    ("min_from", int, 0, 0xFFFFFFFF),
    ("component", str, 1, 16),
    ("size", int, 1, _SIZE_MAX),
    ("sha256", bytes, 32, 32),
    ("block_size", int, BLOCK_SIZE, BLOCK_SIZE),
    ("blocks", bytes, _HASH_CUT, MANIFEST_MAX),
    ("files", list, 1, _FILES_MAX),
    ("flags", int, 0, _FLAGS_KNOWN),
    ("key_id", bytes, 8, 8),
)
_FILES = const(10)  # index of the file table in _FIELDS

_VERSION_CHARS = NAME_CHARS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def unseal(header, source, keys, work):
    """Open the signature in `source` for load(). `source`: a file, or what reads and seeks like one, of header,
    manifest and signature; `keys`: RSA-3072 moduli (384 bytes each) that this node trusts; `work`: a memoryview of
    WORK bytes that load() gets as this leaves it. Raises ManifestError "length", "key" or "signature"."""
    source.seek(HEADER_SIZE + header.manifest_size)
    signature = work[:_KEY_SIZE]
    if source.readinto(signature) != _KEY_SIZE or source.read(1):
        raise ManifestError("length")
    from fota.verify import pss_open

    if not pss_open(find_key(keys, header.key_id), signature, work[_KEY_SIZE : 2 * _KEY_SIZE]):
        raise ManifestError("signature")


def load(header, source, work):
    """Return the Manifest in `source`, whose signature unseal() has opened in `work`.

    The digest and the signature are checked before one byte is decoded. Raises ManifestError "length", "digest", "key",
    "signature" or a field's.
    """
    digest = _digest(source, header.manifest_size, work[2 * _KEY_SIZE : WORK])
    if digest != header.digest:
        raise ManifestError("digest")
    from fota.verify import pss_check  # not with the rest: what installs an image has verified it before

    if not pss_check(work[_KEY_SIZE : 2 * _KEY_SIZE], digest):
        raise ManifestError("signature")
    source.seek(HEADER_SIZE)
    manifest = parse(Part(source, header.manifest_size), digest)
    if manifest.size != header.payload_size:
        raise ManifestError("size")
    if manifest.key_id != header.key_id:
        raise ManifestError("key")
    return manifest


def _digest(source, left, view):
    """SHA-256 of the `left` bytes behind the header, read through `view`."""
    source.seek(HEADER_SIZE)
    digest = sha256()
    while left:
        n = source.readinto(view[: min(left, len(view))])
        if not n:
            raise ManifestError("length")
        digest.update(view[:n])
        left -= n
    return digest.digest()


def find_key(keys, key_id):
    """Return the modulus whose key id (the first 8 bytes of its SHA-256) this is, or raise ManifestError "key"."""
    for modulus in keys:
        if len(modulus) == _KEY_SIZE and sha256(modulus).digest()[:8] == key_id:
            return modulus
    raise ManifestError("key")


class Part:
    """The next `size` bytes of an open file, as a file that ends there."""

    def __init__(self, source, size):
        self._source = source
        self._left = size

    def read(self, n):
        """Return the next `n` bytes, fewer at the end."""
        data = self._source.read(min(n, self._left))
        self._left -= len(data)
        return data


def parse(source, digest):
    """Return the Manifest in `source` (a file, or a Part of one), whose SHA-256 is `digest`; raises ManifestError."""
    manifest = Manifest(digest)
    for i in keys_of(source, len(_FIELDS)):
        name, kind, low, high = _FIELDS[i]
        value = item(source, kind, high, "field", name)
        if not low <= (value if kind is int or kind is list else len(value)) <= high:
            raise ManifestError("field", name)
        if i == _FILES:
            unpacked = _survey(manifest, source, value)
        else:
            setattr(manifest, name, value)
    if source.read(1):
        raise ManifestError("fields")
    if strange(manifest.version, _VERSION_CHARS) or strange(manifest.device_class, NAME_CHARS):
        raise ManifestError("field", "version")
    if manifest.flags & _FLAG_DEFLATE:
        if manifest.component != "app":
            raise ManifestError("field", "flags")
    elif unpacked != manifest.size:
        raise ManifestError("files")
    if len(manifest.blocks) != manifest.count * _HASH_CUT:
        raise ManifestError("blocks")
    return manifest


def _survey(manifest, source, count):
    """Check the file table and add up what it needs; returns the bytes of all files."""
    manifest.file_count = count
    blocks = 2
    total = 0
    before = ""
    stems = []  # files whose names the next paths begin with: none of them may be a folder of one
    for path, size, _ in rows(source, count):
        total += size
        if total > _SIZE_MAX:
            raise ManifestError("files")
        blocks += size // BLOCK_SIZE + 1
        while stems and not path.startswith(stems[-1]):
            stems.pop()
        for stem in stems:
            if path[len(stem)] == "/":
                raise ManifestError("path", path)
        stems.append(path)
        at = path.find("/")
        while at >= 0:
            if before[: at + 1] != path[: at + 1]:  # sorted paths: a folder's files stand together
                blocks += 2
            at = path.find("/", at + 1)
        before = path
    manifest.flash_blocks = blocks
    return total


def check(manifest, device_class, floor, bad=(), component="app"):
    """Decide whether this node may install the image; raises ManifestError with the first objection.

    `floor`: highest sequence that was ever confirmed here (the running image's, or a later one's);
    `bad`: digests, cut to 16 bytes, of images that failed here.
    """
    if manifest.device_class != device_class:
        raise ManifestError("class", manifest.device_class)
    if manifest.component != component:
        raise ManifestError("component", manifest.component)
    if manifest.digest[:16] in bad:
        raise ManifestError("blacklisted", manifest.version)
    if manifest.sequence <= floor:
        raise ManifestError("sequence", manifest.sequence)
    if floor < manifest.min_from:
        raise ManifestError("precursor", manifest.min_from)
