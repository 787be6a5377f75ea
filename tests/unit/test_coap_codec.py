"""coap.codec: option encodings at every boundary, order of options, format errors, round trips and fuzz.

Vectors: RFC 7252 section 3.1 and appendix A, the request bytes that nRF Cloud devices send, and messages
built by harness.fakenet, which shares no code with the codec.
"""

import unittest

from coap.codec import ACK, CON, NON, RST, CodecError, Message
from coap.options import Options
from coap.response import Response
from coap.writer import Writer
from harness import fakenet
from harness.rng import Rng, seed

SIZES = (0, 1, 12, 13, 14, 255, 268, 269, 270, 524, 525, 1034)
DELTAS = (1, 12, 13, 268, 269, 270, 65535)


def parse(data):
    msg = Message()
    msg.parse(data, len(data))
    return msg


def walk(data):
    """[(number, value)], payload of a message."""
    msg = parse(data)
    cursor = Options(data, msg.options_at, len(data))
    found = []
    while cursor.next():
        found.append((cursor.number, bytes(data[cursor.value : cursor.value + cursor.length])))
    return found, bytes(data[msg.payload_at :])


def written(size, fill):
    buf = bytearray(size)
    writer = Writer(buf)
    fill(writer)
    return bytes(buf[: writer.n])


class Encode(unittest.TestCase):
    def test_nrf_cloud_requests(self):
        token = b"\x01\x02\x03\x04\x05\x06\x07\x08"

        def auth(w):
            w.begin(CON, 2, 0x1234, token)
            w.parts(11, "auth/jwt")
            w.option(12, 0)
            for item in ("mver=mfw_nrf91x1_2.0.1", "cver=v2.7.0", "dver=1"):
                w.option(15, item)
            w.payload(b"J")

        expected = (
            "480212340102030405060708b461757468036a7774103d096d7665723d6d66775f6e7266393178315f322e302e31"
            "0b637665723d76322e372e3006647665723d31ff4a"
        )
        self.assertEqual(written(200, auth), bytes.fromhex(expected))

        def proxy(w):
            w.begin(CON, 1, 0x1236, token)
            w.parts(11, "proxy")
            w.option(23, 6)
            w.option(28, 0)
            w.option(35, "https://pgps.nrfcloud.com/public/16096-14400.bin")

        expected = bytes.fromhex("480112360102030405060708b570726f7879c106507d23")
        url = b"https://pgps.nrfcloud.com/public/16096-14400.bin"
        self.assertEqual(written(200, proxy), expected + url)

    def test_lengths_and_deltas(self):
        for size in SIZES:
            for delta in DELTAS:
                with self.subTest(size=size, delta=delta):
                    value = bytes([size & 255]) * size

                    def fill(w, delta=delta, value=value):
                        w.begin(NON, 1, 7)
                        w.option(delta, value)

                    data = written(1100, fill)
                    self.assertEqual(data, fakenet.message(1, 1, 7, b"", fakenet.opts((delta, value))))
                    self.assertEqual(walk(data), ([(delta, value)], b""))

    def test_integers_are_minimal(self):
        for number, value in (
            (0, b""), (1, b"\x01"), (255, b"\xff"), (256, b"\x01\x00"), (65535, b"\xff\xff"),
            (65536, b"\x01\x00\x00"), (0xFFFFFF, b"\xff\xff\xff"), (2592000, b"\x27\x8d\x00"),
            (0x1000000, b"\x01\x00\x00\x00"), (0xFFFFFFFF, b"\xff\xff\xff\xff"),
        ):  # fmt: skip
            with self.subTest(number=number):

                def fill(w, number=number):
                    w.begin(CON, 1, 7)
                    w.option(14, number)

                self.assertEqual(walk(written(20, fill))[0], [(14, value)])

    def test_block_number_beyond_16_bits(self):
        for num, value in ((4095, b"\xff\xfe"), (65535, b"\x0f\xff\xfe"), (65536, b"\x10\x00\x0e")):

            def fill(w, num=num):
                w.begin(CON, 1, 7)
                w.option(23, num << 4 | 8 | 6)

            self.assertEqual(walk(written(20, fill))[0], [(23, value)])

    def test_path(self):
        for path, segments in (
            ("", []),
            ("/", []),
            ("a", [b"a"]),
            ("/a/b/", [b"a", b"b", b""]),
            ("a/b/c/d", [b"a", b"b", b"c", b"d"]),
            ("seg1/seg2/seg3", [b"seg1", b"seg2", b"seg3"]),
            ("a//b", [b"a", b"", b"b"]),
            ("messung/\u00fc", [b"messung", b"\xc3\xbc"]),
        ):
            with self.subTest(path=path):

                def fill(w, path=path):
                    w.begin(CON, 1, 7)
                    w.parts(11, path)

                self.assertEqual(walk(written(60, fill))[0], [(11, part) for part in segments])

    def test_order_among_equal_numbers(self):
        def fill(w):
            w.begin(CON, 1, 7)
            for number, value in ((15, b"b"), (11, b"z"), (15, b"a"), (300, b"x"), (11, b"y"), (1, b""), (15, b"c")):
                w.option(number, value)
            w.parts(11, "late/path")

        expected = [(1, b""), (11, b"z"), (11, b"y"), (11, b"late"), (11, b"path"), (15, b"b"), (15, b"a"), (15, b"c")]
        self.assertEqual(walk(written(60, fill))[0], expected + [(300, b"x")])

    def test_no_room(self):
        def fill(w):
            w.begin(CON, 1, 7, b"1234")
            w.option(300, b"x" * 20)
            w.option(11, b"abc")
            w.payload(b"12345")

        whole = written(100, fill)
        for size in range(8, len(whole)):
            with self.subTest(size=size):
                self.assertRaises(CodecError, written, size, fill)
        self.assertEqual(written(len(whole), fill), whole)

    def test_bad_arguments(self):
        writer = Writer(bytearray(50))
        self.assertRaises(CodecError, writer.begin, CON, 1, 7, bytes(9))
        writer.begin(CON, 1, 7)
        for number, value in ((0, b""), (-1, b""), (65536, b""), (14, -1), (14, 1 << 32)):
            with self.subTest(number=number):
                self.assertRaises(CodecError, writer.option, number, value)


class Decode(unittest.TestCase):
    def test_fields(self):
        msg = parse(bytes.fromhex("6841123401020304050607 08d301278d00".replace(" ", "")))
        self.assertEqual((msg.type, msg.code, msg.mid, msg.tkl), (ACK, 0x41, 0x1234, 8))
        data = bytes.fromhex("60451234ff00")
        msg = parse(data)
        self.assertEqual(data[msg.payload_at :], b"\x00")
        self.assertEqual(parse(bytes.fromhex("70001234")).type, RST)

    def test_get(self):
        data = fakenet.opts((4, b"\x01\x02"), (8, b"a"), (8, b"b"), (14, b"\x27\x8d\x00"), (28, b""), (60, bytes(5)))
        for number, value in ((4, b"\x01\x02"), (8, b"a"), (14, 2592000), (28, 0), (60, None), (23, None)):
            self.assertEqual(Response(0x45, data, len(data)).option(number), value)
        self.assertEqual(Response(0x45, data, len(data)).options(8), [b"a", b"b"])

    def test_format_errors(self):
        for name, text in (
            ("nothing", ""), ("one byte", "40"), ("three bytes", "400112"),
            ("version 0", "00011234"), ("version 2", "80011234"), ("version 3", "c0011234"),
            ("TKL 9", "49011234" + "00" * 9), ("TKL 15", "4f011234" + "00" * 15), ("token cut", "4401123401"),
            ("empty with token", "41001234aa"), ("empty with payload", "40001234ff01"),
            ("code 1.00", "40201234"), ("code 6.05", "40c51234"), ("code 7.31", "40ff1234"),
            ("RST with code", "70451234"),
            ("marker, no payload", "60451234ff"), ("option then bare marker", "6045123410ff"),
            ("delta 15", "60451234f0"), ("length 15", "604512340f"), ("value cut", "604512340501"),
            ("delta byte missing", "60451234d0"), ("delta bytes missing", "60451234e000"),
            ("length byte missing", "604512341d"), ("length bytes missing", "604512341e00"),
            ("number above 65535", "60451234e0ff00e0ff00"),
        ):  # fmt: skip
            with self.subTest(name=name):
                self.assertRaises(CodecError, parse, bytes.fromhex(text))

    def test_unknown_critical(self):
        for options, critical in (
            (fakenet.opts((23, b"\x06")), 0),
            (fakenet.opts((27, b"\x06"), (28, b"\x06"), (2048, b"")), 0),
            (fakenet.opts((9, b"")), 9),
            (fakenet.opts((11, b"a")), 11),  # known, but not in a response
            (fakenet.opts((2053, b"")), 2053),
            (fakenet.opts((23, b"\x06"), (23, b"\x06")), 23),  # must not be repeated
            (fakenet.opts((23, b"\x00\x00\x00\x06")), 23),  # longer than 3 bytes
        ):
            with self.subTest(critical=critical):
                self.assertEqual(parse(fakenet.message(2, 0x45, 1, b"", options)).critical, critical)

    def test_token(self):
        data = fakenet.message(2, 0x45, 1, b"1234")
        msg = parse(data)
        for token, same in ((b"1234", True), (b"123", False), (b"12345", False), (b"1235", False), (b"", False)):
            self.assertEqual(msg.has_token(data, token), same)


class Property(unittest.TestCase):
    def test_round_trip(self):
        rng = Rng(seed(7252))
        buf = bytearray(2000)
        writer = Writer(buf)
        for _ in range(150):
            numbers = [rng.choice((1, 4, 8, 11, 11, 15, 15, 35, 60, 292, 2048, 65000)) for _ in range(rng.below(9))]
            pairs = [(n, rng.bytes(rng.choice((0, 1, 5, 12, 13, 30)))) for n in numbers]
            token = rng.bytes(rng.below(9))
            body = rng.bytes(rng.below(50))
            mtype, code, mid = rng.below(3), 1 + rng.below(31), rng.below(65536)
            writer.begin(mtype, code, mid, token)
            for number, value in pairs:
                writer.option(number, value)
            writer.payload(body)
            data = bytes(buf[: writer.n])
            ordered = []
            for n in sorted(set(numbers)):
                ordered += [pair for pair in pairs if pair[0] == n]
            self.assertEqual(data, fakenet.message(mtype, code, mid, token, fakenet.opts(*ordered), body))
            self.assertEqual(walk(data), (ordered, body))

    def test_fuzz(self):
        rng = Rng(seed(7959))
        options = fakenet.opts((4, b"12345678"), (12, b"\x3c"), (23, b"\x0e"), (300, bytes(20)))
        good = fakenet.message(2, 0x45, 77, b"1234", options, b"data")
        accepted = 0
        for _ in range(1500):
            data = bytearray(good[: rng.below(len(good) + 1)] if rng.chance(30) else good)
            for _ in range(rng.below(4)):
                if data:
                    data[rng.below(len(data))] = rng.bits(8)
            try:
                found, body = walk(data)
            except CodecError:
                continue
            accepted += 1
            self.assertEqual(len(body) + sum([len(v) for _, v in found]) <= len(data), True)
        self.assertTrue(100 < accepted < 1500)


if __name__ == "__main__":
    unittest.main()
