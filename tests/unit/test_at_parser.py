"""at.parser: golden transcripts at every chunk size, a URC at every legal place, fields, fuzz, garbage."""

import sys
import unittest

from at.fields import is_urc, scan_int, split
from harness.at_events import feed, make
from harness.at_script import URCS, legal_places, load, play, transcripts
from harness.rng import Rng, seed


class Transcripts(unittest.TestCase):
    def test_there_are_transcripts(self):
        names = transcripts()
        for family in ("sm2", "s70", "qb", "ub", "sq"):
            self.assertIn("golden_%s.txt" % family, names)

    def test_any_chunk_size(self):
        for name in transcripts():
            steps = load(name)
            expected = [item[1] for item in steps if item[0] == "event"]
            self.assertTrue(len(expected) > 3)
            for step in (0, 1, 2, 3, 7):
                with self.subTest(name=name, step=step):
                    self.assertEqual(play(steps, step), expected)

    def test_urc_at_every_legal_place(self):
        tried = 0
        for name in transcripts():
            steps = load(name)
            plain = play(steps)
            places = legal_places(steps)
            self.assertTrue(len(places) > len(steps) // 2)
            for place in places:
                for step in (1, 2, 3, 7):
                    urc = URCS[tried % len(URCS)]
                    news = ("urc", urc.strip())
                    events = play(steps, step, place, urc)
                    if events.count(news) != plain.count(news) + 1:
                        self.fail("%s: URC lost at %r: %r" % (name, place, events))
                    events.remove(news)
                    if [e for e in events if e != news] != [e for e in plain if e != news]:
                        self.fail("%s: URC at %r changed %r" % (name, place, events))
                    tried += 1
        self.assertTrue(tried > 1300, tried)


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
