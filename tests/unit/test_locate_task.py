"""firmware/tasks/locate and assist against fakes: what the receiver is given with a link, without, and after a no."""

import unittest

import clock
import coap
import log
from cloud.base import ASSIST, LOCATE, PREDICT, CloudError
from harness.aio import run
from harness.virtual import START_MS, Board
from modem.base import ATError
from state import State
from tasks.locate import Locate

CELL = {"mcc": 262, "mnc": 1, "eci": 27440068, "tac": 23056, "rsrp_dbm": -90, "neighbours": []}
OTHER = dict(CELL, eci=7)
NEED = {"flags": 0x3B, "systems": {1: (0xFFFFFFFF, 0xFFFFFFFF)}}
FIX = {"lat": 1, "lon": 2, "acc_mm": 5000, "time": START_MS // 1000}
PLACE = {"lat": 3, "lon": 4, "acc_mm": 300000, "how": "MCELL"}
POINTS = [{"mac": b"\0\x18\x39\x59\x8c\x53", "rssi_dbm": -42}]
SETTINGS = {
    "locate_interval_s": 14400,
    "locate_accuracy_m": 0,
    "locate_movement": "always",
    "xtra": "",
    "gnss_timeout_s": 120,
    "agnss_mask_deg": -1,
    "pgps": 0,
    "ground_fix_cells": 1,
    "ground_fix_reply": True,
    "ground_fix_confident": False,
    "ground_fix_fallback": True,
}


class Radio:
    """A modem with a receiver: `need` is what it asks for, `injected` what it was given; it refuses "reject"."""

    def __init__(self, caps=("GNSS", "AGNSS", "GCI")):
        self.caps = frozenset(caps)
        self.need = NEED
        self.injected = []
        self.searches = []
        self.found = [OTHER, CELL]
        self.blind = False
        self.stopped = 0

    async def cells(self):
        if self.blind:
            raise ATError(b"AT%NCELLMEAS", "ERROR")
        return CELL

    async def search(self, count):
        self.searches.append(count)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def gnss_start(self, timeout_s):
        pass

    async def gnss_need(self, timeout_ms):
        return self.need

    async def agnss_inject(self, blob):
        if bytes(blob) == b"reject":
            raise ATError(b"AT#XAGNSSP=5", "ERROR")
        self.injected.append(bytes(blob))

    async def gnss_fix(self, timeout_ms):
        return dict(FIX)

    async def gnss_stop(self):
        self.stopped += 1


class Cloud:
    """Parts of assistance by `parts`, an exception among them is raised; remembers what was asked of it."""

    def __init__(self, caps=(LOCATE, ASSIST, PREDICT)):
        self.caps = frozenset(caps)
        self.parts = [b"one", b"two"]
        self.place = dict(PLACE)
        self.flash = b"flash"
        self.fresh = None
        self.located = []
        self.wanted = []
        self.offline = []
        self.kept = []
        self.released = 0

    async def release(self):
        self.released += 1

    async def locate(self, *args):
        self.located.append(args)
        if isinstance(self.place, Exception):
            raise self.place
        return self.place

    def assistance_parts(self, need, cell, given, mask):
        self.wanted.append((need, cell, mask))
        given[2] = 1
        return self.parts

    async def assistance(self, part, cell, mv):
        if isinstance(part, Exception):
            raise part
        mv[: len(part)] = part
        return len(part)

    def predicted(self, folder, need, place, mv):
        self.offline.append((folder, need, place))
        if isinstance(self.flash, Exception):
            raise self.flash
        if self.flash is None:
            return None
        mv[5 : 5 + len(self.flash)] = self.flash
        return mv[5 : 5 + len(self.flash)]

    async def predictions_due(self, folder, count):
        self.kept.append((folder, count))
        if isinstance(self.fresh, Exception):
            raise self.fresh
        return self.fresh

    async def predictions(self, folder, job, mv):
        self.kept.append((folder, job, len(mv)))
        if isinstance(job, Exception):
            raise job
        return 1


class Refusal:
    payload = b"no"
    max_age = None
    code = 0x80


class Wifi:
    def __init__(self, points):
        self.points = points

    async def scan(self):
        if isinstance(self.points, Exception):
            raise self.points
        return self.points


class Heap:
    def mark(self):
        pass


class Records:
    def __init__(self):
        self.added = []

    def add(self, *record):
        self.added.append(record)


class Visits(unittest.TestCase):
    def setUp(self):
        Board().install()
        clock.set_utc(START_MS)
        log.level = 0
        self.state = State()
        self.state.link.set()
        self.settings = dict(SETTINGS)
        self.radio = Radio()
        self.cloud = Cloud()
        self.records = Records()
        self.wifi = None

    def tearDown(self):
        log.level = log.INFO
        clock.reset()

    def visit(self, **settings):
        self.settings.update(settings)
        scratch = memoryview(bytearray(4096))
        task = Locate(
            self.state, self.settings, self.records, self.radio, self.cloud, Heap(), scratch, self.wifi, "/data/pgps"
        )
        self.assertEqual(run(task.visit()), 14400)
        self.assertEqual(self.radio.stopped, 1 if "GNSS" in self.radio.caps else 0)


class ByNetwork(Visits):
    def test_cell_and_flags(self):
        self.visit(ground_fix_reply=False, ground_fix_confident=True, ground_fix_fallback=False)
        self.assertEqual(self.cloud.located, [([CELL], (), False, True, False)])
        self.assertEqual(self.state.place, dict(PLACE, time=START_MS // 1000))
        self.assertEqual(self.state.cell, CELL)
        self.assertEqual(self.radio.searches, [])

    def test_access_points(self):
        self.wifi = Wifi(POINTS)
        self.visit()
        self.assertEqual(self.cloud.located, [([CELL], POINTS, True, False, True)])

    def test_a_dead_wifi_costs_only_the_access_points(self):
        for problem in (OSError(2), ValueError("not JSON")):
            self.wifi = Wifi(problem)
            self.radio.stopped = 0
            self.visit()
            self.assertEqual(self.cloud.located.pop(), ([CELL], (), True, False, True))

    def test_several_cells(self):
        self.visit(ground_fix_cells=3)
        self.assertEqual(self.radio.searches, [3])
        self.assertEqual(self.cloud.located[0][0], [OTHER, CELL])
        self.assertEqual(self.state.cell, OTHER)

    def test_one_cell_when_the_modem_cannot_or_will_not_search(self):
        for found in ([], ATError(b"AT%NCELLMEAS=3", "ERROR")):
            self.radio = Radio()
            self.radio.found = found
            self.visit(ground_fix_cells=3)
            self.assertEqual(self.cloud.located.pop()[0], [CELL])
        self.radio = Radio(("GNSS", "AGNSS"))
        self.visit()
        self.assertEqual((self.radio.searches, self.cloud.located.pop()[0]), ([], [CELL]))

    def test_cells_that_cannot_be_measured_cost_neither_the_sky_nor_the_access_points(self):
        self.radio.blind = True
        self.state.cell = OTHER  # of another time
        for points, asked in ((None, []), ([], []), (POINTS, [([], POINTS, True, False, True)])):
            self.wifi = None if points is None else Wifi(points)
            self.radio.stopped = 0
            self.records.added.clear()
            self.visit()
            self.assertEqual(self.cloud.located, asked)
            self.assertEqual([record[0] for record in self.records.added], ["gnss", "fix"])
            self.assertIsNone(self.state.cell)
            self.assertEqual(self.cloud.wanted[-1][1], None)  # assistance for nowhere in particular

    def test_no_answer_no_place(self):
        for answer in (None, {}, coap.Refused(Refusal()), ValueError("malformed")):
            self.cloud.place = answer
            self.radio.stopped = 0
            self.visit()
            self.assertIsNone(self.state.place)
            self.assertEqual(len(self.records.added), 2)  # the fix came all the same
            self.records.added.clear()

    def test_a_lost_link_ends_the_visit(self):
        self.cloud.place = coap.Timeout()
        with self.assertRaises(coap.Timeout):
            self.visit()


class WithLink(Visits):
    def test_every_part_in_its_order(self):
        self.visit(agnss_mask_deg=10, pgps=6)
        self.assertEqual(self.radio.injected, [b"one", b"two"])
        self.assertEqual(self.cloud.wanted, [(NEED, CELL, 10)])
        self.assertEqual(self.cloud.offline, [])
        how = "method=gnss assistance=agnss ttff_s=0"
        self.assertEqual(self.records.added, [("gnss", FIX, START_MS), ("fix", how, START_MS)])

    def test_all_satellites_unless_a_mask_is_set(self):
        self.visit()
        self.assertIsNone(self.cloud.wanted[0][2])

    def test_a_receiver_that_needs_nothing(self):
        self.radio.need = None
        self.visit(pgps=6)
        self.assertEqual((self.cloud.wanted, self.radio.injected), ([], []))

    def test_flash_stands_in_for_what_the_cloud_refuses(self):
        for problem in (CloudError("no"), coap.Refused(Refusal()), b"reject"):
            self.radio = Radio()
            self.cloud.parts = [b"one", problem, b"two"]
            self.visit(pgps=6)
            self.assertEqual(self.radio.injected, [b"one", b"flash"])
        self.radio = Radio()
        self.visit(pgps=0)
        self.assertEqual(self.radio.injected, [b"one"])

    def test_what_the_receiver_rejected_does_not_count_as_given(self):
        self.cloud.parts = [b"one"]
        self.visit()
        self.assertEqual(self.state.given, {2: 1})
        self.radio = Radio()
        self.cloud.parts = [b"reject"]
        self.visit()
        self.assertEqual(self.state.given, {})

    def test_predictions_are_kept_fresh_when_the_setting_says_so(self):
        self.visit()
        self.assertEqual(self.cloud.kept, [])
        self.radio = Radio()
        self.visit(pgps=6)
        self.assertEqual(self.cloud.kept, [("/data/pgps", 6)])
        self.radio = Radio()
        self.cloud.fresh = "job"
        self.visit()
        self.assertEqual(self.cloud.kept[1:], [("/data/pgps", 6), ("/data/pgps", "job", 4096)])
        self.radio = Radio()
        self.cloud = Cloud((LOCATE, ASSIST))
        self.visit()
        self.assertEqual(self.cloud.kept, [])

    def test_no_predictions_are_no_reason_to_end(self):
        for problem in (CloudError("stale"), coap.Refused(Refusal()), ValueError("x")):
            self.radio = Radio()
            self.cloud.fresh = problem
            self.visit(pgps=6)
            self.assertEqual(len(self.cloud.kept), 1)
            self.cloud.kept.clear()


class WithoutLink(Visits):
    def setUp(self):
        super().setUp()
        self.state.link.clear()

    def test_flash_gives_what_it_has(self):
        self.visit(pgps=6)
        self.assertEqual(self.radio.injected, [b"flash"])
        self.assertEqual(self.cloud.offline, [("/data/pgps", NEED, None)])
        self.assertEqual((self.cloud.located, self.cloud.wanted, self.cloud.kept), ([], [], []))
        self.assertEqual(len(self.records.added), 2)

    def test_nothing_when_the_setting_is_off_or_flash_is_empty(self):
        self.visit()
        self.assertEqual((self.cloud.offline, self.radio.injected), ([], []))
        for nothing in (None, ValueError("damaged")):
            self.radio = Radio()
            self.cloud.flash = nothing
            self.visit(pgps=6)
            self.assertEqual(self.radio.injected, [])

    def test_the_newest_position_is_the_last_one(self):
        old, new = dict(FIX, time=100), dict(PLACE, time=200)
        for fix, place, last in (
            (old, new, new),
            (dict(old, time=300), new, dict(old, time=300)),
            (old, None, old),
            (None, new, new),
            (None, dict(PLACE, time=None), None),
        ):
            self.state.fix, self.state.place = fix, place
            self.radio = Radio()
            self.visit(pgps=6)
            self.assertEqual(self.cloud.offline.pop()[2], last)


if __name__ == "__main__":
    unittest.main()
