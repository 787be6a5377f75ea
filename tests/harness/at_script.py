"""Golden transcripts of AT channels (tests/data/at/*.txt): read, fed to a parser, or played as the stream of a client.

Format: `->` a command, `?` how it is begun, `<-` bytes of the modem (\\r \\n \\xNN), `>>` the payload that goes after
the prompt, `=` the event that must have come: boot, urc, info, final, fail, prompt, data LINE BYTES.
"""

import asyncio
import os

from harness.at_events import clean, feed, make

URCS = (b'\r\n+CEREG: 5,"5A10","01A2B3C4",7\r\n', b"\r\n+CEREG: 2\r\n", b"+CSCON: 1\r\n")  # to be injected


def unescape(text):
    """bytes of `text` with \\r, \\n and \\xNN."""
    out = bytearray()
    i = 0
    while i < len(text):
        if text[i] == "\\":
            kind = text[i + 1]
            if kind == "x":
                out.append(int(text[i + 2 : i + 4], 16))
                i += 4
            else:
                out.append({"r": 13, "n": 10, "\\": 92}[kind])
                i += 2
        else:
            out.append(ord(text[i]))
            i += 1
    return bytes(out)


def data_dir():
    here = __file__.replace("\\", "/").rsplit("/", 1)[0]
    return here + "/../data/at"


def transcripts():
    return sorted(name for name in os.listdir(data_dir()) if name.endswith(".txt"))


def load(name):
    """-> list of steps: ["cmd", bytes, options], ["sent", payload], ["rx", bytes], ["event", tuple]."""
    steps = []
    with open(data_dir() + "/" + name) as f:
        for row in f:
            row = row.rstrip("\r\n")
            mark, rest = row[:2], row[3:]
            if mark == "->":
                steps.append(["cmd", rest.encode(), {}])
            elif mark == "? ":
                for word in row[2:].split():
                    key, _, value = word.partition("=")
                    steps[-1][2][key] = unescape(value) if value else True
            elif mark == ">>":
                steps.append(["sent", unescape(rest)])
            elif mark == "<-":
                steps.append(["rx", unescape(rest)])
            elif mark == "= ":
                steps.append(["event", event(row[2:])])
    return steps


def event(text):
    kind, _, rest = text.partition(" ")
    if kind == "prompt":
        return ("prompt",)
    if kind == "data":
        # the line has one blank after its prefix; the block begins after the next one
        prefix, _, rest = rest.partition(" ")
        line, _, block = rest.partition(" ")
        return ("data", (prefix + " " + line).encode(), unescape(block))
    return (kind, rest.encode())


def legal_places(steps):
    """-> [(number of the rx step, offset in it)] where a modem may begin a URC: at the beginning of what it says, and
    wherever no line has begun and no block is due."""
    parser, _ = make()
    places = []
    for number, item in enumerate(steps):
        _begin(parser, item)
        if item[0] == "rx":
            for i in range(len(item[1])):
                if i == 0 or clean(parser) and item[1][i - 1 : i + 1] != b"\r\n":
                    places.append((number, i))
                parser.feed(item[1][i : i + 1], 1)
    return places


def play(steps, step=0, place=None, urc=b""):
    """Feed a transcript to a parser in chunks of `step` bytes (0: all at once), `urc` put in at `place`; -> events."""
    parser, sink = make()
    for number, item in enumerate(steps):
        _begin(parser, item)
        if item[0] == "rx":
            said = item[1]
            if place and place[0] == number:
                said = said[: place[1]] + urc + said[place[1] :]
            feed(parser, said, step)
    return sink.events


def _begin(parser, item):
    if item[0] == "cmd":
        parser.end()
        parser.begin(item[1], **item[2])
    elif item[0] == "sent":
        parser.data_sent()


class Script:
    """A modem that plays a transcript, as the stream of an at.Client; what it hears must be what the transcript says.

    Each read gives at most `step` bytes. `place` and `urc` as in play(). Bare AT (a probe) is answered in between.
    """

    def __init__(self, steps, step, place=None, urc=b""):
        self._steps = list(enumerate(steps))
        self._step = step
        self._place = place
        self._urc = urc
        self._rx = b""
        self._heard = b""
        self._event = asyncio.Event()
        self.wrong = []

    def write(self, buf):
        self._heard += bytes(buf)
        while self._heard:
            _, (kind, expected, *_) = self._steps[0] if self._steps else (0, ("end", b""))
            whole = expected + b"\r" if kind == "cmd" else expected
            if kind not in ("cmd", "sent") or not self._heard.startswith(whole):
                if not whole.startswith(self._heard):
                    self.wrong.append((kind, expected, self._heard))
                    self._heard = b""
                return
            self._heard = self._heard[len(whole) :]
            self._steps.pop(0)
            self.talk()

    def talk(self):
        """Say what comes before the next thing that it must hear."""
        while self._steps and self._steps[0][1][0] in ("rx", "event"):
            number, item = self._steps.pop(0)
            if item[0] == "rx":
                said = item[1]
                if self._place and self._place[0] == number:
                    said = said[: self._place[1]] + self._urc + said[self._place[1] :]
                self._rx += said
        self._event.set()

    async def drain(self):
        await asyncio.sleep(0)

    async def readinto(self, buf):
        while not self._rx:
            self._event.clear()
            await self._event.wait()
        n = min(len(buf), len(self._rx), self._step)
        buf[:n] = self._rx[:n]
        self._rx = self._rx[n:]
        return n

    def idle(self):
        """Whether all has been read that was said."""
        return not self._rx
