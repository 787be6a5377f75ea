"""firmware/tasks/plan: the policy of position as a table, movement by cells and by a sensor, what a search leaves."""

import time
import unittest

import clock
import log
from harness.aio import run
from harness.rng import Rng, seed
from harness.virtual import START_MS, Board
from state import State
from tasks import plan

CELLS, SKY = "tasks.place", "tasks.search"
NEIGHBOURS = [{"earfcn": 6300, "pci": 17, "rsrp_dbm": -101}, {"earfcn": 1300, "pci": 4, "rsrp_dbm": None}]
CELL = {"mcc": 262, "mnc": 1, "eci": 27440068, "tac": 5, "rsrp_dbm": -90, "ta": 80, "neighbours": NEIGHBOURS}
FIX = {"lat": 1, "lon": -2, "acc_mm": 5000, "time": START_MS // 1000}
BOOLS = (False, True)
INTERVAL_S = 14400


class Radio:
    def __init__(self, *caps):
        self.caps = frozenset(caps)
        self.cell = CELL
        self.measured = 0

    async def cells(self):
        self.measured += 1
        return self.cell


class Records:
    def __init__(self):
        self.added = []

    def add(self, *record):
        self.added.append(record)


class Visit:
    """What tasks/locate gives its steps."""

    mark = None

    def __init__(self, caps=("GNSS",), moved=None, accuracy_m=0, movement="cells"):
        self.state = State()
        self.state.link.set()
        self.modem = self.receiver = Radio(*caps)
        self.config = {
            "locate_accuracy_m": accuracy_m, "locate_movement": movement, "locate_interval_s": INTERVAL_S,
        }  # fmt: skip
        self.records = Records()
        self.moved = moved

    def plan(self):
        self.mark = None
        return run(plan.run(self))

    def searched(self, fix=None):
        return plan.take(self, dict(fix) if fix else None, "none", 30)


class Case(unittest.TestCase):
    def setUp(self):
        self.board = Board().install()
        clock.set_utc(START_MS)
        log.level = 0

    def tearDown(self):
        log.level = log.INFO
        clock.reset()

    def later(self, seconds):
        self.board.ms = time.ticks_add(self.board.ms, seconds * 1000)
        clock.uptime_ms()


class Table(Case):
    def test_every_case(self):
        """All of: receiver, its sharing the radio, link, battery, accuracy, and how the last search went."""
        count = 0
        for receiver in BOOLS:
            for alone in BOOLS:
                for linked in BOOLS:
                    for low in BOOLS:
                        for accuracy_m in (0, 10, 499, 500, 5000):
                            for tries in (None, 0, 1, 2):
                                self.one(receiver, alone, linked, low, accuracy_m, tries)
                                count += 1
        self.assertEqual(count, 320)

    def one(self, receiver, alone, linked, low, accuracy_m, tries):
        caps = (["GNSS"] if receiver else []) + (["GNSS_ALONE"] if alone else [])
        visit = Visit(caps, lambda: False, accuracy_m)  # the sensor: not moved
        visit.state.low = low
        if not linked:
            visit.state.link.clear()
        if tries is not None:
            visit.state.tries = (tries, clock.uptime_ms(), b"")
        steps = visit.plan()
        self.assertEqual(len(set(steps)), len(steps))
        if tries == 0:
            self.assertEqual((steps, visit.modem.measured), ((), 0))  # not a second of radio
            return
        self.assertEqual(CELLS in steps, linked)
        self.assertEqual(SKY in steps, receiver and not low and tries != 2)
        if len(steps) == 2:  # alone: afterwards there is no link to ask by
            self.assertEqual(steps[0], CELLS if alone or not 0 < accuracy_m < 500 else SKY)
        self.assertEqual(visit.modem.measured, linked)

    def test_in_words(self):
        self.assertEqual(Visit(accuracy_m=20).plan(), (SKY, CELLS))
        self.assertEqual(Visit(accuracy_m=2000).plan(), (CELLS, SKY))
        self.assertEqual(Visit().plan(), (CELLS, SKY))
        self.assertEqual(Visit(("GNSS", "GNSS_ALONE"), accuracy_m=20).plan(), (CELLS, SKY))
        self.assertEqual(Visit(()).plan(), (CELLS,))


class Movement(Case):
    def test_not_moved_by_cells_keeps_the_fix_for_a_day(self):
        visit = Visit()
        self.assertEqual(visit.plan(), (CELLS, SKY))
        visit.searched(FIX)
        for hours in (1, 11, 11):
            self.later(hours * 3600)
            self.assertEqual(visit.plan(), ())
        self.later(2 * 3600)
        self.assertEqual(visit.plan(), (CELLS, SKY))

    def test_what_differs_between_two_places(self):
        def with_(**changes):
            return dict(CELL, **changes)

        same = (
            with_(rsrp_dbm=-95), with_(rsrp_dbm=None), with_(neighbours=NEIGHBOURS[::-1]),
            with_(neighbours=[dict(NEIGHBOURS[0], rsrp_dbm=-106), NEIGHBOURS[1]]),
        )  # fmt: skip
        other = (
            with_(eci=1), with_(ta=96), with_(ta=None), with_(rsrp_dbm=-97), with_(neighbours=[]),
            with_(neighbours=NEIGHBOURS[:1]), with_(neighbours=[dict(NEIGHBOURS[0], pci=18), NEIGHBOURS[1]]),
            with_(neighbours=[dict(NEIGHBOURS[0], rsrp_dbm=-108), NEIGHBOURS[1]]),
            with_(neighbours=[dict(NEIGHBOURS[0], earfcn=6301), NEIGHBOURS[1]]),
        )  # fmt: skip
        for cells, steps in ((same, ()), (other, (CELLS, SKY))):
            for cell in cells:
                visit = Visit()
                visit.plan()
                visit.searched(FIX)
                visit.modem.cell = cell
                self.assertEqual(visit.plan(), steps, cell)

    def test_creeping_is_seen_because_the_last_search_counts_and_not_the_last_visit(self):
        visit = Visit()
        visit.plan()
        visit.searched(FIX)
        steps = []
        for level in range(-90, -98, -1):
            visit.modem.cell = dict(CELL, rsrp_dbm=level)
            steps.append(visit.plan())
        self.assertEqual(steps, [()] * 7 + [(CELLS, SKY)])

    def test_one_cell_alone_tells_nothing_and_the_setting_may_say_the_same(self):
        for visit in (Visit(movement="always"), Visit()):
            if visit.config["locate_movement"] == "cells":
                visit.modem.cell = dict(CELL, neighbours=[])
            visit.plan()
            visit.searched(FIX)
            self.assertEqual(visit.plan(), (CELLS, SKY))

    def test_a_sensor_wins_and_its_news_is_kept_until_the_next_search(self):
        moves = [False, False, True, False, False]
        visit = Visit(moved=lambda: moves.pop(0))
        visit.plan()
        visit.searched(FIX)
        self.assertEqual(visit.plan(), ())
        visit.state.low = True
        self.assertEqual(visit.plan(), (CELLS,))  # it moved, but the battery is low
        visit.state.low = False
        self.assertEqual(visit.plan(), (CELLS, SKY))  # it has not moved since, but since the fix
        visit.searched(FIX)
        self.assertEqual(visit.plan(), ())

    def test_a_sensor_needs_no_cells(self):
        visit = Visit(moved=lambda: False)
        visit.state.link.clear()
        self.assertEqual(visit.plan(), (SKY,))
        visit.searched(FIX)
        self.assertEqual(visit.plan(), ())

    def test_without_a_link_nobody_knows_and_the_sky_is_searched(self):
        visit = Visit()
        visit.plan()
        visit.searched(FIX)
        visit.state.link.clear()
        self.assertEqual(visit.plan(), (SKY,))

    def test_marks_of_random_cells(self):
        rng = Rng(seed(5))
        for _ in range(200):
            count = rng.below(12)
            neighbours = [
                {"earfcn": rng.below(262144), "pci": rng.below(504), "rsrp_dbm": -40 - rng.below(110)}
                for _ in range(count)
            ]
            cell = dict(CELL, eci=rng.below(1 << 28), ta=rng.below(20513), neighbours=neighbours)
            found = plan._mark(cell)
            self.assertEqual(len(found), 8 * (count + 1))
            self.assertEqual(plan._same(found, plan._mark(dict(cell, neighbours=neighbours[::-1]))), count > 0)
            self.assertFalse(plan._same(found, plan._mark(dict(cell, eci=cell["eci"] ^ 1 << rng.below(28)))))


class Failures(Case):
    def test_searches_in_vain_become_rare_and_a_fix_ends_that(self):
        visit = Visit()
        searched = []
        for number in range(60):
            if SKY in visit.plan():
                searched.append(number)
                visit.searched()
            self.later(INTERVAL_S)
        self.assertEqual(searched[:4], [0, 1, 3, 7])
        gaps = [b - a for a, b in zip(searched, searched[1:])]
        self.assertEqual(max(gaps), 6)  # a day
        while SKY not in visit.plan():
            self.later(INTERVAL_S)
        self.assertTrue(visit.searched(FIX))
        self.assertEqual(visit.state.tries[0], 0)

    def test_elsewhere_it_is_tried_at_once(self):
        visit = Visit()
        for _ in range(3):
            visit.plan()
            visit.searched()
        self.assertEqual(visit.plan(), (CELLS,))
        visit.modem.cell = dict(CELL, eci=5)
        self.assertEqual(visit.plan(), (CELLS, SKY))


class Taking(Case):
    def test_the_fix_and_how_it_was_got_under_one_time(self):
        visit = Visit()
        self.assertTrue(plan.take(visit, dict(FIX), "agnss", 6))
        how = "method=gnss assistance=agnss ttff_s=6"
        self.assertEqual(visit.records.added, [("gnss", FIX, START_MS), ("fix", how, START_MS)])
        self.assertEqual(visit.state.fix, FIX)

    def test_a_receiver_that_does_not_say_how_good_it_is_is_not_taken_for_perfect(self):
        visit = Visit()
        plan.take(visit, dict(FIX, acc_mm=None, speed_mm_s=None), "none", 30)
        self.assertEqual((visit.state.fix["acc_mm"], visit.records.added[0][1]["acc_mm"]), (100000, 100000))
        self.assertIsNone(visit.state.fix["speed_mm_s"])

    def test_none_leaves_nothing(self):
        visit = Visit()
        self.assertFalse(plan.take(visit, None, "none", 120))
        self.assertEqual((visit.records.added, visit.state.fix), ([], None))

    def test_a_receiver_that_lost_count_of_its_weeks_is_not_believed(self):  # modems.md 7.3, 27
        now_s = START_MS // 1000
        for said, taken in (
            (now_s - 1024 * 7 * 86400, now_s), (now_s + 90000, now_s), (None, now_s), (0, now_s),
            (now_s - 3600, now_s - 3600), (now_s + 2, now_s + 2),
        ):  # fmt: skip
            visit = Visit()
            plan.take(visit, dict(FIX, time=said, acc_mm=None), "none", 30)
            self.assertEqual((visit.state.fix["time"], visit.records.added[0][2]), (taken, taken * 1000))

    def test_without_a_time_of_our_own_the_receivers_is_taken_if_it_can_be(self):
        for said, known in ((START_MS // 1000, True), (946684800, False), (None, False)):
            Board().install()
            visit = Visit()
            plan.take(visit, dict(FIX, time=said), "none", 30)
            self.assertEqual(clock.now(), said if known else None)
            self.assertEqual(visit.state.fix["time"], said if known else None)


if __name__ == "__main__":
    unittest.main()
