"""node's `coap` (npm) as a peer: its packages, installed once into build/node, and its server as a process.

The versions are those of node/package-lock.json; npm checks their hashes. Which registry they come from is npm's own
business. Where node or npm is missing the tests are skipped and say so; in CI that is a failure, but a registry that
does not answer is not.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from net_support import BIN, process

_HERE = Path(__file__).resolve().parent / "node"
_FILES = ("package.json", "package-lock.json")
_MODULES = BIN.parent / "node"
_LIMIT_S = 100
_NO_NETWORK = re.compile(r"ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ERR_SOCKET_TIMEOUT|ENETUNREACH")


class Peer:
    """Its port, and what it says of itself: see node/server.js."""

    def __init__(self, running):
        self._process = running
        self.port = int(running.stdout.readline())

    def _report(self):
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def journal(self):
        """[method, path, size, sha256] of what was carried out since the last call."""
        return self._report()["journal"]

    def watchers(self, path):
        """How many observations of a path there are."""
        return self._report()["watchers"].get(path, 0)


def _installed():
    """Folder with the packages; made when the lock file has changed."""
    digest = hashlib.sha256(b"\0".join((_HERE / name).read_bytes() for name in _FILES)).hexdigest()
    stamp = _MODULES / ".done"
    _MODULES.mkdir(parents=True, exist_ok=True)
    with (_MODULES / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # pytest's workers share it
        if not stamp.exists() or stamp.read_text() != digest:
            for name in _FILES:
                shutil.copy(_HERE / name, _MODULES / name)
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            command += ["--fetch-retries=1", "--fetch-timeout=20000"]
            done = subprocess.run(command, cwd=_MODULES, capture_output=True, timeout=_LIMIT_S, check=False)
            words = done.stderr.decode(errors="replace")
            if done.returncode and _NO_NETWORK.search(words):
                pytest.skip("npm's registry does not answer: node's coap is not tried")
            if done.returncode:
                pytest.fail("npm ci: " + words[-2000:])
            stamp.write_text(digest)
    return _MODULES / "node_modules"


@contextlib.contextmanager
def node_peer():
    """A Peer; skips the test where there is no node, which CI does not accept."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        text = f"no {' and no '.join(missing)} on this machine: node's coap is not tried"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    env = {**os.environ, "NODE_PATH": str(_installed())}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with process("node", _HERE / "server.js", env=env, **pipes) as running:
        yield Peer(running)
