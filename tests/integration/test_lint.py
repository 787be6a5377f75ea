"""The lint finds what it promises to find: planted offences in a small tree of its own, each reported once."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.run_unit import REPO

DOC = '"""Planted."""\n\n'
CLEAN = {
    "lib/cbor.py": DOC + "import struct\n\nSIZE = struct.calcsize('>H')\n",
    "firmware/app.py": DOC + "import cbor\n\ntry:\n    X = cbor.SIZE\nexcept Exception:\n    X = 0\n",
    "tools/godwit/x.py": DOC + "import json\n\nX = json.dumps(1)\n",
}
PLANTED = {
    "lib imports firmware": ("lib/coap.py", "import app\n", "coap must not import app"),
    "lib imports a board": ("lib/log.py", "from board import X\n", "log must not import board"),
    "lib imports machine": ("lib/store.py", "def f():\n    import machine\n", "store must not import machine"),
    "task knows a backend": ("firmware/tasks/a.py", "from cloud.nrfcloud import X\n", "must not import cloud.nrfcloud"),
    "task knows a modem": ("firmware/tasks/a.py", "import modem.nrf91\n", "must not import modem.nrf91"),
    "task knows the board": ("firmware/tasks/a.py", "import board\n", "must not import board"),
    "pure module reads the clock": ("lib/at/parser.py", "import time\n", "at.parser is pure"),
    "pure package schedules": ("lib/cbor/x.py", "import asyncio\n", "cbor.x is pure"),
    "boot takes the application": ("firmware/boot.py", "import coap\n", "boot must not import coap"),
    "unknown package": ("lib/news.py", "", "new package news"),
    "host imports device code": ("tools/godwit/x.py", "import cbor\n", "host code must not import device code (cbor"),
    "test imports device code": ("tests/integration/t.py", "from cbor import x\n", "must not import device code"),
    "bare except": ("lib/coap.py", "try:\n    X = 1\nexcept:\n    X = 2\n", "only the supervisor"),
    "broad except": (
        "lib/coap.py", "try:\n    X = 1\nexcept (OSError, Exception):\n    X = 0\n", "only the supervisor",
    ),
    "assert": ("lib/coap.py", "assert 1\n", "gone under -O"),
    "long file": ("lib/coap.py", "X = 1\n" * 351, "at most 350"),
    "long function": ("tools/godwit/x.py", "def f():\n" + "    print(1)\n" * 60, "f has 61 lines"),
    "no header": ("lib/log.py", None, "no module docstring"),
    "not MicroPython": ("lib/coap.py", "def f(a):\n    match a:\n        case 1:\n            return 2\n", "mpy-cross"),
    "undefined name": ("lib/coap.py", "def f():\n    return gone\n", "F821"),
}
FINE = {
    "task knows the contract": ("firmware/tasks/a.py", "from cloud.base import CloudError\n\nX = CloudError\n"),
    "broad except that raises again": ("lib/coap.py", "try:\n    X = 1\nexcept BaseException:\n    X = 2\n    raise\n"),
    "board uses machine": ("boards/a/board.py", "import machine\n\nX = machine\n"),
    "host module of the same name": ("tools/godwit/cbor.py", "X = 1\n"),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree")
    subprocess.run(["git", "init", "-q", root], check=True)
    shutil.copytree(REPO / "tools/lint", root / "tools/lint", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tools/private_apt.py", "tools/setup_probe.py", "ruff.toml"):
        shutil.copy(REPO / name, root / name)
    for name, text in CLEAN.items():
        _plant(root, name, text)
    return root


def _plant(root, name, text):
    path = Path(root, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _lint(root):
    command = [sys.executable, "tools/lint"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


def _with(root, name, text):
    """Lint with one more (or another) file, which is put back afterwards."""
    path = Path(root, name)
    old = path.read_text() if path.exists() else None
    _plant(root, name, text)
    try:
        return _lint(root)
    finally:
        if old is None:
            path.unlink()
        else:
            path.write_text(old)


def test_clean_tree(tree):
    done = _lint(tree)
    assert done.returncode == 0, done.stdout
    assert "lint: clean" in done.stdout


@pytest.mark.parametrize("case", PLANTED)
def test_planted_offence_is_found(tree, case):
    name, text, words = PLANTED[case]
    done = _with(tree, name, "X = 1\n" if text is None else DOC + text)
    assert done.returncode == 1
    found = [line for line in done.stdout.splitlines() if words in line]
    assert found, done.stdout + done.stderr
    assert found[0].startswith(name + ":")


@pytest.mark.parametrize("case", FINE)
def test_what_is_allowed_passes(tree, case):
    name, text = FINE[case]
    done = _with(tree, name, DOC + text)
    assert done.returncode == 0, done.stdout


def test_names_of_this_machine_are_found(tree):
    done = _with(tree, "notes.md", f"see {tree}/lib\n")
    assert done.returncode == 1
    assert "belongs to this machine" in done.stdout
