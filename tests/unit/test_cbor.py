"""CBOR: RFC 8949's own examples, the bytes nRF Cloud expects, and values that make the round trip."""

import json
import struct
import unittest

import cbor
import cbor.deterministic
from harness.rng import Rng, seed

_DOUBLE = float("16777217") != float("16777216")


def _data(name):
    with open("tests/data/cbor_%s.json" % name) as file:
        return json.load(file)


class Raw:
    """A float as its eight bytes: compares on every build, NaN and -0.0 included."""

    def __init__(self, raw):
        self.raw = raw


def _hex(raw):
    return raw.hex() if raw else ""  # MicroPython 1.25: b"".hex() is b""


def _tree(value):
    """The notation of cbor_appendix_a.json, in which nothing is equal that differs in CBOR."""
    if value is None or value is True or value is False:
        return {None: ["null"], True: ["true"], False: ["false"]}[value]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, Raw):
        return ["f64", _hex(value.raw)]
    if isinstance(value, bytes):
        return ["bytes", _hex(value)]
    if isinstance(value, str):
        return ["text", _hex(value.encode())]
    if isinstance(value, list):
        return ["array"] + [_tree(item) for item in value]
    if isinstance(value, cbor.Tag):
        return ["tag", value.number, _tree(value.value)]
    if isinstance(value, cbor.Simple):
        return ["simple", value.value]
    return ["map"] + [[_tree(key), _tree(value[key])] for key in value]


def _object(tree):
    """What to encode for a value in that notation; floats as F64, maps in the order of the file."""
    kind, rest = tree[0], tree[1:]
    if kind == "int":
        return int(rest[0])
    if kind == "f64":
        return cbor.F64(struct.unpack(">d", bytes.fromhex(rest[0]))[0])
    if kind == "bytes":
        return bytes.fromhex(rest[0])
    if kind == "text":
        return bytes.fromhex(rest[0]).decode()
    if kind == "array":
        return [_object(item) for item in rest]
    if kind == "map":
        return cbor.Map([(_object(key), _object(value)) for key, value in rest])
    if kind == "tag":
        return cbor.Tag(rest[0], _object(rest[1]))
    if kind == "simple":
        return cbor.Simple(rest[0])
    return {"null": None, "true": True, "false": False}[kind]


def _sorted(tree):
    """Maps sorted, since a MicroPython dict has no order of its own."""
    if tree[0] in ("array", "map"):
        items = [_sorted(item) for item in tree[1:]]
        if tree[0] == "map":
            items = sorted([[_sorted(key), _sorted(value)] for key, value in tree[1:]], key=str)
        return [tree[0]] + items
    return tree


_WIDTHS = {"f9": cbor.F16, "fa": cbor.F32, "fb": cbor.F64}

# The 17 of the 81 that are not what a deterministic encoder writes: infinities and NaN in more than two bytes ...
_TOO_WIDE = ("fa7f800000", "fa7fc00000", "faff800000", "fb7ff0000000000000", "fb7ff8000000000000", "fbfff0000000000000")
# ... and indefinite lengths, with what writes them.
_THREE = [2, 3]
_INDEFINITE = {
    "5f42010243030405ff": cbor.Indefinite((b"\x01\x02", b"\x03\x04\x05"), bytes),
    "7f657374726561646d696e67ff": cbor.Indefinite(("strea", "ming"), str),
    "9fff": cbor.Indefinite(()),
    "9f018202039f0405ffff": cbor.Indefinite((1, _THREE, cbor.Indefinite((4, 5)))),
    "9f01820203820405ff": cbor.Indefinite((1, _THREE, (4, 5))),
    "83018202039f0405ff": (1, _THREE, cbor.Indefinite((4, 5))),
    "83019f0203ff820405": (1, cbor.Indefinite(_THREE), (4, 5)),
    "9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff": cbor.Indefinite(range(1, 26)),
    "bf61610161629f0203ffff": cbor.Indefinite((("a", 1), ("b", cbor.Indefinite(_THREE))), dict),
    "826161bf61626163ff": ("a", cbor.Indefinite((("b", "c"),), dict)),
    "bf6346756ef563416d7421ff": cbor.Indefinite((("Fun", True), ("Amt", -2)), dict),
}


class AppendixA(unittest.TestCase):
    """RFC 8949 Appendix A: 81 examples (the 82nd of RFC 7049, f818, became malformed)."""

    def test_decode(self):
        rows = _data("appendix_a")
        self.assertEqual(len(rows), 81)
        for row in rows:
            with self.subTest(hex=row["hex"]):
                raw = bytes.fromhex(row["hex"])
                for form in (raw, bytearray(raw), memoryview(b"\x00" + raw)[1:]):
                    self.assertEqual(_sorted(_tree(cbor.loads(form, floats=Raw))), _sorted(row["value"]))

    def test_decode_to_this_builds_floats(self):
        for text, value in (
            ("f90000", 0.0),
            ("f93e00", 1.5),
            ("f97bff", 65504.0),
            ("f90400", 2.0**-14),
            ("f90001", 2.0**-24),
            ("f9c400", -4.0),
            ("fa47c35000", 100000.0),
            ("fbc010000000000000", -4.0),
            ("f97c00", float("inf")),
            ("fbfff0000000000000", float("-inf")),
        ):
            with self.subTest(hex=text):
                self.assertEqual(cbor.loads(bytes.fromhex(text)), value)
        nan = cbor.loads(b"\xf9\x7e\x00")
        self.assertTrue(nan != nan)
        if _DOUBLE:
            self.assertEqual(cbor.loads(bytes.fromhex("fb3ff199999999999a")), 1.1)

    def test_encode(self):
        rows = [row for row in _data("appendix_a") if row["encodes"]]
        self.assertEqual(len(rows), 54)
        for row in rows:
            if "f64" in str(row["value"]) and not _DOUBLE:
                continue  # such a build cannot hold the value; Decimals below is what it uses instead
            with self.subTest(hex=row["hex"]):
                self.assertEqual(cbor.dumps(_object(row["value"])).hex(), row["hex"])

    def test_encode_what_has_a_width_or_no_length(self):
        """The other 27: halves, singles and indefinite lengths; all 81 are written by one test or the other."""
        written = 0
        for row in _data("appendix_a"):
            text = row["hex"]
            if row["encodes"]:
                continue
            if text in _INDEFINITE:
                value = _INDEFINITE[text]
            elif text[:2] in _WIDTHS:
                value = _WIDTHS[text[:2]](struct.unpack(">d", bytes.fromhex(row["value"][1]))[0])
            with self.subTest(hex=text):
                self.assertEqual(cbor.dumps(value).hex(), text)
            written += 1
        self.assertEqual(written, 27)

    def test_deterministic(self):
        """What comes out as it went in, exactly: 64 of the 81."""
        same = 0
        for row in _data("appendix_a"):
            text = row["hex"]
            raw = bytes.fromhex(text)
            with self.subTest(hex=text):
                again = cbor.deterministic.dumps(cbor.loads(raw, floats=cbor.Shortest)).hex()
                if text in _TOO_WIDE or text in _INDEFINITE:
                    self.assertNotEqual(again, text)
                    self.assertRaises(cbor.CBORError, cbor.deterministic.loads, raw)
                else:
                    same += 1
                    self.assertEqual(again, text)
                    value = cbor.deterministic.loads(raw, floats=Raw)
                    self.assertEqual(_sorted(_tree(value)), _sorted(row["value"]))
        self.assertEqual(same, 64)

    def test_what_rfc_7049_had(self):
        self.assertRaises(cbor.CBORError, cbor.loads, b"\xf8\x18")

    def test_undefined_is_not_null(self):
        self.assertEqual(cbor.loads(b"\xf7"), cbor.undefined)
        self.assertNotEqual(cbor.loads(b"\xf6"), cbor.undefined)
        self.assertEqual(cbor.dumps([None, cbor.undefined]), b"\x82\xf6\xf7")

    def test_long_heads_are_accepted(self):
        for text in ("1800", "190000", "1a00000000", "1b0000000000000000"):
            self.assertEqual(cbor.loads(bytes.fromhex(text)), 0)
        self.assertEqual(cbor.loads(bytes.fromhex("9b00000000000000021800190001")), [0, 1])


_NEIGHBOUR = cbor.Map(((1, 41490), (2, 143), (3, -90), (4, cbor.F32(-8.0)), (5, 300)))
_MULTI = cbor.Map(
    (
        (6, 310),
        (7, 120),
        (8, 167899669),
        (9, 13601),
        (1, 41490),
        (10, 20000),
        (11, [_NEIGHBOUR]),
        (3, -90),
        (4, cbor.F32(-8.5)),
    )
)
_WIFI = [
    cbor.Map(((12, b"\x00\x18\x39\x59\x8c\x53"), (14, -42))),
    cbor.Map(((12, b"\x00\x21\x55\x61\xf3\x0a"), (14, -22))),
]
_PVT = cbor.Map(
    (
        (4, cbor.Decimal(455240980, -7)),
        (5, cbor.Decimal(-1226884080, -7)),
        (6, cbor.Decimal(15000, -3)),
        (7, cbor.Decimal(1000, -3)),
        (8, cbor.Decimal(90000, -3)),
        (9, cbor.Decimal(159000, -3)),
    )
)
_TS = 1631470795000

# nrfcloud.md 5: what the service's CDDL asks for, byte by byte.
_NRFCLOUD = (
    (
        "a11381a40618f4070c081a0002d80109192ee1",
        cbor.Map(((19, [cbor.Map(((6, 244), (7, 12), (8, 186369), (9, 12001)))]),)),
    ),
    (
        "a11381a906190136071878081a0a01f215091935210119a2120a194e200b81a50119a21202188f03385904fac10000000519012c"
        "03385904fac1080000",
        cbor.Map(((19, [_MULTI]),)),
    ),
    (
        "a114a11282a20c46001839598c530e3829a20c4600215561f30a0e35",
        cbor.Map(((20, cbor.Map(((18, _WIFI),))),)),
    ),
    (
        "a401fb4046c315a4acf31302fbc05eac0ee06d93810319012c04654d43454c4c",
        cbor.Map(
            ((1, cbor.Decimal(45524098, -6)), (2, cbor.Decimal(-122688408, -6)), (3, 300), (4, "MCELL")),
        ),
    ),
    (
        "a701880103040607080902021a0226842703f50518f406185b07385908191003",
        cbor.Map(
            (
                (1, [1, 3, 4, 6, 7, 8, 9, 2]),
                (2, 36078631),
                (3, True),
                (5, 244),
                (6, 91),
                (7, -90),
                (8, 4099),
            )
        ),
    ),
    ("a401182a0218f003193b1b0400", cbor.Map(((1, 42), (2, 240), (3, 15131), (4, 0)))),
    (
        "a20171706770732e6e7266636c6f75642e636f6d02781e7075626c69632f31353133312d305f31353133352d37323030302e62696e",
        cbor.Map(((1, "pgps.nrfcloud.com"), (2, "public/15131-0_15135-72000.bin"))),
    ),
    ("a2016474656d7002652d31322e33", cbor.Map(((1, "temp"), (2, "-12.3")))),
    (
        "a3016454454d5002fbc02899999999999a031b0000017bdb3cb8f8",
        cbor.Map(((1, "TEMP"), (2, cbor.Decimal(-123, -1)), (3, _TS))),
    ),
    (
        "a30164474e535302a604fb4046c315a4acf31305fbc05eac0ee06d938106fb402e00000000000007fb3ff000000000000008fb405680"
        "000000000009fb4063e00000000000031b0000017bdb3cb8f8",
        cbor.Map(((1, "GNSS"), (2, _PVT), (3, _TS))),
    ),
    ("a1674c696768742d32634f6666", {"Light-2": "Off"}),
    ("a166636f6e666967f6", {"config": None}),
)


class NrfCloud(unittest.TestCase):
    def test_encode(self):
        for text, value in _NRFCLOUD:
            with self.subTest(hex=text):
                self.assertEqual(cbor.dumps(value).hex(), text)

    def test_indefinite_equals_definite(self):
        a = cbor.loads(bytes.fromhex("bf1381bf0618f4070c081a0002d80109192ee1ffff"))
        self.assertEqual(a, cbor.loads(bytes.fromhex(_NRFCLOUD[0][0])))
        self.assertEqual(a, {19: [{6: 244, 7: 12, 8: 186369, 9: 12001}]})
        b = cbor.loads(bytes.fromhex("bf019f02ff021a022684270518f406185b08191003ff"))
        self.assertEqual(b, {1: [2], 2: 36078631, 5: 244, 6: 91, 8: 4099})

    def test_fix_arrives_as_integers(self):
        raw = bytes.fromhex(_NRFCLOUD[3][0])
        self.assertEqual(
            cbor.loads(raw, floats=cbor.scaled(7)), {1: 455240980, 2: -1226884080, 3: 300, 4: "MCELL"}
        )


class Properties(unittest.TestCase):
    def _random(self, rng, depth):
        kind = rng.below(8 if depth else 5)
        if kind == 0:
            n = rng.bits(1 + rng.below(120))
            return n if rng.below(2) else -1 - n
        if kind == 1:
            return rng.bytes(rng.below(40))
        if kind == 2:
            return "".join([rng.choice(("a", "Z", "\u00fc", "\u6c34", "\U00010151")) for _ in range(rng.below(9))])
        if kind == 3:
            return rng.choice((None, True, False, cbor.undefined, cbor.Simple(7), 1.5, -0.25))
        if kind == 4:
            return []
        if kind == 5:
            return [self._random(rng, depth - 1) for _ in range(rng.below(6))]
        if kind == 6:
            return cbor.Tag(4 + rng.bits(rng.below(62)), self._random(rng, depth - 1))
        return {rng.choice(("k%d", "%d")) % i: self._random(rng, depth - 1) for i in range(rng.below(6))}

    def test_round_trip(self):
        rng = Rng(seed(1))
        for _ in range(300):
            value = self._random(rng, 4)
            raw = cbor.dumps(value)
            again = cbor.loads(raw)
            self.assertEqual(again, value)
            self.assertEqual(len(cbor.dumps(again)), len(raw))

    def test_every_truncation_is_refused(self):
        for text, _ in _NRFCLOUD:
            raw = bytes.fromhex(text)
            for size in range(len(raw)):
                self.assertRaises(cbor.CBORError, cbor.loads, raw[:size])


if __name__ == "__main__":
    unittest.main()
