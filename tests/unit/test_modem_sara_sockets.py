"""modem.sara_r5 over a scripted modem: sockets, and what happens when they, or what is said of them, get lost."""

import asyncio
import unittest
from errno import ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL, ETIMEDOUT

from harness import sara_script
from harness.sara_script import OK, errno_of, said
from modem.pull import PullEndpoint

CME3 = b"\r\n+CME ERROR: 3\r\n"


def drive(body, answers=None, timeout_s=8):
    return sara_script.drive(body, answers, None, timeout_s)



def datagram(data, handle=0):
    return b'\r\n+USORF: %d,"192.0.2.10",5683,%d,"%s"\r\n\r\nOK\r\n' % (handle, len(data), data)


NASTY = b'\r\nOK\r\n"+CME ERROR: 3\r\n> @+++\x00\x1a\xff"'


class Sockets(unittest.TestCase):
    def test_transcript(self):
        answers = {
            "payload": said(b"+USOWR: 0,6"),
            "AT+USORF=0,1024": [datagram(b'123"OK"89'), datagram(NASTY)],
            "AT+USORF=0,0": [said(b"+USORF: 0,%d" % len(NASTY)), said(b"+USORF: 0,0")],
        }

        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.10", 5683)
            await endpoint.send(b"@\r\nOK@")
            fake.say(b"\r\n+UUSORF: 0,9\r\n")
            buf = bytearray(100)
            got = []
            for _ in range(2):
                n = await endpoint.recv_into(buf, 500)
                got.append(bytes(buf[:n]))
            last = await errno_of(endpoint.recv_into(buf, 50))
            await endpoint.close()
            return got, last, endpoint.lost

        got, fake, _ = drive(body, answers)
        self.assertEqual(got, ([b'123"OK"89', NASTY], ETIMEDOUT, 0))
        self.assertEqual(fake.payloads, [b"@\r\nOK@"])
        self.assertTrue(fake.waits[0] >= 50)
        sent = [
            "AT+USOCR=17",
            'AT+USOCO=0,"192.0.2.10",5683',
            "AT+USOWR=0,6",
            "AT+USORF=0,1024",
            "AT+USORF=0,0",
            "AT+USORF=0,1024",
            "AT+USORF=0,0",
            "AT+USOCL=0",
        ]
        self.assertEqual(fake.commands(), sent)

    def test_names_are_resolved(self):
        async def body(m, fake):
            await m.udp_open("coap.nrfcloud.com", 5683)

        for answer in (b'+UDNSRN: "192.0.2.10"', b'+UUDNSRN: "192.0.2.10"'):  # R5, R422
            _, fake, _ = drive(body, {'AT+UDNSRN=0,"coap.nrfcloud.com"': said(answer)})
            self.assertEqual(fake.commands()[-1], 'AT+USOCO=0,"192.0.2.10",5683')

    def test_why_it_could_not_connect(self):
        async def body(m, fake):
            first = await errno_of(m.udp_open("coap.nrfcloud.com", 5683))
            return first, m.endpoints, m.orphans

        name, refused = {'AT+UDNSRN=0,"coap.nrfcloud.com"': CME3}, {'AT+USOCO=0,"192.0.2.10",5683': CME3}
        self.assertEqual(drive(body, name)[0], (EHOSTUNREACH, {}, []))
        for noise in (b'+UDNSRN: "192.0.2.\xff"', b'+UDNSRN: "', b"+UDNSRN:"):
            got = drive(body, {'AT+UDNSRN=0,"coap.nrfcloud.com"': said(noise)})[0]
            self.assertEqual(got, (EHOSTUNREACH, {}, []))
        got, fake, _ = drive(body, refused)
        self.assertEqual(got, (ECONNREFUSED, {}, []))
        self.assertEqual(fake.commands()[-2:], ["AT+USOER", "AT+USOCL=0"])
        got, fake, _ = drive(body, {"AT+USOCR=17": CME3})
        self.assertEqual(got, (ECONNREFUSED, {}, []))
        self.assertEqual(sorted(fake.commands()[-7:]), ["AT+USOCL=%d" % i for i in range(7)])  # too many open?

    def test_opening_is_cancelled(self):
        async def body(m, fake):
            fake.answers['AT+USOCO=0,"192.0.2.1",1'] = b""
            task = asyncio.create_task(m.udp_open("192.0.2.1", 1))
            await asyncio.sleep_ms(20)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            fake.sent.clear()
            await m.udp_open("192.0.2.2", 1)
            return fake.commands(), m.orphans

        got, _, _ = drive(body)
        self.assertEqual((got[0][:2], got[1]), (["AT+USOCL=0", "AT+USOCR=17"], []))

    def test_a_handle_that_was_never_heard(self):
        """The modem may have made the socket, and its answer got lost: closed by the next opening."""

        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.answers["AT+USOCR=17"] = b""
            task = asyncio.create_task(m.udp_open("192.0.2.1", 2))
            while fake.commands()[-1] != "AT+USOCR=17" or len(fake.commands()) < 3:
                await asyncio.sleep_ms(5)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            fake.answers["AT+USOCR=17"] = said(b"+USOCR: 1")
            fake.sent.clear()
            await m.udp_open("192.0.2.1", 2)
            endpoint.check()
            return sorted(fake.commands()[:6]), m.orphans, sorted(m.endpoints)

        self.assertEqual(drive(body)[0], (["AT+USOCL=%d" % i for i in range(1, 7)], [], [0, 1]))

    def test_a_lower_handle_that_nobody_knows_is_closed(self):
        async def body(m, fake):
            fake.answers["AT+USOCL=0"] = [CME3, CME3, OK]  # refused, and by the next opening once more
            await (await m.udp_open("192.0.2.1", 1)).close()
            fake.answers["AT+USOCR=17"] = said(b"+USOCR: 1")
            fake.sent.clear()
            await m.udp_open("192.0.2.1", 1)
            return fake.commands(), sorted(m.endpoints)

        got, _, _ = drive(body)
        tried = ["AT+USOCL=0", "AT+USOCR=17", "AT+USOCL=0", 'AT+USOCO=1,"192.0.2.1",1']
        self.assertEqual(got, (tried, [1]))

    def test_names_cannot_smuggle_commands(self):
        async def body(m, fake):
            refused = 0
            for opening in (m.udp_open('h",1\rAT', 1), m.dtls_open("192.0.2.1", 1, 42, 'h"')):
                try:
                    await opening
                except ValueError:
                    refused += 1
            return refused, fake.sent

        self.assertEqual(drive(body)[0], (2, []))

    def test_sizes(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            return endpoint.mtu, await errno_of(endpoint.send(b"")), await errno_of(endpoint.send(bytes(1025)))

        self.assertEqual(drive(body)[0], (1024, EINVAL, EINVAL))

    def test_7_refusal_instead_of_the_prompt(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.answers["AT+USOWR=0,1"] = [CME3, b"\r\n@", CME3, CME3]
            results = []
            for _ in range(4):
                results.append(await errno_of(endpoint.send(b"x")))
            return results, fake.payloads

        got, _, _ = drive(body)
        self.assertEqual(got, ([None, None, None, ECONNRESET], [b"x"]))

    def test_22_closed_while_sending(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.answers["payload"] = b"\r\n+UUSOCL: 0\r\n" + said(b"+USOWR: 0,1")
            first = await errno_of(endpoint.send(b"x"))
            second = await errno_of(endpoint.send(b"x"))
            fake.sent.clear()
            await endpoint.close()
            nothing = fake.commands()
            await m.udp_open("192.0.2.1", 1)
            return first, second, nothing, fake.commands()[:2], m.orphans

        self.assertEqual(drive(body)[0], (None, ECONNRESET, [], ["AT+USOCL=0", "AT+USOCR=17"], []))

    def test_we_close_while_sending(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.answers["payload"] = b""
            task = asyncio.create_task(errno_of(endpoint.send(b"x")))
            while fake.payloads != [b"x"]:
                await asyncio.sleep_ms(5)
            closing = asyncio.create_task(endpoint.close())
            await asyncio.sleep_ms(5)
            fake.say(said(b"+USOWR: 0,1"))
            await closing
            return await task, fake.commands()[-2:], m.orphans

        self.assertEqual(drive(body)[0], (None, ["AT+USOWR=0,1", "AT+USOCL=0"], []))

    def test_17_lost_news(self):
        """The modem never said that something waits: when it is time to look (modem.pull), it is asked how much."""
        answers = {
            "AT+USORF=0,0": [said(b"+USORF: 0,2"), said(b"+USORF: 0,0")],
            "AT+USORF=0,1024": datagram(b"ab"),
        }

        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            PullEndpoint.arrived(endpoint)
            return await endpoint.recv_into(bytearray(9), 500), fake.commands()[-2:]

        self.assertEqual(drive(body, answers)[0], (2, ["AT+USORF=0,0", "AT+USORF=0,1024"]))

    def test_17_news_twice(self):
        """Told again of what was read already, and the modem refuses to read nothing: no harm."""
        answers = {"AT+USORF=0,1024": [datagram(b"ab"), CME3], "AT+USORF=0,0": said(b"+USORF: 0,0")}

        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.say(b"\r\n+UUSORF: 0,2\r\n")
            first = await endpoint.recv_into(bytearray(9), 500)
            fake.say(b"\r\n+UUSORF: 0,2\r\n")
            return first, await errno_of(endpoint.recv_into(bytearray(9), 200)), await errno_of(endpoint.send(b"x"))

        self.assertEqual(drive(body, answers)[0], (2, ETIMEDOUT, None))

    def test_reading_from_a_socket_that_is_no_more(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.answers["AT+USORF=0,0"] = fake.answers["AT+USORF=0,1024"] = CME3
            fake.say(b"\r\n+UUSORF: 0,2\r\n")
            return await errno_of(endpoint.recv_into(bytearray(9), 500)), await errno_of(endpoint.send(b"x"))

        self.assertEqual(drive(body)[0], (ECONNRESET, ECONNRESET))

    def test_a_cancelled_read_loses_no_turn(self):
        answers = {"AT+USORF=0,1024": [b"", datagram(b"ab")], "AT+USORF=0,0": said(b"+USORF: 0,2")}

        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.say(b"\r\n+UUSORF: 0,2\r\n")
            task = asyncio.create_task(endpoint.recv_into(bytearray(9), 5000))
            while "AT+USORF=0,1024" not in fake.commands():
                await asyncio.sleep_ms(5)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            return await endpoint.recv_into(bytearray(9), 2000)

        self.assertEqual(drive(body, answers)[0], 2)


if __name__ == "__main__":
    unittest.main()
