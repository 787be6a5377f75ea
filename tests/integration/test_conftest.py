"""The guards of tests/conftest.py: a test that hangs fails, and so does one that leaves a process running."""

import os
import shutil
import subprocess
import sys

import pytest

from harness.run_unit import REPO

GUARDED = {  # file -> (text, what pytest says of it)
    "test_hangs.py": (
        "import time, pytest\n@pytest.mark.limit(0.3)\ndef test():\n    time.sleep(77)\n",
        "did not end within 0.3 s",
    ),
    "test_leaves.py": ("import subprocess\ndef test():\n    subprocess.Popen(['sleep', '78'])\n", "sleep 78"),
    "test_orphans.py": (
        "import subprocess\ndef test():\n    subprocess.run(['sh', '-c', 'sleep 79 & exec true'])\n",
        "sleep 79",
    ),
}
FINE = "import subprocess\ndef test():\n    subprocess.run(['true'], check=True)\n"


def _pytest(folder, files, *args):
    shutil.copy(REPO / "tests/conftest.py", folder)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    limit(seconds): x\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args, folder]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("args", [(), ("-p", "xdist", "-n", "1")], ids=["alone", "xdist"])
def test_guards(tmp_path, args):
    """The run ends although one test sleeps for longer than it is waited for; each left process is named."""
    done = _pytest(tmp_path, {name: text for name, (text, _) in GUARDED.items()}, *args)
    assert done.returncode == 1, done.stdout
    assert "1 failed, 2 passed, 1 error" in done.stdout
    left = [line for line in done.stdout.splitlines() if "left running" in line]
    assert left
    for name, (_, words) in GUARDED.items():
        assert any(words in line for line in (done.stdout.splitlines() if name == "test_hangs.py" else left)), name


def test_guards_let_a_good_test_pass(tmp_path):
    assert _pytest(tmp_path, {"test_fine.py": FINE}).returncode == 0
