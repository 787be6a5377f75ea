"""gnss.ubx, gnss.date: frames in a stream of any chunks, damaged ones, the messages that we read.

Against pyubx2, over random frames, in tests/integration/test_gnss_peers.py.
"""

import struct
import unittest
from binascii import unhexlify

from gnss import ubx
from gnss.date import fields, received, unix_time
from gnss.ubx_stream import Parser
from harness.rng import Rng, seed

NOW = 1767323045  # 2026-01-02 03:04:05
TIME_UTC = unhexlify("B5621340180010000080EA07010203040500000000000200000000000000FD07")
POSITION = unhexlify("B5621340140001000000A036DD23C08ADD0EC4090000E0930400B709")
IONO = unhexlify("B56213001000060000000801FFFF2E01FFFD000000005BB6")
UTC = unhexlify("B5621300140005000000FFFFFFFFFEFFFFFF123D6489071200007806")


class Frames(unittest.TestCase):
    def test_frame_and_unpack(self):
        buf = bytearray(TIME_UTC)
        buf[:6] = bytes(6)
        buf[30:] = bytes(2)
        self.assertEqual(ubx.frame(buf, 0x13, 0x40, 24), 32)
        self.assertEqual(bytes(buf), TIME_UTC)
        cls, ident, payload = ubx.unpack(TIME_UTC)
        self.assertEqual((cls, ident, bytes(payload)), (0x13, 0x40, TIME_UTC[6:-2]))
        for poll, ident in ((ubx.POLL_PVT, 7), (ubx.POLL_ORB, 0x34)):
            self.assertEqual(ubx.unpack(poll)[:2], (1, ident))
            self.assertEqual(len(ubx.unpack(poll)[2]), 0)

    def test_unpack_refuses_every_damaged_byte(self):
        for i in range(len(TIME_UTC)):
            raw = bytearray(TIME_UTC)
            raw[i] ^= 0x10
            self.assertIsNone(ubx.unpack(raw))
        for n in range(len(TIME_UTC)):
            self.assertIsNone(ubx.unpack(TIME_UTC[:n]))
        self.assertIsNone(ubx.unpack(TIME_UTC + b"\x00"))


class Stream(unittest.TestCase):
    def setUp(self):
        self.found = []
        self.others = bytearray()

    def parser(self, **how):
        return Parser(
            lambda cls, ident, payload: self.found.append((cls, ident, bytes(payload))), self.others.extend, **how
        )

    def test_any_chunks_among_nmea(self):
        text = b"$GNRMC,,V,,,,,,,,,,N*4D\r\n"
        blob = text + TIME_UTC + POSITION + text + IONO + b"\xb5" + text + ubx.POLL_PVT + UTC
        wanted = [(0x13, 0x40), (0x13, 0x40), (0x13, 0), (1, 7), (0x13, 0)]
        for step in (1, 2, 3, 7, 31, 32, 33, 1000):
            self.setUp()
            parser = self.parser(size=76)
            for i in range(0, len(blob), step):
                parser.feed(blob[i : i + step])
            self.assertEqual([one[:2] for one in self.found], wanted)
            self.assertEqual(bytes(self.others), text + text + b"\xb5" + text)
            self.assertEqual(parser.lost, 0)

    def test_a_damaged_frame_does_not_hide_the_next(self):
        """The length byte says more than there is: what it swallowed is looked through again."""
        for at, value in ((4, 30), (4, 200), (5, 0xFF), (10, 1), (31, 1)):
            raw = bytearray(TIME_UTC)
            raw[at] = value
            for step in (1, 5, 500):
                self.setUp()
                parser = self.parser(size=100)
                blob = bytes(raw) + POSITION + IONO + bytes(80)
                for i in range(0, len(blob), step):
                    parser.feed(blob[i : i + step])
                self.assertEqual([one[1] for one in self.found], [0x40, 0])
                self.assertEqual(self.found[0][2], POSITION[6:-2])
                self.assertEqual(parser.lost, 1)

    def test_noise_costs_no_frame_but_the_damaged(self):
        rng = Rng(seed(51))
        for _ in range(60):
            self.setUp()
            parser = self.parser(size=80)
            wanted = 0
            blob = bytearray()
            for _ in range(8):
                n = rng.below(60)
                buf = bytearray(rng.bytes(n + 8))
                ubx.frame(buf, rng.below(256), rng.below(256), n)
                if rng.chance(25):
                    buf[rng.below(n + 8)] ^= 1 + rng.below(255)
                else:
                    wanted += 1
                blob.extend(buf)
                blob.extend(bytes([byte for byte in rng.bytes(rng.below(10)) if byte != 0xB5]))
            blob.extend(bytes(80))  # a length that was damaged waits for so much
            while blob:
                n = 1 + rng.below(50)
                parser.feed(blob[:n])
                blob = blob[n:]
            self.assertTrue(wanted <= len(self.found) <= 8, (wanted, len(self.found)))
            if wanted == 8:
                self.assertEqual((len(self.found), parser.lost), (8, 0))


def pvt(kind=3, flags=1, valid=7, year=2026, wrong=0, heading=12345678):
    return struct.pack(
        "<IHBBBBBBIiBBBBiiiiIIiiiiiIIHHIihH",
        *(443063000, year, 1, 2, 3, 4, 5, valid, 50, -400000, kind, flags, 0, 9, 249400340, 601700120, 25500, 8000),
        *(3200, 5100, 1, 2, 3, 1500, heading, 300, 400000, 150, wrong, 0, 0, 0, 0),
    )


class Messages(unittest.TestCase):
    def test_fix(self):
        wanted = {
            "lat": 601700120, "lon": 249400340, "alt_mm": 25500, "acc_mm": 3200, "speed_mm_s": 1500,
            "heading_mdeg": 123457, "time": NOW,
        }  # fmt: skip
        self.assertEqual(len(pvt()), 92)
        self.assertEqual(ubx.fix(pvt()), wanted)
        self.assertEqual(ubx.fix(pvt(kind=2))["alt_mm"], None)
        self.assertEqual(ubx.fix(pvt(heading=35999960))["heading_mdeg"], 0)
        for how in ({"kind": 0}, {"kind": 1}, {"kind": 5}, {"flags": 0}, {"wrong": 1}):
            self.assertIsNone(ubx.fix(pvt(**how)))
        self.assertIsNone(ubx.fix(pvt()[:80]))

    def test_time(self):
        self.assertEqual(ubx.when(pvt()), NOW)
        for how in ({"valid": 1}, {"valid": 2}, {"valid": 0}, {"year": 2006}):  # 2006: weeks lost
            self.assertIsNone(ubx.when(pvt(**how)))
            self.assertIsNone(ubx.fix(pvt(**how))["time"])
        self.assertEqual(ubx.when(pvt(kind=0, flags=0)), NOW)

    def test_orbits(self):
        rows = ((0, 1, 5, 0x25), (0, 32, 5, 0x3F), (0, 7, 5, 0x21), (0, 8, 5, 0x20), (5, 3, 5, 0x42), (6, 2, 5, 0x25),
                (0, 33, 5, 0x25), (0, 0, 5, 0x25))  # fmt: skip
        body = struct.pack("<IBBH", 0, 1, len(rows), 0) + b"".join([bytes(row) + b"\x00\x00" for row in rows])
        self.assertEqual(ubx.orbits(body), {1: 0x80000001, 3: 0x4})
        self.assertIsNone(ubx.orbits(body[:-1]))
        self.assertIsNone(ubx.orbits(b""))

    def test_accepted(self):
        ack = lambda *values: bytes(values) + IONO[6:10]  # noqa: E731
        self.assertEqual(ubx.accepted(ack(1, 0, 0, 0x00), IONO), 0)
        self.assertEqual(ubx.accepted(ack(0, 0, 1, 0x00), IONO), 1)
        self.assertEqual(ubx.accepted(ack(0, 0, 0, 0x00), IONO), -1)
        self.assertIsNone(ubx.accepted(ack(1, 0, 0, 0x40), IONO))
        self.assertIsNone(ubx.accepted(ack(1, 0, 0, 0x00), UTC))
        self.assertIsNone(ubx.accepted(b"\x01\x00\x00", IONO))


class Dates(unittest.TestCase):
    def test_there_and_back(self):
        for unix_s, values in (
            (0, (1970, 1, 1, 0, 0, 0)),
            (NOW, (2026, 1, 2, 3, 4, 5)),
            (951782400, (2000, 2, 29, 0, 0, 0)),
            (1709251199, (2024, 2, 29, 23, 59, 59)),
            (4107542400, (2100, 3, 1, 0, 0, 0)),
            (4102444799, (2099, 12, 31, 23, 59, 59)),
        ):
            self.assertEqual(fields(unix_s), values)
            self.assertEqual(unix_time(*values), unix_s)
        rng = Rng(seed(54))
        for _ in range(300):
            unix_s = rng.bits(32)
            self.assertEqual(unix_time(*fields(unix_s)), unix_s)

    def test_what_receivers_say(self):
        self.assertEqual(received(2026, 1, 2, 3, 4, 5), NOW)
        self.assertEqual(received(2026, 1, 2, 3, 3, 60), NOW - 5)
        for values in ((2023, 12, 31, 0, 0, 0), (2006, 5, 19, 1, 1, 1), (2026, 13, 1, 0, 0, 0), (2026, 0, 1, 0, 0, 0),
                       (2026, 1, 0, 0, 0, 0), (2026, 1, 32, 0, 0, 0), (2026, 1, 1, 24, 0, 0), (2026, 1, 1, 0, 60, 0),
                       (2026, 1, 1, 0, 0, 61)):  # fmt: skip
            self.assertIsNone(received(*values))


if __name__ == "__main__":
    unittest.main()
