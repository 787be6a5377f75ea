"""One download of the bench: whose client, over what link, and what came of it. scheduler.py runs many.

Each client is a process of its own behind a link of its own. A download counts only with the right digest. A client
that sends nothing for SILENCE_S has given up, whatever it says: no retransmission of RFC 7252 waits for so long.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from godwit.impair import Impairment, Relay
from godwit.places import BUILD, REPO

from .body import BLOCK, PATH, digest

OURS, AIOCOAP, LIBCOAP = "lib/coap", "aiocoap", "coap-client"
PEERS = (AIOCOAP, LIBCOAP)
SILENCE_S = 60.0
_DEVICE = Path(__file__).with_name("device_download.py")
_LOST_S = {0.0: 0.0, 0.02: 0.11, 0.05: 0.30, 0.1: 0.75}  # what a peer waits per block for retransmission; coap.md 3.3


@dataclass(frozen=True)
class Link:
    """A row of the tables."""

    rtt_ms: int
    loss: float = 0.0
    rate_bit_s: int | None = None
    queue_bytes: int = 16384

    def settings(self) -> dict:
        """-> keywords for Impairment."""
        return {
            "delay_s": self.rtt_ms / 2000, "loss": self.loss,
            "rate_bit_s": self.rate_bit_s, "queue_bytes": self.queue_bytes,
        }  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A download to be made. `window`, `bits` and `by_offset` are ours alone."""

    who: str
    link: Link
    seed: int
    size: int
    window: int = 1
    bits: int = 64
    by_offset: bool = False
    limit_s: float = 600.0

    def expected_s(self) -> float:
        """-> rough guess, for the order of work only."""
        blocks, rtt = self.size / BLOCK, self.link.rtt_ms / 1000 + 0.002
        wire = (BLOCK + 60) * 8 / self.link.rate_bit_s if self.link.rate_bit_s else 0.0
        if self.who != OURS:
            return blocks * (rtt + wire + _LOST_S.get(self.link.loss, 1.0))
        return max(blocks * (rtt * (1 + 4 * self.link.loss) + wire) / self.window, blocks * max(wire, 0.002)) + 1.0

    def weight(self) -> float:
        """-> blocks per second that it will ask of this machine."""
        return self.size / BLOCK / self.expected_s()


@dataclass
class Outcome:
    """What came of a Job: `seconds`, or None with `why`."""

    job: Job
    seconds: float | None = None
    why: str = ""
    device: dict = field(default_factory=dict)  # our client's own counters
    counts: dict = field(default_factory=dict)  # the link's

    @property
    def good(self) -> bool:
        """Did the whole body arrive, to the byte?"""
        return self.seconds is not None


def micropython(bits: int) -> Path:
    """-> the interpreter."""
    return BUILD / "bin" / f"micropython{bits}"


def device_env(*folders: Path) -> dict[str, str]:
    """-> environment of a device process that imports from `folders`."""
    return {"PATH": os.environ["PATH"], "MICROPYPATH": ":".join([*map(str, folders), ".frozen"])}


def python_env() -> dict[str, str]:
    """-> environment of the bench's own Python processes."""
    return os.environ | {"PYTHONPATH": str(REPO / "tools")}


class Runner:
    """Runs jobs against one server. `startup_s` is taken off coap-client, whose own clock cannot be read.

    `expected` is the body's digest, `folder` takes the bodies, `library` is what our client is imported from.
    """

    def __init__(self, relay: Relay, port: int, expected: str, folder: Path, library: Path = REPO / "lib"):
        self._relay = relay
        self._port = port
        self._expected = expected
        self._folder = folder
        self._library = library
        self.startup_s = 0.0

    def run(self, job: Job) -> Outcome:
        """Make the download; never raises for a client that fails."""
        outcome = Outcome(job)
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            link = Impairment(("127.0.0.1", self._port), seed=job.seed, relay=self._relay, **job.link.settings())
            with link:
                command, env, text = self._command(job, link.port, file.name)
                started = time.monotonic()
                code, out, errors = self._process(command, env, text, link, job.limit_s)
                took = time.monotonic() - started
            outcome.counts = link.counts
            if job.who == LIBCOAP:
                told = {"seconds": max(took - self.startup_s, 0.001)}
            else:
                told = _last_json(out)
            found = told.get("sha256") or digest(Path(file.name).read_bytes())
        if isinstance(code, str):
            outcome.why = code
        elif code or "seconds" not in told:
            words = (errors or out).strip().splitlines() or [f"status {code}"]
            outcome.why = words[-1][:200]
        elif found != self._expected:
            outcome.why = "wrong digest"
        else:
            outcome.seconds = told["seconds"]
        outcome.device = told
        return outcome

    def measure_startup(self) -> float:
        """Set startup_s: the least that coap-client takes for one datagram without a link in between."""
        uri = f"coap://127.0.0.1:{self._port}/tiny"
        command = [BUILD / "bin" / "coap-client", "-o", "/dev/null", uri]
        took = []
        for _ in range(7):
            started = time.monotonic()
            subprocess.run(command, capture_output=True, timeout=20, check=True)
            took.append(time.monotonic() - started)
        self.startup_s = min(took)
        return self.startup_s

    def _command(self, job, port, file):
        """(command, environment, text for its stdin)."""
        uri = f"coap://127.0.0.1:{port}/{PATH}"
        if job.who == LIBCOAP:
            seconds = str(int(job.limit_s) + 1)
            return [BUILD / "bin" / "coap-client", "-B", seconds, "-o", file, uri], None, None
        if job.who == AIOCOAP:
            return [sys.executable, "-m", "bench.aiocoap_client", uri], python_env(), None
        task = {"port": port, "path": PATH, "window": job.window, "by_offset": job.by_offset, "file": file}
        heap = ["-X", "heapsize=1m"]
        return [micropython(job.bits), *heap, _DEVICE], device_env(self._library), json.dumps(task)

    def _process(self, command, env, text, link, limit_s):
        """(status or a word of why it was ended, stdout, stderr)."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        running = subprocess.Popen(list(map(str, command)), env=env, **pipes)
        watch = _Watch(running, link, limit_s)
        try:
            out, errors = running.communicate(text)
        finally:
            watch.end()
        return watch.why or running.returncode, out, errors


class _Watch:
    """Ends a client that is silent or too slow."""

    def __init__(self, running, link, limit_s):
        self.why = ""
        self._running = running
        self._link = link
        self._limit_s = limit_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self):
        self._over.set()
        self._thread.join()

    def _watch(self):
        start = heard = time.monotonic()
        before = -1
        while not self._over.wait(0.5):
            now, sent = time.monotonic(), self._link.counts["up"]
            if sent != before:
                before, heard = sent, now
            if now - heard > SILENCE_S:
                self._kill(f"silent since {heard - start:.0f} s")
            elif now - start > self._limit_s:
                self._kill(f"not done after {self._limit_s:.0f} s")

    def _kill(self, why):
        self.why = why
        self._running.kill()
        self._over.set()


def _last_json(text):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        return json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        return {}
