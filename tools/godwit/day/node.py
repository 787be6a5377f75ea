"""The node's life: the firmware as a process that is powered, reset, cut off and powered again.

Exit status 3 is `machine.reset()` (start again at once), SIGALRM the watchdog (the same), 4 deep sleep (the same), 0 is
power off, SIGKILL is a power cut (start again when the power is back); any other status is a crash: shown, and
restarted with back-off a few times. What it was the next start finds as its reset cause (boards/unix/machine.py).
Called by day.py; knows nothing of the cloud or of what the firmware prints.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from .processes import Child, DayError

_RESET_STATUS = 3
_SLEEP_STATUS = 4
_POWER, _HARD, _WATCHDOG, _DEEPSLEEP = range(1, 5)  # reset causes, as boards/unix/machine.py has them
_SIGNALS = {signal.SIGALRM: _WATCHDOG, signal.SIGKILL: _POWER}
_MAX_CRASHES = 5
_MAX_RESETS = 24  # a day has one or two; a node that does nothing else will not get through it
_CRASH_BACKOFF_S = (0.1, 0.2, 0.5, 1.0, 2.0)


def reset_cause(status: int) -> int:
    """GODWIT_RESET of the start that follows one with this exit status; a shell between reports 128 + the signal."""
    number = -status if status < 0 else status - 128
    return _DEEPSLEEP if status == _SLEEP_STATUS else _SIGNALS.get(number, _HARD)


class Node:
    """`told(kind, text)` gets life events: power, reset, cut, crash, off. `on_line` gets the firmware's output."""

    def __init__(
        self,
        argv: list[str],
        env: dict[str, str],
        cwd: str,
        on_line: Callable[[str], None],
        on_error: Callable[[str], None],
        told: Callable[[str, str], None],
    ):
        self.boots = 0
        self.resets = 0
        self.cuts = 0
        self.crashes = 0
        self._cause = _POWER
        self._make = lambda: Child(
            "node", argv, env={**env, "GODWIT_RESET": str(self._cause)}, cwd=cwd, on_line=on_line, on_error=on_error
        )
        self._told = told
        self._child: Child | None = None
        self._stopping = False
        self._power = asyncio.Event()
        self._power.set()

    async def run(self) -> None:
        """Keep the node alive until stop() or power off; DayError when it keeps crashing."""
        while not self._stopping:
            await self._power.wait()
            self._child = self._make()
            await self._child.start()
            if self._stopping:  # while it was being started, nobody could end it
                return await self._child.stop()
            if not self._power.is_set():
                self._child.signal(signal.SIGKILL)
            self.boots += 1
            self._told("power", f"boot {self.boots}")
            status = await self._child.wait()
            if self._stopping:
                return
            if status == 0:
                self._told("off", "the firmware powered itself off")
                return
            await self._after(status)

    async def _after(self, status: int) -> None:
        self._cause = reset_cause(status)
        if status == _RESET_STATUS or self._cause in (_WATCHDOG, _DEEPSLEEP):
            self.resets += 1
            self._told("reset", {_WATCHDOG: "watchdog", _DEEPSLEEP: "deep sleep"}.get(self._cause, "machine.reset()"))
            if self.resets > _MAX_RESETS:
                raise DayError(f"node: restarted itself {self.resets} times; last words: {self._last_words()}")
        elif self._cause == _POWER:
            self._told("cut", "power lost")
        else:
            self.crashes += 1
            self._told("crash", f"the firmware ended with status {status}")
            if self.crashes > _MAX_CRASHES:
                raise DayError(f"node: crashed {self.crashes} times; last words: {self._last_words()}")
            await asyncio.sleep(_CRASH_BACKOFF_S[min(self.crashes, len(_CRASH_BACKOFF_S)) - 1])

    def _last_words(self) -> str:
        return next((line.strip() for line in reversed(self._child.tail) if line.strip()), "none")

    def cut(self) -> None:
        """Take the power away: SIGKILL, no last words, no flush. restore() brings it back."""
        self.cuts += 1
        self._power.clear()
        if self._child is not None:
            self._child.signal(signal.SIGKILL)

    def restore(self) -> None:
        self._power.set()

    async def stop(self) -> None:
        self._stopping = True
        self._power.set()
        if self._child is not None:
            await self._child.stop()
