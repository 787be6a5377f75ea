"""modem.bg95 over a scripted modem: the dialogues of modems.md 2C.4, 2C.8, what is refused, and what gets lost."""

import asyncio
import unittest
from errno import EADDRINUSE, ECONNABORTED, ECONNRESET, EHOSTUNREACH, ENOMEM, ETIMEDOUT

from harness.bg95_script import BASIC, OPEN, drive
from harness.family_script import ERROR, OK, cme, datagrams, failure_of, info, news, settle
from harness.rng import Rng, seed


class Sockets(unittest.TestCase):
    def test_transcript(self):
        """modems.md 2C.8, with a URC in every gap."""
        answer = b"\x60\x45\x12\x34\xff\r\nOK"

        async def body(m, fake):
            queue = [answer]
            datagrams(fake, "AT+QIRD=0,1500", b"\r\n+QIRD: %d\r\n", queue, info("+QIRD: 0"))
            endpoint = await m.udp_open("coap.example", 5683)
            await endpoint.send(b"\x40\x01\x12\x34\xb1\x61")
            fake.say(news('+QIURC: "recv",0', "+CSCON: 1"))
            buf = bytearray(1280)
            n = await endpoint.recv_into(buf, 1000)
            last = await failure_of(endpoint.recv_into(buf, 30))
            await endpoint.close()
            return bytes(buf[:n]), last

        got, fake, _ = drive(body)
        self.assertEqual(got, (answer, ETIMEDOUT))
        self.assertEqual(fake.payloads, [b"\x40\x01\x12\x34\xb1\x61"])
        self.assertEqual(fake.commands(), [OPEN, "AT+QISEND=0,6", "AT+QIRD=0,1500", "AT+QIRD=0,1500", "AT+QICLOSE=0"])

    def test_whatever_is_in_a_datagram(self):
        rng = Rng(seed(95))
        nasty = b"\r\nOK\r\n", b'\r\n+QIURC: "closed",0\r\n', b"+CME ERROR: 3\r\n", b"> ", b"\r\nRDY\r\n", b"\0\x1a\x1b"
        sent = []
        for _ in range(20):
            parts = [nasty[rng.below(6)] + bytes([rng.below(256) for _ in range(rng.below(40))]) for _ in "abc"]
            sent.append(b"".join(parts))

        async def body(m, fake):
            datagrams(fake, "AT+QIRD=0,1500", b"\r\n+QIRD: %d\r\n", list(sent), info("+QIRD: 0"))
            endpoint = await m.udp_open("coap.example", 5683)
            fake.say(news('+QIURC: "recv",0'))
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
        """+QIRD does not say whose datagram it brings."""

        async def body(m, fake):
            fake.answers['AT+QIOPEN=1,1,"UDP","b",2,0,0'] = OK + news("+QIOPEN: 1,0")
            datagrams(fake, "AT+QIRD=0,1500", b"\r\n+QIRD: %d\r\n", [b"first", b"third"], info("+QIRD: 0"))
            datagrams(fake, "AT+QIRD=1,1500", b"\r\n+QIRD: %d\r\n", [b"second"], info("+QIRD: 0"))
            one = await m.udp_open("coap.example", 5683)
            two = await m.udp_open("b", 2)
            fake.say(news('+QIURC: "recv",1', '+QIURC: "recv",0'))
            bufs = bytearray(9), bytearray(9)
            tasks = [asyncio.create_task(x.recv_into(b, 500)) for x, b in zip((one, two), bufs)]
            sizes = []
            for task in tasks:
                sizes.append(await task)
            return [bytes(b[:n]) for b, n in zip(bufs, sizes)]

        self.assertEqual(drive(body)[0], [b"first", b"second"])

    def test_17_the_word_that_something_waits_is_lost(self):
        """It is said once: after a sending the modem is asked all the same."""
        import modem.pull

        async def body(m, fake):
            datagrams(fake, "AT+QIRD=0,1500", b"\r\n+QIRD: %d\r\n", [b"x"], info("+QIRD: 0"))
            endpoint = await m.udp_open("coap.example", 5683)
            await endpoint.send(b"?")
            return await endpoint.recv_into(bytearray(9), 5000)

        before = modem.pull._LOOKS_MS
        modem.pull._LOOKS_MS = (30, 60)
        try:
            self.assertEqual(drive(body)[0], 1)
        finally:
            modem.pull._LOOKS_MS = before

    def test_a_cancelled_read_loses_no_word(self):
        async def body(m, fake):
            fake.answers["AT+QIRD=0,1500"] = b""
            endpoint = await m.udp_open("coap.example", 5683)
            fake.say(news('+QIURC: "recv",0'))
            task = asyncio.create_task(endpoint.recv_into(bytearray(9), 5000))
            await settle(30)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            fake.say(b"\r\n+QIRD: 4\r\nlate" + OK)  # nobody's any more
            datagrams(fake, "AT+QIRD=0,1500", b"\r\n+QIRD: %d\r\n", [b"next!"], info("+QIRD: 0"))
            buf = bytearray(9)
            return bytes(buf[: await endpoint.recv_into(buf, 2000)])

        self.assertEqual(drive(body)[0], b"next!")

    def test_09_a_length_that_lies(self):
        """More announced than comes: given up by time, and the next one is read."""

        async def body(m, fake):
            lie, truth = b"\r\n+QIRD: 400\r\nabc" + OK, b"\r\n+QIRD: 2\r\nde" + OK
            fake.answers["AT+QIRD=0,1500"] = [lie, truth, info("+QIRD: 0")]
            endpoint = await m.udp_open("coap.example", 5683)
            endpoint.fetch_ms = 100
            fake.say(news('+QIURC: "recv",0'))
            buf = bytearray(9)
            first = await failure_of(endpoint.recv_into(buf, 100))
            return first, bytes(buf[: await endpoint.recv_into(buf, 2000)])

        self.assertEqual(drive(body)[0], (ETIMEDOUT, b"de"))

    def test_send_fail_is_a_lost_datagram_and_two_are_the_socket(self):
        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            fake.answers["payload"] = news("SEND FAIL")
            first = await failure_of(endpoint.send(b"x"))
            fake.answers["payload"] = [news("SEND OK"), news("SEND FAIL")]
            rest = []
            for _ in range(3):
                rest.append(await failure_of(endpoint.send(b"x")))
            await endpoint.close()
            return first, rest, fake.commands()[-1]

        self.assertEqual(drive(body)[0], (None, [None, None, ECONNRESET], "AT+QICLOSE=0"))

    def test_07_error_instead_of_the_prompt(self):
        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            fake.answers["AT+QISEND=0,9"] = ERROR
            return await failure_of(endpoint.send(b"AT+QPOWD\r"))

        got, fake, _ = drive(body)
        self.assertEqual((got, fake.payloads), (ECONNRESET, []))

    def test_22_closed_while_sending(self):
        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            fake.answers["payload"] = news('+QIURC: "closed",0', "SEND OK")
            got = []
            got.append(await failure_of(endpoint.send(b"x")))
            got.append(await failure_of(endpoint.send(b"x")))
            got.append(await failure_of(endpoint.recv_into(bytearray(1), 100)))
            fake.sent.clear()
            await m.udp_open("coap.example", 5683)
            return got, fake.commands()[0]

        self.assertEqual(drive(body)[0], ([None, ECONNRESET, ECONNRESET], "AT+QICLOSE=0"))

    def test_why_it_could_not_open(self):
        for code, number in ((565, EHOSTUNREACH), (569, ETIMEDOUT), (553, ENOMEM), (550, ECONNABORTED)):
            answer = {OPEN: OK + news("+QIOPEN: 7,0", "+QIOPEN: 0,%d" % code)}  # the first: of one that was given up

            async def body(m, fake):
                return await failure_of(m.udp_open("coap.example", 5683)), m.endpoints, m.orphans

            got, fake, _ = drive(body, answer)
            self.assertEqual((got, fake.commands()), ((number, {}, []), [OPEN, "AT+QICLOSE=0"]))
        got, _, _ = drive(body, {OPEN: ERROR, "AT+QIGETERROR": info("+QIGETERROR: 565,dns parse failed")})
        self.assertEqual(got[0], EHOSTUNREACH)
        self.assertEqual(drive(body, {OPEN: cme(563)})[0][0], EADDRINUSE)

    def test_number_in_use_is_freed_once(self):
        async def body(m, fake):
            return (await m.udp_open("coap.example", 5683)).handle

        got, fake, _ = drive(body, {OPEN: [OK + news("+QIOPEN: 0,563"), BASIC[OPEN]]})
        self.assertEqual((got, fake.commands()), (0, [OPEN, "AT+QICLOSE=0", OPEN]))

    def test_17_the_result_is_lost(self):
        import modem.bg95.sockets as sockets

        state = '+QISTATE: 0,"UDP","192.0.2.1",5683,0,%d,1,0,0,"uart1"'
        answers = {OPEN: OK, "AT+QISTATE=1,0": [info(state % 1), info(state % 2)]}

        async def body(m, fake):
            return (await m.udp_open("coap.example", 5683)).handle

        before = sockets.LOOK_MS
        sockets.LOOK_MS = 40
        try:
            got, fake, _ = drive(body, answers)
        finally:
            sockets.LOOK_MS = before
        self.assertEqual((got, fake.commands()), (0, [OPEN, "AT+QISTATE=1,0", "AT+QISTATE=1,0"]))

    def test_opening_is_cancelled(self):
        async def body(m, fake):
            fake.answers[OPEN] = OK
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

        self.assertEqual(drive(body)[0], (["AT+QICLOSE=0", OPEN], []))

    def test_restart_while_opening(self):
        got, _, lost = drive(lambda m, fake: failure_of(m.udp_open("coap.example", 5683)), {OPEN: OK + news("RDY")})
        self.assertEqual((got, lost), (ECONNRESET, ["modem restarted: RDY"]))

    def test_all_numbers_are_open(self):
        async def body(m, fake):
            for i in range(4):
                fake.answers['AT+QIOPEN=1,%d,"UDP","h",1,0,0' % i] = OK + news("+QIOPEN: %d,0" % i)
                await m.udp_open("h", 1)
            return await failure_of(m.udp_open("h", 1))

        self.assertEqual(drive(body)[0], ENOMEM)

    def test_read_of_a_socket_that_is_no_more(self):
        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            fake.answers["AT+QIRD=0,1500"] = ERROR
            fake.say(news('+QIURC: "recv",0'))
            return await failure_of(endpoint.recv_into(bytearray(1), 500))

        self.assertEqual(drive(body)[0], ECONNRESET)


if __name__ == "__main__":
    unittest.main()
