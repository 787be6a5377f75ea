"""The guards of tests/conftest.py: a test that hangs fails, and so does one that leaves a process running."""

import os
import shutil
import subprocess
import sys
import time

import pytest

from harness.run_unit import REPO

HANGS = "import time, pytest\n@pytest.mark.limit(0.3)\ndef test():\n    time.sleep(20)\n"
LEAVES = "import subprocess\ndef test():\n    subprocess.Popen(['sleep', '77'])\n"
ORPHANS = "import subprocess\ndef test():\n    subprocess.run(['sh', '-c', 'sleep 77 & exec true'])\n"
FINE = "import subprocess\ndef test():\n    subprocess.run(['true'], check=True)\n"


def _pytest(folder, text, *args):
    shutil.copy(REPO / "tests/conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    limit(seconds): x\n")
    (folder / "test_planted.py").write_text(text)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args, folder]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("args", [(), ("-n", "1")], ids=["alone", "xdist"])
@pytest.mark.parametrize(("text", "words"), [
    (HANGS, "did not end within 0.3 s"), (LEAVES, "left running"), (ORPHANS, "left running"),
])  # fmt: skip
def test_guard(tmp_path, text, words, args):
    started = time.monotonic()
    done = _pytest(tmp_path, text, *args)
    assert done.returncode == 1, done.stdout
    assert words in done.stdout
    assert time.monotonic() - started < 15


def test_guards_let_a_good_test_pass(tmp_path):
    assert _pytest(tmp_path, FINE).returncode == 0
