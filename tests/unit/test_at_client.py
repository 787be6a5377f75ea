"""at.client over a scripted modem: commands, prompts, timeouts and late results, restarts, dirty states, cancellation.

Numbers are the edges of modems.md 1.4; those of the parser alone are in test_at_edges.py.
"""

import asyncio
import io
import sys
import unittest
from errno import ECONNRESET, EIO, ETIMEDOUT

from at.client import Client
from at.errors import ATError, ModemReset
from harness import at_play
from harness.aio import run
from harness.at_play import error_of

ANNOUNCERS = ((b"#XRECV:", 2, b"\n"),)
SEND = {"prompt": b"OK", "done": b"#XDATAMODE:"}


def client(modem, **how):
    made = Client(modem, announcers=ANNOUNCERS, dual=(b"+CEREG:",), boot=(b"Ready", b"#XMODEM:"), escape=b"+++", **how)
    made.parser.synced = True
    made.probe_ms, made.quiet_ms, made.drain_ms = 40, 20, 60
    return made


def play(answers, body, timeout_s=8):
    return at_play.play(client, answers, body, timeout_s)


class Commands(unittest.TestCase):
    def test_info_lines(self):
        async def body(at, modem):
            return await at.command("AT%XMONITOR", b"%XMONITOR:")

        got, modem, _ = play({"AT%XMONITOR": b'\r\n%XMONITOR: 1,"a,b"\r\n\r\nOK\r\n'}, body)
        self.assertEqual(got, [b'%XMONITOR: 1,"a,b"'])
        self.assertEqual(modem.sent, [b"AT%XMONITOR\r"])

    def test_refusals(self):
        for answer, code, text in (
            (b"\r\nERROR\r\n", None, "ERROR"),
            (b"\r\n+CME ERROR: 513\r\n", 513, "513"),
            (b"\r\n+CMS ERROR: 500\r\n", 500, "500"),
            (b"\r\n+CME ERROR: SIM not inserted\r\n", None, "SIM not inserted"),  # 15
            (b"\r\n+X: 1\r\n\r\nERROR\r\n", None, "ERROR"),  # 27
            (b"\r\n+CME ERROR: 5\xff3\r\n", None, "5\\xff3"),  # noise is no UTF-8
        ):

            async def body(at, modem):
                error = await error_of(at.command('AT+X="secret"', b"+X:"))
                return error, await at.command("AT+Y")

            (error, after), _, _ = play({'AT+X="secret"': answer}, body)
            self.assertTrue(isinstance(error, ATError))
            self.assertEqual((error.cmd, error.code, error.text), ("AT+X", code, text))
            self.assertEqual(after, [])

    def test_one_command_at_a_time(self):
        order = []

        async def one(at, name):
            await at.command(name)
            order.append(name)

        async def body(at, modem):
            await asyncio.gather(one(at, "AT+A"), one(at, "AT+B"), one(at, "AT+C"))

        _, modem, _ = play({}, body)
        self.assertEqual(order, ["AT+A", "AT+B", "AT+C"])
        self.assertEqual(modem.commands(), order)

    def test_payload(self):
        payload = b"\r\nOK\r\n+++ERROR\r\n\x00\xff\x1a" * 20

        async def body(at, modem):
            return await at.command("AT#XSEND=0,2,0,%d" % len(payload), data=payload, **SEND)

        got, modem, _ = play({}, body)
        self.assertEqual((got, modem.payloads), ([], [payload]))
        self.assertEqual(modem.sent[1], payload)  # one write: a pause would split the datagram

    def test_payload_in_bursts(self):
        async def body(at, modem):
            return await at.command("AT#XSEND=0,2,0,6", data=[b"abc", None, b"def"], pause_ms=10, **SEND)

        _, modem, _ = play({}, body)
        self.assertEqual(modem.sent[1:], [b"abc", b"def"])
        self.assertEqual(modem.payloads, [b"abcdef"])

    def test_payload_fails(self):
        async def body(at, modem):
            error = await error_of(at.command("AT#XSEND=0,2,0,3", data=b"abc", **SEND))
            return error, await at.command("AT+Y")

        (error, _), _, _ = play({"payload": b"+++\r\n#XDATAMODE: -1\r\n"}, body)
        self.assertEqual(error.code, -1)

    def test_07_no_payload_without_its_prompt(self):
        for answer in (b"\r\nERROR\r\n", b"\r\n+CME ERROR: 3\r\n"):

            async def body(at, modem):
                return await error_of(at.command("AT#XSEND=0,2,0,9", data=b"AT#XRESET", **SEND))

            error, modem, _ = play({"AT#XSEND=0,2,0,9": answer}, body)
            self.assertTrue(isinstance(error, ATError))
            self.assertEqual(modem.sent, [b"AT#XSEND=0,2,0,9\r"])

    def test_07_no_payload_when_the_prompt_is_skipped(self):
        async def body(at, modem):
            return await error_of(at.command("AT+CASEND=0,5", data=b"hello", prompt=b">"))

        error, modem, _ = play({"AT+CASEND=0,5": b"\r\nOK\r\n"}, body)
        self.assertTrue(isinstance(error, ATError))
        self.assertEqual(modem.sent, [b"AT+CASEND=0,5\r"])

    def test_10_echo(self):
        async def body(at, modem):
            modem.echo = True
            return await at.command("AT+CGMR", free=True)

        got, _, at = play({"AT+CGMR": b"\r\nmfw\r\n\r\nOK\r\n"}, body)
        self.assertEqual((got, at.parser.unknown), ([b"mfw"], 0))


class News(unittest.TestCase):
    def test_handlers_and_expectations(self):
        seen = []

        async def body(at, modem):
            at.urc(b"+CEREG:", seen.append)
            at.data(b"#XRECV", lambda line, block: seen.append(bytes(block)))
            result = at.expect(b"%NCELLMEAS:")
            try:
                await at.command("AT%NCELLMEAS")
                modem.say(b"\r\n#XRECV: 0,0,4\r\nOK\r\n\r\n")
                return await result.wait(1000)
            finally:
                result.close()

        # the news comes between echo and OK, before the command is over
        got, _, at = play({"AT%NCELLMEAS": b"\r\n+CEREG: 5\r\n\r\n%NCELLMEAS: 1\r\n\r\nOK\r\n"}, body)
        self.assertEqual(got, b"%NCELLMEAS: 1")
        self.assertEqual(at.expected, [])
        self.assertEqual(seen, [b"+CEREG: 5"])

    def test_expectation_times_out(self):
        async def body(at, modem):
            result = at.expect(b"%NCELLMEAS:")
            try:
                return await error_of(result.wait(30))
            finally:
                result.close()

        error, _, _ = play({}, body)
        self.assertEqual(error.errno, ETIMEDOUT)

    def test_oversize_block_is_told(self):
        seen = []

        async def body(at, modem):
            at.data(b"#XRECV", lambda line, block: seen.append((line, block)))
            await at.command("AT+A")
            modem.say(b"\r\n#XRECV: 0,0,5000\r\n" + bytes(5000) + b"\r\n\r\n+CEREG: 1\r\n")
            return await at.command("AT+B")

        _, _, at = play({}, body)
        self.assertEqual(seen, [(b"#XRECV: 0,0,5000", None)])
        self.assertEqual(at.parser.oversize, 1)


class Trouble(unittest.TestCase):
    def test_timeout_clears_the_channel(self):
        async def body(at, modem):
            error = await error_of(at.command("AT+SLOW", timeout_ms=30))
            return error, await at.command("AT+NEXT")

        (error, _), modem, _ = play({"AT+SLOW": b""}, body)
        self.assertEqual(error.errno, ETIMEDOUT)
        self.assertEqual(modem.commands(), ["AT+SLOW", "AT+NEXT"])  # 28: never sent twice
        self.assertTrue(b"+++" in modem.sent)

    def test_14_late_result_does_not_answer_the_next_command(self):
        async def body(at, modem):
            async def later():
                await asyncio.sleep_ms(60)
                modem.say(b"\r\n+SLOW: 1\r\n\r\nERROR\r\n")

            task = asyncio.create_task(later())
            error = await error_of(at.command("AT+SLOW", b"+SLOW:", timeout_ms=30))
            await task
            return error, await at.command("AT+NEXT", b"+NEXT:")

        (error, got), _, _ = play({"AT+SLOW": b"", "AT+NEXT": b"\r\n+NEXT: 2\r\n\r\nOK\r\n"}, body)
        self.assertEqual(error.errno, ETIMEDOUT)
        self.assertEqual(got, [b"+NEXT: 2"])

    def test_14_result_that_is_as_late_as_the_probe(self):
        # the old command's OK answers the first probe; the probe's own OK must not answer the next command
        probes = [b"\r\nOK\r\n\r\nOK\r\n", b"\r\nOK\r\n"]

        async def body(at, modem):
            error = await error_of(at.command("AT+SLOW", timeout_ms=30))
            return error, await at.command("AT+NEXT", b"+NEXT:")

        (error, got), _, at = play({"AT": probes, "AT+SLOW": b"", "AT+NEXT": b"\r\n+NEXT: 2\r\n\r\nOK\r\n"}, body)
        self.assertEqual((error.errno, got), (ETIMEDOUT, [b"+NEXT: 2"]))

    def test_cancelled_command(self):
        async def body(at, modem):
            task = asyncio.create_task(at.command("AT+SLOW", timeout_ms=5000))
            await asyncio.sleep_ms(20)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            modem.say(b"\r\n+SLOW: 9\r\n\r\nOK\r\n")
            return await at.command("AT+NEXT", b"+NEXT:")

        got, _, _ = play({"AT+SLOW": b"", "AT+NEXT": b"\r\n+NEXT: 2\r\n\r\nOK\r\n"}, body)
        self.assertEqual(got, [b"+NEXT: 2"])

    def test_12_restart_ends_the_command_at_once(self):
        told = []

        async def body(at, modem):
            at.on_boot_line = told.append
            first = await error_of(at.command("AT+CFUN=1", timeout_ms=60000))
            return first, await at.command("AT+NEXT")

        (error, _), _, _ = play({"AT+CFUN=1": b"\r\n#XMODEM: FAULT,0x1,0x2\r\n"}, body)
        self.assertTrue(isinstance(error, ModemReset))
        self.assertEqual(error.errno, ECONNRESET)
        self.assertEqual(told, [b"#XMODEM: FAULT,0x1,0x2"])

    def test_12_restart_that_is_expected(self):
        async def body(at, modem):
            at.expect_boot = True
            ready = at.expect(b"Ready")
            await at.command("AT#XRESET")
            line = await ready.wait(1000)
            ready.close()
            return line

        got, _, _ = play({"AT#XRESET": b"\r\nOK\r\nReady\r\n"}, body)
        self.assertEqual(got, b"Ready")

    def test_09_block_cut_by_a_restart(self):
        told = []

        async def body(at, modem):
            at.on_boot_line = told.append
            await at.command("AT+A")
            modem.say(b"\r\n#XRECV: 0,0,500\r\nabc")
            await asyncio.sleep_ms(20)
            modem.say(b"Ready\r\n\r\nReady\r\n")
            error = await error_of(at.command("AT+B", timeout_ms=50))
            return error, await at.command("AT+C")

        (error, _), _, at = play({}, body)
        self.assertTrue(isinstance(error, OSError))
        self.assertEqual(told, [b"Ready"])
        self.assertEqual(at.parser.stalled, 1)

    def test_nobody_there(self):
        async def body(at, modem):
            modem.deaf = True
            return await error_of(at.sync())

        error, _, _ = play({}, body, timeout_s=20)
        self.assertEqual(error.errno, ETIMEDOUT)

    def test_stream_ends(self):
        async def body(at, modem):
            task = asyncio.create_task(error_of(at.command("AT+SLOW", timeout_ms=5000)))
            await asyncio.sleep_ms(10)
            modem.hang_up()
            first = await task
            return first, await error_of(at.command("AT+NEXT"))

        errors, _, _ = play({"AT+SLOW": b""}, body)
        self.assertEqual([error.errno for error in errors], [EIO, EIO])


class DirtyStates(unittest.TestCase):
    def check(self, answers=None, prepare=None):
        async def body(at, modem):
            at.parser.synced = False
            if prepare:
                prepare(modem)
            await at.sync()
            return await at.command("AT+CGMM", free=True)

        answers = answers or {}
        answers["AT+CGMM"] = b"\r\nnRF9151\r\n\r\nOK\r\n"
        got, modem, _ = play(answers, body, 20)
        self.assertEqual(got, [b"nRF9151"])
        return modem

    def test_clean(self):
        self.check()

    def test_10_echo_on(self):
        self.check(prepare=lambda modem: setattr(modem, "echo", True))

    def test_11_noise(self):
        self.check(prepare=lambda modem: modem.say(b"\xff\x00\xfe#$%\r\n> \r\nOK"))

    def test_half_a_command(self):
        self.check(prepare=lambda modem: modem.write(b"AT+CER"))

    def test_23_first_bytes_are_lost(self):
        self.check({"AT": [b"", b"", b"\r\nOK\r\n"]})

    def test_counted_payload_open(self):
        def prepare(modem):
            modem.write(b"AT#XSEND=0,2,0,1200\r")
            modem.write(b"ab")

        modem = self.check(prepare=prepare)
        self.assertEqual(modem.payloads[0][:2], b"ab")

    def test_16_numeric(self):
        async def body(at, modem):
            await at.sync()
            return at.parser.numeric

        self.assertEqual(play({"AT": b"0\r"}, body)[0], True)


class Uart(io.IOBase if sys.implementation.name == "micropython" else object):
    """A loop-back of the stream protocol that UARTs have: poll by ioctl, short reads, None for `nothing`."""

    def __init__(self):
        self.rx = b""

    def ioctl(self, request, arg):
        if request == 3:  # poll
            return (arg & 4) | (1 if self.rx and arg & 1 else 0)
        return 0

    def readinto(self, buf):
        n = min(len(buf), len(self.rx), 3)
        if not n:
            return None
        buf[:n] = self.rx[:n]
        self.rx = self.rx[n:]
        return n

    def write(self, buf):
        if bytes(buf) == b"AT+CGMM\r":
            self.rx += b"\r\nnRF9151\r\n"
        self.rx += b"\r\nOK\r\n"
        return len(buf)


class Streams(unittest.TestCase):
    def test_24_uart_stream(self):
        if sys.implementation.name != "micropython":
            self.skipTest("asyncio.StreamReader wraps a stream on MicroPython only")

        async def main():
            at = client(Uart())
            try:
                return await at.command("AT+CGMM", free=True)
            finally:
                await at.stop()

        self.assertEqual(run(main()), [b"nRF9151"])


if __name__ == "__main__":
    unittest.main()
