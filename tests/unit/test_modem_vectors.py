"""modem.convert, timers, modem.queue and the parsers of modem.nrf91: the vectors of modems.md 2A, 3.2 and 8."""

import unittest

from gnss.date import unix_time
from harness.rng import Rng, seed
from modem import base, convert, info
from modem.nrf91 import cells, gnss
from modem.queue import DatagramQueue
from modem.timers import decode_active, decode_tau, encode_active, encode_edrx, encode_tau

VECTOR_A = b'%NCELLMEAS: 0,"01A2B3C4","26201","5A10",65535,1300,417,49,20,107504,1300,251,33,4,0,6300,107,26,14,25'
VECTOR_B = (
    b'%NCELLMEAS: 0,"01A2B3C4","26201","5A10",50,90210,1300,417,49,20,90233,1,0,'
    b'"00C0FFEE","26202","5A11",65535,0,6300,33,41,15,91500,0,0'
)
XMONITOR = (
    b'%XMONITOR: 1,"Netz","Netz","26201","5A10",7,3,"01A2B3C4",417,1300,49,39,"","00001010","00100001","01001001"'
)


class Conversions(unittest.TestCase):
    def test_levels(self):
        for index, dbm in (
            (49, -92),
            (97, -44),
            (27, -114),
            (-5, -145),
            (0, -140),
            (255, None),
            (98, None),
            (None, None),
        ):
            self.assertEqual(convert.rsrp_dbm(index), dbm)
        for index, db in ((27, -6.5), (34, -3), (14, -13), (-3, -21), (20, -10), (35, -3), (255, None), (None, None)):
            self.assertEqual(convert.rsrq_db(index), db)
        for index, db in ((39, 15), (0, -24), (127, None)):
            self.assertEqual(convert.snr_db(index), db)

    def test_plmn(self):
        for text, expected in (
            (b"26201", (262, 1)),
            (b"310410", (310, 410)),
            (b"00101", (1, 1)),
            (b"2620", (None, None)),
            (b"26x01", (None, None)),
            (b"", (None, None)),
        ):
            self.assertEqual(convert.plmn(text), expected)

    def test_unix_time(self):
        for fields, expected in (
            ((1970, 1, 1, 0, 0, 0), 0),
            ((2000, 2, 29, 12, 0, 0), 951825600),
            ((2026, 1, 1, 0, 0, 0), 1767225600),
            ((2024, 12, 31, 23, 59, 59), 1735689599),
            ((2100, 3, 1, 0, 0, 0), 4107542400),
        ):
            self.assertEqual(unix_time(*fields), expected)

    def test_scaled(self):
        for text, places, expected in (
            (b"63.421983", 7, 634219830),
            ("-63.421983", 7, -634219830),
            ("0.000001", 7, 10),
            ("-0.000001", 7, -10),
            ("180.000000", 7, 1800000000),
            (b"4.816", 3, 4816),
            (b"4.8165", 3, 4817),
            (b"-4.8165", 3, -4817),
            (b"4.8164999", 3, 4816),
            ("12", 3, 12000),
            (".5", 3, 500),
            ("5.", 3, 5000),
            ("-0", 3, 0),
        ):
            self.assertEqual(convert.scaled(text, places), expected)
        for text in ("", "-", ".", "1e5", "nan", "1.2.3", "12a", "--1x"):
            self.assertRaises(ValueError, convert.scaled, text, 3)

    def test_scaled_any_coordinate(self):
        rng = Rng(seed(7))
        for _ in range(200):
            micro = rng.below(180000000)
            text = "%d.%06d" % (micro // 1000000, micro % 1000000)
            self.assertEqual(convert.scaled(text, 7), micro * 10)
            self.assertEqual(convert.scaled("-" + text, 7), -micro * 10)

    def test_timers(self):
        for seconds, bits in (
            (3600, "00100001"),
            (28800, "00101000"),
            (36000, "01000001"),
            (180, "10100011"),
            (288000, "01001000"),
            (150, "10000101"),
            (1152000, "11000001"),
            (None, "11100000"),
        ):
            self.assertEqual(encode_tau(seconds), bits)
            self.assertEqual(decode_tau(bits), seconds)
        for seconds, bits in (
            (6, "00000011"),
            (10, "00000101"),
            (60, "00100001"),
            (120, "00100010"),
            (1080, "01000011"),
        ):
            self.assertEqual(encode_active(seconds), bits)
            self.assertEqual(decode_active(bits), seconds)
        self.assertEqual(encode_active(None), "11100000")
        self.assertTrue(decode_tau(encode_tau(3599)) >= 3599)  # never shorter than asked for
        self.assertRaises(ValueError, encode_active, 100000)
        for seconds, bits in ((5, "0000"), (20.48, "0010"), (21, "0010"), (2621.44, "1101"), (1000000, "1111")):
            self.assertEqual(encode_edrx(seconds), bits)

    def test_denied(self):
        self.assertEqual(str(base.Denied(11)), "registration denied: PLMN not allowed (cause 11)")
        self.assertTrue(base.Denied(3).for_long)
        self.assertEqual(base.Denied().cause, None)


class Queue(unittest.TestCase):
    def test_order_and_room(self):
        rng = Rng(seed(3))
        queue = DatagramQueue(97)
        buf = bytearray(64)
        waiting = []
        for _ in range(400):
            if rng.below(2) or not waiting:
                data = rng.bytes(rng.below(40))
                self.assertTrue(queue.put(data))
                waiting.append(data)
                while sum([len(x) + 2 for x in waiting]) > 97:
                    waiting.pop(0)
            else:
                n = queue.take_into(buf)
                self.assertEqual(bytes(buf[:n]), waiting.pop(0))
            self.assertEqual(queue.count, len(waiting))

    def test_too_large_and_empty(self):
        queue = DatagramQueue(32)
        self.assertEqual(queue.put(bytes(31)), False)
        self.assertEqual(queue.put(bytes(30)), True)
        self.assertEqual(queue.dropped, 1)
        self.assertEqual(queue.take_into(bytearray(10)), 10)  # cut, as UDP does
        self.assertRaises(IndexError, queue.take_into, bytearray(10))


class Cells(unittest.TestCase):
    def test_vector_a(self):
        cell = cells.parse_ncellmeas(VECTOR_A)
        self.assertEqual(
            cell,
            {
                "mcc": 262,
                "mnc": 1,
                "tac": 23056,
                "eci": 27440068,
                "rat": None,
                "earfcn": 1300,
                "pci": 417,
                "rsrp_dbm": -92,
                "rsrq_db": -10,
                "snr_db": None,
                "ta": None,
                "neighbours": [
                    {"earfcn": 1300, "pci": 251, "rsrp_dbm": -108, "rsrq_db": -18, "time_diff": 0},
                    {"earfcn": 6300, "pci": 107, "rsrp_dbm": -115, "rsrq_db": -13, "time_diff": 25},
                ],
            },
        )

    def test_vector_a_with_timing_advance(self):
        line = VECTOR_A.replace(b"65535", b"50") + b",90210"  # the odd field at the end is not a neighbour
        cell = cells.parse_ncellmeas(line)
        self.assertEqual(cell["ta"], 50)
        self.assertEqual(len(cell["neighbours"]), 2)

    def test_vector_b(self):
        serving, other = cells.parse_gci(VECTOR_B)
        self.assertEqual((serving["eci"], serving["tac"], serving["ta"]), (27440068, 23056, 50))
        self.assertEqual((other["mcc"], other["mnc"], other["eci"], other["tac"]), (262, 2, 12648430, 23057))
        self.assertEqual((other["earfcn"], other["pci"], other["rsrp_dbm"], other["rsrq_db"]), (6300, 33, -100, -12.5))

    def test_xmonitor_is_the_same_cell(self):
        cell = cells.parse_xmonitor(XMONITOR)
        same = cells.parse_ncellmeas(VECTOR_A)
        for key in ("mcc", "mnc", "tac", "eci", "earfcn", "pci", "rsrp_dbm"):
            self.assertEqual(cell[key], same[key])
        self.assertEqual((cell["rat"], cell["neighbours"]), ("ltem", []))

    def test_nothing_measured(self):
        for line in (
            b"%NCELLMEAS: 1",
            b'%NCELLMEAS: 0,"FFFFFFFF","000000","FFFF",65535,1300,417,255,255,1',
            b"%NCELLMEAS: 0",
            b"%NCELLMEAS: ",
            b"%NCELLMEAS: 0,,,,,,,,,",
        ):
            self.assertIsNone(cells.parse_ncellmeas(line))
            self.assertEqual(cells.parse_gci(line), [])
        self.assertIsNone(cells.parse_xmonitor(b"%XMONITOR: 2"))

    def test_unknown_levels_are_none(self):
        cell = cells.parse_ncellmeas(VECTOR_A.replace(b",49,20,", b",255,255,"))
        self.assertEqual((cell["rsrp_dbm"], cell["rsrq_db"]), (None, None))

    def test_noise_never_breaks_the_parsers(self):
        rng = Rng(seed(5))
        for _ in range(200):
            line = bytearray(rng.choice((VECTOR_A, VECTOR_B, XMONITOR)))
            for _ in range(1 + rng.below(4)):
                line[12 + rng.below(len(line) - 12)] = rng.choice(b'0123456789",-F')
            line = bytes(line[: 13 + rng.below(len(line) - 12)])
            cells.parse_ncellmeas(line)
            cells.parse_gci(line)
            cells.parse_xmonitor(line)


class Clock(unittest.TestCase):
    def test_cclk(self):
        for text, expected in (
            (b'+CCLK: "26/01/02,05:04:05+08"', 1767330245 - 7200),
            (b'+CCLK: "26/01/02,05:04:05-04"', 1767330245 + 3600),
            (b'+CCLK: "26/01/02,05:04:05"', 1767330245),
            (b'+CCLK: "70/01/01,00:00:10+00"', None if 70 < 24 else unix_time(2070, 1, 1, 0, 0, 10)),
            (b'+CCLK: "15/10/21,07:28:00+00"', None),
            (b'+CCLK: ""', None),
            (b'+CCLK: "garbage"', None),
        ):
            self.assertEqual(info.parse_cclk(text), expected)


class Gnss(unittest.TestCase):
    def test_position(self):
        line = b'#XGNSSPOS: 63.421983,-10.437035,180.250000,4.807012,0.120000,359.999500,"2026-01-02 05:04:05"'
        self.assertEqual(
            gnss.parse_position(line),
            {
                "lat": 634219830,
                "lon": -104370350,
                "alt_mm": 180250,
                "acc_mm": 4807,
                "speed_mm_s": 120,
                "heading_mdeg": 360000,
                "time": 1767330245,
            },
        )
        for bad in (b"#XGNSSPOS: ", b"#XGNSSPOS: 1,2", line.replace(b"63.4", b"nan"), line.replace(b"2026-", b"20x6-")):
            self.assertIsNone(gnss.parse_position(bad))

    def test_need(self):
        self.assertEqual(
            gnss.parse_need(b"#XAGNSS: 59,1,1,4294967295,4294967295"),
            {"flags": 59, "systems": {1: (0xFFFFFFFF, 0xFFFFFFFF)}},
        )
        self.assertEqual(
            gnss.parse_need(b"#XAGNSS: 0,2,1,1,0,3,0,1023"), {"flags": 0, "systems": {1: (1, 0), 3: (0, 1023)}}
        )
        for bad in (b"#XAGNSS: ", b"#XAGNSS: 1", b"#XAGNSS: 59,1,1,5", b"#XAGNSS: a,0"):
            self.assertIsNone(gnss.parse_need(bad))


if __name__ == "__main__":
    unittest.main()
