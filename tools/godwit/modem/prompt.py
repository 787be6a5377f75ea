"""A prompt in the middle of a command: the host's next bytes are payload (modems.md 1.5)."""

import asyncio
import time

from godwit.modem.grammar import CommandError


class Prompt:
    """Collects bytes; one use. Made by Line.prompt."""

    def __init__(self, dev, count, settle_s, ends, cancels):
        self._dev = dev
        self._count = count
        self._ready = time.monotonic() + settle_s
        self._ends, self._cancels = ends, cancels
        self._data = bytearray()
        self._done = asyncio.get_running_loop().create_future()

    def feed(self, data):
        """Take bytes; returns how many were ours."""
        if self._done.done():
            return 0  # the beginning of the next command
        if time.monotonic() < self._ready:
            self._dev.core.log.count("bytes_before_prompt", len(data))
            if self._dev.core.faults.on("prompt_strict"):
                return len(data)
        if self._count is None:
            return self._feed_open(data)
        mine = data[: self._count - len(self._data)]
        self._data += mine
        if len(self._data) == self._count:
            self._finish(bytes(self._data))
        return len(mine)

    def _feed_open(self, data):
        for i, byte in enumerate(data):
            if byte in self._ends or byte in self._cancels:
                self._finish(None if byte in self._cancels else bytes(self._data))
                return i + 1
            self._data.append(byte)
        return len(data)

    def _finish(self, result):
        self._done.set_result(result)

    async def wait(self, window_s):
        """The payload. Raises CommandError: cancelled by the host, or not complete in time."""
        try:
            result = await asyncio.wait_for(asyncio.shield(self._done), window_s)
        except TimeoutError:
            self._dev.core.log.event("prompt_timeout", got=len(self._data), wanted=self._count)
            raise CommandError from None
        if result is None:
            raise CommandError
        return result

    def cancel(self):
        """The modem reboots."""
        self._done.cancel()
