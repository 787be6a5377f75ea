"""What lies on a node's flash after its power went: run by MicroPython on a copy of the chip, prints one JSON line.

Arguments: repository, image file. Hashes and sizes only; what they have to be is for the host to say. The state record
is read by the selector that lies on that flash, the journal by lib/journal: they decide what the next start does.
"""

import json
import os
import sys
from binascii import hexlify
from hashlib import sha256

_REPO, _IMAGE = sys.argv[1:3]
sys.path[:] = [_REPO + "/lib", _REPO + "/firmware", _REPO + "/boards/unix", ".frozen"]

import vfs  # noqa: E402

import flashdev  # noqa: E402

_ROOT = "/chip"
_BLOCK = 4096


def _hash(path, blocks=False):
    """-> [size, hex of the SHA-256], or the list of its blocks' hashes."""
    whole, size, parts = sha256(), 0, []
    with open(path, "rb") as f:
        while True:
            piece = f.read(_BLOCK)
            if not piece:
                break
            whole.update(piece)
            size += len(piece)
            parts.append(hexlify(sha256(piece).digest()).decode() if blocks else None)
    return parts if blocks else [size, hexlify(whole.digest()).decode()]


def _tree(folder, prefix=""):
    found = {}
    for entry in os.ilistdir(folder):
        path = folder + "/" + entry[0]
        if entry[1] == 0x4000:
            found.update(_tree(path, prefix + entry[0] + "/"))
        else:
            found[prefix + entry[0]] = _hash(path)
    return found


def _try(function, *args):
    try:
        return function(*args)
    except OSError:
        return None


def _text(path):
    with open(path) as f:
        return f.read()


def _records():
    from journal import Journal
    from records import unpack

    queue = Journal(flashdev.journal(_IMAGE))
    found = []
    for seq, payload in queue.peek(1000, 100000):
        _, ts_ms, name, _ = unpack(seq, payload)
        found.append([seq, ts_ms, name])
    return {"cursor": queue.cursor, "dropped": queue.dropped, "pending": found}


def main():
    vfs.mount(vfs.VfsLfs2(flashdev.filesystem(_IMAGE)), _ROOT)
    journal = _records()
    sys.path.insert(0, _ROOT)
    import bootsel

    state = bootsel.read(_ROOT)
    keep = ("active", "pending", "tries", "floor", "result")
    print(json.dumps({
        "state": {key: state[key] for key in keep},
        "slots": {slot: _try(_tree, _ROOT + "/" + slot) for slot in "ab"},
        "head": _try(_hash, _ROOT + "/dl/head"), "data": _try(_hash, _ROOT + "/dl/data", True),
        "job": _try(_text, _ROOT + "/data/job.json"), "journal": journal,
    }))  # fmt: skip


main()
