"""Child processes of a day: one group each, read line by line, and never left behind.

The twin, the modem simulator and the firmware are separate programs. Each is started in its own process group (so
that Ctrl-C reaches only the orchestrator, which then ends them in order) and is told by the kernel to die with its
parent (Linux PR_SET_PDEATHSIG), so that even a SIGKILL of the orchestrator leaves nothing running.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ctypes
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence

_PR_SET_PDEATHSIG = 1
_LINE_LIMIT = 1 << 20  # a longer line is a fault of the child, not of the reader
_TAIL_LINES = 12  # what is shown of a child that died


class DayError(Exception):
    """The day cannot go on; the text is one line for the user."""


def _load_prctl():
    if not sys.platform.startswith("linux"):
        return None
    try:
        return ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None


_prctl = _load_prctl()


def _die_with_parent() -> None:
    """Runs in the child between fork and exec: ask the kernel for SIGKILL when the parent goes."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """One child process: `on_line(line)` is called for every line of stdout, `on_error(line)` for stderr."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: dict[str, str] | None = None,
        cwd: str | None = None,
        on_line: Callable[[str], None] | None = None,
        on_error: Callable[[str], None] | None = None,
    ):
        self.name = name
        self.argv = list(argv)
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._env = env
        self._cwd = cwd
        self._on_line = on_line
        self._on_error = on_error
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task] = []
        self._ready: asyncio.Future | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """Exit status, negative signal number, or None while it runs."""
        return self._process.returncode if self._process else None

    async def start(self) -> None:
        """Start the process; DayError when the program cannot be started at all."""
        self._ready = asyncio.get_running_loop().create_future()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.argv,
                env=self._env,
                cwd=self._cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_LIMIT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise DayError(f"{self.name}: cannot start {self.argv[0]}: {error.strerror}") from error
        _alive.add(self._process.pid)
        self._readers = [
            asyncio.create_task(self._read(self._process.stdout, self._take_line)),
            asyncio.create_task(self._read(self._process.stderr, self._on_error)),
        ]

    async def ready(self, timeout_s: float) -> dict:
        """Wait for the child's first JSON line {"event": "ready", ...} and return it."""
        died = asyncio.create_task(self._process.wait())
        try:
            await asyncio.wait({self._ready, died}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if self._ready.done():
                return self._ready.result()
            if died.done():
                await self._drain()
                words = self._last_words()
                raise DayError(f"{self.name}: ended with status {self.returncode} before it was ready{words}")
            raise DayError(f"{self.name}: not ready after {timeout_s:.0f} s{self._last_words()}")
        finally:
            died.cancel()

    async def wait(self) -> int:
        """Exit status, after the last line of output has been delivered."""
        status = await self._process.wait()
        await self._drain()
        _alive.discard(self._process.pid)
        for reader in self._readers:
            if reader.done() and not reader.cancelled() and reader.exception():
                # Nobody has heard this child since: what the day says of it is not to be trusted.
                raise DayError(f"{self.name}: its output was not read to the end: {reader.exception()!r}")
        return status

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group (quietly nothing when it is gone)."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)

    async def stop(self, grace_s: float = 3.0) -> None:
        """SIGTERM, then SIGKILL after the grace."""
        if self._process is None or self._process.returncode is not None:
            return
        self.signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.wait(), grace_s)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.wait()

    async def _read(self, stream: asyncio.StreamReader, deliver: Callable[[str], None] | None) -> None:
        while True:
            try:
                raw = await stream.readline()
            except ValueError:  # line over the limit: readline dropped it, the stream goes on
                continue
            if not raw:
                return
            line = raw.decode("utf-8", "replace").rstrip("\r\n")
            self.tail.append(line)
            if deliver is not None:
                deliver(line)

    def _take_line(self, line: str) -> None:
        if self._ready is not None and not self._ready.done():
            event = parse_json(line)
            if event is not None and event.get("event") == "ready":
                self._ready.set_result(event)
                return
        if self._on_line is not None:
            self._on_line(line)

    async def _drain(self) -> None:
        # A grandchild may hold the pipe open for ever: the last lines are worth a second, not more.
        if self._readers:
            await asyncio.wait(self._readers, timeout=1)

    def _last_words(self) -> str:
        words = [line for line in self.tail if line.strip()]
        return ": " + words[-1].strip() if words else ""


def parse_json(line: str) -> dict | None:
    """The JSON object of a machine-readable line, or None for any other line."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


_alive: set[int] = set()  # groups started and not yet seen to end


def _kill_leftovers() -> None:
    for pid in list(_alive):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


atexit.register(_kill_leftovers)
