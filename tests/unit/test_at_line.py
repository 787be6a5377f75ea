"""at.client: a line that is stuck, patience, and what the log is told (modems.md 1.6, 4.1)."""

import asyncio
import unittest
from errno import ETIMEDOUT

from at.client import Client
from harness.aio import run
from harness.fakemodem import FakeModem


def play(answers, body, timeout_s=8):
    """Run `body(at, modem)` against a FakeModem; -> its result."""
    modem = FakeModem(answers)

    async def main():
        at = Client(modem)
        at.parser.synced = True
        at.probe_ms, at.quiet_ms, at.drain_ms = 40, 20, 60
        try:
            return await body(at, modem)
        finally:
            await at.stop()

    return run(main(), timeout_s)


async def errno_of(coro):
    """-> errno of the OSError that `coro` raises, or None."""
    try:
        await coro
    except OSError as error:
        return error.args[0]
    return None


class Line(unittest.TestCase):
    def test_a_line_that_takes_no_bytes_is_no_hang(self):
        """RTS/CTS held by a modem that is dead: the driver's write would wait for ever (modems.md 4.1)."""

        async def never():
            await asyncio.sleep(600)

        async def body(at, modem):
            at.write_s = 0.05
            modem.drain = never
            first = await errno_of(at.command("AT+CSQ"))
            second = await errno_of(at.sync())
            del modem.drain
            return first, second, await at.command("AT+CSQ")

        self.assertEqual(play({}, body), (ETIMEDOUT, ETIMEDOUT, []))

    def test_a_family_that_takes_its_time(self):
        async def slowly(modem):
            await asyncio.sleep_ms(400)
            modem.say(b"\r\nOK\r\n")

        async def body(at, modem):
            at.least_ms = 2000
            asyncio.create_task(slowly(modem))
            return await at.command("AT+CMEE=1", timeout_ms=100)

        self.assertEqual(play({"AT+CMEE=1": b""}, body), [])

    def test_secrets_are_not_logged(self):
        notes = []

        async def body(at, modem):
            at._log = notes.append
            at.start()
            for line in (b'T+CPIN="1234"', b'%JWT: "' + b"e" * 99 + b'"', b"M" * 64, b"+NEW: 1,2"):
                modem.say(b"\r\n" + line + b"\r\n")
            await asyncio.sleep_ms(20)

        play({}, body)
        told = [note.split("unexpected: ")[1] for note in notes]
        self.assertEqual(told, ["b'T+CPIN'", "b'%JWT: 107 bytes'", "b' 64 bytes'", "b'+NEW: 1,2'"])


if __name__ == "__main__":
    unittest.main()
