"""What every test gets: a hard time limit, and a check at the end that nothing it started is left running."""

import ctypes
import os
import signal
import sys
from pathlib import Path

import pytest

_LIMIT_S = 120
_PR_SET_CHILD_SUBREAPER = 36
sys.dont_write_bytecode = True


def _children():
    """Process ids of our children that are alive (no zombies), with their command lines."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
            words = stat[stat.rindex(")") + 2 :].split()
            if words[0] != "Z" and int(words[1]) == os.getpid():
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(entry.name)] = line.decode(errors="replace").strip()
        except (OSError, ValueError):
            continue  # it ended while we looked
    return found


def _is_worker_or_single(config):
    return hasattr(config, "workerinput") or not getattr(config.option, "numprocesses", None)


def pytest_configure(config):
    # A shell has what it starts in the background ignore Ctrl-C, and so would everything that the tests start.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Orphans of a test's own children come to us instead of to init, so that the check below sees them.
    if _is_worker_or_single(config) and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running():
    """Each test kills what it started. Whatever is left is killed here, and the run fails naming it."""
    before = set(_children())
    yield
    left = {pid: line for pid, line in _children().items() if pid not in before}
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    if left:
        pytest.fail("left running: " + "; ".join(f"{pid} {line}" for pid, line in left.items()))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """A test that hangs fails after `@pytest.mark.limit(seconds)` instead of stopping the suite."""
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else _LIMIT_S

    def expired(_signum, _frame):
        pytest.fail(f"did not end within {seconds} s")

    old = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
