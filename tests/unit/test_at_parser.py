"""at.parser: golden transcripts at every chunk size, a URC at every legal place, fields, fuzz, garbage.

Transcripts are tests/data/at/*.txt: `->` a command, `?` how it is begun, `>>` the payload was sent, `<-` bytes of the
modem (\\r \\n \\xNN), `=` the event that must have come: boot, urc, info, final, fail, prompt, data LINE BYTES.
"""

import os
import sys
import unittest

from at.fields import is_urc, scan_int, split
from harness.at_events import clean, feed, make
from harness.rng import Rng, seed


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
    here = __file__.replace("\\", "/").rsplit("/", 1)[0] if "/" in __file__ else "."
    return here + "/../data/at"


def transcripts():
    return sorted(name for name in os.listdir(data_dir()) if name.endswith(".txt"))


def load(name):
    """-> list of steps: ("cmd", bytes, options), ("sent",), ("rx", bytes), ("event", tuple)."""
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
                steps.append(["sent"])
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


def play(steps, step=0, inject_at=None, urc=b""):
    """Run a transcript; `urc` goes in after byte `inject_at` of what the modem says. -> events, legal places."""
    parser, sink = make()
    legal = []
    count = 0
    for item in steps:
        if item[0] == "cmd":
            parser.end()
            parser.begin(item[1], **item[2])
        elif item[0] == "sent":
            parser.data_sent()
        elif item[0] == "rx":
            if inject_at is None:
                feed(parser, item[1], step)
                continue
            for i in range(len(item[1])):
                if count == inject_at:
                    feed(parser, urc)
                parser.feed(item[1][i : i + 1], 1)
                count += 1
                # Between two lines: behind a line's LF, never between an announcement and its block.
                if clean(parser) and item[1][i] == 10:
                    legal.append(count)
    return sink.events, legal


class Transcripts(unittest.TestCase):
    def test_there_are_transcripts(self):
        self.assertTrue(len(transcripts()) >= 4)

    def test_any_chunk_size(self):
        for name in transcripts():
            steps = load(name)
            expected = [item[1] for item in steps if item[0] == "event"]
            self.assertTrue(len(expected) > 3)
            for step in (0, 1, 2, 3, 7):
                with self.subTest(name=name, step=step):
                    self.assertEqual(play(steps, step)[0], expected)

    def test_urc_at_every_legal_place(self):
        for name in transcripts():
            steps = load(name)
            plain, legal = play(steps, inject_at=-1)
            self.assertTrue(len(legal) > 5)
            for urc in (b'\r\n+CEREG: 5,"5A10","01A2B3C4",7\r\n', b"\r\n+CEREG: 2\r\n", b"+CSCON: 1\r\n"):
                news = ("urc", urc.strip())
                for place in legal:
                    events = play(steps, inject_at=place, urc=urc)[0]
                    if place == legal[-1]:  # nothing comes after it
                        self.assertEqual(events, plain)
                        continue
                    if news not in events:
                        self.fail("%s: URC lost at %d: %r" % (name, place, events))
                    events.remove(news)
                    if events != plain:
                        self.fail("%s: URC at %d changed %r" % (name, place, events))


class Fields(unittest.TestCase):
    def test_split(self):
        for line, expected in (
            (b'+CEREG: 5,1,"5A10","01A2B3C4",7', [b"5", b"1", b"5A10", b"01A2B3C4", b"7"]),
            (b'+X: "a,b",,"c"', [b"a,b", b"", b"c"]),
            (b"+X: ", [b""]),
            (b"+X: 1,", [b"1", b""]),
            (b'%CMNG: 1,"line\r\nline"', [b"1", b"line\r\nline"]),
            (b"352656100000001", [b"352656100000001"]),
            (b'+X: "never closed', [b"never closed"]),
            (b"#XUUID: 00112233-4455", [b"00112233-4455"]),
            (b"", [b""]),
        ):
            self.assertEqual(split(line), expected)

    def test_scan_int(self):
        for text, base, expected in (
            (b"42", 10, 42),
            (b"-1", 10, -1),
            (b"01A2B3C4", 16, 27440068),
            (b"", 10, None),
            (b"x", 10, None),
            (b"5A10", 16, 23056),
        ):
            self.assertEqual(scan_int(text, base), expected)

    def test_is_urc(self):
        for line, urc in (
            (b"+CEREG: 1", True),
            (b'+CEREG: 2,"5A10","01A2B3C4",7', True),
            (b"+CEREG: 0,1", False),
            (b'+CEREG: 5,1,"5A10","01A2B3C4",7', False),
            (b"+CSCON: 1", True),
            (b"+CSCON: 1,0", False),
        ):
            self.assertEqual(is_urc(line), urc)


class Robustness(unittest.TestCase):
    def test_noise_never_breaks_it(self):
        start = seed(2024)
        rng = Rng(start)
        words = (
            b"\r\n",
            b"OK",
            b"#XRECV: 0,0,",
            b"5",
            b'"',
            b"+CEREG: 1",
            b"> ",
            b"ERROR",
            b"\x00",
            b",",
            b"+CMT:",
            b"+CARECV: ",
        )
        for _ in range(150):
            parser, sink = make(64)
            for _ in range(20):
                if rng.below(4) == 0:
                    parser.begin(b"AT+X?", prefix=b"+X:", prompt=rng.choice((None, b">", b"OK")))
                data = rng.bytes(rng.below(12)) if rng.below(3) == 0 else rng.choice(words)
                feed(parser, data, 1 + rng.below(5))
            # However confused, after giving up what was in progress it understands the next dialogue.
            parser.resync()
            parser.end()
            feed(parser, b"\r\n\r\n")
            parser.begin(b"AT")
            feed(parser, b"\r\nOK\r\n")
            self.assertEqual(sink.events[-1], ("final", b"OK"))

    def test_collecting_a_line_leaves_no_garbage(self):
        if sys.implementation.name != "micropython":
            self.skipTest("needs gc.mem_alloc")
        import gc

        parser, sink = make()
        part = memoryview(b'\r\n+CEREG: 2,"5A10","01A2B3C4",7,,,"00000101","001')
        gc.collect()
        gc.disable()
        try:
            before = gc.mem_alloc()
            parser.feed(part, len(part))
            spent = gc.mem_alloc() - before
        finally:
            gc.enable()
        self.assertEqual(spent, 0)
        feed(parser, b'00001"\r\n')
        self.assertEqual(len(sink.events), 1)


if __name__ == "__main__":
    unittest.main()
