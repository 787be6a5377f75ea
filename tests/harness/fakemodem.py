"""A scripted AT modem in memory, as the stream of an at.Client: for unit tests on every interpreter.

`answers`: {command: bytes, list of bytes (used up one by one, the last stays), or callable(command) -> bytes}.
Commands without an entry get OK. Everything that was written is in `sent`; counted payloads in `payloads`, and in
`waits` for how many ms the modem waited for each. What ends a payload is the answer to "payload", if there is one.
"""

import asyncio
from time import ticks_diff, ticks_ms

# Commands that a counted payload follows: (which parameter is the count, prompt, result).
_OK = b"\r\nOK\r\n"
COUNTED = {
    "AT#XSEND=": (3, _OK, b"\r\n#XDATAMODE: 0\r\n"),
    "AT#XAGNSS=": (0, _OK, b"\r\n#XDATAMODE: 0\r\n"),
    "AT#XAGNSSP=": (0, _OK, b"\r\n#XDATAMODE: 0\r\n"),
    "AT+USOWR=": (1, b"\r\n@", _OK),
    "AT+USOST=": (3, b"\r\n@", _OK),
    "AT+USECMNG=0,": (3, b"\r\n>", _OK),
    "AT+QISEND=": (1, b"\r\n> ", b"\r\nSEND OK\r\n"),
    "AT+QSSLSEND=": (1, b"\r\n> ", b"\r\nSEND OK\r\n"),
    "AT+QFUPL=": (1, b"\r\nCONNECT\r\n", _OK),
    "AT+CASEND=": (1, b"\r\n> ", _OK),
    "AT+CFSWFILE=": (3, b"\r\nDOWNLOAD\r\n", _OK),
}


class FakeModem:
    def __init__(self, answers=None, echo=False):
        self.answers = answers or {}
        self.sent = []
        self.payloads = []
        self.waits = []
        self.other = None  # callable(command) -> bytes or None, for commands without an entry
        self.echo = echo
        self.deaf = False
        self.closed = False
        self._line = b""
        self._rx = b""
        self._need = 0
        self._result = None  # of the payload that is awaited
        self._prompted = 0
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
        if not self.payloads[-1]:
            self.waits.append(ticks_diff(ticks_ms(), self._prompted))
        self.payloads[-1] += part
        self._need -= len(part)
        if not self._need:
            self.say(self._answer("payload", self._result))
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
        index, prompt, self._result = 0, None, None
        for command, how in COUNTED.items():
            if line.startswith(command):
                index, prompt, self._result = how
        answer = self._answer(line, prompt or _OK)
        if prompt and answer.endswith(prompt):
            self._need = int(line.split("=")[1].split(",")[index])
            self._prompted = ticks_ms()
            self.payloads.append(b"")
        if answer:
            self.say(answer)

    def _answer(self, key, default):
        if self.other and key not in self.answers:
            default = self.other(key) or default
        answer = self.answers.get(key, default)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        return answer(key) if callable(answer) else answer
