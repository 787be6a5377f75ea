"""A modem family over a scripted modem, for unit tests: `Rig(family, basic answers).drive` runs a body with both."""

import asyncio

import modem
from at.errors import ATError
from harness.aio import run
from harness.fakemodem import FakeModem

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"


def info(*lines):
    """What a command answers: info lines (str), then OK."""
    return b"".join([b"\r\n%s\r\n" % line.encode() for line in lines]) + OK


def cme(code):
    return b"\r\n+CME ERROR: %d\r\n" % code


def news(*lines):
    return b"".join([b"\r\n%s\r\n" % line.encode() for line in lines])


class Power:
    """The board's power key: `fake` hears what follows a press."""

    def __init__(self):
        self.fake = None
        self.pressed = 0
        self.boot = b""

    async def on(self):
        self.pressed += 1
        self.fake.deaf = False
        self.fake.say(self.boot)


class Rig:
    """`caps`: what the family has after a start() with the `basic` answers."""

    def __init__(self, family, basic, caps):
        self.family = family
        self.basic = basic
        self.caps = frozenset(caps.split())

    def drive(self, body, answers=None, started=True, power=None, timeout_s=8):
        """Run `body(modem, fake)`; -> (its result, the FakeModem, what on_lost was told). `started`: taken as started,
        which start() would need a tenth of a second for."""
        merged = dict(self.basic)
        merged.update(answers or {})
        fake = FakeModem(merged)
        lost = []
        if power:
            power.fake = fake

        async def main():
            made = modem.load(self.family)(fake, power=power)
            made.on_lost = lost.append
            made.poll_ms = 20
            made.at.probe_ms, made.at.quiet_ms, made.at.drain_ms = 40, 20, 60
            try:
                if started:
                    made.at.start()
                    made.at.parser.synced = made.at.parser.mute = True
                    made.restarted = False
                    made.caps = self.caps
                    made.registration["stat"] = 1
                return await body(made, fake)
            finally:
                await made.at.stop()

        return run(main(), timeout_s), fake, lost


async def failure_of(coro):
    """-> errno of the OSError that `coro` raises, its ATError or ValueError, or None."""
    try:
        await coro
    except OSError as error:
        return error.args[0]
    except (ATError, ValueError) as error:
        return error
    return None


async def settle(ms=10):
    """Let the reader take what the modem said."""
    await asyncio.sleep_ms(ms)


def datagrams(fake, command, announce, queue, empty):
    """The modem has the datagrams in `queue` (list of bytes) and gives one per `command`; `announce % length` goes
    before each, `empty` is the answer when there is none."""

    def answer(_):
        if not queue:
            return empty
        data = queue.pop(0)
        return announce % len(data) + data + OK

    fake.answers[command] = answer
