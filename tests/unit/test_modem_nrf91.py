"""modem.nrf91 over a scripted modem: start, attach, sockets, assistance, keys, and what happens when things are lost.

Parsers and conversions are in test_modem_vectors.py, the whole against the simulator in
tests/integration/test_modem_nrf91.py.
"""

import asyncio
import unittest
from errno import ECONNABORTED, ECONNRESET, EHOSTUNREACH, EINVAL, ENODEV, ETIMEDOUT

from harness.nrf91_script import BASIC, ERROR, drive, errno_of
from modem import base


class Start(unittest.TestCase):
    def test_settings(self):
        async def body(m, fake):
            await m.start()
            return m.version, m.caps

        (version, caps), fake, lost = drive(body, started=False)
        self.assertEqual(version, "v2.0.0")
        self.assertTrue("AGNSS" in caps and "GNSS" in caps and "SLEEP" not in caps)
        sent = fake.commands()
        for cmd in ("ATE0", "AT+CMEE=1", "AT#XDATACTRL=1000", "AT+CEREG=5"):
            self.assertIn(cmd, sent)
        self.assertTrue("AT+CFUN=4" not in sent)  # a registration is not given up for nothing
        self.assertEqual(lost, [])

    def test_another_system_mode_needs_the_radio_off(self):
        answers = {"AT%XSYSTEMMODE?": b"\r\n%XSYSTEMMODE: 1,1,0,0\r\n\r\nOK\r\n"}
        _, fake, _ = drive(lambda m, fake: m.start(), answers, started=False)
        sent = fake.commands()
        self.assertEqual(sent.index("AT%XSYSTEMMODE=1,0,1,0"), sent.index("AT+CFUN=4") + 1)

    def test_not_a_serial_modem(self):
        answer, _, _ = drive(lambda m, fake: errno_of(m.start()), {"AT#XSMVER": ERROR}, started=False)
        self.assertEqual(answer, ENODEV)

    def test_16_numeric_results_are_turned_off(self):
        answers = {"AT": [b"0\r", b"0\r", b"\r\nOK\r\n"]}
        _, fake, _ = drive(lambda m, fake: m.start(), answers, started=False)
        self.assertIn("ATV1", fake.commands())


class Attach(unittest.TestCase):
    def test_already_registered(self):
        got, fake, _ = drive(lambda m, fake: m.attach())
        self.assertEqual(got, {"stat": 1, "tac": 0x5A10, "eci": 0x01A2B3C4, "rat": "ltem"})
        self.assertTrue("AT+CFUN=1" not in fake.commands())

    def attach(self, cereg, news, **how):
        stats = []

        async def body(m, fake):
            async def later():
                for line in news:
                    await asyncio.sleep_ms(5)
                    fake.say(b"\r\n" + line + b"\r\n")

            task = asyncio.create_task(later())
            try:
                return await m.attach(progress=stats.append, **how)
            except (base.Denied, base.SimError) as denied:
                return denied
            except OSError as error:
                return error.errno
            finally:
                await task

        got, fake, _ = drive(body, {"AT+CEREG?": cereg})
        return got, stats, fake.commands()

    def test_by_news(self):
        got, stats, sent = self.attach(
            b"\r\n+CEREG: 5,0\r\n\r\nOK\r\n",
            (b'+CEREG: 2,"5A10","01A2B3C4",7', b'+CEREG: 5,"5A10","01A2B3C4",9,,,"00000101","00100001"'),
            apn="iot",
        )
        self.assertEqual(got, {"stat": 5, "tac": 0x5A10, "eci": 0x01A2B3C4, "rat": "nbiot"})
        self.assertEqual(stats, [2, 5])
        self.assertEqual(sent[1:3], ['AT+CGDCONT=0,"IPV4V6","iot"', "AT+CFUN=1"])

    def test_denied(self):
        got, _, _ = self.attach(b"\r\n+CEREG: 5,0\r\n\r\nOK\r\n", (b"+CEREG: 2", b'+CEREG: 3,"5A10","01A2B3C4",7,0,11'))
        self.assertEqual(got.cause, 11)

    def test_no_sim(self):
        got, _, _ = self.attach(b"\r\n+CEREG: 5,0\r\n\r\nOK\r\n", (b"+CEREG: 90",))
        self.assertEqual((got.kind, str(got)), ("failure", "SIM failure: UICC failure"))

    def sim(self, answers, pin=None):
        async def body(m, fake):
            m.pin = pin
            for _ in range(2):
                try:
                    await m.attach()
                    return None
                except base.SimError as error:
                    kind = error.kind
            return kind

        answers["AT+CEREG?"] = [b"\r\n+CEREG: 5,0\r\n\r\nOK\r\n"] * 3 + [BASIC["AT+CEREG?"]]
        kind, fake, _ = drive(body, answers)
        return kind, [x for x in fake.commands() if x.startswith("AT+CPIN=")]

    def test_what_keeps_a_sim_from_letting_us_in(self):
        for code, kind in ((10, "missing"), (12, "puk"), (13, "failure"), (11, "pin")):
            answer = {"AT+CPIN?": b"\r\n+CME ERROR: %d\r\n" % code}
            self.assertEqual(self.sim(answer), (kind, []))
        self.assertEqual(self.sim({"AT+CPIN?": b"\r\n+CPIN: NOT INSERTED\r\n\r\nOK\r\n"}), ("missing", []))

    def test_the_pin_is_tried_once_and_never_again(self):
        asks = b"\r\n+CPIN: SIM PIN\r\n\r\nOK\r\n"
        got = self.sim({"AT+CPIN?": asks, 'AT+CPIN="1234"': b"\r\n+CME ERROR: 16\r\n"}, "1234")
        self.assertEqual(got, ("pin", ['AT+CPIN="1234"']))
        got = self.sim({"AT+CPIN?": [asks, b"\r\n+CME ERROR: 14\r\n", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"]}, "1234")
        self.assertEqual(got, (None, ['AT+CPIN="1234"']))

    def test_no_network(self):
        got, stats, _ = self.attach(b"\r\n+CEREG: 5,2\r\n\r\nOK\r\n", (b"+CEREG: 2",), timeout_ms=300)
        self.assertEqual((got, stats), (ETIMEDOUT, [2]))

    def test_restart_while_searching(self):
        got, _, sent = self.attach(b"\r\n+CEREG: 5,0\r\n\r\nOK\r\n", (b"+CEREG: 2", b"Ready"))
        self.assertEqual(got, ECONNRESET)

    def test_a_restart_that_nobody_heard(self):
        """The modem reports no registration although start() asked it to: its settings are gone, and our sockets."""

        async def body(m, fake):
            fake.answers["AT+CEREG?"] = b"\r\n+CEREG: 0,1\r\n\r\nOK\r\n"
            return await errno_of(m.registered()), m.restarted

        got, _, lost = drive(body)
        self.assertEqual((got, lost), ((ECONNRESET, True), ["modem restarted: settings lost"]))

    def test_17_lost_news(self):
        """The URC that said `registered` never came: polling finds out."""
        searching = b"\r\n+CEREG: 5,2\r\n\r\nOK\r\n"
        got, _, _ = self.attach([searching, searching, BASIC["AT+CEREG?"]], ())
        self.assertEqual(got["stat"], 1)


class Sockets(unittest.TestCase):
    def test_release(self):
        """Only a hint: a modem that does not know it is as good as one that does."""

        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 5683)
            await endpoint.release()
            fake.answers["AT#XSOCKETOPT=3,1,61,1"] = ERROR
            await endpoint.release()
            await endpoint.close()
            return await errno_of(endpoint.release())

        got, fake, _ = drive(body)
        self.assertEqual((got, fake.commands().count("AT#XSOCKETOPT=3,1,61,1")), (ECONNRESET, 2))

    def test_a_socket_whose_number_was_lost_is_found_and_closed(self):
        """The answer to XSOCKET was not waited for: the next opening closes what the modem lists and nobody knows."""

        async def body(m, fake):
            known = await m.udp_open("192.0.2.1", 5683)
            fake.answers["AT#XSOCKET=1,2,0"] = lambda cmd: b""
            try:
                await asyncio.wait_for(m.udp_open("192.0.2.1", 5683), 0.05)
                first = "opened"
            except asyncio.TimeoutError:
                first = "gave up"
            fake.answers["AT#XSOCKET=1,2,0"] = b"\r\n#XSOCKET: 5,2,17\r\n\r\nOK\r\n"
            fake.answers["AT#XSOCKET?"] = b"\r\n#XSOCKET: 3,1,0,2,0\r\n#XSOCKET: 4,1,0,2,0\r\n\r\nOK\r\n"
            return known.handle, first, (await m.udp_open("192.0.2.1", 5683)).handle, list(m.orphans)

        got, fake, _ = drive(body)
        self.assertEqual(got, (3, "gave up", 5, []))
        self.assertEqual([x for x in fake.commands() if x.startswith("AT#XCLOSE=")], ["AT#XCLOSE=4"])

    def test_datagrams(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 5683)
            await endpoint.send(b"+++")
            fake.say(b"\r\n#XRECV: 3,0,4\r\n\r\nOK\r\n\r\n#XRECV: 9,0,1\r\nx\r\n\r\n#XRECV: 3,0,1\r\ny\r\n")
            buf = bytearray(10)
            got = []
            for _ in range(2):
                n = await endpoint.recv_into(buf, 500)
                got.append(bytes(buf[:n]))
            await endpoint.close()
            return got

        got, fake, _ = drive(body)
        self.assertEqual(got, [b"\r\nOK", b"y"])
        self.assertEqual(fake.payloads, [b"+++"])
        self.assertEqual(
            fake.commands(),
            [
                "AT#XSOCKET=1,2,0",
                'AT#XCONNECT=3,"192.0.2.1",5683',
                "AT#XRECVCFG=3,1",
                "AT#XSEND=3,2,0,3",
                "AT#XCLOSE=3",
            ],
        )

    def test_datagram_while_sending(self):
        news = b"\r\n#XRECV: 3,0,2\r\nab\r\n\r\n#XDATAMODE: 0\r\n"

        async def body(m, fake):
            endpoint = await m.udp_open("h", 1)
            await endpoint.send(b"x")
            buf = bytearray(10)
            return await endpoint.recv_into(buf, 100)

        self.assertEqual(drive(body, {"payload": news})[0], 2)

    def test_bad_sizes(self):
        async def body(m, fake):
            endpoint = await m.udp_open("h", 1)
            return await errno_of(endpoint.send(b"")), await errno_of(endpoint.send(bytes(1201)))

        self.assertEqual(drive(body)[0], (EINVAL, EINVAL))

    def test_one_failed_send_is_a_lost_datagram(self):
        failed, good = b"+++\r\n#XDATAMODE: -1\r\n", b"\r\n#XDATAMODE: 0\r\n"

        async def body(m, fake):
            endpoint = await m.udp_open("h", 1)
            results = []
            for _ in range(5):
                results.append(await errno_of(endpoint.send(b"x")))
            return results

        got, _, _ = drive(body, {"payload": [failed, good, failed, failed, good]})
        self.assertEqual(got, [None, None, None, ECONNRESET, ECONNRESET])

    def test_22_socket_died(self):
        async def body(m, fake):
            endpoint = await m.udp_open("h", 1)
            fake.answers["AT#XSEND=3,2,0,1"] = ERROR
            first = await errno_of(endpoint.send(b"x"))
            return first, await errno_of(endpoint.recv_into(bytearray(9), 100))

        self.assertEqual(drive(body)[0], (ECONNRESET, ECONNRESET))

    def accident(self, news):
        async def body(m, fake):
            endpoint = await m.udp_open("h", 1)
            task = asyncio.create_task(errno_of(endpoint.recv_into(bytearray(9), 5000)))
            await asyncio.sleep_ms(10)
            fake.say(news)
            return await task, await errno_of(endpoint.send(b"x")), len(m.endpoints)

        got, _, lost = drive(body)
        self.assertEqual(got, (ECONNRESET, ECONNRESET, 0))
        return lost

    def test_accidents(self):
        for news in (
            b"\r\n+CGEV: NW PDN DEACT 0\r\n",
            b"\r\n+CGEV: ME DETACH\r\n",
            b"\r\n+CGEV: \xff ME DETACH\r\n",  # noise on the line is no UTF-8, and must not end the reader
            b"Ready\r\n",
            b"\xff\x00Ready\r\n",
            b"\r\n#XMODEM: FAULT,0x1,0x2\r\n",
        ):
            with self.subTest(news=news):
                self.assertEqual(len(self.accident(news)), 1)

    def test_bearer_that_we_take_down_is_not_lost(self):
        news = b"\r\n+CGEV: ME PDN DEACT 0\r\n"

        async def body(m, fake):
            await m.detach()
            await m.at.command("AT")
            await m.attach()
            fake.say(news)
            await m.at.command("AT")

        for answer in (news + b"\r\nOK\r\n", b"\r\nOK\r\n" + news):
            _, _, lost = drive(body, {"AT+CFUN=4": answer})
            self.assertEqual(lost, [news.strip().decode()])  # the second one only

    def test_why_it_could_not_connect(self):
        refused = {'AT#XCONNECT=3,"h",1': ERROR}
        no_name = {'AT#XCONNECT=3,"h",1': ERROR, 'AT#XGETADDRINFO="h"': b'\r\n#XGETADDRINFO: "-11"\r\n\r\nERROR\r\n'}

        async def body(m, fake):
            return await errno_of(m.dtls_open("h", 1, 42, "h")), m.endpoints, m.orphans

        self.assertEqual(drive(body, refused)[0], (ECONNABORTED, {}, []))
        got, fake, _ = drive(body, no_name)
        self.assertEqual(got, (EHOSTUNREACH, {}, []))
        self.assertIn("AT#XCLOSE=3", fake.commands())

    def test_opening_is_cancelled(self):
        async def body(m, fake):
            fake.answers['AT#XCONNECT=3,"h",1'] = b""
            task = asyncio.create_task(m.udp_open("h", 1))
            await asyncio.sleep_ms(20)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            fake.sent.clear()
            await m.udp_open("g", 1)
            return fake.commands()

        got, _, _ = drive(body)
        self.assertEqual(got[:2], ["AT#XCLOSE=3", "AT#XSOCKET=1,2,0"])

    def test_dtls(self):
        async def body(m, fake):
            endpoint = await m.dtls_open("h", 5684, 42, "coap.nrfcloud.com", timeout_ms=20000)
            fake.say(b"\r\n#XAPOLL: 3,16\r\n")
            return await errno_of(endpoint.recv_into(bytearray(9), 500))

        got, fake, _ = drive(body)
        self.assertEqual(got, ECONNRESET)
        sent = fake.commands()
        self.assertEqual(sent[0], "AT#XSSOCKET=1,2,0,42,2")  # 2: the certificate is required, always
        self.assertIn('AT#XSSOCKETOPT=3,1,2,"coap.nrfcloud.com"', sent)
        self.assertIn("AT#XSSOCKETOPT=3,1,18,15", sent)

    def test_names_cannot_smuggle_commands(self):
        async def body(m, fake):
            try:
                await m.udp_open('h",1\rAT#XRESET', 1)
            except ValueError:
                return "refused"

        got, fake, _ = drive(body)
        self.assertEqual((got, fake.sent), ("refused", []))


class Keys(unittest.TestCase):
    def test_jwt(self):
        cmd = 'AT%JWT=0,600,"nrf-1","",16842753,2'
        answers = {cmd: b'\r\n%JWT: "aa+a.bb/b.cc=="\r\n\r\nOK\r\n'}
        got, _, _ = drive(lambda m, fake: m.jwt("nrf-1", 600, 16842753), answers)
        self.assertEqual(got, "aa-a.bb_b.cc")
        got, _, _ = drive(lambda m, fake: errno_of(m.jwt("nrf-1", 600, 16842753)), {cmd: b"\r\n+CME ERROR: 513\r\n"})
        self.assertEqual(got.code, 513)

    def test_power_save(self):
        _, fake, _ = drive(lambda m, fake: m.power_save(28800, 10, 20.48))
        self.assertEqual(fake.commands(), ['AT+CPSMS=1,"","","00101000","00000101"', 'AT+CEDRXS=2,4,"0010"'])


if __name__ == "__main__":
    unittest.main()
