"""Set-up: quick when done, one clear line when it cannot go on. The way through the archive is what CI itself takes."""

import ast
import fcntl
import os
import shutil
import subprocess
import sys
import time

import pytest

import bootstrap
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


def test_done_is_quick_and_silent():
    if not (build_dir() / ".done-venv").exists():
        pytest.skip("this build folder was not made by bootstrap.py")
    env = {name: os.environ[name] for name in ("MICROPYTHON", "MICROPYTHON32") if name in os.environ}
    command = [shutil.which("python3"), SCRIPT]  # as the Makefile calls it
    started = time.monotonic()
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    assert time.monotonic() - started < 3


def test_what_it_made_is_what_the_tests_need():
    version, bits, dtls = setup_probe.probe(build_dir() / "bin/micropython64")
    assert version >= (1, 25)
    assert (bits, dtls) == (64, True)
    if os.environ.get("CI") or (build_dir() / "bin/micropython32").exists():
        assert setup_probe.probe(build_dir() / "bin/micropython32")[1:] == (32, True)
        assert (build_dir() / "bin/coap-server").exists()


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
    for name in ("bootstrap", "private_apt", "setup_probe"):
        ast.parse((REPO / f"tools/{name}.py").read_text(), feature_version=(3, 7))


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
