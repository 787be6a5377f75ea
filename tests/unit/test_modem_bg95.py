"""modem.bg95 over a scripted modem: start, attach, bearer, PSM, ladder (modems.md 2C.1, 2C.2, 2C.7)."""

import asyncio
import unittest
from errno import ECONNRESET, ENODEV, ETIMEDOUT

from harness.bg95_script import BASIC, drive
from harness.family_script import ERROR, OK, Power, cme, failure_of, info, news, settle


class Start(unittest.TestCase):
    def test_settings(self):
        _, fake, lost = drive(lambda m, fake: m.start(), started=False)
        sent = fake.commands()
        for cmd in ("ATE0", "AT+CMEE=1", 'AT+QURCCFG="urcport","uart1"', 'AT+QCFG="psm/urc",1', "AT+CEREG=5"):
            self.assertIn(cmd, sent)
        self.assertEqual([x for x in sent if "scanmode" in x or "iotop" in x][1::2], ['AT+QCFG="iotopmode"'])
        self.assertIn("AT+QIDEACT=1", sent)  # sockets of a life before
        self.assertTrue("AT+CFUN=4" not in sent)
        self.assertEqual(lost, [])

    def test_stored_settings_are_changed_when_they_differ(self):
        answers = {'AT+QCFG="iotopmode"': info('+QCFG: "iotopmode",2'), 'AT+QCFG="nwscanmode"': ERROR}
        _, fake, _ = drive(lambda m, fake: m.start(), answers, started=False)
        self.assertIn('AT+QCFG="iotopmode",0,1', fake.commands())
        self.assertIn('AT+QCFG="nwscanmode",3,1', fake.commands())

    def test_capabilities_are_what_the_firmware_says(self):
        async def body(m, fake):
            await m.start()
            return m.caps

        caps = drive(body)[0]
        self.assertEqual(sorted(caps), ["DTLS", "GNSS", "NEIGHBOURS", "PSM", "TIMEHINT", "XTRA"])
        old = {"AT+QSSLCFG=?": info('+QSSLCFG: "sslversion",(0-5),(0-4)'), "AT+QGPSXTRA?": ERROR}
        caps = drive(body, old)[0]
        self.assertEqual(sorted(caps), ["GNSS", "NEIGHBOURS", "PSM"])
        caps = drive(body, {"AT+QGPSXTRA?": info("+QGPSXTRA: 0")})[0]
        self.assertEqual(sorted(caps), ["DTLS", "GNSS", "NEIGHBOURS", "PSM", "XTRA"])

    def test_another_modem(self):
        async def body(m, fake):
            return await failure_of(m.start())

        self.assertEqual(drive(body, {"AT+CGMM": info("SIM7080G")}, started=False)[0], ENODEV)
        answers = {"AT+CGMM": ERROR, "ATI": info("Quectel", "BG77", "Revision: BG77LAR02A04")}
        self.assertEqual(drive(body, answers, started=False)[0], None)

    def test_a_key_is_not_pressed_while_it_boots(self):
        """RDY was said: it does not answer before APP RDY, and a press would switch it off."""
        power = Power()

        async def body(m, fake):
            fake.say(news("RDY"))
            await settle()
            fake.deaf = True
            task = asyncio.create_task(m.start())
            await settle(700)
            fake.deaf = False
            fake.say(news("APP RDY"))
            await task
            return m.restarted

        restarted, _, lost = drive(body, power=power)
        self.assertEqual((restarted, power.pressed, lost), (False, 0, ["modem restarted: RDY"]))

    def test_boot_lines_after_rdy_are_no_second_restart(self):
        async def body(m, fake):
            fake.say(news("RDY"))
            await settle()
            fake.say(news("APP RDY"))
            await m.start()
            fake.say(news("APP RDY", "+CFUN: 1", "+CPIN: READY", "+QUSIM: 1", "+QIND: SMS DONE", "+QIND: PB DONE"))
            await settle()
            return m.restarted, m.at.parser.unknown

        got, _, lost = drive(body)
        self.assertEqual((got, lost), ((False, 0), ["modem restarted: RDY"]))

    def test_identity(self):
        answers = {
            "AT+CGSN": info("867730050000000"),
            "AT+QCCID": info("+QCCID: 89014103211118510720"),
            "AT+CIMI": info("262011234567890"),
            "AT+QGMR": info("BG95M3LAR02A04_01.004.01.004"),
        }
        got, _, _ = drive(lambda m, fake: m.identity(), answers)
        self.assertEqual(
            [got[x] for x in ("imei", "iccid", "imsi", "model", "firmware")],
            ["867730050000000", "89014103211118510720", "262011234567890", "BG95-M3", "BG95M3LAR02A04_01.004.01.004"],
        )

    def test_time_and_battery(self):
        async def body(m, fake):
            first = await m.time()
            fake.answers["AT+CCLK?"] = info('+CCLK: "80/01/06,00:00:19+00"')
            return first, await m.time(), await m.battery_mv()

        got, _, _ = drive(body, {"AT+CBC": info("+CBC: 0,95,3900")})
        self.assertEqual(got, (1767323045, None, 3900))


class Attach(unittest.TestCase):
    def test_bearer_that_holds(self):
        got, fake, _ = drive(lambda m, fake: m.attach())
        self.assertEqual(got, {"stat": 1, "tac": 0x5A10, "eci": 0x01A2B3C4, "rat": "ltem"})
        self.assertTrue("AT+QIACT=1" not in fake.commands())

    def test_activation(self):
        answers = {"AT+QIACT?": OK, "AT+CPIN?": info("+CPIN: READY")}
        answers["AT+CEREG?"] = [info("+CEREG: 5,0"), BASIC["AT+CEREG?"]]
        _, fake, _ = drive(lambda m, fake: m.attach(apn="iot"), answers)
        sent = fake.commands()
        self.assertEqual(
            sent,
            [
                "AT+CEREG?",
                'AT+QICSGP=1,1,"iot","","",0',
                "AT+CFUN=1",
                "AT+CPIN?",
                "AT+CEREG?",
                "AT+QIACT?",
                "AT+QIDEACT=1",
                'AT+QICSGP=1,1,"iot","","",0',
                "AT+QIACT=1",
            ],
        )

    def test_refused(self):
        answers = {"AT+QIACT?": OK, "AT+QIACT=1": cme(561)}
        got, fake, _ = drive(lambda m, fake: failure_of(m.attach()), answers)
        self.assertEqual((got, fake.commands().count("AT+QIACT=1")), (ETIMEDOUT, 3))

    def test_names_cannot_smuggle_commands(self):
        got, fake, _ = drive(lambda m, fake: failure_of(m.attach(apn='a"\rAT+QPOWD')), {"AT+QIACT?": OK})
        self.assertTrue(isinstance(got, ValueError) and not [x for x in fake.commands() if "QPOWD" in x])

    def test_bearer_is_lost(self):
        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            reader = asyncio.create_task(failure_of(endpoint.recv_into(bytearray(9), 5000)))
            await settle()
            fake.say(news('+QIURC: "pdpdeact",1'))
            first = await reader
            fake.answers["AT+QIACT?"] = OK
            fake.sent.clear()
            await m.attach()
            return first, fake.commands()[1:], m.endpoints

        got, _, lost = drive(body)
        self.assertEqual(got, (ECONNRESET, ["AT+QIACT?", "AT+QIDEACT=1", "AT+QIACT=1"], {}))
        self.assertEqual(lost, ["PDN deactivated"])


class Sleep(unittest.TestCase):
    def test_psm(self):
        """It says that it goes down; the key wakes it, and all sockets are gone."""
        power = Power()
        power.boot = news("RDY", "APP RDY")

        async def body(m, fake):
            endpoint = await m.udp_open("coap.example", 5683)
            await m.power_save(3600, 10)
            fake.say(news("+QPSMTIMER: 3600,10", "PSM POWER DOWN"))
            await settle()
            fake.deaf = True
            gone = m.restarted, await failure_of(endpoint.send(b"x"))
            fake.say(news("RDY", "APP RDY", "PSM POWER DOWN"))  # its periodic update, while nobody wants it
            await settle()
            await m.wake()
            return gone, m.restarted, m.at.parser.unknown

        got, fake, lost = drive(body, power=power, timeout_s=15)
        self.assertEqual(got, ((True, ECONNRESET), False, 0))
        self.assertEqual((power.pressed, lost), (1, ["modem restarted: PSM POWER DOWN"]))
        self.assertIn('AT+CPSMS=1,,,"00100001","00000101"', fake.commands())

    def test_ladder(self):
        async def body(m, fake):
            fake.answers["AT+CFUN=1,1"] = OK + news("RDY", "APP RDY")
            fake.answers["AT+QIACT?"] = OK
            for level in range(6):
                await m.reset(level)
            kinds = ("AT+QICLOS", "AT+QSSLCL", "AT+QIDEAC", "AT+QIACT=", "AT+CFUN=4", "AT+CFUN=1")
            return [x for x in fake.commands() if x[:9] in kinds]

        got, _, lost = drive(body)
        closes = ["AT+QICLOSE=%d" % i for i in range(4)] + ["AT+QSSLCLOSE=4", "AT+QSSLCLOSE=5"]
        bearer = ["AT+QIDEACT=1", "AT+QIDEACT=1", "AT+QIACT=1"]
        self.assertEqual((got, lost), (closes + bearer + ["AT+CFUN=4", "AT+CFUN=1,1", "AT+CFUN=1,1"], []))


if __name__ == "__main__":
    unittest.main()
