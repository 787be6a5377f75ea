"""A scripted AT modem in memory, as the stream of an at.Client: for unit tests on every interpreter.

`answers`: {command: bytes, list of bytes (used up one by one, the last stays), or callable(command) -> bytes}.
Commands without an entry get OK. Everything that was written is in `sent`; counted payloads in `payloads`.
"""

import asyncio


class FakeModem:
    def __init__(self, answers=None, echo=False):
        self.answers = answers or {}
        self.sent = []
        self.payloads = []
        self.echo = echo
        self.deaf = False
        self.closed = False
        self._line = b""
        self._rx = b""
        self._need = 0
        self._event = asyncio.Event()

    # --- what at.Client uses

    def write(self, buf):
        buf = bytes(buf)
        self.sent.append(buf)
        if self.deaf:
            return
        while buf:
            buf = self._payload(buf) if self._need else self._command(buf)

    async def drain(self):
        await asyncio.sleep(0)

    async def readinto(self, buf):
        while not self._rx and not self.closed:
            self._event.clear()
            await self._event.wait()
        n = min(len(buf), len(self._rx))
        buf[:n] = self._rx[:n]
        self._rx = self._rx[n:]
        return n

    # --- what tests use

    def say(self, data):
        """The modem sends `data`."""
        self._rx += data
        self._event.set()

    def hang_up(self):
        self.closed = True
        self._event.set()

    def commands(self):
        """Commands received, as str, without probes and escapes."""
        lines = [bytes(x).strip() for x in self.sent if x.endswith(b"\r")]
        return [x.decode() for x in lines if x != b"AT"]

    # --- inside

    def _payload(self, buf):
        part, rest = buf[: self._need], buf[self._need :]
        self.payloads[-1] += part
        self._need -= len(part)
        if not self._need:
            self.say(self._answer("payload", b"\r\n#XDATAMODE: 0\r\n"))
        return rest

    def _command(self, buf):
        end = buf.find(b"\r")
        if end < 0:
            self._line += buf
            return b""
        line = self._line + buf[:end]
        self._line = b""
        start = line.find(b"AT")
        if start >= 0:
            line = line[start:].decode()
            if self.echo and line != "ATE0":
                self.say(line.encode() + b"\r")
            self._dispatch(line)
        return buf[end + 1 :]

    def _dispatch(self, line):
        answer = self._answer(line, b"\r\nOK\r\n")
        counted = line.startswith("AT#XSEND=") or line.startswith("AT#XAGNSSP=")
        if counted and answer.endswith(b"OK\r\n"):
            self._need = int(line.split("=")[1].split(",")[-1])
            self.payloads.append(b"")
        if answer:
            self.say(answer)

    def _answer(self, key, default):
        answer = self.answers.get(key, default)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(key) if callable(answer) else answer
