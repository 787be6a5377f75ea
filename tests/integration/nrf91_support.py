"""The device side of tests with the modem simulator: a driver in a MicroPython process.

Its scenarios are in tests/device/nrf91_device.py, or another `script`. Used by test_modem_nrf91.py, test_cid.py and
test_modem_sara_r5.py.
"""

import contextlib
import json
import os
import subprocess
import threading

from godwit.places import BUILD
from godwit.places import REPO as ROOT


class Device:
    """The MicroPython process; `found` gathers what it told, in order. 64 bit has twice the heap of a board: the same
    objects take twice the room there, and whether they fit into one says nothing about a board."""

    def __init__(self, pty, scenario, *args, bits="32", script="nrf91_device.py"):
        heap = {"32": "160k", "64": "320k"}[bits]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MICROPY"))}
        env["MICROPYPATH"] = f"{ROOT / 'lib'}:.frozen"
        program = [BUILD / "bin" / f"micropython{bits}", "-X", f"heapsize={heap}"]
        self.process = subprocess.Popen(
            [*map(str, program), str(ROOT / "tests" / "device" / script), pty, scenario, *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            text=True,
        )
        self.found = {}
        self.lines = []

    def until(self, name, timeout_s=30):
        """Read until the device has told `name`; -> its value."""
        timer = threading.Timer(timeout_s, self.process.kill)
        timer.start()
        try:
            while name not in self.found:
                line = self.process.stdout.readline()
                assert line, f"device ended before {name}: {self.lines}"
                self._take(line)
        finally:
            timer.cancel()
        return self.found[name]

    def finish(self, timeout_s=30):
        """-> everything told: name -> last value, with lists under "all"."""
        try:
            rest, _ = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            rest, _ = self.process.communicate()
            raise AssertionError(f"device hung: {self.lines} {rest}") from None
        for line in rest.splitlines():
            self._take(line)
        assert self.process.returncode == 0, self.lines
        return self.found

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def _take(self, line):
        self.lines.append(line.strip())
        if line.startswith("["):
            name, value = json.loads(line)
            self.found[name] = value
            self.found.setdefault("all", {}).setdefault(name, []).append(value)


@contextlib.contextmanager
def device(modem, scenario, *args, **how):
    made = Device(modem.pty, scenario, *args, **how)
    try:
        yield made
    finally:
        made.stop()


def run(modem, scenario, *args, **how):
    with device(modem, scenario, *args, **how) as made:
        return made.finish()
