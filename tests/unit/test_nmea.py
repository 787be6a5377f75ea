"""gnss.nmea: sentences of any talker, epochs, empty fields, bad input.

Against pynmea2, over random sentences, in tests/integration/test_gnss_peers.py.
"""

import unittest

from gnss.nmea import Reader
from harness.rng import Rng, seed

NOW = 1767323045  # 2026-01-02 03:04:05
RMC = "GNRMC,030405.00,A,6010.20072,N,02456.40204,E,2.916,123.46,020126,,,A,V"
GGA = "GNGGA,030405.00,6010.20072,N,02456.40204,E,1,09,0.92,8.0,M,17.5,M,,"
GSA = "GNGSA,A,3,05,07,09,11,13,20,28,30,,,,,1.64,0.92,1.36,1"
GLL = "GNGLL,6010.20072,N,02456.40204,E,030405.00,A,A"
GSV = (
    "GPGSV,2,1,07,05,61,288,42,07,29,197,,09,55,103,38,11,12,020,20",
    "GPGSV,2,2,07,13,40,060,44,20,01,300,,28,05,250,18",
)
VTG = "GNVTG,123.46,T,,M,2.916,N,5.400,K,A"
FIX = {
    "lat": 601700120, "lon": 249400340, "alt_mm": 25500, "acc_mm": 4600, "speed_mm_s": 1500, "heading_mdeg": 123460,
    "time": NOW,
}  # fmt: skip


def sentence(body):
    total = 0
    for byte in body.encode():
        total ^= byte
    return b"$%s*%02X\r\n" % (body.encode(), total)


def block(*bodies):
    return b"".join([sentence(body) for body in bodies])


def read(*bodies):
    reader = Reader()
    reader.feed(block(*bodies))
    return reader


def changed(**fields):
    found = dict(FIX)
    found.update(fields)
    return found


def with_field(body, i, text):
    fields = body.split(",")
    fields[i] = text
    return ",".join(fields)


class Epochs(unittest.TestCase):
    def test_whole_when_both_halves_have_come(self):
        for bodies in ((RMC, GGA), (GGA, RMC), (RMC, VTG, GGA), (GGA, GSA, GSV[0], GSV[1], RMC), (GLL, GGA, RMC)):
            reader = read(*bodies)
            self.assertEqual((reader.fix, reader.dropped), (FIX, 0))

    def test_any_chunks(self):
        blob = block(RMC, VTG, GGA, GSA, GSV[0], GSV[1], GLL)
        for step in (1, 2, 3, 7, 64, 1000):
            reader = Reader()
            for i in range(0, len(blob), step):
                reader.feed(memoryview(blob)[i : i + step])
            self.assertEqual((reader.fix, reader.dropped), (FIX, 0))
            self.assertEqual((reader.used, reader.seen), (9, {b"GP": (7, 44)}))

    def test_line_by_line(self):
        reader = Reader()
        self.assertTrue(reader.line(sentence(GGA)))
        self.assertTrue(reader.line(sentence(RMC)[:-2]))  # as +UGRMC has it
        self.assertEqual(reader.fix, FIX)
        for bad in (b"", b"GNRMC", sentence(GGA)[:-3], sentence(GGA)[:-4] + b"00\r\n", b"$"):
            self.assertFalse(reader.line(bad) and bad != b"$")
        self.assertEqual(reader.dropped, 4)

    def test_one_half_alone_is_whole_when_the_epoch_ends(self):
        reader = read(RMC)
        self.assertIsNone(reader.fix)
        reader.end()
        self.assertEqual(reader.fix, changed(alt_mm=None, acc_mm=None))
        reader = read(GGA, GSA, with_field(GGA, 1, "030406.00"))
        self.assertEqual(reader.fix, changed(speed_mm_s=None, heading_mdeg=None, time=None))
        reader = read(GLL)
        reader.end()
        wanted = changed(alt_mm=None, acc_mm=None, speed_mm_s=None, heading_mdeg=None, time=None)
        self.assertEqual(reader.fix, wanted)

    def test_an_epoch_is_handed_over_once(self):
        reader = read(RMC, GGA)
        reader.fix = None
        reader.feed(block(GSA, GLL))
        reader.end()
        self.assertIsNone(reader.fix)
        later = [with_field(body, 1, "030406.00") for body in (RMC, GGA)]
        reader.feed(block(*later))
        self.assertEqual(reader.fix, changed(time=NOW + 1))

    def test_halves_of_different_epochs_do_not_mix(self):
        reader = read(with_field(GGA, 9, "100.0"), with_field(RMC, 1, "030406.00"))
        self.assertEqual(reader.fix, changed(alt_mm=117500, speed_mm_s=None, heading_mdeg=None, time=None))
        reader.end()
        self.assertEqual(reader.fix, changed(alt_mm=None, acc_mm=None, time=NOW + 1))

    def test_void(self):
        for bodies in (
            (with_field(RMC, 2, "V"), GGA),
            (with_field(RMC, 12, "N"), GGA),
            (with_field(RMC, 12, "E"), GGA),
            (RMC, with_field(GGA, 6, "0")),
            (RMC, with_field(GGA, 6, "6")),
            (RMC, with_field(GGA, 6, "")),
            (with_field(GSA, 2, "1"), with_field(RMC, 1, "030405.00")),
            (with_field(GLL, 6, "V"), RMC, GGA),
            ("GNRMC,,V,,,,,,,,,,N,V", "GNGGA,,,,,,0,00,99.99,,,,,,", "GNGLL,,,,,,V,N"),
        ):
            reader = read(*bodies)
            reader.end()
            if bodies[0].startswith("GNGSA"):  # belongs to the epoch before
                self.assertIsNotNone(reader.fix)
            else:
                self.assertIsNone(reader.fix)
            self.assertEqual(reader.dropped, 0)

    def test_two_dimensions_have_no_height(self):
        reader = read(with_field(GSA, 2, "2"), RMC, GGA)
        self.assertEqual(reader.fix, changed(alt_mm=None))


class Fields(unittest.TestCase):
    def test_every_talker(self):
        for talker in ("GP", "GL", "GA", "GB", "BD", "GQ", "QZ", "GN"):
            self.assertEqual(read(talker + RMC[2:], talker + GGA[2:]).fix, FIX)
        self.assertIsNone(read("PUBX,00,1", "PGRMC,A").fix)

    def test_empty_fields_are_unknown(self):
        for body, i, wanted in (
            (GGA, 8, {"acc_mm": None}),
            (GGA, 9, {"alt_mm": None}),
            (GGA, 11, {"alt_mm": 8000}),
            (RMC, 7, {"speed_mm_s": None}),
            (RMC, 8, {"heading_mdeg": None}),
            (RMC, 9, {"time": None}),
        ):
            bodies = [with_field(one, i, "") if one == body else one for one in (RMC, GGA)]
            reader = read(*bodies)
            self.assertEqual((reader.fix, reader.dropped), (changed(**wanted), 0))

    def test_accuracy_from_gsa_when_gga_has_none(self):
        self.assertEqual(read(with_field(GGA, 8, ""), GSA, RMC).fix, FIX)

    def test_hemispheres_and_rounding(self):
        for lat, ns, lon, ew, wanted in (
            ("0000.0000", "S", "00000.0000", "W", (0, 0)),
            ("9000.0000", "N", "18000.0000", "E", (900000000, 1800000000)),
            ("9000.0000", "S", "18000.0000", "W", (-900000000, -1800000000)),
            ("3354.123456789", "S", "15112.5", "E", (-339020576, 1512083333)),
            ("0000.0000061", "N", "00000.000003", "W", (1, -1)),
            ("5959.9999999", "N", "17959.9999999", "W", (600000000, -1800000000)),
            ("4530", "N", "00730.", "E", (455000000, 75000000)),
        ):
            body = RMC.replace("6010.20072,N,02456.40204,E", ",".join((lat, ns, lon, ew)))
            reader = read(body, GGA.replace("6010.20072,N,02456.40204,E", ",".join((lat, ns, lon, ew))))
            self.assertEqual((reader.fix["lat"], reader.fix["lon"]), wanted, body)

    def test_heights(self):
        for alt, sep, wanted in (("-12.3", "-30.25", -42550), ("8848.8618", "0", 8848862), ("0.0004", "", 0)):
            self.assertEqual(read(RMC, with_field(with_field(GGA, 9, alt), 11, sep)).fix["alt_mm"], wanted)

    def test_dates(self):
        for clock, date, wanted in (
            ("000000", "010124", 1704067200),
            ("235959.999", "311225", 1767225599),
            ("235960.00", "311225", 1767225600),
            ("030405", "190506", None),  # 1024 weeks back
            ("030405", "311223", None),
            ("030405", "060180", None),
            ("030405", "310026", None),
        ):
            bodies = [with_field(one, 1, clock) for one in (with_field(RMC, 9, date), GGA)]
            reader = read(*bodies)
            self.assertEqual(reader.fix["time"], wanted)
            self.assertEqual(reader.fix["lat"], FIX["lat"])

    def test_speed(self):
        for knots, wanted in (("0.000", 0), ("1", 514), ("0.001", 1), ("999.9999", 514444)):
            self.assertEqual(read(with_field(RMC, 7, knots), GGA).fix["speed_mm_s"], wanted)
        self.assertEqual(read(with_field(RMC, 8, "360.0"), GGA).fix["heading_mdeg"], 0)

    def test_satellites_in_view(self):
        reader = read(*GSV)
        reader.feed(block("GLGSV,1,1,01,65,01,002,31,1", "GAGSV,1,1,00,7"))
        self.assertEqual(reader.seen, {b"GP": (7, 44), b"GL": (1, 31), b"GA": (0, 0)})
        reader.feed(block("GPGSV,1,1,02,05,61,288,12,07,29,197,13"))
        self.assertEqual(reader.seen[b"GP"], (2, 13))


class Bad(unittest.TestCase):
    def test_dropped_and_counted(self):
        for body in (
            with_field(RMC, 2, "X"), with_field(RMC, 2, ""), with_field(RMC, 3, "6061.0"),
            with_field(RMC, 3, "9000.001"), with_field(RMC, 4, "E"), with_field(RMC, 4, ""),
            with_field(RMC, 4, "NN"), with_field(RMC, 5, "18000.001"),
            with_field(RMC, 5, "-2456.4"), with_field(RMC, 1, "240000"), with_field(RMC, 1, "006000"),
            with_field(RMC, 1, "000061"), with_field(RMC, 1, "1e5"), with_field(RMC, 7, "1.2.3"),
            with_field(RMC, 7, "-1"), with_field(RMC, 7, "."), with_field(RMC, 8, "361"), with_field(RMC, 9, "20126"),
            with_field(RMC, 9, "0201.6"), RMC[:40], "GNRMC", "GNGGA,1,2", with_field(GGA, 9, "--1"),
            with_field(GGA, 6, "a"), with_field(GGA, 7, "123456789012345678"), with_field(GSA, 2, "4"),
            with_field(GSA, 2, ""), "GNGSA,A,3", "GPGSV,1,,01", "GPGSV,1,1,x", "GPGSV,1,1", with_field(GLL, 6, "B"),
            "GNRMC" + "," * 45,
        ):  # fmt: skip
            reader = read(body)
            reader.end()
            self.assertEqual((reader.dropped, reader.fix), (1, None), body)

    def test_checksum(self):
        blob = sentence(RMC)
        for i in range(1, len(blob) - 2):
            for bit in (0x01, 0x20):
                raw = bytearray(blob)
                raw[i] ^= bit
                reader = Reader()
                reader.feed(raw + sentence(GGA))
                if bytes(raw).upper() != blob and raw[i] != 0x24:
                    self.assertEqual((reader.dropped, reader.fix), (1, None), bytes(raw))
        reader = Reader()
        reader.feed(blob.replace(b"*", b"") + blob[:-5] + b"\r\n" + blob[:30])
        self.assertEqual((reader.dropped, reader.fix), (2, None))
        reader.feed(blob[:-4] + blob[-4:].lower() + sentence(GGA))
        self.assertEqual((reader.dropped, reader.fix), (3, FIX))

    def test_cut_long_and_binary(self):
        reader = Reader()
        reader.feed(sentence(RMC)[:30] + sentence(GGA) + b"\xb5b\x01\x07" + sentence(RMC))
        self.assertEqual((reader.dropped, reader.fix), (1, FIX))
        reader = Reader()
        reader.feed(b"$" + b"G" * 500 + b"\r\n\r\n$\r\n" + sentence(RMC) + b"noise" + sentence(GGA))
        self.assertEqual((reader.dropped, reader.fix), (1, FIX))

    def test_noise(self):
        """Fields taken from anywhere, checksum right: nothing but drops, and a fix that could be one."""
        rng = Rng(seed(55))
        words = ",".join((RMC, GGA, GSA, GLL)).split(",") + ["", "A", "V", "9999999999", "-", ".", "N", "\x00", "\xff"]
        kinds = ("RMC", "GGA", "GSA", "GLL", "GSV")
        fixes = 0
        for _ in range(800):
            if rng.chance(50):
                body = rng.choice((RMC, GGA, GSA, GLL, GSV[0]))
                for _ in range(1 + rng.below(2)):
                    body = with_field(body, rng.below(body.count(",")) + 1, rng.choice(words))
            else:
                body = "GN" + rng.choice(kinds) + "," + ",".join([rng.choice(words) for _ in range(rng.below(20))])
            reader = read(body)
            reader.end()
            if reader.fix:
                fixes += 1
                self.assertTrue(-900000000 <= reader.fix["lat"] <= 900000000, body)
                self.assertTrue(-1800000000 <= reader.fix["lon"] <= 1800000000, body)
        self.assertTrue(fixes > 20, fixes)


if __name__ == "__main__":
    unittest.main()
