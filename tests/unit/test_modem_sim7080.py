"""modem.sim7080 over a scripted modem: start, attach, bearer, PSM, ladder (modems.md 2B.1, 2B.2, 2B.8)."""

import asyncio
import unittest
from errno import ECONNRESET, ENODEV, ETIMEDOUT

from harness.family_script import ERROR, OK, Power, failure_of, info, news, settle
from harness.sim7080_script import BASIC, DOWN, drive


class Start(unittest.TestCase):
    def test_settings(self):
        async def body(m, fake):
            await m.start()
            return sorted(m.caps)

        caps, fake, lost = drive(body, started=False)
        self.assertEqual(caps, ["DTLS", "GNSS", "GNSS_ALONE", "NEIGHBOURS", "PSM", "TIMEHINT", "XTRA"])
        sent = fake.commands()
        for cmd in ("ATE0", "AT+CMEE=1", "AT+CASRIP=0", "AT+CPSMSTATUS=1", "AT+CEREG=5"):
            self.assertIn(cmd, sent)
        for cmd in ("AT+CLTS=1", "AT+CNMP=38", "AT+CMNB=1", "AT+CFUN=0", "AT+CFUN=4", "AT+IPR=115200"):
            self.assertTrue(cmd not in sent)  # as it is already: nothing is given up
        self.assertEqual(lost, [])

    def test_what_differs_and_what_is_left_over(self):
        answers = {
            "AT+IPR?": info("+IPR: 0"),
            "AT+CMNB?": info("+CMNB: 3"),
            "AT+CMNB=1": [ERROR, OK],
            "AT+CAOPEN?": info('+CAOPEN: 0,"UDP","h",1', '+CAOPEN: 5,"UDP","h",2'),
        }
        _, fake, _ = drive(lambda m, fake: m.start(), answers, started=False)
        sent = fake.commands()
        self.assertIn("AT+IPR=115200", sent)  # else a restart would not say RDY
        first = sent.index("AT+CMNB=1")
        self.assertEqual(sent[first : first + 4], ["AT+CMNB=1", "AT+CFUN=0", "AT+CMNB=1", "AT+CFUN=1"])
        self.assertIn("AT+CACLOSE=0", sent)
        self.assertIn("AT+CACLOSE=5", sent)

    def test_network_time_takes_an_attach(self):
        _, fake, _ = drive(lambda m, fake: m.start(), {"AT+CLTS?": info("+CLTS: 0")}, started=False)
        sent = fake.commands()
        self.assertEqual(sent[sent.index("AT+CLTS=1") + 1], "AT+CFUN=4")

    def test_another_modem(self):
        async def body(m, fake):
            return await failure_of(m.start())

        self.assertEqual(drive(body, {"AT+CGMM": info("BG95-M3"), "AT+ATI": OK}, started=False)[0], ENODEV)
        answers = {"AT+CGMM": ERROR, "ATI": info("SIM7090 R1951")}
        self.assertEqual(drive(body, answers, started=False)[0], None)

    def test_the_key_is_pressed_after_silence_only(self):
        power = Power()
        power.boot = news("RDY", "+CFUN: 1", "+CPIN: READY")

        async def body(m, fake):
            await m.start()
            first = power.pressed
            fake.deaf = True
            await m.start()
            fake.say(news("SMS Ready"))  # seconds after it began to answer
            await settle()
            return first, power.pressed, m.restarted

        got, _, lost = drive(body, started=False, power=power, timeout_s=15)
        self.assertEqual((got, lost), ((0, 1, False), []))

    def test_restart_without_a_word(self):
        """Automatic baud rate: the echo, which is on again, is all that tells."""

        async def body(m, fake):
            fake.echo = True
            return await failure_of(m.at.command("AT+CSQ")), m.restarted

        got, _, lost = drive(body)
        self.assertEqual((got, lost), ((ECONNRESET, True), ["modem restarted: echo"]))

    def test_identity_time_and_battery(self):
        answers = {
            "AT+CGSN": info("867730050000000"),
            "AT+CCID": info("89014103211118510720F"),
            "AT+CIMI": info("262011234567890"),
            "AT+CGMR": info("Revision:1951B08SIM7080G"),
            "AT+CBC": info("+CBC: 0,95,3900"),
        }

        async def body(m, fake):
            who = await m.identity()
            times = [await m.time()]
            for text in ("80/01/06,00:00:19+00", "04/01/01,00:00:19+00"):
                fake.answers["AT+CCLK?"] = info('+CCLK: "%s"' % text)
                times.append(await m.time())
            return [who[x] for x in ("imei", "iccid", "imsi", "firmware")], times, await m.battery_mv()

        (who, times, battery), _, _ = drive(body, answers)
        self.assertEqual(who[:2], ["867730050000000", "89014103211118510720"])  # the F is filler, and no digit
        self.assertEqual(who[2:], ["262011234567890", "Revision:1951B08SIM7080G"])
        self.assertEqual((times, battery), ([1767323045, None, None], 3900))


class Attach(unittest.TestCase):
    def test_activation(self):
        answers = {
            "AT+CNACT?": DOWN,
            "AT+CPIN?": info("+CPIN: READY"),
            "AT+CEREG?": [info("+CEREG: 5,0"), BASIC["AT+CEREG?"]],
            "AT+CNACT=0,1": OK + news("+APP PDP: 0,ACTIVE"),
        }
        got, fake, _ = drive(lambda m, fake: m.attach(apn="iot"), answers)
        self.assertEqual(got, {"stat": 1, "tac": 0x5A10, "eci": 0x01A2B3C4, "rat": "ltem"})
        point = ['AT+CGDCONT=1,"IP","iot"', 'AT+CNCFG=0,1,"iot"']
        self.assertEqual(
            [x for x in fake.commands() if x != "AT+CEREG?"],
            point + ["AT+CFUN=1", "AT+CPIN?", "AT+CNACT?"] + point + ["AT+CNACT=0,1"],
        )

    def test_refused(self):
        for answer in (OK + news("+APP PDP: 0,DEACTIVE"), ERROR):
            answers = {"AT+CNACT?": DOWN, "AT+CNACT=0,1": answer}
            self.assertEqual(drive(lambda m, fake: failure_of(m.attach()), answers)[0], ETIMEDOUT)

    def test_names_cannot_smuggle_commands(self):
        answers = {"AT+CNACT?": DOWN}
        got, fake, _ = drive(lambda m, fake: failure_of(m.attach(apn='a"\rAT+CPOWD=1')), answers)
        self.assertTrue(isinstance(got, ValueError) and not [x for x in fake.commands() if "CPOWD" in x])

    def test_bearer_is_lost(self):
        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            reader = asyncio.create_task(failure_of(endpoint.recv_into(bytearray(9), 5000)))
            await settle()
            fake.say(news("+APP PDP: 0,DEACTIVE", "+CASTATE: 0,0"))
            first = await reader
            await settle()
            return first, m.endpoints

        got, _, lost = drive(body)
        self.assertEqual((got, lost), ((ECONNRESET, {}), ["PDN deactivated"]))

    def test_bearer_that_we_take_down_is_not_lost(self):
        answers = {"AT+CFUN=4": news("+APP PDP: 0,DEACTIVE") + OK}
        self.assertEqual(drive(lambda m, fake: m.detach(), answers)[2], [])


class Sleep(unittest.TestCase):
    def test_psm(self):
        """It goes deaf; the key wakes it, its echo is on again, and all that was open is gone."""
        power = Power()

        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            await m.power_save(3600, 10)
            fake.say(news('+CPSMSTATUS: "ENTER PSM"'))
            await settle()
            fake.deaf = True
            gone = m.restarted, await failure_of(endpoint.send(b"x"))
            fake.echo = True
            power.boot = news('+CPSMSTATUS: "EXIT PSM"')
            await m.wake()
            return gone, m.restarted

        import modem.sim7080.steps as steps

        before = steps.READY
        steps.READY = b'+CPSMSTATUS: "EXIT'  # no RDY comes; do not wait 6 s for it here
        try:
            got, fake, lost = drive(body, power=power, timeout_s=15)
        finally:
            steps.READY = before
        self.assertEqual((got, power.pressed), (((True, ECONNRESET), False), 1))
        self.assertEqual(lost, ['modem restarted: +CPSMSTATUS: "ENTER PSM"'])
        self.assertIn("ATE0", fake.commands())

    def test_power_lines(self):
        for line in ("NORMAL POWER DOWN", "UNDER-VOLTAGE POWER DOWN", "OVER-VOLTAGE POWER DOWN", "RDY"):

            async def body(m, fake, line=line):
                fake.say(news(line))
                await settle()
                return m.restarted

            got, _, lost = drive(body)
            self.assertEqual((got, lost), (True, ["modem restarted: " + line]))

    def test_ladder(self):
        async def body(m, fake):
            fake.answers["AT+CFUN=1,1"] = OK + news("RDY")
            fake.answers["AT+CAOPEN?"] = [info('+CAOPEN: 3,"UDP","h",1'), OK]
            for level in range(6):
                await m.reset(level)
            return [x for x in fake.commands() if x[:9] in ("AT+CACLOS", "AT+CNACT=", "AT+CFUN=4", "AT+CFUN=1")]

        got, _, lost = drive(body)
        self.assertEqual((got, lost), (["AT+CACLOSE=3", "AT+CNACT=0,0", "AT+CFUN=4", "AT+CFUN=1,1", "AT+CFUN=1,1"], []))


if __name__ == "__main__":
    unittest.main()
