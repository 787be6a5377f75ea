"""modem.sara_r5 over a scripted modem: start, bearer, and the rungs of recovery.

More in test_modem_sara_sockets.py, _secure and _gnss; the whole against the simulator in
tests/integration/test_modem_sara_r5.py.
"""

import unittest
from errno import ECONNRESET, ENODEV, ETIMEDOUT

from harness.sara_script import ERROR, OK, drive, errno_of, said

CME3 = b"\r\n+CME ERROR: 3\r\n"


class Power:
    """A board's: says what was done to it."""

    def __init__(self):
        self.done = []

    def dtr(self, awake):
        self.done.append(awake)


class Start(unittest.TestCase):
    def caps(self, answers, **options):
        async def body(m, fake):
            return (await errno_of(m.start())) or sorted(m.caps)

        got, fake, lost = drive(body, answers, started=False, **options)
        self.assertEqual(lost, [])
        return got, fake.commands()

    def test_r510m8s(self):
        got, sent = self.caps({})
        self.assertEqual(got, ["AGNSS", "DTLS", "GNSS", "POSHINT", "PSM", "TIMEHINT"])
        for cmd in ("ATE0", "AT+CMEE=1", "AT+UDCONF=1,0", "AT+CEREG=5", "AT+UPSV=0", "AT+USOCL=0", "AT+USOCL=6"):
            self.assertIn(cmd, sent)
        self.assertTrue("AT+CFUN=4" not in sent and "AT+UGPS=1,0,1" not in sent)

    def test_twice_is_the_same(self):
        async def body(m, fake):
            await m.start()
            first = fake.commands()
            fake.sent.clear()
            await m.start()
            return first, fake.commands()

        (first, second), _, _ = drive(body, started=False)
        self.assertEqual(first, second)

    def test_a_receiver_on_its_bus_is_found_by_trying(self):
        plain = ["DTLS", "PSM"]
        refused = {"AT+CGMM": said(b"SARA-R500S"), "AT+UGPS=1,0,1": ERROR}
        self.assertEqual(self.caps(refused)[0], plain)
        there, sent = self.caps({"AT+CGMM": said(b"SARA-R500S")})
        self.assertIn("GNSS", there)
        self.assertEqual(sent[sent.index("AT+UGPS=1,0,1") + 1], "AT+UGPS=0")
        self.assertEqual(self.caps({"AT+UGPS?": ERROR})[0], plain)

    def test_one_that_runs_from_a_life_before_is_stopped(self):
        got, sent = self.caps({"AT+UGPS?": said(b"+UGPS: 1,1,67")})
        self.assertIn("GNSS", got)
        self.assertIn("AT+UGPS=0", sent)

    def test_r410_has_no_dtls(self):
        self.assertEqual(self.caps({"AT+CGMM": said(b"SARA-R410M-02B"), "AT+UGPS?": ERROR})[0], ["PSM"])

    def test_with_a_dtr_line_it_sleeps_by_it(self):
        got, sent = self.caps({}, power=Power())
        self.assertIn("SLEEP", got)
        self.assertIn("AT+UPSV=3", sent)
        self.assertTrue("AT+UPSV=0" not in sent)

    def test_another_modem(self):
        self.assertEqual(self.caps({"AT+CGMM": said(b"BG95-M3")})[0], ENODEV)
        self.assertEqual(self.caps({"AT+CGMM": ERROR})[0], ENODEV)

    def test_noise_in_its_name(self):
        self.assertEqual(self.caps({"AT+CGMM": said(b"SARA-R51\xb0M8S")})[0][0], "AGNSS")
        self.assertEqual(self.caps({"AT+CGMM": said(b"\xb0ARA-R510M8S")})[0], ENODEV)

    def test_identity(self):
        answers = {"AT+CGSN": said(b"357862090123456"), "AT+CCID": said(b"+CCID: 8988303000001234567")}
        answers["AT+CGMR"] = said(b"03.15")
        got = drive(lambda m, fake: m.identity(), answers)[0]
        wanted = ("357862090123456", "8988303000001234567", "SARA-R510M8S", "03.15")
        self.assertEqual((got["imei"], got["iccid"], got["model"], got["firmware"]), wanted)

    def test_10_an_echo_after_start_is_a_restart(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.echo = True
            return await errno_of(m.signal()), await errno_of(endpoint.send(b"x")), m.restarted

        got, _, lost = drive(body)
        self.assertEqual((got, lost), ((ECONNRESET, ECONNRESET, True), ["modem restarted: echo"]))

    def test_psm_is_told_as_a_restart(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.say(b"\r\n+UUPSMR: 1\r\n")
            return await errno_of(endpoint.recv_into(bytearray(9), 500)), m.restarted, len(m.endpoints)

        got, _, lost = drive(body)
        self.assertEqual((got, len(lost)), ((ECONNRESET, True, 0), 1))


class Bearer(unittest.TestCase):
    def attach(self, answers):
        async def body(m, fake):
            return await errno_of(m.attach(apn="iot"))

        got, fake, lost = drive(body, answers)
        self.assertEqual(lost, [])
        return got, fake.commands()

    def test_there_already(self):
        got, sent = self.attach({})
        self.assertEqual((got, sent), (None, ["AT+CEREG?", "AT+UPSND=0,8"]))

    def test_from_nothing(self):
        searching = said(b"+CEREG: 5,2")
        registered = said(b'+CEREG: 5,5,"5A10","01A2B3C4",7')
        answers = {
            "AT+CEREG?": [searching, searching, registered],
            "AT+COPS?": said(b"+COPS: 2"),
            "AT+UPSND=0,8": [said(b"+UPSND: 0,8,0"), said(b"+UPSND: 0,8,1")],
            "AT+UPSDA=0,3": OK + b'\r\n+UUPSDA: 0,"10.2.3.4"\r\n',
        }
        got, sent = self.attach(answers)
        self.assertEqual(got, None)
        before = sent.index("AT+CFUN=1")
        self.assertEqual(sent[before - 3 : before], ['AT+CGDCONT=1,"IP","iot"', "AT+COPS?", "AT+COPS=0"])
        after = ["AT+UPSND=0,8", "AT+UPSD=0,100,1", "AT+UPSD=0,0,0", "AT+UPSDA=0,3", "AT+UPSND=0,8"]
        self.assertEqual(sent[-5:], after)

    def test_half_active(self):
        """Refused because it is active: taken down, and up again."""
        answers = {
            "AT+UPSND=0,8": [ERROR, said(b"+UPSND: 0,8,1")],
            "AT+UPSDA=0,3": [CME3, OK],
            "AT+UPSDA=0,4": OK + b"\r\n+UUPSDD: 0\r\n",
        }
        got, sent = self.attach(answers)
        self.assertEqual((got, sent[-4:-1]), (None, ["AT+UPSDA=0,3", "AT+UPSDA=0,4", "AT+UPSDA=0,3"]))

    def test_refused(self):
        answers = {"AT+UPSND=0,8": said(b"+UPSND: 0,8,0"), "AT+UPSDA=0,3": CME3}
        self.assertEqual(self.attach(answers)[0], ETIMEDOUT)

    def test_r422_has_no_profiles(self):
        addresses = [said(b"+CGPADDR: 1"), said(b"+CGPADDR: 1,10.2.3.4")]
        answers = {"AT+UPSND=0,8": ERROR, "AT+UPSD=0,100,1": ERROR, "AT+CGPADDR=1": addresses}
        got, sent = self.attach(answers)
        self.assertEqual((got, sent[-2:]), (None, ["AT+CGPADDR=1"] * 2))

    def test_lost(self):
        async def body(m, fake):
            endpoint = await m.udp_open("192.0.2.1", 1)
            fake.say(b"\r\n+UUPSDD: 0\r\n")
            return await errno_of(endpoint.recv_into(bytearray(9), 500))

        got, _, lost = drive(body)
        self.assertEqual((got, lost), (ECONNRESET, ["+UUPSDD: 0"]))

    def test_taken_down_by_us(self):
        _, _, lost = drive(lambda m, fake: m.detach(), {"AT+CFUN=4": b"\r\n+UUPSDD: 0\r\n" + OK})
        self.assertEqual(lost, [])

    def test_rungs(self):
        async def body(m, fake):
            sent = []
            for level in (1, 2, 3):
                await m.reset(level)
                sent.append(fake.commands())
                fake.sent.clear()
            return sent

        got, _, lost = drive(body)
        self.assertEqual(got, [["AT+USOCL=%d" % i for i in range(7)], ["AT+UPSDA=0,4"], ["AT+CFUN=4"]])
        self.assertEqual(lost, [])

    def test_r4_resets_by_another_number(self):
        async def body(m, fake):
            await m.reset(4)

        _, fake, lost = drive(body, {"AT+CFUN=16": ERROR}, timeout_s=20)
        sent = fake.commands()
        self.assertEqual((sent[:2], lost), (["AT+CFUN=16", "AT+CFUN=15"], []))
        self.assertIn("ATE0", sent[2:])


if __name__ == "__main__":
    unittest.main()
