"""modem.nrf91 over a scripted modem: the receiver and its assistance, in bursts or element by element."""

import asyncio
import struct
import unittest
from errno import EINVAL, ETIMEDOUT

from harness.nrf91_script import ERROR, drive, errno_of


class Assistance(unittest.TestCase):
    def test_need_and_fix(self):
        start = b"\r\n#XGNSS: 1,1\r\n\r\nOK\r\n\r\n#XAGNSS: 59,1,1,7,0\r\n"
        fix = b'\r\n#XGNSSPOS: 1.000000,2.000000,3.000000,4.000000,5.000000,6.000000,"2026-01-02 05:04:05"\r\n'

        async def body(m, fake):
            await m.gnss_start()
            need = await m.gnss_need(500)
            fake.say(fix + b"\r\n#XGNSS: 1,0\r\n")
            return need, await m.gnss_fix(500), await m.gnss_fix(50)

        (need, got, after), fake, _ = drive(body, {"AT#XGNSS=1,2,0,120": start})
        self.assertEqual(need, {"flags": 59, "systems": {1: (7, 0)}})
        self.assertEqual((got["lat"], got["time"], after), (10000000, 1767330245, None))

    def test_nothing_needed_and_no_fix(self):
        async def body(m, fake):
            await m.gnss_start(interval_s=1, forward=False)
            fake.say(b"\r\n#XAGNSS: 0,1,1,0,0\r\n")
            need = await m.gnss_need(500)
            fake.say(b"\r\n#XGNSS: 1,3\r\n")
            return need, await m.gnss_fix(5000), await m.gnss_need(30)

        got, fake, _ = drive(body)
        self.assertEqual(got, (None, None, None))
        self.assertEqual(fake.commands()[-1], "AT#XGNSS=1,0,1")

    def test_after_the_stop_nothing_comes_and_news_is_ignored(self):
        async def body(m, fake):
            await m.gnss_start()
            waiting = asyncio.create_task(m.gnss_fix(5000))
            await asyncio.sleep_ms(0)
            await m.gnss_stop()
            urcs = m.at.parser.urcs
            fake.say(b'\r\n#XGNSS: 1,0\r\n\r\n%XTIME: ,"62","00"\r\n\r\n+CNEC_EMM: 22\r\n\r\n#X: 1\r\n')
            await asyncio.sleep_ms(20)
            last = await waiting, await m.gnss_fix(5000), await m.gnss_need(5000)
            return last, b"#XGNSSPOS:" in urcs, m.at.parser.unknown

        self.assertEqual(drive(body)[0], ((None, None, None), False, 1))

    def test_late_word_of_the_run_before(self):
        late = b"\r\n#XGNSS: 1,0\r\n\r\n#XGNSS: 1,1\r\n\r\nOK\r\n"

        async def body(m, fake):
            await m.gnss_start()
            return await errno_of(m.gnss.fix.wait(30))

        self.assertEqual(drive(body, {"AT#XGNSS=1,2,0,120": late})[0], ETIMEDOUT)

    def test_was_running(self):
        got, fake, _ = drive(lambda m, fake: m.gnss_start(), {"AT#XGNSS=1,2,0,120": [ERROR, b"\r\nOK\r\n"]})
        self.assertEqual(fake.commands(), ["AT#XGNSS=1,2,0,120", "AT#XGNSS=0", "AT#XGNSS=1,2,0,120"])

    def test_bursts(self):
        blob = bytes([i & 0xFF for i in range(6000)])
        for chunks in (blob, [blob[:4000], blob[4000:]], [blob[i : i + 700] for i in range(0, 6000, 700)]):
            _, fake, _ = drive(lambda m, fake, c=chunks: m.agnss_inject(c))
            self.assertEqual(fake.commands()[0], "AT#XAGNSSP=6000")
            self.assertEqual(fake.payloads, [blob])

    def test_element_by_element_where_the_build_has_no_bulk_command(self):
        """Whatever the order in the answer: the clock with its TOWs first, then position, then ephemerides."""
        eph = bytes([7]) + bytes([i & 0x7F for i in range(61)])
        tow = b"\x06\x01\x00" + struct.pack("<BHB", 9, 0x123, 1)
        clock = b"\x07\x01\x00" + struct.pack("<HIHII", 16798, 11045, 250, 0, 0)
        place = b"\x08\x01\x00" + struct.pack("<iihBBBBB", 5608250, 1162288, 25, 30, 30, 0, 255, 68)
        blob = b"\x01" + b"\x02\x01\x00" + eph + place + tow + clock

        async def body(m, fake):
            await m.agnss_inject([blob[:50], blob[50:]])
            return await errno_of(m.agnss_inject(b"\x02"))

        got, fake, _ = drive(body, {"AT#XAGNSSP=%d" % len(blob): ERROR, "AT#XAGNSSP=1": ERROR})
        self.assertEqual(fake.commands()[1:4], ["AT#XAGNSS=144,6", "AT#XAGNSS=16,7", "AT#XAGNSS=72,2"])
        self.assertEqual(struct.unpack_from("<HxxIHxxI", fake.payloads[0], 0), (16798, 11045, 250, 1 << 8))
        self.assertEqual(struct.unpack_from("<HB", fake.payloads[0], 16 + 4 * 8), (0x123, 1))
        self.assertEqual((fake.payloads[2][:6], got), (eph[:6], EINVAL))

    def test_sizes(self):
        async def body(m, fake):
            return await errno_of(m.agnss_inject(b"")), await errno_of(m.agnss_inject(bytes(8193)))

        got, fake, _ = drive(body)
        self.assertEqual((got, fake.sent), ((EINVAL, EINVAL), []))


if __name__ == "__main__":
    unittest.main()
