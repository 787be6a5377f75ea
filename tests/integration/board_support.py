"""The whole product, as a board would have it: .mpy files on flash, a 32-bit heap of 184 KB (160 is not enough in
every run), started as the desk starts it, restarted when it asks for that. Used by test_provisioning_node.py and
test_operator_update.py."""

import os
import subprocess
import threading
import time

import pytest

from godwit.day import factory, options
from godwit.places import BUILD, REPO

HEAP = 184 << 10
LIMIT_S = 90
_RESET = 3  # exit status of machine.reset() on the desk

needs_32_bit = pytest.mark.skipif(
    not (BUILD / "bin" / "micropython32").exists(), reason="no 32-bit MicroPython on this machine"
)


def make_flash(folder, credentials, monkeypatch, config, jwt="host"):
    """-> (places, Factory) of a node with version 1.0.0 and `config` on its flash. `credentials`: paths by the
    factory's names ("ca"; "device_hex" with `jwt` "host")."""
    monkeypatch.setattr(factory, "node_config", lambda chosen: config)
    places = options.make_workspace(folder)
    chosen = options.Options(bits=32, heap=HEAP, jwt=jwt, workdir=folder)
    made = factory.Factory(chosen, places, credentials)
    made.make_flash()
    return places, made


class Firmware:
    """The node's process; `said` is every line so far. A thread reads it, and starts it again after a reset."""

    def __init__(self, places, pty, world):
        program = [str(BUILD / "bin" / "micropython32"), "-X", f"heapsize={HEAP}", str(REPO / "boards/unix/_boot.py")]
        env = {
            "PATH": os.environ.get("PATH", ""),
            "GODWIT_UART": pty,
            "GODWIT_FLASH": str(places.flash),
            "GODWIT_WORLD": str(world),
            "GODWIT_WARP": "1",
        }
        self.said = []
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self._start = lambda: subprocess.Popen(program, env=env, cwd=places.root, **pipes)
        self._heard = threading.Condition()
        self._stopping = False
        self._process = self._start()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        status = _RESET
        while status == _RESET and not self._stopping:
            for line in self._process.stdout:
                with self._heard:
                    self.said.append(line.decode(errors="replace").rstrip())
                    self._heard.notify_all()
            status = self._process.wait()
            with self._heard:
                if status == _RESET and not self._stopping:
                    self._process = self._start()
        with self._heard:
            self.said.append(f"(ended with status {status})")
            self._heard.notify_all()

    def until(self, wanted, times=1):
        """Wait for so many lines with `wanted`; -> the last of them."""
        end = time.monotonic() + LIMIT_S
        with self._heard:
            while True:
                found = [line for line in self.said if wanted in line]
                if len(found) >= times:
                    return found[times - 1]
                left = end - time.monotonic()
                assert left > 0 and self._reader.is_alive(), f"no {wanted!r}:\n" + "\n".join(self.said)
                self._heard.wait(min(left, 1))

    def stop(self):
        """Take the power away, for good."""
        with self._heard:
            self._stopping = True
            self._process.kill()
        self._reader.join(10)
        self._process.communicate()
