"""modem.sim7080 over a scripted modem: the dialogues of modems.md 2B.4, 2B.9, what is refused, and what gets lost."""

import asyncio
import unittest
from errno import EADDRINUSE, ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENOMEM, ENOTCONN, ETIMEDOUT

from harness.family_script import ERROR, OK, cme, datagrams, failure_of, info, news, settle
from harness.rng import Rng, seed
from harness.sim7080_script import BASIC, OPEN, drive

ANNOUNCE = b"\r\n+CARECV: %d,"
EMPTY = info("+CARECV: 0")


class Sockets(unittest.TestCase):
    def test_transcript(self):
        """modems.md 2B.9."""
        answer = b"\x60\x45\x12\x34\xff\r\nOK"

        async def body(m, fake):
            datagrams(fake, "AT+CARECV=0,1460", ANNOUNCE, [answer, b"2"], EMPTY)
            endpoint = await m.udp_open("coap.example", 5683)
            await endpoint.send(b"\x40\x01\x12\x34\xb1\x61")
            fake.say(news("+CADATAIND: 0", '*PSUTTZ: 2026,1,2,3,4,5,"+8",0', "DST: 0"))
            buf = bytearray(1280)
            got = []
            for _ in (0, 1):  # one word of the modem may be about several
                n = await endpoint.recv_into(buf, 1000)
                got.append(bytes(buf[:n]))
            last = await failure_of(endpoint.recv_into(buf, 30))
            await endpoint.close()
            return got, last, m.at.parser.unknown

        got, fake, _ = drive(body)
        self.assertEqual(got, ([answer, b"2"], ETIMEDOUT, 0))
        self.assertEqual(fake.payloads, [b"\x40\x01\x12\x34\xb1\x61"])
        self.assertEqual(fake.commands(), [OPEN, "AT+CASEND=0,6"] + ["AT+CARECV=0,1460"] * 3 + ["AT+CACLOSE=0"])

    def test_whatever_is_in_a_datagram(self):
        rng = Rng(seed(7080))
        nasty = b"\r\nOK\r\n", b"\r\n+CASTATE: 0,0\r\n", b"+CME ERROR: 3\r\n", b"> ", b"\r\nRDY\r\n", b"+CARECV: 5,"
        sent = []
        for _ in range(20):
            parts = [nasty[rng.below(6)] + bytes([rng.below(256) for _ in range(rng.below(40))]) for _ in "abc"]
            sent.append(b"".join(parts))

        async def body(m, fake):
            datagrams(fake, "AT+CARECV=0,1460", ANNOUNCE, list(sent), EMPTY)
            endpoint = await m.udp_open("coap.example", 5683)
            fake.say(news("+CADATAIND: 0"))
            buf = bytearray(400)
            got = []
            for data in sent:
                await endpoint.send(data)
                n = await endpoint.recv_into(buf, 1000)
                got.append(bytes(buf[:n]))
            return got

        got, fake, lost = drive(body)
        self.assertEqual((got == sent, fake.payloads == sent, lost), (True, True, []))

    def test_two_sockets_fetch_at_the_same_time(self):
        """+CARECV does not say whose datagram it brings."""

        async def body(m, fake):
            fake.answers['AT+CAOPEN=1,0,"UDP","b",2,0'] = info("+CAOPEN: 1,0")
            datagrams(fake, "AT+CARECV=0,1460", ANNOUNCE, [b"first"], EMPTY)
            datagrams(fake, "AT+CARECV=1,1460", ANNOUNCE, [b"second"], EMPTY)
            one = await m.udp_open("coap.example", 5683)
            two = await m.udp_open("b", 2)
            fake.say(news("+CADATAIND: 1", "+CADATAIND: 0"))
            bufs = bytearray(9), bytearray(9)
            tasks = [asyncio.create_task(x.recv_into(b, 500)) for x, b in zip((one, two), bufs)]
            sizes = []
            for task in tasks:
                sizes.append(await task)
            return [bytes(b[:n]) for b, n in zip(bufs, sizes)]

        self.assertEqual(drive(body)[0], [b"first", b"second"])

    def test_a_cancelled_read_loses_no_word(self):
        async def body(m, fake):
            fake.answers["AT+CARECV=0,1460"] = b""
            endpoint = await m.udp_open("coap.example", 5683)
            fake.say(news("+CADATAIND: 0"))
            task = asyncio.create_task(endpoint.recv_into(bytearray(9), 5000))
            await settle(30)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            fake.say(b"\r\n+CARECV: 4,late" + OK)  # nobody's any more
            datagrams(fake, "AT+CARECV=0,1460", ANNOUNCE, [b"next!"], EMPTY)
            buf = bytearray(9)
            return bytes(buf[: await endpoint.recv_into(buf, 2000)])

        self.assertEqual(drive(body)[0], b"next!")

    def test_09_lengths_that_lie(self):
        for lie in (b"\r\n+CARECV: 400,abc" + OK, b"\r\n+CARECV: 70000,abc" + OK):

            async def body(m, fake, lie=lie):
                fake.answers["AT+CARECV=0,1460"] = [lie, b"\r\n+CARECV: 2,de" + OK, EMPTY]
                endpoint = await m.udp_open("coap.example", 5683)
                endpoint.fetch_ms = 100
                fake.say(news("+CADATAIND: 0"))
                buf = bytearray(9)
                first = await failure_of(endpoint.recv_into(buf, 50))
                fake.say(news("+CADATAIND: 0"))
                return first, bytes(buf[: await endpoint.recv_into(buf, 2000)])

            self.assertEqual(drive(body)[0], (ETIMEDOUT, b"de"))

    def test_22_closed_while_sending(self):
        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            fake.answers["payload"] = news("+CASTATE: 0,0") + OK
            got = []
            for _ in (0, 1):
                got.append(await failure_of(endpoint.send(b"x")))
            fake.sent.clear()
            await m.udp_open("coap.example", 5683)
            return got, fake.commands()

        self.assertEqual(drive(body)[0], ([None, ECONNRESET], ["AT+CACLOSE=0", OPEN]))

    def test_07_error_instead_of_the_prompt(self):
        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            fake.answers["AT+CASEND=0,9"] = ERROR
            return await failure_of(endpoint.send(b"AT+CPOWD\r"))

        got, fake, _ = drive(body)
        self.assertEqual((got, fake.payloads), (ECONNRESET, []))

    def test_why_it_could_not_open(self):
        async def body(m, fake):
            return await failure_of(m.udp_open("coap.example", 5683)), m.endpoints, m.orphans

        for code, number in (
            (2, ENOMEM),
            (12, EADDRINUSE),
            (20, EHOSTUNREACH),
            (21, ENOTCONN),
            (23, ECONNREFUSED),
            (24, ECONNABORTED),
            (27, ECONNABORTED),
        ):
            line = "+CAOPEN: 0,%d" % code
            for answer in (news(line) + ERROR, info(line), OK + news("+CAOPEN: 3,0", line)):
                got, fake, _ = drive(body, {OPEN: answer})
                self.assertEqual((got, fake.commands()), ((number, {}, []), [OPEN, "AT+CACLOSE=0"]))
        self.assertEqual(drive(body, {OPEN: cme(160)})[0][0], EHOSTUNREACH)

    def test_the_result_comes_after_the_ok(self):
        async def body(m, fake):
            return (await m.udp_open("coap.example", 5683)).handle

        self.assertEqual(drive(body, {OPEN: OK + news("+CAOPEN: 1,27", "+CAOPEN: 0,0")})[0], 0)

    def test_opening_is_cancelled(self):
        async def body(m, fake):
            fake.answers[OPEN] = b""
            task = asyncio.create_task(m.udp_open("coap.example", 5683))
            await settle(20)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            fake.answers[OPEN] = BASIC[OPEN]
            fake.sent.clear()
            await m.udp_open("coap.example", 5683)
            return fake.commands(), m.orphans

        self.assertEqual(drive(body)[0], (["AT+CACLOSE=0", OPEN], []))

    def test_restart_while_opening(self):
        got, _, lost = drive(lambda m, fake: failure_of(m.udp_open("coap.example", 5683)), {OPEN: news("RDY")})
        self.assertEqual((got, lost), (ECONNRESET, ["modem restarted: RDY"]))

    def test_names_cannot_smuggle_commands(self):
        got, fake, _ = drive(lambda m, fake: failure_of(m.udp_open('h",1\rAT+CPOWD=1', 1)))
        self.assertTrue(isinstance(got, ValueError))
        self.assertEqual([x for x in fake.commands() if "CPOWD" in x], [])

    def test_a_refused_name_books_no_number(self):
        async def body(m, fake):
            for _ in range(9):
                await failure_of(m.udp_open("x" * 65, 1))
            return (await m.udp_open("coap.example", 5683)).handle, m.orphans

        self.assertEqual(drive(body)[0], (0, []))


if __name__ == "__main__":
    unittest.main()
