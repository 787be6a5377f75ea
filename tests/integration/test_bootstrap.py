"""Set-up: quick when done, one clear line when it cannot go on. The way through the archive is what CI itself takes."""

import ast
import fcntl
import os
import shutil
import subprocess
import sys
import tarfile

import pytest

import bootstrap
import build_float
import private_apt
import setup_probe
from harness.run_unit import REPO, build_dir

SCRIPT = REPO / "tools/bootstrap.py"


def _bootstrap(build, path=None, **env):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MICROPYTHON")}
    environment.update(GODWIT_BUILD=str(build), **env)
    if path is not None:
        environment["PATH"] = str(path)
    command = [sys.executable, SCRIPT]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def _program(folder, name, script):
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n" + script + "\n")
    path.chmod(0o755)
    return path


def _failed_with(done, *words):
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("set-up failed: ")
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(("step", "words"), [("venv", []), ("float", ["--with-float"])])
def test_done_is_silent(step, words):
    """What it does, it says: nothing was made again."""
    if not (build_dir() / (".done-" + step)).exists():
        pytest.skip("this build folder was not made by bootstrap.py, or it could not compile")
    env = {name: os.environ[name] for name in ("MICROPYTHON", "MICROPYTHON32") if name in os.environ}
    command = [shutil.which("python3"), SCRIPT, *words]  # as the Makefile calls it
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""


def test_what_it_made_is_what_the_tests_need():
    version, bits, dtls = setup_probe.probe(build_dir() / "bin/micropython64")
    assert version >= (1, 25)
    assert (bits, dtls) == (64, True)
    if os.environ.get("CI") or (build_dir() / "bin/micropython32").exists():
        assert setup_probe.probe(build_dir() / "bin/micropython32")[1:] == (32, True)
        assert (build_dir() / "bin/coap-server").exists()


def test_the_float_interpreter_is_single_and_the_others_are_not():
    single = build_dir() / "bin/micropython-float"
    if not single.exists() and not os.environ.get("CI"):
        pytest.skip("no single-float MicroPython on this machine: `make setup-test` says why")
    assert setup_probe.is_single(single)
    assert setup_probe.probe(single)[0] >= (1, 25)
    assert not setup_probe.is_single(build_dir() / "bin/micropython64")


def test_second_run_waits_for_the_first(tmp_path):
    with open(tmp_path / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        env = {**os.environ, "GODWIT_BUILD": str(tmp_path), "MICROPYTHON": "/nonexistent/micropython"}
        process = subprocess.Popen([sys.executable, SCRIPT], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            assert b"another set-up is running" in process.stdout.readline()
            assert process.poll() is None
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert b"is not a program" in process.communicate(timeout=20)[1]
        finally:
            process.kill()
            process.communicate()


def test_no_apt(tmp_path):
    (tmp_path / "bin").mkdir()
    done = _bootstrap(tmp_path / "build", path=tmp_path / "bin")
    _failed_with(done, "no apt", "MICROPYTHON=/path/to/micropython")


def test_unsupported_architecture(tmp_path):
    _program(tmp_path / "bin", "dpkg", "echo riscv64")
    _failed_with(_bootstrap(tmp_path / "build", path=tmp_path / "bin"), "riscv64", "MICROPYTHON=")


@pytest.mark.parametrize(("apt_says", "words"), [
    ("E: Failed to fetch x  Temporary failure resolving 'x'", "no network"),
    ("W: Failed to fetch x  Could not connect to x:80, connection timed out", "no network"),
    ("W: GPG error: x trixie InRelease: NO_PUBKEY 6ED0E7B82643E131", "debian-archive-keyring"),
    ("E: You don't have enough free space: No space left on device", "no disk space"),
    ("E: Something else entirely", "Something else entirely"),
])  # fmt: skip
def test_apt_trouble_is_one_line(tmp_path, monkeypatch, apt_says, words):
    folder = tmp_path / "bin"
    _program(folder, "apt-get", f"cat <<'END'\nReading lists\n{apt_says}\nEND\nexit 100")
    _program(folder, "dpkg-deb", "exit 0")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    etc = _etc(tmp_path, {"sources.list": "deb http://mirror.example/debian bookworm main\n"})
    with pytest.raises(setup_probe.SetupError, match=words) as caught:
        private_apt.PrivateApt(tmp_path / "root", "amd64", "i386", etc).update()
    assert "\n" not in str(caught.value)


PROBED = "probe micropython"


@pytest.mark.parametrize(("script", "words"), [
    (f"echo {PROBED} 1.24.1 64 1", "1.25 or newer"),
    (f"echo {PROBED} 1.25.0 64 0", "no DTLS"),
    (f"echo {PROBED} 1.25.0 32 1", "32-bit"),
    ("exit 0", "is not a MicroPython"),
    ("echo probe cpython 3.11.2 64 1", "is not a MicroPython"),
])  # fmt: skip
def test_unsupported_micropython(tmp_path, script, words):
    program = _program(tmp_path / "bin", "own", script)
    _failed_with(_bootstrap(tmp_path / "build", MICROPYTHON=str(program)), words)


def test_missing_micropython(tmp_path):
    missing = str(tmp_path / "none")
    _failed_with(_bootstrap(tmp_path / "build", MICROPYTHON=missing), f"MICROPYTHON={missing} is not a program")


def test_named_micropython_is_remembered_until_it_is_named_empty(monkeypatch, tmp_path):
    program = str(_program(tmp_path, "own", "exit 0"))
    monkeypatch.setattr(bootstrap, "_BUILD", tmp_path)
    monkeypatch.setenv("MICROPYTHON", program)
    assert bootstrap._named("MICROPYTHON") == program
    (tmp_path / ".MICROPYTHON").write_text(program)
    monkeypatch.delenv("MICROPYTHON")
    assert bootstrap._named("MICROPYTHON") == program
    monkeypatch.setenv("MICROPYTHON", "")
    assert bootstrap._named("MICROPYTHON") is None


def test_newer_micropython_qualifies(tmp_path):
    program = _program(tmp_path / "bin", "own", f"echo {PROBED} 1.30.2 64 1")
    assert setup_probe.qualify(program, 64) == "1.30.2"


def test_python_too_old(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(bootstrap, "_MIN_PYTHON", (99, 0))
    assert bootstrap.main() == 1
    assert "Python 99.0 or newer is needed" in capsys.readouterr().err


def test_an_old_python_can_read_it():
    """Otherwise an old interpreter would answer with a syntax error instead of the line above."""
    for name in ("bootstrap", "build_float", "private_apt", "setup_probe"):
        ast.parse((REPO / f"tools/{name}.py").read_text(), feature_version=(3, 7))


def test_unknown_option_changes_nothing(tmp_path):
    command = [sys.executable, SCRIPT, "--with-flat"]
    env = {**os.environ, "GODWIT_BUILD": str(tmp_path / "build")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "usage" in done.stderr
    assert not (tmp_path / "build").exists()


def test_no_disk_space(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(bootstrap, "_BUILD", tmp_path)
    monkeypatch.setattr(bootstrap, "_MIN_DISK_MB", 1 << 40)
    assert bootstrap.main() == 1
    assert "no disk space" in capsys.readouterr().err


def _etc(folder, files):
    etc = folder / "etc"
    (etc / "sources.list.d").mkdir(parents=True)
    for name, text in files.items():
        (etc / name).write_text(text)
    return etc


DEB822 = """\
Types: deb
# Suites: none
URIs: http://one.example/debian http://two.example/debian/
Suites: trixie
 trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://one.example/debian-security
Suites: trixie-security
Components: main
"""


@pytest.mark.parametrize(("files", "expected"), [
    ({"sources.list": "deb http://a.example/debian bookworm main contrib\n"}, ["http://a.example/debian"]),
    ({"sources.list": "deb [arch=amd64 signed-by=/k] http://a.example/debian/ stable main # x\n"},
     ["http://a.example/debian"]),
    ({"sources.list": "deb http://a.example/debian-security bookworm-security main\n"}, []),
    ({"sources.list": "deb-src http://a.example/debian bookworm main\n#deb http://b.example/debian sid main\n"}, []),
    ({"sources.list": "deb cdrom:[Debian]/ bookworm main\ndeb http://a.example/debian bookworm-updates main\n"}, []),
    ({"sources.list": "deb http://a.example/ubuntu noble main\n"}, []),
    ({"sources.list": "deb http://a.example/debian bookworm contrib\n"}, []),
    ({"sources.list.d/debian.sources": DEB822}, ["http://one.example/debian", "http://two.example/debian"]),
    ({"sources.list.d/debian.sources": "Enabled: no\n" + DEB822}, []),
    ({"sources.list.d/x.sources": "Types: deb\nURIs: http://a.example/x\nSuites: nodistro\nComponents: main\n"}, []),
    ({"sources.list.d/x.save": "deb http://a.example/debian bookworm main\n"}, []),
    ({"sources.list": "deb http://a.example/debian bookworm main\n", "sources.list.d/b.list":
      "deb http://a.example/debian bookworm main\ndeb http://b.example/debian trixie main\n"},
     ["http://a.example/debian", "http://b.example/debian"]),
    ({}, []),
])  # fmt: skip
def test_archive_is_found_in_the_machines_own_configuration(tmp_path, files, expected):
    assert private_apt.archive_uris(_etc(tmp_path, files)) == expected


# -- the single-float MicroPython ---------------------------------------------------------------------------------

# A make that compiles nothing: it checks how it was called and puts what $MADE says where the program is expected.
MAKE = """
test -z "$MAKEFLAGS$CFLAGS_EXTRA" || { echo "error: the environment came through"; exit 2; }
test -f "$2/Makefile" || { echo "error: no Makefile"; exit 2; }
for word in "$@"; do case "$word" in BUILD=*) mkdir -p "${word#BUILD=}"; out="${word#BUILD=}/micropython";; esac; done
"""


class _Apt:
    """Stands for the archive: hands out a source package that was made here."""

    def __init__(self, root, members):
        self.root = root
        self._members = members

    def update(self, sources=False):
        assert sources
        self.root.mkdir()

    def fetch_source(self, _package):
        path = self.root / "micropython_9.orig.tar.xz"
        with tarfile.open(path, "w:xz") as tar:
            for name in self._members:
                empty = self.root / "empty"
                empty.write_text("")
                tar.add(empty, name)
        return path


def _compile(tmp_path, monkeypatch, make, members=("micropython-9/ports/unix/Makefile", "micropython-9/docs/big")):
    _program(tmp_path / "bin", "make", make)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("MAKEFLAGS", "w -- ARGS=-x")
    monkeypatch.setenv("CFLAGS_EXTRA", "-Wrong")
    program = _program(tmp_path / "out", "micropython-float", "exit 1")  # of an older recipe
    build_float.build(_Apt(tmp_path / "apt", members), tmp_path / "work", program, "/bin/false")
    return program


def _makes(prints):
    return MAKE + f"printf '#!/bin/sh\\necho {prints}\\n' > \"$out\"; chmod +x \"$out\""


def test_float_interpreter_is_put_in_place(tmp_path, monkeypatch):
    program = _compile(tmp_path, monkeypatch, _makes("single True"))
    assert setup_probe.is_single(program)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "out"]  # the source and the index are gone


@pytest.mark.parametrize(("make", "members", "words"), [
    (_makes("single False"), None, "does not have single"),
    (MAKE, None, "cannot be run"),
    ("echo CC a.c; echo 'a.c:1:10: fatal error: stdio.h: none'; echo 'make: *** [a.o] Error 1'; exit 2", None,
     "compilation failed: a.c:1:10: fatal error: stdio.h"),
    ("echo 'write: No space left on device'; exit 2", None, "no disk space"),
    ("exit 2", None, "no message"),
    (_makes("single True"), ["micropython-9/py/Makefile"], "not laid out as expected"),
], ids=["double floats", "nothing made", "compiler", "disk", "silent", "layout"])  # fmt: skip
def test_float_interpreter_that_cannot_be_made(tmp_path, monkeypatch, make, members, words):
    with pytest.raises(setup_probe.SetupError, match=words):
        _compile(tmp_path, monkeypatch, make, *([members] if members else []))
    assert [path.name for path in tmp_path.iterdir() if path.name != "bin"] == ["out"]
    assert not list((tmp_path / "out").iterdir())  # the older one must not pass for what is wanted now


def test_damaged_source_package(tmp_path):
    path = tmp_path / "x.tar.xz"
    path.write_bytes(b"not an archive")
    with pytest.raises(setup_probe.SetupError, match="cannot be unpacked"):
        build_float._unpack(path, tmp_path)


def test_without_a_compiler_set_up_says_so_and_goes_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "_BUILD", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    bootstrap.set_up_float()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "no single-float MicroPython" in lines[0]
    assert "no gcc and no make" in lines[0]
    assert list(tmp_path.iterdir()) == []  # no stamp: the next run looks again, and nothing was fetched


def test_source_comes_from_the_archive_with_its_signature_checked(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    files = "micropython_9.dsc micropython_9.orig.tar.xz micropython_9.orig.tar.xz.asc micropython_9-1.debian.tar.xz"
    _program(folder, "apt-get", f'case "$*" in *source*--download-only*) touch {files};; esac')
    _program(folder, "dpkg-deb", "exit 0")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    etc = _etc(tmp_path, {"sources.list": "deb http://mirror.example/debian bookworm main\n"})
    apt = private_apt.PrivateApt(tmp_path / "root", "amd64", "i386", etc)
    apt.update(sources=True)
    line = (tmp_path / "root/sources.list").read_text()
    assert line.startswith("deb-src [target=Sources")
    assert line.endswith("http://mirror.example/debian trixie main\n")
    assert "trusted" not in line
    assert apt.fetch_source("micropython").name == "micropython_9.orig.tar.xz"
    with pytest.raises(setup_probe.SetupError, match="no upstream archive"):
        apt.fetch_source("gone")
