"""The files of a verified download, written into a slot: each is hashed as it is written, nothing follows the last.

A payload is the files back to back, or one raw deflate stream of them with a 2 KB window (flag 2 of the manifest).
What the file table does not promise is never written: of a stream that gives more, one byte is read and refused.
Called by slots.py; forgotten after. RAM: 0.5 KB; to inflate two pieces more, of 1.3 KB (code tables) and 2 KB (the
window), which together fit the place of the buffer that an application lends.
"""

import os
from hashlib import sha256

from micropython import const

import store
from fota import InstallError
from fota.image import HEADER_SIZE, parse_header
from fota.space import folder
from fota.table import check_code, files

_CHUNK = const(512)
_FLAG_DEFLATE = const(2)
_WINDOW_BITS = const(11)
_EINVAL = const(22)  # what a DeflateIO raises for bytes that are no deflate stream, or one with a larger window


def unpack(root, manifest, target, tick=None, lend=None):
    """Write the files of the download below `root` into the folder `target`; `tick()` is called after each, and
    `lend(True)` right before the inflater is made: see Slots.

    Raises InstallError: "payload" (final) when the image is as it was signed and still does not give what its file
    table says; "short", "inflate" or "changed" when the copy on flash is no longer what was verified. ManifestError
    "mpy" or "native" for code that this node must not run, others for a damaged head; OSError for the flash.
    """
    name = folder(root)
    with open(name + "/head", "rb") as head:
        with open(name + "/data", "rb") as source:
            head.seek(HEADER_SIZE)
            try:
                _spread(source, files(head), manifest, target, tick, lend)
            except InstallError as e:
                if _as_signed(head, source, manifest, memoryview(bytearray(_CHUNK))):
                    raise InstallError("payload", "%s %s" % (e.reason, e.detail), True) from None
                raise


def _spread(source, table, manifest, target, tick, lend):
    """Copy file after file of `table` out of the open file `source`."""
    stream = None if manifest.flags & _FLAG_DEFLATE else source
    held = 0
    first = bytearray(1)
    view = None
    path = None
    for path, size, digest in table:
        if stream is None:
            from deflate import RAW, DeflateIO

            if lend:
                lend(True)
            stream = DeflateIO(source, RAW, _WINDOW_BITS)
            held = _read(stream, first, path)  # makes tables and window, before anything settles in their place
        if view is None:
            view = memoryview(bytearray(_CHUNK))
            view[0] = first[0]
        _make_folders(target, path)
        if _copy(stream, target + "/" + path, size, view, held, manifest, path) != digest:
            raise InstallError("changed", path)
        held = 0
        if tick:
            tick()
    # The stream is over with the last file, and the download with the stream.
    if _read(stream, view[:1], path) or source.tell() != manifest.size:
        raise InstallError("inflate", "more than its files")


def _copy(stream, path, size, view, held, manifest, name):
    """Copy `size` bytes from `stream` to a new file, whose first `held` are in `view`; returns the first 16 bytes
    of their SHA-256."""
    digest = sha256()
    left = size
    f = open(path, "wb")
    try:
        while left:
            n = held + _read(stream, view[held : min(left, len(view))], name)
            held = 0
            if not n:
                raise InstallError("short", name)
            if left == size:
                check_code(manifest, name, bytes(view[: min(n, 4)]))
            digest.update(view[:n])
            f.write(view[:n])
            left -= n
    finally:
        f.close()
    return digest.digest()[:16]


def _read(stream, view, name):
    """stream.readinto(view), with what a deflate stream can have wrong as InstallError."""
    try:
        return stream.readinto(view)
    except EOFError:
        raise InstallError("short", name) from None
    except OSError as e:
        if e.args[0] != _EINVAL:
            raise
        raise InstallError("inflate", name) from None


def _as_signed(head, source, manifest, view):
    """True when manifest and payload on flash still are what the signature covers."""
    head.seek(0)
    size = parse_header(head.read(HEADER_SIZE)).manifest_size
    return _hash(head, size, view) == manifest.digest and _hash(source, manifest.size, view, 0) == manifest.sha256


def _hash(f, left, view, at=None):
    digest = sha256()
    if at is not None:
        f.seek(at)
    while left > 0:
        n = f.readinto(view[: min(left, len(view))])
        if not n:
            break
        digest.update(view[:n])
        left -= n
    return digest.digest()


def _make_folders(target, path):
    """Make the folders that `path` needs below `target`."""
    at = path.find("/")
    while at >= 0:
        if not store.exists(target + "/" + path[:at]):
            os.mkdir(target + "/" + path[:at])
        at = path.find("/", at + 1)
