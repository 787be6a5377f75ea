"""Every change that the firmware makes to files, counted, so that something can happen at each: a kill, an exception.

Changes are: open for writing, write, flush and close of such a file, rename, remove, mkdir, rmdir. install() replaces
`open`, and `os` in the modules that are loaded by then; nothing of the firmware is edited.
"""

import builtins
import os
import sys

_CHANGES = ("rename", "remove", "mkdir", "rmdir")


class Tap:
    """At change number `at` from arm() on, `act(what, change)` is called with the name of the change and a function
    that makes it (with an optional share of the data of a write), instead of the change."""

    def __init__(self):
        self.count = 0
        self._at = None
        self._act = None

    def arm(self, at=None, act=None):
        """Count from zero."""
        self.count = 0
        self._at = at
        self._act = act

    def change(self, what, function, *terms):
        self.count += 1
        if self.count - 1 == self._at:
            return self._act(what, lambda half=False: function(*_half(terms) if half else terms))
        return function(*terms)

    def install(self):
        """Watch what the loaded modules do; the campaign's own are let be."""
        true = builtins.open

        def tapped(path, mode="r"):
            if "w" in mode or "+" in mode or "a" in mode:
                return File(self, self.change("open", true, path, mode))
            return true(path, mode)

        builtins.open = tapped
        for name, module in sys.modules.items():
            if getattr(module, "os", None) is os and not name.startswith(("faults", "harness")):
                module.os = _Os(self)


def _half(terms):
    if terms and isinstance(terms[0], (bytes, bytearray, memoryview)):
        return (memoryview(terms[0])[: len(terms[0]) // 2],)
    return terms


class _Os:
    def __init__(self, tap):
        for name in dir(os):
            setattr(self, name, getattr(os, name))
        for name in _CHANGES:
            setattr(self, name, self._tapped(tap, name))

    def _tapped(self, tap, name):
        true = getattr(os, name)
        return lambda *terms: tap.change(name, true, *terms)


class File:
    """An open file that is written."""

    def __init__(self, tap, file):
        self._tap = tap
        self._file = file
        for name in ("seek", "read", "readinto", "tell"):
            setattr(self, name, getattr(file, name))

    def write(self, data):
        return self._tap.change("write", self._file.write, data)

    def flush(self):
        return self._tap.change("flush", self._file.flush)

    def close(self):
        return self._tap.change("close", self._file.close)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
