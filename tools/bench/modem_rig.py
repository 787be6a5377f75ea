"""One cloud twin, and for each measurement a modem simulator of its own and a MicroPython that drives it.

Between modem and twin is a link with LTE-M's delay. Everything here ends with its `with` statement, and every wait
has a limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import click

from godwit import pki
from godwit.day.operator import Operator
from godwit.day.processes import DayError
from godwit.impair import Impairment
from godwit.modem.cells import PLACES
from godwit.places import REPO
from godwit.world import World

from .jobs import device_env, micropython, python_env

DEVICE, HOST, TAG = "nrf-351358811124484", "coap.nrfcloud.com", 16842753
BITS = 32
_API_KEY = "bench"
_READY_S, _STAGE_S, _IDLE_S, _AGREE_S = 60.0, 180.0, 60.0, 5.0
_IDLE_STEP_MS = 250
_DELAY_S, _JITTER_S = 0.1, 0.05  # each way: round trips of 200 to 300 ms
# What a node waits for before a measurement begins is made short; the measurement itself is as the simulator has it.
_SHORT = ("scan=0.5", "rescan=0.5", "register=0.3", "boot=0.3", "ncell_light=0.3")


class RigError(click.ClickException):
    """A process ended, was silent, or said something else, in one line."""


class Process:
    """A program that speaks lines: `lines` is all it said; its errors go among them."""

    def __init__(self, name, command, env):
        self.name = name
        self.lines = []
        self._queue = queue.Queue()
        self._process = subprocess.Popen(
            list(map(str, command)), env=env, text=True, errors="replace",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            self._queue.put(line)
        self._queue.put(None)

    def say(self, text=""):
        """One line to its standard input."""
        try:
            self._process.stdin.write(text + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise RigError(f"{self.name}: {self._last()}") from error

    def told(self, key, value, timeout_s=_STAGE_S):
        """-> the next JSON object of its lines in which `key` is `value`."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                line = self._queue.get(timeout=max(end - time.monotonic(), 0))
            except queue.Empty:
                raise RigError(f"{self.name}: no {value} after {timeout_s:.0f} s: {self._last()}") from None
            if line is None:
                raise RigError(f"{self.name} ended before {value}: {self._last()}")
            said = _object(line)
            if said.get(key) == value:
                return said

    def objects(self, key, value):
        """-> all JSON objects so far in which `key` is `value`."""
        return [said for said in map(_object, list(self.lines)) if said.get(key) == value]

    def end(self):
        """Ask it to end, then make it."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        self._process.stdin.close()
        self._process.stdout.close()

    def _last(self):
        words = [line for line in self.lines if line.strip()]
        return words[-1].strip()[:200] if words else "it said nothing"


def _object(line):
    if not line.startswith("{"):
        return {}
    try:
        return json.loads(line)
    except ValueError:
        return {}


class Twin:
    """The cloud, with one device in it. `port`, `pki`."""

    def __init__(self, folder: Path):
        self.pki = pki.make_pki(folder / "pki")
        command = [sys.executable, "-m", "godwit", "twin", "--json", "--api-key", _API_KEY, "--pki", self.pki]
        self._process = Process("twin", command, python_env())

    def __enter__(self):
        try:
            ready = self._process.told("event", "ready", _READY_S)
            self.port = ready["coap"]
            asyncio.run(_onboard(ready["rest"], (self.pki / "device.pub").read_text()))
        except DayError as error:
            self._process.end()
            raise RigError(str(error)) from error
        except BaseException:
            self._process.end()
            raise
        return self

    def __exit__(self, *_):
        self._process.end()


async def _onboard(base, public_pem):
    operator = Operator(base, _API_KEY, DEVICE)
    try:
        await operator.onboard(public_pem)
    finally:
        await operator.close()


class Bench:
    """One node: `modem` and `device` are Processes. `stage(name)` waits for a stage, `counters()` reads the simulator,
    `go()` lets the device go on."""

    def __init__(self, folder: Path, twin: Twin, link, family, seed, speed, task, files=()):
        self.folder = folder
        self._control = folder / "control"
        self._link = link
        place = PLACES[seed % len(PLACES)]
        self._world = World(folder / "world")
        (folder / "track.csv").write_text(f"0,{place[1]},{place[2]},{place[3]}\n")
        command = [sys.executable, "-m", "godwit", "modem", "--json", "--family", family, "--speed", speed]
        command += ["--world", folder / "world"]
        command += ["--seed", seed, "--track", folder / "track.csv", "--control", self._control]
        command += ["--resolve", f"{HOST}:5684=127.0.0.1:{link.port}"]
        command += ["--credential", f"{TAG}:0={twin.pki / 'ca.pem'}"] if family == "nrf91" else []
        for timing in _SHORT:
            command += ["--timing", timing]
        for name, path in files:
            command += ["--file", f"{name}={path}"]
        self.modem = Process(f"simulator of {family}", command, python_env())
        try:
            pty = self.modem.told("event", "ready", _READY_S)["pty"]
            script = Path(__file__).with_name("device_modem.py")
            words = [micropython(BITS), "-X", "heapsize=2m", script]
            self.device = Process(f"node with {family}", words, device_env())
            task |= {"repo": str(REPO), "pty": pty, "pki": str(twin.pki), "folder": str(folder)}
            task |= {"device": DEVICE, "family": family}
            self.device.say(json.dumps(task))
        except BaseException:
            self.end()
            raise

    def stage(self, name, idle=True):
        """Wait for a stage, and with `idle` until the network has let go of the radio; -> what the device told."""
        told = self.device.told("told", name)
        end = time.monotonic() + _IDLE_S
        while idle and self.ask(get="state")["rrc"]:
            if time.monotonic() > end:
                raise RigError(f"{self.modem.name}: RRC does not become idle")
            self._world.advance(_IDLE_STEP_MS)  # nobody is measured while the network waits whether more comes
            time.sleep(0.03)
        return told

    def go(self):
        """On to the next stage."""
        self.device.say()

    def counters(self):
        """-> the simulator's counters, once its bytes on air are those that the link has seen."""
        end = time.monotonic() + _AGREE_S
        while True:
            counters = self.ask(get="counters")["counters"]
            seen, said = self._link.counts["up_bytes"], counters.get("bytes_up", 0)
            if seen == said:
                return counters
            if time.monotonic() > end:
                raise RigError(f"{self.modem.name}: {said} bytes sent, the link has seen {seen}")
            time.sleep(0.02)

    def ask(self, **request):
        """One request to the control socket."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            try:
                sock.connect(str(self._control))
                sock.sendall(json.dumps(request).encode() + b"\n")
                answer = json.loads(sock.makefile().readline())
            except (OSError, ValueError) as error:
                raise RigError(f"{self.modem.name}: its control socket: {error}") from error
        if not answer.get("ok"):
            raise RigError(f"{self.modem.name}: {answer.get('error')}")
        return answer

    def end(self):
        """Both processes."""
        for process in (getattr(self, "device", None), self.modem):
            if process:
                process.end()
        self._world.close()


@contextlib.contextmanager
def bench(folder, twin, family, seed, speed=1, files=(), **task):
    """A Bench with a link of its own, whose delays are the seed's."""
    folder.mkdir(parents=True)
    with Impairment(("127.0.0.1", twin.port), seed=seed, delay_s=_DELAY_S, jitter_s=_JITTER_S) as link:
        made = Bench(folder, twin, link, family, seed, speed, task, files)
        try:
            yield made
        finally:
            made.end()
