"""net.ppp over a modem that knows PPP from commands, and a `network.PPP` that behaves as MicroPython documents it:
construction from a stream with irq() and IRQ_RXIDLE, connect and disconnect that go on in the background."""

import asyncio
import socket
import sys
import unittest
from errno import ECONNRESET, ENODEV, ETIMEDOUT
from time import ticks_diff, ticks_ms

from at.client import Client
from at.errors import ATError
from harness.aio import run

GUARD_MS = 60
REQUEST, ACK, TERMINATE, ENDED = b"~conf-req~", b"~conf-ack~", b"~term-req~", b"~term-ack~"


class Uart:
    """UART and modem in one: a command line until CONNECT, frames after it."""

    IRQ_RXIDLE = 1

    def __init__(self, dial, answer=b"\r\nCONNECT 150000000\r\n", hears_terminate=True, answers_request=True):
        self.dial, self.answer = dial, answer
        self.hears_terminate, self.answers_request = hears_terminate, answers_request
        self.data = False
        self.commands = []
        self.frames = []
        self._rx = b""
        self._line = b""
        self._event = asyncio.Event()
        self._handler = None
        self._last = ticks_ms()
        self._escape = None

    def irq(self, handler=None, trigger=0):
        self._handler = handler

    def say(self, data):
        self._rx += data
        self._event.set()
        if self._handler:
            self._handler()

    def write(self, buf):
        now = ticks_ms()
        silence = ticks_diff(now, self._last)
        self._last = now
        if self.data:
            self._frame(bytes(buf), silence)
        if not self.data:
            self._line += bytes(buf)
            while b"\r" in self._line:
                line, _, self._line = self._line.partition(b"\r")
                if line:
                    self._command(line[line.find(b"AT") :])
        return len(buf)

    def _frame(self, buf, silence):
        if buf == b"+++":
            self._escape = silence >= GUARD_MS
            return
        if self._escape and silence >= GUARD_MS:
            self.data = False  # the escape was alone on the line: these are commands again
            return
        self._escape = None
        self.frames.append(buf)
        if buf == REQUEST and self.answers_request:
            self.say(ACK)
        elif buf == TERMINATE and self.hears_terminate:
            self.data = False
            self.say(ENDED + b"\r\nNO CARRIER\r\n")

    def _command(self, line):
        if line != b"AT":
            self.commands.append(line)
        if line == self.dial:
            self.data = self.answer.strip().startswith(b"CONNECT")
            self.say(self.answer)
        else:
            self.say(b"\r\nOK\r\n")

    async def drain(self):
        await asyncio.sleep(0)

    async def readinto(self, buf):
        while not self._rx:
            self._event.clear()
            await self._event.wait()
        return self.take(buf)

    def take(self, buf):
        n = min(len(buf), len(self._rx))
        buf[:n] = self._rx[:n]
        self._rx = self._rx[n:]
        return n


class Driver:
    """network.PPP as documented."""

    SEC_NONE, SEC_PAP, SEC_CHAP = 0, 1, 2
    made = []

    def __init__(self, stream):
        self.stream = stream
        self.state = 0
        self.how = None
        self.heard = b""
        Driver.made.append(self)

    def connect(self, security=0, user=None, key=None):
        self.how = (security, user, key)
        self.state = 1
        self.stream.irq(self.poll, self.stream.IRQ_RXIDLE)
        self.stream.write(REQUEST)

    def poll(self):
        buf = bytearray(64)
        n = self.stream.take(buf)
        self.heard += bytes(buf[:n])
        if ACK in self.heard and self.state == 1:
            self.state = 2
        if ENDED in self.heard:
            self.state = 0
            self.stream.irq(None)

    def isconnected(self):
        return self.state == 2

    def disconnect(self):
        if self.state:
            self.stream.write(TERMINATE)


class Module:
    PPP = Driver


def play(uart, body, family="sim7080", module=Module, **how):
    """Run `body(link, uart)`; -> its result."""
    from net import ppp

    at = Client(uart)
    at.parser.synced = True
    at.probe_ms, at.quiet_ms, at.drain_ms = 30, 20, 60
    link = ppp.PPP(at, uart, family, **how)
    ppp.PPP.guard_ms = GUARD_MS + 20
    Driver.made.clear()

    async def main():
        try:
            return await body(link, uart)
        finally:
            await at.stop()

    had = sys.modules.pop("network", None)
    if module:
        sys.modules["network"] = module
    else:
        sys.modules["network"] = type("Empty", (), {})
    try:
        return run(main(), 20)
    finally:
        sys.modules.pop("network", None)
        if had:
            sys.modules["network"] = had


async def error_of(coro):
    try:
        await coro
    except (ATError, OSError) as error:
        return error
    return None


def example():
    """-> the udp_open() that boards/README.md shows for a board with PPP, and what it takes for its UART."""
    with open("boards/README.md") as file:
        text = file.read()
    text = text[text.index("## PPP") :]
    code = text[text.index("```python") + 9 :]
    names = {}
    exec(code[: code.index("```")], names)
    return names


class Modem:
    def __init__(self, at):
        self.at = at


class OnABoard(unittest.TestCase):
    def test_the_example_dials_for_a_session_refuses_commands_meanwhile_and_hangs_up(self):
        async def body(link, uart):
            names = example()
            names["_uart"] = uart
            at = link.at
            endpoint = await names["udp_open"](Modem(at), "127.0.0.1", 42999)
            meanwhile = await error_of(at.command("AT+CENG?")), await error_of(at.sync())
            await endpoint.send(b"ping")
            await endpoint.close()
            await endpoint.close()
            return meanwhile, uart.data, await at.command("AT+CSQ"), endpoint.mtu

        uart = Uart(b"ATD*99***1#")
        (command, sync), data, _, mtu = play(uart, body)
        self.assertEqual((type(command), type(sync), command.text), (ATError, ATError, "the line is PPP's"))
        self.assertEqual((uart.commands, uart.frames), ([b"ATD*99***1#", b"AT+CSQ"], [REQUEST, TERMINATE]))
        self.assertFalse(data)
        self.assertTrue(mtu >= 1200)

    def test_a_name_that_cannot_be_resolved_hangs_up(self):
        async def body(link, uart):
            names = example()
            names["_uart"] = uart
            return await error_of(names["udp_open"](Modem(link.at), "no.such.name.invalid", 1)), uart.data

        error, data = play(Uart(b"ATD*99***1#"), body)
        self.assertTrue(isinstance(error, OSError))
        self.assertFalse(data)

    def test_a_modem_that_stays_silent_costs_the_closing_nothing(self):
        async def body(link, uart):
            names = example()
            names["_uart"] = uart
            endpoint = await names["udp_open"](Modem(link.at), "127.0.0.1", 42999)
            Driver.made[-1].disconnect = lambda: setattr(Driver.made[-1], "state", 0)
            uart.write = len  # takes all, says nothing
            await endpoint.close()
            return link.at.dead

        self.assertIsNone(play(Uart(b"ATD*99***1#"), body))


class Links(unittest.TestCase):
    def test_dial_strings(self):
        for family, dial in (
            ("sim7080", b"ATD*99***1#"),
            ("bg95", b"ATD*99***1#"),
            ("sara_r5", b"ATD*99***1#"),
            ("nrf91", b'AT+CGDATA="PPP",1'),
        ):

            async def body(link, uart):
                await link.open(2000)
                up = Driver.made[-1].isconnected()
                await link.close()
                return up, await link.at.command("AT+CSQ")

            uart = Uart(dial)
            up, _ = play(uart, body, family)
            self.assertTrue(up)
            self.assertEqual(uart.commands, [dial, b"AT+CSQ"])
            self.assertEqual(uart.frames, [REQUEST, TERMINATE])

    def test_the_reader_of_commands_takes_no_frame(self):
        async def body(link, uart):
            await link.open(2000)
            uart.say(b"~a frame~")
            await asyncio.sleep_ms(30)
            return Driver.made[-1].heard, link.at.parser.unknown

        heard, unknown = play(Uart(b"ATD*99***1#"), body)
        self.assertTrue(heard.endswith(b"~a frame~"))
        self.assertEqual(unknown, 0)

    def test_datagrams(self):
        peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port = 0
        for port in range(42800, 42900):
            try:
                peer.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
                break
            except OSError:
                pass

        async def body(link, uart):
            await link.open(2000)
            endpoint = await link.udp_open("127.0.0.1", port)
            await endpoint.send(b"ping")
            data, who = peer.recvfrom(100)
            peer.sendto(b"pong", who)
            buf = bytearray(100)
            n = await endpoint.recv_into(buf, 2000)
            uart.hears_terminate = False
            Driver.made[-1].state = 0  # the network hung up
            uart.data = False
            errors = (await error_of(endpoint.send(b"x")), await error_of(endpoint.recv_into(buf, 10)))
            await endpoint.close()
            await link.close()
            return data, bytes(buf[:n]), endpoint.mtu, [error.args[0] for error in errors]

        try:
            data, back, mtu, errors = play(Uart(b"ATD*99***1#"), body)
        finally:
            peer.close()
        self.assertEqual((data, back, errors), (b"ping", b"pong", [ECONNRESET] * 2))
        self.assertTrue(500 < mtu <= 1232)

    def test_user_and_key(self):
        async def body(link, uart):
            await link.open(2000)
            return Driver.made[-1].how

        self.assertEqual(play(Uart(b"ATD*99***1#"), body, user="u", key="k"), (Driver.SEC_CHAP, "u", "k"))

    def test_no_such_class_on_this_board(self):
        async def body(link, uart):
            return (await error_of(link.open(2000))).args[0]

        uart = Uart(b"ATD*99***1#")
        self.assertEqual(play(uart, body, module=None), ENODEV)
        self.assertEqual(uart.commands, [])

    def test_refused_dial(self):
        async def body(link, uart):
            return await error_of(link.open(2000)), await link.at.command("AT+CSQ")

        error, _ = play(Uart(b"ATD*99***1#", b"\r\nNO CARRIER\r\n"), body)
        self.assertEqual((type(error), error.text), (ATError, "NO CARRIER"))
        self.assertEqual(Driver.made, [])

    def test_nobody_answers(self):
        async def body(link, uart):
            error = await error_of(link.open(100))
            down = await error_of(link.udp_open("127.0.0.1", 1))
            return error.args[0], down.args[0], await link.at.command("AT+CSQ")

        got = play(Uart(b"ATD*99***1#", answers_request=False), body)
        self.assertEqual(got[:2], (ETIMEDOUT, ECONNRESET))

    def test_modem_that_stays_in_data_mode_is_escaped(self):
        async def body(link, uart):
            await link.open(2000)
            uart.hears_terminate = False
            Driver.made[-1].disconnect = lambda: setattr(Driver.made[-1], "state", 0)  # its request got lost
            await link.close()
            return uart.data, await link.at.command("AT+CSQ")

        uart = Uart(b"ATD*99***1#")
        self.assertEqual(play(uart, body)[0], False)
        self.assertEqual(uart.commands, [b"ATD*99***1#", b"ATH", b"AT+CSQ"])

    def test_closed_twice(self):
        async def body(link, uart):
            await link.open(2000)
            await link.close()
            await link.close()
            return (await error_of(link.udp_open("127.0.0.1", 1))).args[0]

        self.assertEqual(play(Uart(b"ATD*99***1#"), body), ECONNRESET)


if __name__ == "__main__":
    unittest.main()
