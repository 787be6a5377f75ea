"""First file of the flash that runs: prepare the interpreter and choose the slot. A factory file, like bootsel.py.

The board's own start-up has mounted the flash and made it the current folder ("/" on boards, "/flash" on the desk).
Frozen modules come first while the selector is imported, so that a file planted in the root cannot replace a frozen
one. main.py follows and calls bootsel.start(). RAM: 100 bytes for exceptions raised in interrupts.
"""

import os
import sys

import micropython

if hasattr(micropython, "alloc_emergency_exception_buf"):  # the unix port has no interrupts to raise in
    micropython.alloc_emergency_exception_buf(100)
_root = os.getcwd().rstrip("/")
sys.path[:] = [".frozen", _root or "/"]

import bootsel  # noqa: E402

try:
    bootsel.select(_root)
except Exception as error:  # a port that sees one here does not run main.py, where the node would pause and try again
    sys.print_exception(error)
