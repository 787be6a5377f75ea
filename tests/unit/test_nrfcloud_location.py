"""cloud.nrfcloud: ground fix and assistance, byte for byte against nrfcloud.md 5.1 to 5.3, and reading answers."""

import unittest
from binascii import hexlify, unhexlify

import cbor
from cloud.nrfcloud import assist, ground_fix, needs
from harness.rng import Rng, seed


def text(raw):
    return hexlify(raw).decode()


# Source: nrfcloud.md 5.1: definite form of the seed sample, and the multi-cell vector.
SEED_CELL = {"mcc": 244, "mnc": 12, "eci": 186369, "tac": 12001, "earfcn": None, "ta": None, "neighbours": []}
SEED = "a11381a40618f4070c081a0002d80109192ee1"
SEED_INDEFINITE = "bf1381bf0618f4070c081a0002d80109192ee1ffff"
MULTI_CELL = {
    "mcc": 310,
    "mnc": 120,
    "eci": 167899669,
    "tac": 13601,
    "earfcn": 41490,
    "ta": 20000,
    "rsrp_dbm": -90,
    "rsrq_db": -8.5,
    "neighbours": [{"earfcn": 41490, "pci": 143, "rsrp_dbm": -90, "rsrq_db": -8.0, "time_diff": 300}],
}
MULTI = (
    "a11381a906190136071878081a0a01f215091935210119a2120a194e200b81a50119a21202188f03385904fac1000000"
    "0519012c03385904fac1080000"
)
WIFI = "a114a11282a20c46001839598c530e3829a20c4600215561f30a0e35"
POINTS = [
    {"mac": unhexlify("001839598c53"), "rssi_dbm": -42},
    {"mac": unhexlify("00215561f30a"), "rssi_dbm": -22},
]
CELL = {"mcc": 244, "mnc": 91, "eci": 36078631, "tac": 4099, "rsrp_dbm": -90}


def point(mac, rssi=-50, **more):
    return dict(more, mac=unhexlify(mac), rssi_dbm=rssi)


class GroundFix(unittest.TestCase):
    def test_both_forms_of_the_seed_sample(self):
        self.assertEqual(text(ground_fix.ground_fix([SEED_CELL])), SEED)
        self.assertEqual(cbor.loads(unhexlify(SEED)), cbor.loads(unhexlify(SEED_INDEFINITE)))

    def test_cell_with_neighbour(self):
        self.assertEqual(text(ground_fix.ground_fix([MULTI_CELL])), MULTI)

    def test_access_points_only(self):
        self.assertEqual(text(ground_fix.ground_fix((), POINTS)), WIFI)

    def test_cells_points_and_time_together(self):
        raw = ground_fix.ground_fix([SEED_CELL], POINTS, 1631470795000)
        self.assertEqual(
            text(raw),
            "a3" + SEED[2:] + WIFI[2:] + "151b0000017bdb3cb8f8",
        )

    def test_five_cells_at_most(self):
        raw = cbor.loads(ground_fix.ground_fix([dict(SEED_CELL, eci=n) for n in range(7)]))
        self.assertEqual([cell[8] for cell in raw[19]], [0, 1, 2, 3, 4])

    def test_nothing_to_ask_with(self):
        self.assertIsNone(ground_fix.ground_fix([], POINTS[:1]))

    def test_unknown_levels_are_left_out_and_zero_is_not_unknown(self):
        cell = {"mcc": 244, "mnc": 0, "eci": 1, "tac": 2, "ta": 0, "rsrp_dbm": None, "neighbours": None}
        self.assertEqual(text(ground_fix.ground_fix([cell])), "a11381a50618f40700080109020a00")

    def test_timing_advance_is_clamped_and_neighbours_are_five_at_most(self):
        neighbour = {"earfcn": 1, "pci": 2}
        cell = {"mcc": 1, "mnc": 1, "eci": 1, "tac": 1, "ta": 65535, "neighbours": [neighbour] * 9}
        found = cbor.loads(ground_fix.ground_fix([cell]))[19][0]
        self.assertEqual((found[10], len(found[11])), (20512, 5))

    def test_flags_are_sent_only_when_they_are_not_as_by_default(self):
        for flags, wanted in (
            ((), ()),
            ((True, False, True), ()),
            ((False,), ("doReply=false",)),
            ((True, True, True), ("hiConf=true",)),
            ((False, True, False), ("doReply=false", "hiConf=true", "fallback=false")),
        ):
            self.assertEqual(ground_fix.query(*flags), wanted)


class AccessPoints(unittest.TestCase):
    def macs(self, *points):
        return [text(one["mac"]) for one in ground_fix.usable(points)]

    def test_those_that_say_nothing_about_a_place(self):
        good = (point("001839598c53"), point("00215561f30a", -60))
        for bad in ("021839598c53", "061839598c53", "00005e000101", "011839598c53", "ffffffffffff", "001839", ""):
            self.assertEqual(self.macs(point(bad, -10), *good), ["001839598c53", "00215561f30a"])

    def test_fewer_than_two_are_none(self):
        self.assertEqual(self.macs(), [])
        self.assertEqual(self.macs(point("001839598c53")), [])
        self.assertEqual(self.macs(point("001839598c53"), point("021839598c53")), [])
        self.assertEqual(self.macs(point("001839598c53", -50), point("001839598c53", -60)), [])  # heard twice

    def test_the_twenty_strongest(self):
        rng = Rng(seed(31))
        many = [point("0018395900%02x" % i, -100 + i) for i in range(40)]
        many.append(dict(mac=unhexlify("001839598c53"), rssi_dbm=None))
        for i in range(len(many) - 1, 0, -1):
            j = rng.below(i + 1)
            many[i], many[j] = many[j], many[i]
        self.assertEqual(self.macs(*many), ["0018395900%02x" % i for i in range(39, 19, -1)])

    def test_channel_and_clamped_strength(self):
        raw = ground_fix.ground_fix((), [point("001839598c53", 3, channel=6), point("00215561f30a", -200, ssid="x")])
        self.assertEqual(
            cbor.loads(raw)[20][18],
            [{12: unhexlify("001839598c53"), 14: 0, 15: 6}, {12: unhexlify("00215561f30a"), 14: -128}],
        )


class Place(unittest.TestCase):
    def test_vector(self):  # nrfcloud.md 5.2
        raw = unhexlify("a401fb4046c315a4acf31302fbc05eac0ee06d93810319012c04654d43454c4c")
        self.assertEqual(
            ground_fix.place(raw), {"lat": 455240980, "lon": -1226884080, "acc_mm": 300000, "how": "MCELL"}
        )

    def test_uncertainty_may_be_a_float(self):
        raw = unhexlify("a401fb4046c315a4acf31302fbc05eac0ee06d938103fb4072c8000000000004655343454c4c")
        self.assertEqual(ground_fix.place(raw)["acc_mm"], 300500)

    def test_words_that_other_services_use(self):
        lat, lon = cbor.Decimal(455240980, -7), cbor.Decimal(-1226884080, -7)
        for how in ("SCELL", "MCELL", "WIFI", "ANCHOR", "SCELL_EVAL", "MCELL_EVAL", "WIFI_EVAL", "NEW"):
            raw = cbor.dumps({1: lat, 2: lon, 3: 12, 4: how})
            self.assertEqual(ground_fix.place(raw)["how"], how)

    def test_lenient(self):
        lat, lon = cbor.Decimal(455240980, -7), cbor.Decimal(-1226884080, -7)
        for pairs, wanted in (
            ([(1, 45), (2, -122), (3, 12), (4, "X")], (450000000, -1220000000, 12000, "X")),
            ([(3, cbor.F32(0.5)), (2, lon), (1, lat)], (455240980, -1226884080, 500, "?")),
            ([(1, lat), (2, lon), (3, 1), (4, None), (9, "new")], (455240980, -1226884080, 1000, "?")),
        ):
            found = ground_fix.place(cbor.dumps(cbor.Map(pairs)))
            self.assertEqual((found["lat"], found["lon"], found["acc_mm"], found["how"]), wanted)

    def test_numbers_that_are_none(self):
        nan, inf, right = b"\xf9\x7e\x00", b"\xfa\xff\x80\x00\x00", b"\xf9\x3c\x00"
        for values in ((nan, right, right), (right, inf, right), (right, right, nan), (right, right, inf)):
            with self.subTest(values=values):
                raw = b"\xa4\x01" + values[0] + b"\x02" + values[1] + b"\x03" + values[2] + b"\x04\x61x"
                with self.assertRaises(ValueError):
                    ground_fix.place(raw)

    def test_not_a_place(self):
        for wrong in (
            b"", b"\xa0", b"\x80", b"\xf6", b"\xa4\x01\x01\x02\x02\x03\x03", b"\x01", b"\xff", b'{"lat":1}',
            cbor.dumps({1: 91, 2: 1, 3: 1}), cbor.dumps({1: 1, 2: 181, 3: 1}), cbor.dumps({1: 1, 2: 1, 3: -1}),
            cbor.dumps({1: "1", 2: 1, 3: 1}), cbor.dumps({1: True, 2: 1, 3: 1}), cbor.dumps({1: 1, 2: 1}),
        ):  # fmt: skip
            with self.subTest(wrong=wrong):
                with self.assertRaises(ValueError):
                    ground_fix.place(wrong)


class Agnss(unittest.TestCase):
    def test_vectors(self):  # nrfcloud.md 5.3
        self.assertEqual(
            text(assist.agnss([1, 3, 4, 6, 7, 8, 9, 2], CELL, 5)),
            "a701880103040607080902021a0226842703f50518f406185b07385908191003",
        )
        cell = {"mcc": 244, "mnc": 91, "eci": 36078631, "tac": 4099}
        self.assertEqual(text(assist.agnss([2], cell)), "a5018102021a022684270518f406185b08191003")
        indefinite = unhexlify("bf019f02ff021a022684270518f406185b08191003ff")
        self.assertEqual(cbor.loads(assist.agnss([2], cell)), cbor.loads(indefinite))

    def test_without_a_cell_there_is_no_filter(self):
        self.assertEqual(text(assist.agnss([1, 2], None)), "a101820102")
        self.assertEqual(text(assist.agnss([1, 2], None, 5)), "a101820102")
        self.assertFalse("filtered=true" in needs.query([2], None, 10))
        self.assertFalse(3 in cbor.loads(assist.agnss([2], {"mcc": 1, "mnc": 1, "eci": 1, "tac": None}, 5)))

    def test_mask_only_when_it_is_not_five_degrees(self):
        found = cbor.loads(assist.agnss([2], CELL, 10))
        self.assertEqual((found[3], found[4]), (True, 10))
        self.assertFalse(4 in cbor.loads(assist.agnss([2], CELL, 5)))
        self.assertFalse(3 in cbor.loads(assist.agnss([2], CELL)))

    def test_query(self):
        self.assertEqual(
            needs.query([2, 8], CELL, 10),
            ("types=2", "types=8", "eci=36078631", "mcc=244", "mnc=91", "rsrp=-90", "tac=4099", "filtered=true",
             "mask=10"),
        )  # fmt: skip
        self.assertEqual(needs.query([2]), ("types=2",))

    def test_asked_for_in_parts_that_fit_a_small_heap(self):
        self.assertEqual(needs.agnss_parts([1, 2, 3, 9, 4, 6, 7, 8]), [[1, 9, 4, 6, 7, 8], [2], [3]])
        self.assertEqual(needs.agnss_parts([2]), [[2]])
        self.assertEqual(needs.agnss_parts([]), [])


if __name__ == "__main__":
    unittest.main()
