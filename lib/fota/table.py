"""The file table of a manifest, read item by item, and what files and names in it may be.

All that unpacking needs of a manifest that was verified when it came in; manifest.py reads the rest with the same item
reader. Pure: what reads like a file in, values or a ManifestError out. RAM: none.
"""

from micropython import const

from fota import ManifestError
from fota.image import MANIFEST_MAX

_HASH_CUT = const(16)
_DEPTH = const(3)
_PATH_MAX = const(48)
_FLAG_NATIVE = const(1)  # the bundle may hold .mpy files with machine code

NAME_CHARS = "abcdefghijklmnopqrstuvwxyz0123456789_.-"
_MAJOR = {int: 0, bytes: 2, str: 3, list: 4, dict: 5}  # RFC 8949 3.1
_COUNT = const(13)  # fields of a manifest
_BEFORE = (int, int, str, str, int, str, int, bytes, int, bytes)  # what they are before the file table


def check_code(manifest, path, start):
    """Refuse a .mpy file (first bytes `start`) of another format, or with machine code nobody announced."""
    if not path.endswith(".mpy"):
        return
    if len(start) < 4 or start[0] != 0x4D or start[1] != 6:
        raise ManifestError("mpy", path)
    # Bits 2..5 of the third byte name the architecture of native code (MicroPython's mpyfiles documentation).
    if start[2] & 0x3C and not manifest.flags & _FLAG_NATIVE:
        raise ManifestError("native", path)


def strange(text, allowed):
    """True when `text` has a character outside `allowed`."""
    for c in text:
        if c not in allowed:
            return True
    return False


def keys_of(source, count):
    """Read the head of a map of `count` and before each value its key; yields the index of the field that follows."""
    if item(source, dict, 0, "fields") != count:
        raise ManifestError("fields")
    for i in range(count):
        if item(source, int, 0, "fields") != i + 1:
            raise ManifestError("fields")
        yield i


def files(source):
    """Yield (path, size, first 16 bytes of its SHA-256) of each file, in the order in which they lie in the payload."""
    for i in keys_of(source, _COUNT):
        if i < len(_BEFORE):
            item(source, _BEFORE[i], MANIFEST_MAX, "field")
        else:
            yield from rows(source, item(source, list, 0, "files"))
            return


def rows(source, count):
    """Yield the rows of the file table, checked; raises ManifestError "files" or "path"."""
    before = ""
    for _ in range(count):
        if item(source, list, 0, "files") != 3:
            raise ManifestError("files")
        path = item(source, str, _PATH_MAX, "path")
        _check_path(path)
        if path <= before:  # sorted, so that a name can be there only once
            raise ManifestError("path", path)
        before = path
        size = item(source, int, 0, "files")
        digest = item(source, bytes, _HASH_CUT, "files")
        if not size or len(digest) != _HASH_CUT:
            raise ManifestError("files")
        yield path, size, digest


def item(source, kind, longest, reason, detail=None):
    """Read one CBOR item that must be of type `kind`: its value, or the number of items of a list or dict.

    Raises ManifestError(reason) for another type, a string over `longest` bytes, or an end that comes too early;
    nothing is allocated before its length was checked.
    """
    head = source.read(1)
    if not head or head[0] >> 5 != _MAJOR[kind]:
        raise ManifestError(reason, detail)
    n = head[0] & 31
    if n > 23:
        more = source.read(1 << (n - 24)) if n < 28 else b""
        if not more or len(more) != 1 << (n - 24):
            raise ManifestError(reason, detail)
        n = int.from_bytes(more, "big")
    if kind is not bytes and kind is not str:
        return n
    value = source.read(n) if n <= longest else None
    if value is None or len(value) != n:
        raise ManifestError(reason, detail)
    try:
        return value if kind is bytes else str(value, "utf-8")
    except UnicodeError:
        raise ManifestError(reason, detail) from None


def _check_path(path):
    """Raise ManifestError "path" unless this is a plain relative path of at most three parts."""
    parts = path.split("/")
    if len(parts) > _DEPTH:
        raise ManifestError("path", path)
    for part in parts:
        # A leading dot covers "." and ".."; upper case is left out so that MANIFEST can never be a payload file.
        if not part or part[0] in ".-" or part.endswith(".tmp") or strange(part, NAME_CHARS):
            raise ManifestError("path", path)
