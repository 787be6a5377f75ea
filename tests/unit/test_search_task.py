"""firmware/tasks/search and offline against fakes: who helps a receiver that takes nothing of the cloud's, the radio
lent to one that cannot share it, and the link that has it back whatever happens."""

import unittest

import clock
import coap
import store
from cloud.base import ASSIST, LOCATE, PREDICT
from harness import scratch
from harness.aio import run
from harness.node_kit import Node, Scripted
from harness.virtual import START_MS, together
from modem.base import ATError
from tasks.locate import Locate
from tasks.search import borrow, give_back

NOW_S = START_MS // 1000
FIX = {"lat": 1, "lon": 2, "acc_mm": 5000, "time": NOW_S}
NEED = {"flags": 0x3B, "systems": {1: (0xFFFFFFFF, 0xFFFFFFFF)}}
CELL = {"mcc": 262, "mnc": 1, "eci": 27440068, "tac": 23056, "rsrp_dbm": -90, "neighbours": []}
REFUSED = ATError(b"AT", "ERROR")
SETTINGS = {
    "locate_interval_s": 14400, "locate_accuracy_m": 0, "locate_movement": "always", "gnss_timeout_s": 120,
    "agnss_mask_deg": -1, "pgps": 6, "xtra": "", "ground_fix_cells": 1, "ground_fix_reply": True,
    "ground_fix_confident": False, "ground_fix_fallback": True,
}  # fmt: skip
VERBS = "caps gnss_start gnss_need agnss_inject gnss_hint gnss_fix gnss_stop xtra xtra_valid_s"


class Heap:
    def mark(self):
        pass


class Receiver:
    """The GNSS verbs, scripted; `told` are the calls in their order."""

    def __init__(self, *caps):
        self.caps = frozenset(("GNSS",) + caps)
        self.told = []
        self.fix = dict(FIX)
        self.refuses = ()
        self.valid_s = 0

    def _tell(self, verb, *args):
        self.told.append((verb,) + args)
        if verb in self.refuses:
            raise REFUSED

    async def gnss_start(self, timeout_s):
        self._tell("start")

    async def gnss_need(self, timeout_ms):
        self._tell("need")
        return NEED

    async def agnss_inject(self, blob):
        self._tell("inject", bytes(blob))

    async def gnss_hint(self, unix_s, place):
        self._tell("hint", unix_s, place)

    async def xtra_valid_s(self):
        return self.valid_s

    async def xtra(self, source):
        self._tell("xtra", source)
        self.valid_s = 86400

    async def gnss_fix(self, timeout_ms):
        self._tell("fix")
        if isinstance(self.fix, Exception):
            raise self.fix
        return self.fix

    async def gnss_stop(self):
        self._tell("stop")

    def verbs(self):
        return [call[0] for call in self.told]


class Search(Node):
    def setUp(self):
        super().setUp()
        clock.set_utc(START_MS)
        self.state.link.set()
        self.settings.update(SETTINGS)
        self.root = scratch.make()
        self.settings.folder = self.root
        self.receiver = Receiver()
        self.cloud.caps = frozenset((LOCATE, ASSIST, PREDICT))
        self.cloud.locate = Scripted(None)
        self.cloud.predicted = lambda *args: b"flash"
        self.cloud.assistance_parts = lambda *args: ["part"]
        self.cloud.assistance = Scripted(4)
        self.cloud.predictions_due = Scripted(None)
        self.modem.cells = Scripted(CELL)
        self.link = self.make_link()
        self.link.started = True

    def tearDown(self):
        super().tearDown()
        scratch.remove(self.root)

    def task(self, own=False):
        """`own`: the receiver is the board's, else the modem's."""
        if not own:
            for verb in VERBS.split():
                setattr(self.modem, verb, getattr(self.receiver, verb))
        else:
            self.modem.caps = frozenset()
        return Locate(
            self.state, self.settings, self.records, self.modem, self.cloud, Heap(), memoryview(bytearray(4096)),
            folder="/data/pgps", link=self.link, receiver=self.receiver if own else None,
        )  # fmt: skip

    def visit(self, own=False):
        self.assertEqual(run(self.task(own).visit()), 14400)

    def how(self):
        """-> what the journal says about how the last fix was got."""
        record = self.records.peek(99)[-1]
        self.assertEqual(record[2], "fix")
        return record[3].split()[1].partition("=")[2]


class Help(Search):
    def test_a_receiver_that_takes_no_assistance_costs_the_cloud_nothing(self):
        self.visit()
        self.assertEqual(self.receiver.verbs(), ["start", "fix", "stop"])
        self.assertEqual((self.cloud.assistance.calls, self.cloud.predictions_due.calls), ([], []))
        self.assertEqual(self.how(), "none")

    def test_the_time_and_the_last_position_grown_wider(self):
        for caps, taken in ((("TIMEHINT",), False), (("POSHINT",), True), (("TIMEHINT", "POSHINT"), True)):
            self.receiver = Receiver(*caps)
            self.state.place = {"lat": 3, "lon": 4, "acc_mm": 300000, "time": NOW_S - 60}
            self.state.fix = None
            self.visit()
            place = {"lat": 3, "lon": 4, "acc_mm": 300000 + 60 * 10000}
            self.assertEqual(self.receiver.told[1], ("hint", NOW_S, place if taken else None))
            self.assertEqual(self.how(), "hint")

    def test_an_old_position_is_as_wide_as_the_earth_and_none_is_none(self):
        for fix, place in ((dict(FIX, time=NOW_S - 10**7, acc_mm=None), 10**9), (None, None)):
            self.receiver = Receiver("POSHINT")
            self.state.fix = fix
            self.visit()
            told = self.receiver.told[1][2]
            self.assertEqual(told and told["acc_mm"], place)

    def test_a_hint_when_the_cloud_and_flash_have_nothing(self):
        self.receiver = Receiver("AGNSS", "TIMEHINT")
        self.cloud.assistance = Scripted(ValueError("cut off"))
        self.cloud.predicted = lambda *args: None
        self.visit()
        self.assertEqual(self.receiver.verbs(), ["start", "need", "hint", "fix", "stop"])
        self.assertEqual(self.how(), "hint")

    def test_no_hint_when_the_cloud_or_flash_have_helped(self):
        for parts, name in ((Scripted(4), "agnss"), (Scripted(ValueError("x")), "pgps")):
            self.receiver = Receiver("AGNSS", "TIMEHINT", "POSHINT")
            self.cloud.assistance = parts
            self.visit()
            self.assertEqual(self.receiver.verbs(), ["start", "need", "inject", "fix", "stop"])
            self.assertEqual(self.how(), name)

    def test_a_hint_that_is_refused_costs_nothing(self):
        self.receiver = Receiver("TIMEHINT")
        self.receiver.refuses = ("hint",)
        self.visit()
        self.assertEqual(self.how(), "none")

    def test_no_hint_without_the_time(self):
        self.receiver = Receiver("TIMEHINT")
        self.state.link.clear()
        clock.reset()
        self.board.install()
        self.visit()
        self.assertEqual(self.receiver.verbs(), ["start", "fix", "stop"])


class Xtra(Search):
    def test_an_url_is_fetched_by_the_modem_before_the_start_and_only_when_it_is_due(self):
        self.settings["xtra"] = "http://x/xtra.bin"
        self.receiver = Receiver("XTRA")
        self.visit()
        self.assertEqual(self.receiver.told[:2], [("xtra", "http://x/xtra.bin"), ("start",)])
        self.assertEqual(self.how(), "xtra")
        self.receiver.told.clear()
        self.visit()
        self.assertEqual(self.receiver.verbs(), ["start", "fix", "stop"])
        self.assertEqual(self.how(), "xtra")

    def test_it_is_more_than_the_hint_that_goes_with_it(self):
        self.settings["xtra"] = "http://x/xtra.bin"
        self.receiver = Receiver("XTRA", "TIMEHINT")
        self.visit()
        self.assertEqual((self.receiver.verbs()[:3], self.how()), (["xtra", "start", "hint"], "xtra"))

    def test_a_file_of_ours_is_uploaded(self):
        self.settings["xtra"] = "xtra.bin"
        self.receiver = Receiver("XTRA")
        store.write_bytes(self.root + "/xtra.bin", b"\x01\x02")
        self.state.link.clear()
        self.visit()
        self.assertEqual(self.receiver.told[0], ("xtra", b"\x01\x02"))

    def test_what_cannot_be_had_costs_the_help_only(self):
        for source, linked, refuses in (
            ("gone.bin", True, ()), ("http://x/y", False, ()), ("http://x/y", True, ("xtra",)), ("", True, ()),
        ):  # fmt: skip
            self.settings["xtra"] = source
            self.receiver = Receiver("XTRA")
            self.receiver.refuses = refuses
            if linked:
                self.state.link.set()
            else:
                self.state.link.clear()
            self.visit()
            self.assertEqual(self.receiver.verbs()[-3:], ["start", "fix", "stop"])
            self.assertEqual(self.how(), "none")

    def test_a_modem_without_is_not_asked(self):
        self.settings["xtra"] = "http://x/y"
        self.visit()
        self.assertEqual(self.receiver.verbs(), ["start", "fix", "stop"])


class Own(Search):
    def test_the_boards_own_receiver_is_used_instead_of_the_modems(self):
        self.receiver = Receiver("AGNSS")
        self.visit(own=True)
        self.assertEqual(self.receiver.verbs(), ["start", "need", "inject", "fix", "stop"])
        self.assertEqual(self.how(), "agnss")
        self.assertEqual(len(self.modem.cells.calls), 1)

    def test_one_that_fails_does_not_take_the_link_with_it(self):
        for problem in (OSError(110), OSError(5), REFUSED):
            self.receiver = Receiver()
            self.receiver.fix = problem
            self.visit(own=True)
            self.assertTrue(self.state.link.is_set())
            self.assertTrue(self.state.tries[0] > 0)
            self.assertEqual(self.receiver.verbs()[-1], "stop")

    def test_a_modem_that_fails_does(self):
        self.receiver.fix = OSError(110)
        with self.assertRaises(OSError):
            self.visit()
        self.assertEqual(self.receiver.verbs()[-1], "stop")


class Alone(Search):
    """GNSS_ALONE: the radio is borrowed, and comes back."""

    def setUp(self):
        super().setUp()
        self.receiver = Receiver("GNSS_ALONE", "TIMEHINT")
        self.order = []
        for owner, verb in ((self.modem, "detach"), (self.cloud, "close")):
            setattr(owner, verb, self.noted(verb, getattr(owner, verb)))

    def noted(self, name, real):
        async def call(*args, **how):
            self.order.append((name, self.state.link.is_set()) + args)
            return await real(*args, **how)

        return call

    def live_with(self, task, until):
        """The link task and one visit of `task`, together."""
        self.state.link.clear()

        async def visit():
            await clock.wait(self.state.link)
            await clock.sleep(10000)  # the link has been up for long
            self.state.link_error = OSError(104)  # of a loss before
            await task.visit()
            await clock.sleep(1 << 18)

        together(self.link.run(), visit(), until=until)

    def test_the_session_is_put_away_the_search_done_and_the_link_is_back(self):
        self.live_with(self.task(), lambda: len(self.cloud.open.calls) == 2 and self.state.link.is_set())
        self.assertEqual(self.order, [("close", False, True), ("detach", False)])
        self.assertEqual(self.receiver.verbs(), ["start", "hint", "fix", "stop"])
        self.assertEqual((len(self.modem.attach.calls), self.modem.levels(), self.link.failures), (2, [], 0))
        self.assertEqual((self.state.ladder, self.records.pending()), (None, 2))
        self.assertEqual(len(self.cloud.locate.calls), 1)  # cells were asked while the link was there

    def test_the_link_does_not_come_up_meanwhile_and_nobody_can_take_it_down(self):
        seen = []

        async def fix(timeout_ms):
            self.link._on_modem_lost("CFUN: 0")
            self.state.fail(coap.Timeout())
            await clock.sleep(100)
            seen.append((self.state.link.is_set(), len(self.cloud.open.calls), self.state.due_ms > clock.uptime_ms()))
            return dict(FIX)

        self.receiver.gnss_fix = fix
        self.live_with(self.task(), lambda: len(self.cloud.open.calls) == 2 and self.state.link.is_set())
        self.assertEqual(seen, [(False, 1, True)])
        self.assertEqual(self.modem.levels(), [])

    def test_a_modem_that_restarts_meanwhile_is_started_again(self):
        async def fix(timeout_ms):
            self.modem.restarted = True
            self.link._on_modem_lost("RDY")
            raise OSError(104)

        self.receiver.gnss_fix = fix
        self.link.started = False
        self.live_with(self.task(), lambda: len(self.cloud.open.calls) == 2 and self.state.link.is_set())
        self.assertEqual(len(self.modem.start.calls), 2)
        self.assertEqual(self.state.tries[0], 1)

    def test_whatever_fails_the_radio_comes_back(self):
        for verb, problem in (
            ("detach", OSError(110)), ("detach", REFUSED), ("gnss_start", REFUSED), ("gnss_start", OSError(16)),
            ("gnss_fix", OSError(110)), ("gnss_stop", OSError(110)), ("gnss_hint", OSError(104)),
        ):  # fmt: skip
            with self.subTest(verb=verb, problem=problem):
                self.setUp()
                task = self.task()
                setattr(self.modem, verb, Scripted(problem))
                self.live_with(task, lambda: len(self.cloud.open.calls) == 2 and self.state.link.is_set())
                self.assertFalse(self.link.lock.locked())
                self.assertEqual((self.link.failures, self.modem.levels()), (0, []))

    def test_a_bug_gives_it_back_too(self):
        self.receiver.fix = KeyError("bug")
        with self.assertRaises(KeyError):
            self.visit()
        self.assertFalse(self.link.lock.locked())

    def test_without_a_link_there_is_no_session_to_put_away(self):
        self.state.link.clear()
        self.visit()
        self.assertEqual(self.order, [("detach", False)])
        self.assertEqual(self.how(), "hint")

    def test_not_while_the_link_is_being_brought_up(self):
        async def busy():
            await self.link.lock.acquire()
            with self.assertRaises(OSError) as caught:
                await borrow(self.link, 100, 0)
            self.assertEqual(caught.exception.args[0], 16)
            self.assertTrue(self.link.lock.locked())  # by him who had it
            self.link.lock.release()
            await borrow(self.link, 100)
            give_back(self.link)
            self.assertFalse(self.link.lock.locked())

        run(busy())
        self.assertEqual([call[0] for call in self.order], ["close", "detach"])

    def test_not_from_a_modem_that_is_not_started(self):
        self.link.started = False
        self.state.link.clear()
        self.visit()
        self.assertEqual((self.order, self.receiver.told), ([], []))
        self.assertFalse(self.link.lock.locked())


class Endless(Search):
    def test_a_search_that_does_not_end_is_ended(self):
        self.settings["gnss_timeout_s"] = -599  # the limit is a second, then
        self.receiver = Receiver("GNSS_ALONE")
        ended = []

        async def fix(timeout_ms):
            import asyncio

            try:
                await asyncio.sleep(100)
            finally:
                ended.append(1)

        self.receiver.gnss_fix = fix
        self.visit()
        self.assertEqual((ended, self.receiver.verbs()[-1]), ([1], "stop"))
        self.assertFalse(self.link.lock.locked())
        self.assertEqual(self.state.tries[0], 1)


if __name__ == "__main__":
    unittest.main()
