"""modem.bg95 over a scripted modem: cells, GNSS, predictions (modems.md 2C.3, 2C.6)."""

import asyncio
import unittest
from errno import EALREADY, EOPNOTSUPP, ETIMEDOUT

from harness.bg95_script import drive
from harness.family_script import OK, cme, failure_of, info, news, settle


class Cells(unittest.TestCase):
    ANSWERS = {
        'AT+QENG="servingcell"': info(
            '+QENG: "servingcell","NOCONN","eMTC","FDD",262,01,1A2B3C4,417,1300,3,3,3,5A10,-92,-10,-62,15,27'
        ),
        'AT+QENG="neighbourcell"': info(
            '+QENG: "neighbourcell intra","eMTC",1300,251,-18,-108,-75,3,27',
            '+QENG: "neighbourcell inter","eMTC",6300,107,-13,-115,-80,0',
        ),
    }

    def test_the_shared_cell(self):
        """The cell of modems.md 2A.5, as BG95 tells it."""
        got, _, _ = drive(lambda m, fake: m.cells(True), self.ANSWERS)
        self.assertEqual(
            [got[x] for x in ("mcc", "mnc", "tac", "eci", "rat", "earfcn", "pci")],
            [262, 1, 23056, 27440068, "ltem", 1300, 417],
        )
        self.assertEqual(
            [got[x] for x in ("rsrp_dbm", "rsrq_db", "snr_db", "ta")],
            [-92, -10, 15, None],
        )
        self.assertEqual(
            [(x["earfcn"], x["pci"], x["rsrp_dbm"], x["rsrq_db"]) for x in got["neighbours"]],
            [(1300, 251, -108, -18), (6300, 107, -115, -13)],
        )

    def test_no_neighbours_and_no_cell(self):
        got, _, _ = drive(lambda m, fake: m.cells(True), dict(self.ANSWERS, **{'AT+QENG="neighbourcell"': OK}))
        self.assertEqual(got["neighbours"], [])
        for line in ('"SEARCH"', '"NOCONN","GSM",262,01,2A3,1,2', '"LIMSRV","eMTC"'):
            answers = {'AT+QENG="servingcell"': info('+QENG: "servingcell",' + line)}
            self.assertEqual(drive(lambda m, fake: failure_of(m.cells(False)), answers)[0], ETIMEDOUT)

    def test_what_is_not_measured(self):
        from modem.bg95.cells import parse_neighbour, parse_serving

        line = b'+QENG: "servingcell","CONNECT","eMTC","FDD",310,410,1A2B3C4,417,1300,3,3,3,5A10,-,-,-,-,-'
        got = parse_serving(line)
        self.assertEqual((got["mnc"], got["rsrp_dbm"], got["rsrq_db"], got["snr_db"]), (410, None, None, None))
        self.assertEqual(parse_neighbour(b'+QENG: "neighbourcell intra","eMTC",-,-,-,-,-,-'), None)

    def test_both_codings_of_sinr(self):
        from modem.bg95.cells import sinr_db

        for field, rat, expected in (
            (b"15", b"eMTC", 15),
            (b"-3", b"eMTC", -3),
            (b"175", b"eMTC", 15),
            (b"175", b"CAT-M", 15),
            (b"15", b"CAT-M", -17),
            (b"0", b"CAT-NB", -20),
            (b"251", b"eMTC", None),
            (b"-", b"eMTC", None),
        ):
            self.assertEqual(sinr_db(field, rat), expected)

    def test_signal(self):
        got, _, _ = drive(lambda m, fake: m.signal(), {"AT+CESQ": info("+CESQ: 99,99,255,255,20,49")})
        self.assertEqual(got, {"rsrp_dbm": -92, "rsrq_db": -10})


FIX = "+QGPSLOC: 030405.000,60.17001,24.94003,1.2,25.0,2,0.00,0.0,0.0,020126,08"


class Gnss(unittest.TestCase):
    def test_polled_until_it_has_a_fix(self):
        answers = {"AT+QGPSLOC=2": [cme(516), cme(516), info(FIX)]}
        answers['AT+QGPSGNMEA="GGA"'] = info(
            "+QGPSGNMEA: $GPGGA,030405.000,6010.2006,N,02456.4018,E,1,08,1.2,25.0,M,17.5,M,,*5B"
        )

        async def body(m, fake):
            await m.gnss_start()
            got = await m.gnss_fix(3000)
            after = await m.gnss_fix(3000)  # one fix was wanted
            await m.gnss_stop()
            return got, after, m.gnss

        (got, after, state), fake, _ = drive(body, answers)
        expected = {
            "lat": 601700100,
            "lon": 249400300,
            "alt_mm": 42500,
            "acc_mm": 6000,
            "speed_mm_s": 0,
            "heading_mdeg": 0,
            "time": 1767323045,
        }
        self.assertEqual((got, after, state), (expected, None, None))
        sent = fake.commands()
        self.assertEqual(sent[2:4], ['AT+QGPSCFG="priority",0', "AT+QGPS=1"])
        self.assertEqual(sent[-2:], ["AT+QGPSEND", 'AT+QGPSCFG="priority",1'])

    def test_no_fix_in_time(self):
        async def body(m, fake):
            await m.gnss_start(timeout_s=600)
            first = await m.gnss_fix(60)
            fake.answers["AT+QGPSLOC=2"] = cme(505)  # it stopped by itself
            return first, await m.gnss_fix(60000)

        self.assertEqual(drive(body, {"AT+QGPSLOC=2": cme(516)})[0], (None, None))

    def test_stopped_while_somebody_waits(self):
        async def body(m, fake):
            await m.gnss_start()
            task = asyncio.create_task(m.gnss_fix(60000))
            await settle(30)
            await m.gnss_stop()
            return await task

        self.assertEqual(drive(body, {"AT+QGPSLOC=2": cme(516)})[0], None)

    def test_was_running(self):
        _, fake, _ = drive(lambda m, fake: m.gnss_start(), {"AT+QGPS=1": [cme(504), OK]})
        self.assertEqual(fake.commands()[-3:], ["AT+QGPS=1", "AT+QGPSEND", "AT+QGPS=1"])

    def test_a_wrong_week_and_nonsense(self):
        from modem.bg95.gnss import parse_position

        self.assertEqual(parse_position(FIX.replace("020126", "190506").encode())["time"], None)
        for line in ("+QGPSLOC: ", "+QGPSLOC: 1,2,3", FIX.replace("60.17001", "-"), FIX.replace("030405.000", "")):
            self.assertEqual(parse_position(line.encode()), None)

    def test_south_and_west_and_speed(self):
        from modem.bg95.gnss import parse_position

        line = b"+QGPSLOC: 030405.000,-33.85678,-151.21530,0.9,5.0,3,271.5,36.0,19.4,020126,08"
        got = parse_position(line)
        self.assertEqual(
            [got[x] for x in ("lat", "lon", "speed_mm_s", "heading_mdeg", "acc_mm")],
            [-338567800, -1512153000, 10000, 271500, 4500],
        )

    def test_time_hint(self):
        async def body(m, fake):
            await m.gnss_start()
            fake.sent.clear()
            await m.gnss_hint(1767323045, {"lat": 1, "lon": 2, "acc_mm": 3})
            return fake.commands()

        hint = 'AT+QGPSXTRATIME=0,"2026/01/02,03:04:05",1,1,3500'
        for answer in (OK, cme(509)):
            got, _, _ = drive(body, {hint: answer})
            self.assertEqual(got, ["AT+QGPSEND", hint, "AT+QGPS=1"])


class Xtra(unittest.TestCase):
    def test_file(self):
        name = "xtra2.bin"

        async def body(m, fake):
            fake.answers["payload"] = info("+QFUPL: 5,%x" % (0x4142 ^ 0x4344 ^ 0x4500))
            await m.xtra([b"AB", b"CDE"])
            return await m.xtra_valid_s()

        answers = {"AT+QGPSXTRADATA?": info('+QGPSXTRADATA: 10080,"2026/01/02,03:00:00"')}
        got, fake, lost = drive(body, answers)
        self.assertEqual((got, fake.payloads, lost), (10080 * 60 - 245, [b"ABCDE"], []))
        sent = fake.commands()
        self.assertIn('AT+QGPSXTRATIME=0,"2026/01/02,03:04:05",1,1,3500', sent)
        self.assertIn('AT+QGPSXTRADATA="UFS:%s"' % name, sent)

    def test_switched_on_by_one_restart(self):
        async def body(m, fake):
            fake.answers["payload"] = info("+QFUPL: 1,4100")
            fake.answers["AT+CFUN=1,1"] = OK + news("RDY", "APP RDY")
            await m.xtra(b"A")
            return m.restarted

        got, fake, lost = drive(body, {"AT+QGPSXTRA?": info("+QGPSXTRA: 0")})
        sent = fake.commands()
        self.assertEqual(sent[sent.index("AT+QGPSXTRA=1") + 1], "AT+CFUN=1,1")
        self.assertEqual((got, lost, fake.payloads), (False, ["restarted for XTRA"], [b"A"]))

    def test_refusals(self):
        async def body(m, fake):
            got = [await failure_of(m.xtra("http://x/xtra2.bin"))]
            await m.gnss_start()
            got.append(await failure_of(m.xtra(b"A")))
            got.append(await m.xtra_valid_s())
            return got

        answers = {"AT+QGPSXTRADATA?": info('+QGPSXTRADATA: 0,"1980/01/05,00:00:00"')}
        self.assertEqual(drive(body, answers)[0], [EOPNOTSUPP, EALREADY, 0])


if __name__ == "__main__":
    unittest.main()
