"""Runs the bench's downloads side by side, as many as this machine can carry without being what is measured.

Almost all of a download is waiting. What it asks of the machine is its blocks per second, so their sum is limited; the
longest begin first. LoadCheck tells afterwards whether the machine kept up.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from .jobs import Job, Outcome

CAPACITY = 240.0  # blocks per second: a third of what one core of a slow machine carries through proxy and server
MOST = 60  # processes


def run_all(
    jobs: Iterable[Job], run: Callable[[Job], Outcome], done: Callable[[Outcome], None] = lambda _: None,
    capacity: float = CAPACITY, most: int = MOST,
) -> list[Outcome]:  # fmt: skip
    """Run every job in a thread of its own; `done` is called after each. -> outcomes in the order of `jobs`."""
    jobs = list(jobs)
    waiting = sorted(range(len(jobs)), key=lambda i: -jobs[i].expected_s())
    outcomes: dict[int, Outcome] = {}
    weights: dict[int, float] = {}
    change = threading.Condition()
    threads = []

    def work(i):
        outcome = _attempt(run, jobs[i])
        with change:
            outcomes[i] = outcome
            del weights[i]
            done(outcome)
            change.notify()

    with change:
        while waiting:
            i = _pick(waiting, jobs, weights, capacity) if len(weights) < most else None
            if i is None:
                change.wait()
                continue
            waiting.remove(i)
            weights[i] = jobs[i].weight()
            threads.append(threading.Thread(target=work, args=(i,), daemon=True))
            threads[-1].start()
    for thread in threads:
        thread.join()
    return [outcomes[i] for i in range(len(jobs))]


def _attempt(run, job):
    try:
        return run(job)
    except (OSError, ValueError) as error:
        return Outcome(job, why=f"{type(error).__name__}: {error}")


def _pick(waiting, jobs, weights, capacity):
    """The longest job that there is room for; one that is heavier than everything runs when it is alone."""
    room = capacity - sum(weights.values())
    for i in waiting:
        if jobs[i].weight() <= room or not weights:
            return i
    return None


class LoadCheck:
    """How busy the machine's cores are, sampled every half second: with statement, then `mean` and `high` (shares)."""

    def __init__(self):
        self._samples = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    @property
    def mean(self) -> float:
        """Share of all cores' time that was not idle."""
        return sum(self._samples) / len(self._samples) if self._samples else 0.0

    @property
    def high(self) -> float:
        """Share that nine in ten half seconds stayed below."""
        return sorted(self._samples)[int(len(self._samples) * 0.9)] if self._samples else 0.0

    def _run(self):
        before = cpu_times()
        while not self._over.wait(0.5):
            now = cpu_times()
            total = now[1] - before[1]
            if total > 0:
                self._samples.append((now[0] - before[0]) / total)
            before = now


def cpu_times() -> tuple[int, int]:
    """(busy, all) ticks of all cores since the machine started; zeros where the kernel does not say."""
    try:
        fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return (0, int(time.monotonic() * 100))
    return sum(fields) - fields[3] - fields[4], sum(fields)
