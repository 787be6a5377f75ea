"""Small durable files on littlefs2: whole-file replacement, and reading that trusts nothing.

A file is replaced by writing a temporary name and renaming it, because on lfs2 one rename is one atomic program
operation (facts/fota.md 2.1). What changes often belongs elsewhere: the boot state into the selector's two alternating
records, telemetry into the journal. Called by firmware/schema.py, tasks and lib/fota. RAM owned: none between calls.
"""

import json
import os

from micropython import const

_ENOENT = const(2)
_DIR = const(0x4000)


class StoreError(Exception):
    """A file has the wrong content or would become too large. `path` says which, `reason` is one word."""

    def __init__(self, path, reason):
        super().__init__("%s: %s" % (path, reason))
        self.path = path
        self.reason = reason


def exists(path):
    """True when `path` is a file or a directory."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def remove(path):
    """Remove a file; one that is not there is no error. Raises OSError for any other cause."""
    try:
        os.remove(path)
    except OSError as e:
        if e.errno != _ENOENT:
            raise


def remove_tree(path, first=None):
    """Remove a directory with all that is in it, or a file; absent is no error. Raises OSError.

    `first` names an entry that goes before all others, so that a cut in mid-removal leaves a tree that is
    recognisably invalid (the MANIFEST of a slot).
    """
    try:
        if not os.stat(path)[0] & _DIR:
            os.remove(path)
            return
    except OSError as e:
        if e.errno == _ENOENT:
            return
        raise
    if first:
        remove(path + "/" + first)
    for name in os.listdir(path):
        remove_tree(path + "/" + name)
    os.rmdir(path)


def read_bytes(path, default=None, limit=8192):
    """Return the content of a file, or `default` when it is absent.

    Raises StoreError "size" when it is longer than `limit`, OSError when it cannot be read.
    """
    try:
        size = os.stat(path)[6]
        f = open(path, "rb")
    except OSError as e:
        if e.errno == _ENOENT:
            return default
        raise
    try:
        # read(n) allocates n bytes at once on MicroPython, so ask for what is there, and one more to see the end.
        data = f.read(min(size, limit) + 1)
    finally:
        f.close()
    if len(data) > limit:
        raise StoreError(path, "size")
    return data


def write_bytes(path, data):
    """Replace the content of `path`; after a power cut it holds the old or the new bytes, nothing between.

    Raises OSError (disk full, flash error); the old content then stays.
    """
    tmp = path + ".tmp"
    # Closed explicitly on every way out: an abandoned handle would be committed by the garbage collector later.
    f = open(tmp, "wb")
    try:
        f.write(data)
        f.flush()
    finally:
        f.close()
    os.rename(tmp, path)


def read_json(path, default=None, limit=8192):
    """Return the decoded JSON document of `path`, or `default` when absent. Raises StoreError "json" or "size".

    MicroPython's parser takes a document whose end is missing for a whole one, so that is checked here.
    """
    data = read_bytes(path, None, limit)
    if data is None:
        return default
    if not _is_closed(data):
        raise StoreError(path, "json")
    try:
        return json.loads(data)
    except (ValueError, RuntimeError):  # RuntimeError: nested too deeply for the interpreter's stack
        raise StoreError(path, "json") from None


def _is_closed(data):
    """True when every string and bracket of the JSON text `data` is closed; whether they match is the parser's job."""
    depth = 0
    quoted = escaped = False
    for c in data:
        if escaped:
            escaped = False
        elif quoted:
            quoted = c != 0x22
            escaped = c == 0x5C
        elif c == 0x22:
            quoted = True
        elif c in b"[{":
            depth += 1
        elif c in b"]}":
            depth -= 1
    return depth == 0 and not quoted


def write_json(path, obj):
    """Replace `path` by `obj` as JSON; same promise as write_bytes(). Raises OSError."""
    write_bytes(path, json.dumps(obj).encode())
