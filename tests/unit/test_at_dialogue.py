"""at.client where the modem does not keep to the script: refusals behind a prompt, doubled results, silent restarts,
payloads that another family left open. Numbers are the edges of modems.md 1.4; more are in test_at_client.py."""

import asyncio
import unittest
from errno import ETIMEDOUT

from at.client import Client
from at.errors import ATError, ModemReset
from harness import at_play
from harness.at_events import BOOT
from harness.at_play import error_of


def play(answers, body, escape=b"", timeout_s=10):
    def make(modem):
        at = Client(modem, boot=BOOT, dual=(b"+CEREG:",), announcers=((b"+QIRD:", 0, b"\n"),), escape=escape)
        at.parser.synced = True
        at.probe_ms, at.quiet_ms, at.drain_ms = 40, 20, 60
        return at

    return at_play.play(make, answers, body, timeout_s)


class Prompts(unittest.TestCase):
    def test_07_prompt_and_refusal_in_one_read(self):
        async def body(at, modem):
            return await error_of(at.command("AT+CASEND=0,9", data=b"AT+CFUN=0", prompt=b">"))

        error, modem, _ = play({"AT+CASEND=0,9": b"\r\n> \r\n+CME ERROR: 3\r\n"}, body)
        self.assertEqual((type(error), error.code), (ATError, 3))
        self.assertEqual(modem.sent, [b"AT+CASEND=0,9\r"])

    def test_07_refused_in_the_pause_before_the_payload(self):
        async def body(at, modem):
            task = asyncio.create_task(
                error_of(at.command("AT+USOWR=0,5", data=(None, b"hello"), pause_ms=60, prompt=b"@"))
            )
            await asyncio.sleep_ms(20)
            modem.say(b"\r\n+UUSOCL: 0\r\n\r\n+CME ERROR: 3\r\n")
            return await task

        error, modem, _ = play({"AT+USOWR=0,5": b"\r\n@"}, body)
        self.assertEqual((type(error), error.code), (ATError, 3))
        self.assertEqual(modem.sent, [b"AT+USOWR=0,5\r"])

    def test_08_pause_before_the_payload(self):
        async def body(at, modem):
            task = asyncio.create_task(at.command("AT+USOWR=0,5", data=(None, b"hello"), pause_ms=60, prompt=b"@"))
            await asyncio.sleep_ms(25)
            early = list(modem.sent)
            await task
            return early

        early, modem, _ = play({"AT+USOWR=0,5": b"\r\n@"}, body)
        self.assertEqual((len(early), modem.sent[1:]), (1, [b"hello"]))

    def test_20_prompt_that_is_a_word(self):
        async def body(at, modem):
            task = asyncio.create_task(at.command("AT+FILE=3", data=b"pem", prompt=b"DOWNLOAD"))
            await asyncio.sleep_ms(20)
            modem.say(b"\r\nOK\r\n")
            return await task

        got, modem, at = play({"AT+FILE=3": b"\r\nDOWNLOAD\r\n"}, body)
        self.assertEqual((got, modem.sent[1:], at.parser.unknown), ([], [b"pem"], 0))

    def test_06_prompt_that_comes_when_nobody_waits(self):
        """A payload is due: it is filled up before the next command, also where no escape exists."""

        async def body(at, modem):
            error = await error_of(at.command("AT+QISEND=0,5", data=b"hello", prompt=b">", timeout_ms=30))
            return error, at.cut, await at.command("AT+NEXT")

        (error, cut, _), modem, _ = play({"AT+QISEND=0,5": b""}, body)
        self.assertEqual((error.errno, cut), (ETIMEDOUT, False))
        filled = sum([len(x) for x in modem.sent if x.strip() == b""])
        self.assertTrue(filled >= 1500, filled)
        self.assertEqual(modem.commands()[0], "AT+QISEND=0,5")
        self.assertEqual(modem.commands()[-1], "AT+NEXT")

    def test_27_lines_before_the_refusal_are_told(self):
        async def body(at, modem):
            return await error_of(at.command("AT+CAOPEN=0", b"+CAOPEN:"))

        error, _, _ = play({"AT+CAOPEN=0": b"\r\n+CAOPEN: 0,27\r\n\r\nERROR\r\n"}, body)
        self.assertEqual(error.lines, [b"+CAOPEN: 0,27"])


class Results(unittest.TestCase):
    def test_14_doubled_result(self):
        """The second one must not answer what is asked next."""

        async def body(at, modem):
            await at.command("AT+A")
            await asyncio.sleep_ms(10)
            return await at.command("AT+B?", b"+B:"), at.parser.strays

        got, modem, _ = play({"AT+A": b"\r\nOK\r\n\r\nOK\r\n", "AT+B?": b"\r\n+B: 1\r\n\r\nOK\r\n"}, body)
        self.assertEqual(got, ([b"+B: 1"], 1))
        self.assertEqual(modem.commands(), ["AT+A", "AT+B?"])
        self.assertTrue(modem.sent.count(b"AT\r") >= 2)  # looked whether the channel is clean

    def test_14_channel_that_ran_one_result_ahead_finds_back(self):
        async def body(at, modem):
            await at.command("AT+A")
            modem.say(b"\r\nOK\r\n")  # answers AT+B? before it does
            first = await at.command("AT+B?", b"+B:")
            await asyncio.sleep_ms(10)
            return first, await at.command("AT+B?", b"+B:")

        got, _, _ = play({"AT+B?": b"\r\n+B: 1\r\n\r\nOK\r\n"}, body)
        self.assertEqual(got[1], [b"+B: 1"])

    def test_17_news_twice_or_never(self):
        seen = []

        async def body(at, modem):
            at.urc(b"+CEREG:", seen.append)
            await at.command("AT+A")
            modem.say(b"\r\n+CEREG: 5\r\n\r\n+CEREG: 5\r\n")
            waiter = at.expect(b"+CSCON:")
            try:
                return await error_of(waiter.wait(30)), await at.command("AT+CEREG?", b"+CEREG:")
            finally:
                waiter.close()

        (error, polled), _, _ = play({"AT+CEREG?": b"\r\n+CEREG: 0,1\r\n\r\nOK\r\n"}, body)
        self.assertEqual(seen, [b"+CEREG: 5"] * 2)
        self.assertEqual(error.errno, ETIMEDOUT)
        self.assertEqual(polled, [b"+CEREG: 0,1"])  # what was lost is there for who asks

    def test_28_never_sent_twice(self):
        async def body(at, modem):
            first = await error_of(at.command("AT+QISEND=0,1", timeout_ms=20))
            second = await error_of(at.command("AT+QISEND=0,1", timeout_ms=20))
            return [first.errno, second.errno]

        got, modem, _ = play({"AT+QISEND=0,1": b""}, body)
        self.assertEqual(got, [ETIMEDOUT] * 2)
        self.assertEqual(modem.commands().count("AT+QISEND=0,1"), 2)  # by the caller, who knows


class Reader(unittest.TestCase):
    def test_outlives_a_handler(self):
        def confused(line):
            raise ValueError(line)

        async def body(at, modem):
            at.urc(b"+CEREG:", confused)
            first = await at.command("AT+A?", b"+A:")
            return first, await at.command("AT+B?", b"+B:")

        answers = {"AT+A?": b"\r\n+A: 1\r\n\r\nOK\r\n\r\n+CEREG: 5\r\n", "AT+B?": b"\r\n+B: 2\r\n\r\nOK\r\n"}
        got, _, at = play(answers, body)
        self.assertEqual((got, at.parser.unknown), (([b"+A: 1"], [b"+B: 2"]), 1))

    def test_outlives_a_full_heap(self):
        async def body(at, modem):
            await at.command("AT+A")
            feed, full = at.parser.feed, [True]

            def scarce(buf, n):
                if full.pop():
                    full.append(False)
                    raise MemoryError
                full.append(False)
                feed(buf, n)

            at.parser.feed = scarce
            first = await error_of(at.command("AT+B", timeout_ms=50))
            return first.errno, await at.command("AT+C?", b"+C:")

        got, _, _ = play({"AT+C?": b"\r\n+C: 3\r\n\r\nOK\r\n"}, body)
        self.assertEqual(got, (ETIMEDOUT, [b"+C: 3"]))

    def test_one_that_died_is_started_again(self):
        async def body(at, modem):
            await at.command("AT+A")
            at._reader.cancel()
            await asyncio.sleep_ms(5)
            return await at.command("AT+C?", b"+C:")

        self.assertEqual(play({"AT+C?": b"\r\n+C: 3\r\n\r\nOK\r\n"}, body)[0], [b"+C: 3"])


class Restarts(unittest.TestCase):
    def test_12_boot_lines_of_every_family(self):
        lines = [b"Ready", b"INIT ERROR", b"#XMODEM: FAULT,0x1,0x2", b"RDY", b"APP RDY", b"NORMAL POWER DOWN"]
        lines += [b"POWERED DOWN", b"PSM POWER DOWN", b"UNDER-VOLTAGE POWER DOWN", b"+SYSSTART", b"+SHUTDOWN"]
        for line in lines:
            told = []

            async def body(at, modem, told=told):
                at.on_boot_line = told.append
                error = await error_of(at.command("AT+CGMR", free=True, timeout_ms=60000))
                return error, await at.command("AT+NEXT")

            (error, _), _, _ = play({"AT+CGMR": b"\r\n" + line + b"\r\n"}, body)
            self.assertTrue(isinstance(error, ModemReset), line)
            self.assertEqual(told, [line])

    def test_10_echo_after_ate0_is_a_restart(self):
        """u-blox says nothing when it boots; but its echo is on again."""
        told = []

        async def body(at, modem):
            at.on_boot_line = told.append
            modem.echo = True
            await at.command("ATE0")
            modem.echo = False
            await at.command("AT+A")
            modem.echo = True
            first = await error_of(at.command('AT+PIN="1234"'))
            return first, await at.command("AT+CGMM", free=True)

        (error, got), _, at = play({"AT+CGMM": b"\r\nSARA-R510M8S\r\n\r\nOK\r\n"}, body)
        self.assertTrue(isinstance(error, ModemReset))
        self.assertEqual(str(error).count("1234"), 0)
        self.assertEqual((told, got, at.parser.mute), ([b"echo"], [b"SARA-R510M8S"], False))

    def test_10_echo_that_was_never_turned_off_is_none(self):
        async def body(at, modem):
            modem.echo = True
            return await at.command("AT+CGMM", free=True)

        self.assertEqual(play({"AT+CGMM": b"\r\nx\r\n\r\nOK\r\n"}, body)[0], [b"x"])

    def test_12_restart_in_a_block_of_a_pull(self):
        told = []

        async def body(at, modem):
            at.on_boot_line = told.append
            first = await error_of(at.command("AT+QIRD=0,1500", b"+QIRD:", timeout_ms=60))
            return first, await at.command("AT+NEXT")

        (error, _), _, at = play({"AT+QIRD=0,1500": b"\r\n+QIRD: 900\r\nabc\r\nRDY\r\n\r\nAPP RDY\r\n"}, body)
        self.assertTrue(isinstance(error, OSError))
        self.assertEqual((told, at.parser.stalled), ([b"RDY", b"APP RDY"], 1))


if __name__ == "__main__":
    unittest.main()
