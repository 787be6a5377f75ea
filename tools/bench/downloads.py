"""The bench's downloads: which ones, and their tables and goals. jobs.py makes one, scheduler.py many."""

from __future__ import annotations

import contextlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from godwit.impair import Relay
from godwit.places import REPO

from .body import BLOCK, body, digest
from .jobs import AIOCOAP, LIBCOAP, OURS, PEERS, Job, Link, Outcome, Runner, python_env
from .report import Goal, Table
from .scheduler import LoadCheck, run_all

IP_UDP = 28
NOISE = 0.95  # two clients that wait for the same thing differ by so much


@dataclass(frozen=True)
class Plan:
    """What to measure."""

    size: int
    rtts: tuple[int, ...]
    losses: tuple[float, ...]
    windows: tuple[int, ...]
    seeds: tuple[int, ...]
    links: tuple[Link, ...]  # with a rate
    repeats: int = 5  # where neither delay nor chance is in play


FULL = Plan(
    262144, (0, 50, 200, 600), (0.0, 0.02, 0.05, 0.1), (1, 4, 8, 16), (1, 2, 3),
    (Link(600, 0.0, 60_000), Link(150, 0.0, 300_000), Link(600, 0.0, 60_000, 4096), Link(150, 0.0, 300_000, 4096)),
)  # fmt: skip
QUICK = Plan(65536, (0, 200), (0.0, 0.05), (1, 8, 16), (1,), (Link(150, 0.0, 300_000),))
VARIANTS = ((8, 32, False), (8, 64, True))  # (window, bits, by_offset) beside the 64-bit ones, at VARIANT_LINK
VARIANT_LINK = Link(200, 0.05)


@dataclass
class Found:
    """All outcomes, and whether the machine kept up."""

    plan: Plan
    outcomes: list[Outcome]
    startup_s: float
    busy_mean: float
    busy_high: float
    late_ms: tuple[int, int, int]  # of the proxy's deliveries: half, 99 %, all were at most so late

    def of(self, link: Link, who: str, window: int = 1, bits: int = 64, by_offset: bool = False) -> list[Outcome]:
        """-> outcomes of one cell."""
        key = (link, who, window, bits, by_offset)
        jobs = [(o.job.link, o.job.who, o.job.window, o.job.bits, o.job.by_offset) for o in self.outcomes]
        return [outcome for job, outcome in zip(jobs, self.outcomes, strict=True) if job == key]

    def mean_s(self, *cell, **more) -> float | None:
        """-> mean of the cell's seconds, None when one of them failed."""
        outcomes = self.of(*cell, **more)
        if not outcomes or not all(outcome.good for outcome in outcomes):
            return None
        return average(outcomes)

    def best_peer_s(self, link: Link) -> float | None:
        """-> the faster peer's mean, of those that always arrived."""
        means = [mean for mean in (self.mean_s(link, peer) for peer in PEERS) if mean is not None]
        return min(means) if means else None

    def ratio(self, link: Link, window: int, **more) -> float | None:
        """-> how many times faster ours was than the faster peer."""
        ours, peer = self.mean_s(link, OURS, window, **more), self.best_peer_s(link)
        return None if ours is None or peer is None else peer / ours


def average(outcomes: list[Outcome]) -> float:
    """-> mean of their seconds; the median where neither delay nor chance is in play, just what else the machine did"""
    link, seconds = outcomes[0].job.link, [outcome.seconds for outcome in outcomes]
    return statistics.median(seconds) if link == Link(0) else statistics.fmean(seconds)


def plain_links(plan: Plan) -> list[Link]:
    """-> rows of the large table."""
    return [Link(rtt, loss) for rtt in plan.rtts for loss in plan.losses]


def jobs_of(plan: Plan) -> tuple[list[Job], list[Job]]:
    """-> (jobs to run alone, jobs to run side by side)."""
    alone, together = [], []
    for link in plain_links(plan):
        if link.rtt_ms or link.loss:
            target, seeds = together, plan.seeds if link.loss else plan.seeds[:1]
        else:
            target, seeds = alone, tuple(range(plan.repeats))
        for seed in seeds:
            target += [Job(peer, link, seed, plan.size) for peer in PEERS]
            target += [Job(OURS, link, seed, plan.size, window) for window in plan.windows]
            if link == VARIANT_LINK:
                target += [Job(OURS, link, seed, plan.size, *variant) for variant in VARIANTS]
    for link in plan.links:
        together += [Job(peer, link, 1, plan.size) for peer in PEERS]
        together += [Job(OURS, link, 1, plan.size, window) for window in plan.windows]
    return alone, together


@contextlib.contextmanager
def server(size: int, files: dict[str, Path] | None = None):
    """The aiocoap server with a body of `size` bytes, and `files` by name; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    command = [sys.executable, "-m", "bench.server", str(port), str(size)]
    command += [f"{name}={path}" for name, path in (files or {}).items()]
    running = subprocess.Popen(command, env=python_env(), stdout=subprocess.PIPE, text=True)
    try:
        if running.stdout.readline() != "ready\n":
            raise click.ClickException("the bench's server did not start")
        yield port
    finally:
        running.terminate()
        running.communicate()


def measure(plan: Plan, say=lambda _: None) -> Found:
    """Make all downloads of the plan. `say` gets a line after each."""
    alone, together = jobs_of(plan)
    count = len(alone) + len(together)
    told = [0]

    def done(outcome):
        told[0] += 1
        job = outcome.job
        name = job.who if job.who != OURS else f"{job.who} W={job.window}"
        result = f"{outcome.seconds:.2f} s" if outcome.good else f"FAILED: {outcome.why}"
        rate = f" {job.link.rate_bit_s // 1000} kbit/s" if job.link.rate_bit_s else ""
        where = f"{job.link.rtt_ms} ms {job.link.loss:.0%}{rate} seed {job.seed}"
        say(f"[{told[0]}/{count}] {where}: {name} {result}")

    with server(plan.size) as port, Relay() as relay, tempfile.TemporaryDirectory(prefix="godwit-bench-") as folder:
        # A copy, so that whoever works on lib/ meanwhile is not measured.
        library = shutil.copytree(REPO / "lib", Path(folder, "lib"), ignore=shutil.ignore_patterns("__pycache__"))
        runner = Runner(relay, port, digest(body(plan.size)), Path(folder), library)
        startup = runner.measure_startup()
        first = run_all(alone, runner.run, done, most=1)
        with LoadCheck() as load:
            rest = run_all(together, runner.run, done)
        late = tuple(relay.lateness_ms(share) for share in (0.5, 0.99, 1.0))
    return Found(plan, first + rest, startup, load.mean, load.high, late)


# --- tables


def _seconds(found, *cell, **more):
    outcomes = found.of(*cell, **more)
    good = [outcome for outcome in outcomes if outcome.good]
    if not outcomes:
        return "-"
    if not good:
        return f"fails {len(outcomes)}/{len(outcomes)}"
    failed = len(outcomes) - len(good)
    return f"{average(good):.2f}" + (f" (fails {failed}/{len(outcomes)})" if failed else "")


def _times(ratio):
    return "-" if ratio is None else f"{ratio:.1f}"


def table(found: Found) -> Table:
    """Seconds of everybody, and ours to the faster peer that always arrived."""
    plan = found.plan
    heads = ["RTT ms", "loss", *PEERS, *(f"W={w}" for w in plan.windows), *(f"x W={w}" for w in plan.windows)]
    rows = []
    for link in plain_links(plan):
        ours = [_seconds(found, link, OURS, window) for window in plan.windows]
        ratios = [_times(found.ratio(link, window)) for window in plan.windows]
        peers = [_seconds(found, link, peer) for peer in PEERS]
        rows.append([link.rtt_ms, f"{link.loss:.0%}", *peers, *ours, *ratios])
    count = len(plan.seeds)
    seeds = f"mean of {count} seeds where there is loss, the same for everybody" if count > 1 else "one seed"
    return Table(f"Download of {plan.size // 1024} KiB: seconds, and times faster than the faster peer", heads, rows, [
        f"W: blocks in flight of lib/coap on 64-bit MicroPython. Loss is per datagram and direction; {seeds}. Blocks "
        "of 1,024 bytes, every body checked by its digest; server: aiocoap, stateless, ETag on each block.",
        f"coap-client's times are of its process, less the {found.startup_s * 1000:.0f} ms that it takes for one tiny "
        "resource. A client that sends nothing for 60 s has failed. A ratio is missing where no peer always arrived.",
    ])  # fmt: skip


def variant_table(found: Found) -> Table | None:
    """The same at one link on 32-bit, and by the offset query."""
    names = [(f"W={w}, {bits} bit" + (", by offset query" if by else ""), (w, bits, by)) for w, bits, by in VARIANTS]
    rows = []
    for name, (window, bits, by) in [("W=8, 64 bit", (8, 64, False)), *names]:
        more = {"bits": bits, "by_offset": by}
        if found.of(VARIANT_LINK, OURS, window, **more):
            seconds = _seconds(found, VARIANT_LINK, OURS, window, **more)
            rows.append([name, seconds, _times(found.ratio(VARIANT_LINK, window, **more))])
    if not rows:
        return None
    return Table(f"Other ways at RTT {VARIANT_LINK.rtt_ms} ms, {VARIANT_LINK.loss:.0%} loss",
                 ["", "seconds", "times faster than the faster peer"], rows)  # fmt: skip


def share(outcome: Outcome) -> float | None:
    """-> part of what the link can carry as payload that a download over a link with a rate reached."""
    if not outcome.good or not outcome.counts.get("down"):
        return None
    wire = outcome.counts["down_bytes"] / outcome.counts["down"] + IP_UDP
    limit = outcome.job.link.rate_bit_s * BLOCK / wire
    return outcome.job.size * 8 / outcome.seconds / limit


def link_table(found: Found) -> Table | None:
    """Share of each rate-limited link."""
    if not found.plan.links:
        return None
    heads = ["kbit/s", "RTT ms", "queue B", *PEERS, *(f"W={w}" for w in found.plan.windows)]
    rows = []
    for link in found.plan.links:
        cells = [(peer, 1) for peer in PEERS] + [(OURS, window) for window in found.plan.windows]
        rows.append([link.rate_bit_s // 1000, link.rtt_ms, link.queue_bytes, *(_share(found, link, *c) for c in cells)])
    return Table("Links with a rate: seconds, and share of the payload that fits the link", heads, rows, [
        "Rate in each direction with 28 bytes of IP and UDP headers per datagram, and a drop-tail queue before it. The "
        "limit is rate x 1,024 / bytes of a block on the wire.",
    ])  # fmt: skip


def _share(found, link, who, window):
    outcomes = found.of(link, who, window)
    if not outcomes or not outcomes[0].good:
        return _seconds(found, link, who, window)
    return f"{outcomes[0].seconds:.1f} s, {share(outcomes[0]):.0%}"


# --- goals


def goals(found: Found) -> list[Goal]:
    """The issue's goals that this plan can tell about."""
    ours = [outcome for outcome in found.outcomes if outcome.job.who == OURS]
    good = sum(outcome.good for outcome in ours)
    made = [Goal("every download of ours arrives, right digest", f"{good} of {len(ours)}", "all", good == len(ours))]
    if found.plan.size < FULL.size:
        return made  # the others are about a body of 256 KiB
    for link, window, wanted in ((Link(200, 0.0), 8, 7.0), (Link(200, 0.05), 8, 12.0)):
        ratio = found.ratio(link, window)
        if ratio is not None:
            name = f"RTT 200 ms, {link.loss:.0%} loss, 8 in flight"
            made.append(Goal(name, f"{ratio:.1f} times", f">= {wanted:.0f}", ratio >= wanted))
            wide = found.ratio(link, 16)
            if wide is not None:
                made.append(Goal(name.replace("8 in", "16 in"), f"{wide:.1f} times", "more than with 8", wide > ratio))
    for window in found.plan.windows:
        links = plain_links(found.plan)
        ratios = [(found.ratio(link, window), f" at {link.rtt_ms} ms, {link.loss:.0%}") for link in links]
        worst, where = min((pair for pair in ratios if pair[0] is not None), default=(1, ""))
        name = f"never slower than a peer, W={window}"
        made.append(Goal(name, f"{worst:.2f} times{where}", f">= 1, noise of {1 - NOISE:.0%} aside", worst >= NOISE))
    for link in found.plan.links:
        shares = [(share(outcome), outcome.job.window) for outcome in found.outcomes
                  if outcome.job.link == link and outcome.job.who == OURS and outcome.good]  # fmt: skip
        best, window = max(shares, default=(0.0, 0))
        name = f"{link.rate_bit_s // 1000} kbit/s, {link.rtt_ms} ms, queue of {link.queue_bytes:,} B"
        made.append(Goal(name, f"{best:.0%} (W={window})", ">= 85%", best >= 0.85))
    return made


def facts(found: Found) -> list[str]:
    """Whether the machine kept up."""
    half, most, worst = found.late_ms
    kept = "the machine kept up" if most <= 3 else "THE MACHINE DID NOT KEEP UP: times are too long"
    ours = [outcome for outcome in found.outcomes if outcome.job.who == OURS]
    resumed = sum(outcome.device.get("resumed", 0) > 0 for outcome in ours)
    failed = {peer: sum(not o.good for o in found.outcomes if o.job.who == peer) for peer in (AIOCOAP, LIBCOAP)}
    return [
        f"Load check: {kept}. Cores busy {found.busy_mean:.0%} of the time (nine tenths of it below "
        f"{found.busy_high:.0%}); the proxy delivered half of all datagrams within {half} ms of their time, 99 % "
        f"within {most} ms, the latest within {worst} ms.",
        "Downloads that failed: " + ", ".join(f"{peer} {count}" for peer, count in failed.items())
        + f", {OURS} {sum(not o.good for o in ours)} of {len(ours)}, of which {resumed} timed out and were resumed.",
    ]  # fmt: skip

