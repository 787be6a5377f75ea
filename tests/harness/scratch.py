"""A scratch folder for a unit test, on any of the three interpreters: `make()` -> path, `remove(path)`."""

import os


def make():
    """-> path of a new, empty folder in the system's temporary folder."""
    base = os.getenv("TMPDIR") or "/tmp"
    path = "%s/godwit-%s" % (base, "".join("%02x" % b for b in os.urandom(6)))
    os.mkdir(path)
    return path


def remove(path):
    """Remove the folder and what is in it."""
    for name in os.listdir(path):
        inner = path + "/" + name
        if os.stat(inner)[0] & 0x4000:
            remove(inner)
        else:
            os.remove(inner)
    os.rmdir(path)
