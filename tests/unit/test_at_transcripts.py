"""at.client plays the golden transcripts of every family: at each chunk size, and with a URC at every legal place."""

import asyncio
import unittest

from at.client import Client
from at.errors import ATError
from harness.aio import run
from harness.at_events import ANNOUNCERS, BOOT, DUAL
from harness.at_events import URCS as PREFIXES
from harness.at_script import URCS, Script, legal_places, load, transcripts

STEPS = (1, 2, 3, 7)


class Player:
    """One transcript through a client; `news` and `results` are events as in the transcript."""

    def __init__(self, steps, step, place=None, urc=b""):
        self.steps = steps
        self.script = Script(steps, step, place, urc)
        self.news = []
        self.results = []
        self.at = at = Client(self.script, announcers=ANNOUNCERS, dual=DUAL, boot=BOOT)
        at.parser.synced = True
        at.expect_boot = True  # boot lines are news here: a transcript goes on after them
        for prefix in PREFIXES + BOOT:
            at.urc(prefix, self.on_urc)
        at.data(b"", lambda line, block: self.news.append(("data", line, bytes(block))))

    def on_urc(self, line):
        self.news.append(("boot" if line.startswith(BOOT) else "urc", line))

    async def settle(self):
        for _ in range(1000):
            if self.script.idle():
                break
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)

    async def play(self):
        self.at.start()
        try:
            self.script.talk()
            await self.settle()
            for number, item in enumerate(self.steps):
                if item[0] == "cmd":
                    await self.command(item[1], item[2], self.payload(number))
                    await self.settle()
        finally:
            await self.at.stop()
        return self

    def payload(self, number):
        """-> what goes after the prompt of the command at `number`, or None."""
        for item in self.steps[number + 1 :]:
            if item[0] == "sent":
                return item[1]
            if item[0] == "cmd":
                break
        return b"never to be sent" if "prompt" in self.steps[number][2] else None

    async def command(self, cmd, how, payload):
        data = payload
        if how.get("prompt") == b"@":
            data = (None, payload)  # u-blox wants a pause after its prompt
        try:
            lines, end = await self.at.command(cmd, data=data, pause_ms=1, **how), ()
        except ATError as refusal:
            lines, end = refusal.lines, (("fail",),)
        self.results.extend([("info", line) for line in lines])
        self.results.extend(end)


def expected(steps):
    """-> (news in order, results in order) of a transcript: when a command is over its news has been told already."""
    events = [item[1] for item in steps if item[0] == "event"]
    news = [event for event in events if event[0] in ("urc", "boot", "data")]
    results = [event if event[0] == "info" else ("fail",) for event in events if event[0] in ("info", "fail")]
    return news, results


class Transcripts(unittest.TestCase):
    def check(self, name, steps, step, place=None, urc=b""):
        """-> news; results are compared here."""
        player = run(Player(steps, step, place, urc).play(), 20)
        self.assertEqual(player.script.wrong, [])
        self.assertEqual(player.results, expected(steps)[1])
        return player.news

    def test_any_chunk_size(self):
        for name in transcripts():
            steps = load(name)
            for step in STEPS:
                with self.subTest(name=name, step=step):
                    self.assertEqual(self.check(name, steps, step), expected(steps)[0])

    def test_urc_at_every_legal_place(self):
        tried = 0
        for name in transcripts():
            steps = load(name)
            plain = expected(steps)[0]
            for place in legal_places(steps):
                urc = URCS[tried % len(URCS)]
                news = ("urc", urc.strip())
                got = self.check(name, steps, STEPS[tried % len(STEPS)], place, urc)
                if got.count(news) != plain.count(news) + 1:
                    self.fail("%s: URC lost at %r: %r" % (name, place, got))
                self.assertEqual([e for e in got if e != news], [e for e in plain if e != news])
                tried += 1
        self.assertTrue(tried > 300, tried)


if __name__ == "__main__":
    unittest.main()
