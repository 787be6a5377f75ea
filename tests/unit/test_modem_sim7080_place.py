"""modem.sim7080 over a scripted modem: cells, GNSS, predictions (modems.md 2B.3, 2B.7)."""

import asyncio
import unittest
from errno import EALREADY, EIO, ETIMEDOUT

from harness.family_script import ERROR, OK, failure_of, info, news, settle
from harness.sim7080_script import drive

CPSI = "+CPSI: LTE CAT-M1,Online,262-01,0x5A10,27440068,417,EUTRAN-BAND3,1300,3,3,-10,-92,-62,18"
FIX = "+CGNSINF: 1,1,20260102030405.000,60.170012,24.940034,25.1,0.00,0.0,1,,1.2,1.5,0.9,,8,,5.0,7.0"
NO_FIX = "+CGNSINF: 1,0,,,,,,,,,,,,,,,,"


class Cells(unittest.TestCase):
    ANSWERS = {
        "AT+CPSI?": info(CPSI),
        "AT+CENG?": info(
            "+CENG: 1,1,3,LTE CAT-M1",
            '+CENG: 0,"1300,417,-92,-62,-10,15,23056,27440068,262,01,255"',
            '+CENG: 1,"1300,251,-108,-75,-18,3"',
            '+CENG: 2,"6300,107,-115,-80,-13,0"',
        ),
    }

    def test_the_shared_cell(self):
        """The cell of modems.md 2A.5, as SIM7080 tells it."""
        got, fake, _ = drive(lambda m, fake: m.cells(True), self.ANSWERS)
        self.assertEqual(
            [got[x] for x in ("mcc", "mnc", "tac", "eci", "rat", "earfcn", "pci")],
            [262, 1, 23056, 27440068, "ltem", 1300, 417],
        )
        self.assertEqual([got[x] for x in ("rsrp_dbm", "rsrq_db", "snr_db", "ta")], [-92, -10, 16, None])
        self.assertEqual(
            [(x["earfcn"], x["pci"], x["rsrp_dbm"], x["rsrq_db"]) for x in got["neighbours"]],
            [(1300, 251, -108, -18), (6300, 107, -115, -13)],
        )
        self.assertEqual(fake.commands(), ["AT+CPSI?", "AT+CENG=1,1", "AT+CENG?", "AT+CENG=0"])

    def test_no_neighbours(self):
        for answers in ({"AT+CENG=1,1": ERROR}, {"AT+CENG?": ERROR}, {"AT+CENG?": info("+CENG: 1,1,1,LTE CAT-M1")}):
            got, _, _ = drive(lambda m, fake: m.cells(True), dict(self.ANSWERS, **answers))
            self.assertEqual(got["neighbours"], [])

    def test_no_cell(self):
        for line in ("NO SERVICE,Online", "GSM,Online,460-00,0x182d,12401,27 EGSM 900,-64,2110,42-42", "LTE CAT-M1"):
            answers = {"AT+CPSI?": info("+CPSI: " + line)}
            got, _, _ = drive(lambda m, fake: failure_of(m.cells(True)), answers)
            self.assertEqual(got, ETIMEDOUT)
            got, _, _ = drive(lambda m, fake: m.signal(), answers)
            self.assertEqual(got, {"rsrp_dbm": None, "rsrq_db": None})

    def test_signal(self):
        got, _, _ = drive(lambda m, fake: m.signal(), self.ANSWERS)
        self.assertEqual(got, {"rsrp_dbm": -92, "rsrq_db": -10})

    def test_other_networks_and_nonsense(self):
        from modem.sim7080.cells import parse_ceng, parse_cpsi

        line = CPSI.replace("LTE CAT-M1", "LTE NB-IOT").replace("262-01", "310-410").replace(",18", ",255")
        got = parse_cpsi(line.encode())
        self.assertEqual([got[x] for x in ("mcc", "mnc", "rat", "snr_db")], [310, 410, "nbiot", None])
        for row in (b'0,"1300,417,-92,-62,-10,15"', b'1,"1300"', b'1,"-,-,-,-,-,-"', b"x", b"", b"1,1,3,LTE CAT-M1"):
            self.assertEqual(parse_ceng(b"+CENG: " + row), None)


class Gnss(unittest.TestCase):
    def test_polled_until_it_has_a_fix(self):
        async def body(m, fake):
            await m.detach()
            await m.gnss_start()
            got = await m.gnss_fix(3000)
            after = await m.gnss_fix(3000)  # one fix was wanted
            await m.gnss_stop()
            return got, after, m.gnss

        answers = {"AT+CGNSINF": [info(NO_FIX), info(NO_FIX), info(FIX)]}
        (got, after, state), fake, _ = drive(body, answers)
        expected = {
            "lat": 601700120,
            "lon": 249400340,
            "alt_mm": None,
            "acc_mm": 5000,
            "speed_mm_s": 0,
            "heading_mdeg": 0,
            "time": 1767323045,
        }
        self.assertEqual((got, after, state), (expected, None, None))
        self.assertEqual(
            fake.commands(),
            ["AT+CFUN=4", "AT+CFUN?", "AT+CNACT=0,0", "AT+CFUN=0", "AT+CGNSPWR=1"]
            + ["AT+CGNSINF"] * 3
            + ["AT+CGNSPWR=0"],
        )

    def test_not_while_lte_is_on(self):
        got, fake, _ = drive(lambda m, fake: failure_of(m.gnss_start()), {"AT+CFUN?": info("+CFUN: 1")})
        self.assertEqual((got, fake.commands()), (EALREADY, ["AT+CFUN?"]))

    def test_was_running(self):
        _, fake, _ = drive(lambda m, fake: m.gnss_start(), {"AT+CGNSPWR=1": [ERROR, OK]})
        self.assertEqual(fake.commands()[-3:], ["AT+CGNSPWR=1", "AT+CGNSPWR=0", "AT+CGNSPWR=1"])

    def test_attach_switches_it_off(self):
        async def body(m, fake):
            await m.gnss_start()
            fake.answers["AT+CEREG?"] = [info("+CEREG: 5,0")] * 2 + [info('+CEREG: 5,1,"5A10","01A2B3C4",7')]
            await m.attach()
            return m.gnss

        got, fake, _ = drive(body)
        sent = fake.commands()
        self.assertEqual(got, None)
        self.assertTrue(sent.index("AT+CGNSPWR=0") < sent.index("AT+CFUN=1"))

    def test_it_gave_up(self):
        async def body(m, fake):
            await m.gnss_start(timeout_s=600)
            first = await m.gnss_fix(60)
            fake.answers["AT+CGNSINF"] = info("+CGNSINF: 0,,,,,,,,,,,,,,,,,")  # somebody switched it off
            return first, await m.gnss_fix(60000)

        self.assertEqual(drive(body, {"AT+CGNSINF": info(NO_FIX)})[0], (None, None))

    def test_stopped_while_somebody_waits(self):
        async def body(m, fake):
            await m.gnss_start()
            task = asyncio.create_task(m.gnss_fix(60000))
            await settle(30)
            await m.gnss_stop()
            return await task

        self.assertEqual(drive(body, {"AT+CGNSINF": info(NO_FIX)})[0], None)

    def test_periodic(self):
        async def body(m, fake):
            await m.gnss_start(interval_s=1)
            first = await m.gnss_fix(3000)
            soon = await m.gnss_fix(100)
            return first["time"], soon, (await m.gnss_fix(3000))["time"]

        self.assertEqual(drive(body, {"AT+CGNSINF": info(FIX)})[0], (1767323045, None, 1767323045))

    def test_odd_fixes(self):
        from modem.sim7080.gnss import parse_position

        wrong_week = parse_position(FIX.replace("20260102", "20060519").encode())
        self.assertEqual((wrong_week["lat"], wrong_week["time"]), (601700120, None))
        moving = parse_position(FIX.replace(",0.00,0.0,", ",36.00,271.5,").replace(",5.0,7.0", ",,").encode())
        self.assertEqual([moving[x] for x in ("speed_mm_s", "heading_mdeg", "acc_mm")], [10000, 271500, 6000])
        south = parse_position(FIX.replace("60.170012,24.940034", "-33.856780,-151.215300").encode())
        self.assertEqual((south["lat"], south["lon"]), (-338567800, -1512153000))
        for line in (NO_FIX, "+CGNSINF: 1,1", FIX.replace("60.170012", ""), FIX.replace("20260102030405.000", "")):
            self.assertEqual(parse_position(line.encode()), None)

    def test_time_hint(self):
        _, fake, _ = drive(lambda m, fake: m.gnss_hint(1767323045, None))
        self.assertEqual(fake.commands(), ['AT+CCLK="26/01/02,03:04:05+00"'])


class Xtra(unittest.TestCase):
    FETCH = 'AT+HTTPTOFS="http://iot2.xtracloud.net/xtra3gr_72h.bin","/customer/Xtra3.bin"'
    VALID = {"AT+CGNSCPY": info("+CGNSCPY: 0"), "AT+CGNSXTRA": info("+CGNSXTRA: 70,72,2026/01/02,03:04:05")}

    def test_fetched_by_the_modem(self):
        async def body(m, fake):
            await m.xtra("http://iot2.xtracloud.net/xtra3gr_72h.bin")
            valid = await m.xtra_valid_s()
            for _ in (0, 1):
                await m.gnss_start()
                await m.gnss_stop()
            return valid

        got, fake, _ = drive(body, dict(self.VALID, **{self.FETCH: OK + news("+HTTPTOFS: 200,14943")}))
        self.assertEqual(got, 70 * 3600)
        sent = fake.commands()
        first = sent.index(self.FETCH)
        self.assertEqual(sent[first : first + 4], [self.FETCH, "AT+CGNSCPY", "AT+CGNSXTRA=1", "AT+CGNSXTRA"])
        self.assertEqual(sent.count("AT+CGNSCOLD"), 1)  # once, after it was loaded
        self.assertEqual(sent[sent.index("AT+CGNSCOLD") - 1], "AT+CGNSPWR=1")

    def test_uploaded_in_parts(self):
        data = bytes([i & 0xFF for i in range(17000)])
        for source in (data, [data[:9000], data[9000:]]):
            _, fake, _ = drive(lambda m, fake, s=source: m.xtra(s), self.VALID)
            self.assertEqual(b"".join(fake.payloads), data)
            modes = [x.split(",")[2] for x in fake.commands() if x.startswith("AT+CFSWFILE=")]
            self.assertEqual(modes[0] + "".join(sorted(set(modes[1:]))), "01")

    def test_what_goes_wrong(self):
        url = "http://iot2.xtracloud.net/xtra3gr_72h.bin"

        async def body(m, fake):
            return await failure_of(m.xtra(url)), m.fresh

        good = dict(self.VALID, **{self.FETCH: OK + news("+HTTPTOFS: 200,14943")})
        for answers, number in (
            ({self.FETCH: OK + news("+HTTPTOFS: 404,0")}, EIO),
            ({"AT+CGNSCPY": info("+CGNSCPY: 1")}, EIO),
            ({"AT+CCLK?": info('+CCLK: "80/01/06,00:00:19+00"')}, ETIMEDOUT),
        ):
            self.assertEqual(drive(body, dict(good, **answers))[0], (number, False))

        async def running(m, fake):
            await m.gnss_start()
            return await failure_of(m.xtra(url))

        self.assertEqual(drive(running, good)[0], EALREADY)

    def test_none_is_loaded(self):
        for answer in (info("+CGNSXTRA: 0,0,1980/01/06,00:00:00"), info("+CGNSXTRA: -5,72,2026/01/02,03:04:05"), ERROR):
            self.assertEqual(drive(lambda m, fake: m.xtra_valid_s(), {"AT+CGNSXTRA": answer})[0], 0)


if __name__ == "__main__":
    unittest.main()
