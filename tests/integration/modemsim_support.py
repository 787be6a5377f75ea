"""A simulated modem as a child process, and a plain blocking AT terminal on its PTY, for the test_modemsim_* files.

Nothing of the device is used here: bytes are compared with what modems.md says. Every wait has a limit.
"""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FINALS = (b"\r\nOK\r\n", b"\r\nERROR\r\n")


class Terminal:
    """Raw bytes to and from a PTY."""

    def __init__(self, path):
        # The simulator has made it raw; setting that again would flush what waits to be read.
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self.buffer = b""

    def close(self):
        os.close(self.fd)

    def write(self, data):
        os.write(self.fd, data)

    def read_some(self, timeout_s):
        """Append what arrives within the time; False when nothing did."""
        if not select.select([self.fd], [], [], max(timeout_s, 0))[0]:
            return False
        self.buffer += os.read(self.fd, 65536)
        return True

    def until(self, wanted, timeout_s=5.0):
        """Bytes up to and including `wanted`; the rest stays. Fails loudly with what came instead."""
        end = time.monotonic() + timeout_s
        while wanted not in self.buffer:
            if not self.read_some(end - time.monotonic()):
                raise AssertionError(f"no {wanted!r} within {timeout_s} s, only {self.buffer!r}")
        at = self.buffer.index(wanted) + len(wanted)
        head, self.buffer = self.buffer[:at], self.buffer[at:]
        return head

    def exactly(self, expected, timeout_s=5.0):
        """The next bytes are these and no others."""
        end = time.monotonic() + timeout_s
        while len(self.buffer) < len(expected) and expected.startswith(self.buffer):
            if not self.read_some(end - time.monotonic()):
                break
        assert self.buffer[: len(expected)] == expected
        self.buffer = self.buffer[len(expected) :]

    def quiet(self, seconds=0.15):
        """What arrives in a while (b"" when nothing does); taken out of the buffer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read_some(end - time.monotonic())
        data, self.buffer = self.buffer, b""
        return data

    def at(self, command, timeout_s=5.0):
        """Send one command; everything up to and including its final result, as text."""
        self.write(command.encode() + b"\r")
        end = time.monotonic() + timeout_s
        while True:
            ends = [self.buffer.index(f) + len(f) for f in _FINALS if f in self.buffer]
            if b"+CME ERROR: " in self.buffer:
                start = self.buffer.index(b"+CME ERROR: ")
                if b"\r\n" in self.buffer[start:]:
                    ends.append(self.buffer.index(b"\r\n", start) + 2)
            if ends:
                answer, self.buffer = self.buffer[: min(ends)], self.buffer[min(ends) :]
                return answer.decode("latin-1")
            if not self.read_some(end - time.monotonic()):
                raise AssertionError(f"{command}: no final result, only {self.buffer!r}")

    def ok(self, command, timeout_s=5.0):
        """Send one command that must succeed; its information lines."""
        answer = self.at(command, timeout_s)
        assert answer.endswith("\r\nOK\r\n"), f"{command}: {answer!r}"
        return [line for line in answer[: -len("OK\r\n")].split("\r\n") if line]


class ModemProcess:
    """The simulator. Attributes: `terminal`, `pty`; methods speak to the control socket and read events."""

    def __init__(self, folder, *args, ready=True):
        self.control_path = str(Path(folder) / "control")
        self.events_path = Path(folder) / "events.jsonl"
        code = "from godwit.modem.command import modem; modem()"
        env = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
        self._stream = open(self.events_path, "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "--json", "--control", self.control_path, *map(str, args)],
            stdout=self._stream, stderr=subprocess.PIPE, env=env)
        try:
            self.pty = self.event("ready", timeout_s=15)["pty"]
            self.terminal = Terminal(self.pty)
            if ready:
                self.terminal.until(b"Ready\r\n")
        except BaseException:
            self.close()
            raise

    def close(self):
        """Stop it; returns its standard error."""
        if hasattr(self, "terminal"):
            self.terminal.close()
        self.process.terminate()
        try:
            _, errors = self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
        self._stream.close()
        return errors.decode()

    def events(self, name=None):
        """All events so far (of one name)."""
        lines = self.events_path.read_text().splitlines()
        rows = [json.loads(line) for line in lines if line.endswith("}")]
        return [row for row in rows if name in (None, row["event"])]

    def event(self, name, timeout_s=5.0, count=1):
        """The `count`-th event of a name, waited for."""
        end = time.monotonic() + timeout_s
        while len(found := self.events(name)) < count:
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError(f"no event {name}: {self.events()} {self._errors()}")
            time.sleep(0.01)
        return found[count - 1]

    def _errors(self):
        return self.process.stderr.read().decode() if self.process.poll() is not None else ""

    def ask(self, **request):
        """One request to the control socket; raises AssertionError when it is refused."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(self.control_path)
            sock.sendall(json.dumps(request).encode() + b"\n")
            answer = json.loads(sock.makefile().readline())
        assert answer.pop("ok"), answer
        return answer

    def attach(self, timeout_s=10.0):
        """From boot to an active PDN, with RRC reporting off; leaves no line behind."""
        terminal = self.terminal
        for command in ("AT%XSYSTEMMODE=1,0,1,0", "AT+CEREG=5", "AT+CGEREP=1", "AT+CFUN=1"):
            terminal.ok(command)
        terminal.until(b"ME PDN ACT 0\r\n", timeout_s)
        terminal.ok("AT+CGEREP=0")
        terminal.ok("AT+CEREG=0")


@contextlib.contextmanager
def running_modem(folder, *args, **kwargs):
    """A ModemProcess that is gone afterwards; its standard error must be empty."""
    modem = ModemProcess(folder, *args, **kwargs)
    try:
        yield modem
    finally:
        errors = modem.close()
    assert errors == "", errors
