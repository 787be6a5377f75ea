"""firmware/bootsafe: starts that end badly, counted and slowed down; safe mode; the crash record; power cuts in it."""

import sys
import unittest

import bootsafe
import bootsel
from harness.boot_kit import HARD, OTHER, POWER, SLEEP, WATCHDOG, Reset, SafeTest
from harness.fota_kit import MICROPYTHON, bundle, install_by_cable

# fails on flash, reset cause -> fails after, counted, longest wait, safe mode, slot (when both are fit)
TABLE = (
    (0, POWER, 0, False, 0, False, "a"),
    (0, SLEEP, 0, False, 0, False, "a"),
    (0, HARD, 1, True, 0, False, "a"),
    (0, WATCHDOG, 1, True, 0, False, "a"),
    (1, HARD, 2, True, 0, False, "a"),
    (2, HARD, 3, True, 30, False, "a"),
    (2, POWER, 2, False, 0, False, "a"),
    (3, WATCHDOG, 4, True, 60, True, "a"),
    (3, POWER, 3, False, 30, False, "a"),
    (4, HARD, 5, True, 120, True, "a"),
    (6, HARD, 7, True, 480, True, "a"),
    (7, HARD, 8, True, 960, True, "b"),
    (8, HARD, 9, True, 1920, True, "a"),
    (8, POWER, 8, False, 30, True, "b"),
    (9, HARD, 10, True, 3600, True, "b"),
    (100, HARD, 101, True, 3600, True, "a"),
    (255, HARD, 255, True, 3600, True, "a"),
)


class TableTest(SafeTest):
    def test_what_a_start_comes_to(self):
        self.other()
        for fails, cause, after, counted, wait_s, safe, slot in TABLE:
            with self.subTest(fails=fails, cause=cause):
                n = self.record(fails=fails, cause=0)["n"]
                running, waited = self.begin(cause)
                self.assertEqual(
                    (running["fails"], self.fails(), running["counted"], running["safe"], running["slot"]),
                    (after, after, counted, safe, slot),
                )
                self.assertTrue(wait_s * 3 // 4 <= waited <= wait_s, (waited, wait_s))
                self.assertEqual(bootsel.read(self.root)["n"] - n, int(counted))  # one write, or none
                self.assertEqual(running["died"], "hung" if cause == WATCHDOG else "")
                self.assertTrue(900000 < self.machine.period <= 1800000)

    def test_the_other_slot_when_the_active_one_is_damaged_and_back_when_it_is_not_fit(self):
        self.record(fails=7)
        running, _ = self.begin()
        self.assertEqual((running["slot"], running["fault"]), ("a", None))  # there is no other
        self.other()
        self.record(fails=7)
        running, _ = self.begin(WATCHDOG)
        self.assertEqual((running["slot"], running["version"], running["fault"]), ("b", "0.9.0", "hung"))
        self.disk.flip("a/app.mpy", 3)
        running, _ = self.begin()
        self.assertEqual((running["slot"], running["fault"]), ("b", "app.mpy is damaged"))

    def test_no_slot_is_fit_waits_longer_each_time_and_resets(self):
        self.disk.flip("a/app.mpy", 3)
        waits = []
        for _ in range(12):
            with self.assertRaises(Reset):
                self.begin()
            waits.append(len(self.slept))
        self.assertTrue(all(22 <= wait <= 30 for wait in waits[:3]), waits)
        self.assertTrue(2700 <= waits[-1] <= 3600, waits)
        self.disk.flip("a/app.mpy", 3)
        self.assertEqual(self.begin()[0]["slot"], "a")  # what could not be read can

    def test_a_board_that_does_not_know_its_reset_cause_counts_what_is_seen(self):
        sys.modules["machine"] = object()
        bootsel.select(self.root)
        sys.path[:] = self._path
        running = bootsel.start()
        self.assertEqual((running["counted"], self.fails()), (False, 0))
        bootsafe.fail(self.root, running, "crashed", "x")
        self.assertEqual(self.fails(), 1)

    def test_flash_that_takes_no_count_is_not_a_fast_loop(self):
        def broken(root, state):
            raise OSError(5)

        write, bootsel.write = bootsel.write, broken
        try:
            running, waited = self.begin()
        finally:
            bootsel.write = write
        self.assertTrue(running["slot"] == "a" and 22 <= waited <= 30, waited)

    def test_select_that_did_not_end_waits_ten_minutes(self):
        check, bootsel.check = bootsel.check, None
        try:
            with self.assertRaises(TypeError):
                bootsel.select(self.root)
        finally:
            bootsel.check = check
        self.assertEqual(bootsel.wait_s, 600)

    def test_a_record_of_version_1_is_read(self):
        self.record(floor=7, bad=[b"x" * 16], result=2)
        for side in "01":
            raw = bytearray(self.disk.get("boot." + side)[:80])
            raw[2] = 1
            from binascii import crc32

            self.disk.put("boot." + side, bytes(raw) + (crc32(raw) & 0xFFFFFFFF).to_bytes(4, "little"))
        state = bootsel.read(self.root)
        self.assertEqual((state["floor"], state["bad"], state["result"], state["fails"]), (7, [b"x" * 16], 2, 0))
        self.assertEqual(self.begin()[0]["fails"], 1)
        self.assertEqual(bootsel.read(self.root)["floor"], 7)


class EndTest(SafeTest):
    def test_a_restart_by_decision_takes_its_count_back(self):
        for _ in range(10):
            running, waited = self.begin()
            self.assertEqual((running["fails"], waited), (1, 0))
            bootsafe.leave(self.root, running)
            bootsafe.leave(self.root, running)
            self.assertEqual(self.fails(), 0)

    def test_a_start_after_the_power_came_that_crashes_is_one(self):
        for n in range(1, 6):
            running, _ = self.begin(POWER)
            bootsafe.fail(self.root, running, "crashed", "ValueError: %d" % n)
            self.assertEqual(self.fails(), n)
        running, _ = self.begin(POWER)
        self.assertEqual((running["safe"], running["died"]), (True, "crashed: ValueError: 5"))

    def test_proof_ends_it(self):
        for _ in range(3):
            running, _ = self.begin()
        bootsafe.confirm(self.root, running)
        self.assertEqual((self.fails(), bootsel.read(self.root)["cause"]), (0, 0))
        n = bootsel.read(self.root)["n"]
        bootsafe.leave(self.root, running)
        self.assertEqual(bootsel.read(self.root)["n"], n)
        running, waited = self.begin()
        self.assertEqual((running["died"], running["fails"], waited), ("", 1, 0))

    def test_proof_of_safe_mode_keeps_it_near_and_six_hours_try_the_whole_node(self):
        self.record(fails=6)
        running, _ = self.begin()
        bootsafe.confirm(self.root, running)
        running, waited = self.begin()
        self.assertEqual((running["safe"], running["fails"]), (True, 4))
        bootsafe.leave(self.root, running, 2)
        running, waited = self.begin()
        self.assertEqual((running["safe"], running["fails"]), (False, 3))
        self.assertEqual((self.begin()[0]["safe"], self.fails()), (True, 4))

    def test_the_turn_of_the_other_slot_stays_its_own_while_it_works(self):
        self.other()
        self.record(fails=7)
        running, _ = self.begin()
        self.assertEqual(running["slot"], "b")
        bootsafe.confirm(self.root, running)
        bootsafe.leave(self.root, running)
        self.assertEqual(self.begin()[0]["slot"], "b")

    def test_a_crash_is_remembered_with_what_it_said(self):
        for said in ("x" * 300, "\xe4" * 100, "y" + "\xe4" * 99, "\u20ac" * 99, "\xe4", ""):
            running, _ = self.begin()
            with self.assertRaises(Reset):
                bootsafe.crashed(running, ValueError(said))
            text = "ValueError: " + said
            died = self.begin()[0]["died"]
            self.assertTrue(died.startswith("crashed: ValueError: ") and ("crashed: " + text).startswith(died), died)
            self.assertTrue(died == "crashed: " + text or 127 <= len(died.encode()) <= 129, died)
            self.record(fails=0)

    def test_ctrl_c_is_no_crash_and_an_end_without_error_is_one(self):
        running, _ = self.begin()
        n = bootsel.read(self.root)["n"]
        bootsafe.crashed(running, KeyboardInterrupt())
        self.assertEqual(bootsel.read(self.root)["n"], n)
        with self.assertRaises(Reset):
            bootsafe.crashed(running, None)
        self.assertEqual(self.begin()[0]["died"], "crashed: nothing left to run")

    def test_a_text_that_is_not_of_this_crash_is_not_shown(self):
        running, _ = self.begin()
        bootsafe.fail(self.root, running, "crashed", "one")
        self.disk.put("boot.why", b"two")
        self.assertEqual(self.begin()[0]["died"], "crashed")


class TrialTest(SafeTest):
    """The other image is on trial."""

    def setUp(self):
        super().setUp()
        install_by_cable(self.disk, "b", bundle(OTHER, "1.1.0", 2), OTHER)
        self.digest = bootsel.manifest(self.root, "b")["digest"]
        self.record(pending="b", digest=self.digest)

    def ends(self, *ends):
        """Starts of the image on trial that end so: a reset cause, or the words of a crash. -> what runs then."""
        cause = POWER
        for end in ends:
            running, waited = self.begin(cause)
            self.assertEqual((running["pending"], running["safe"], waited, self.fails()), (True, False, 0, 0))
            cause = HARD if isinstance(end, str) else end
            if isinstance(end, str):
                bootsafe.fail(self.root, running, "crashed", end)
            bootsafe.leave(self.root, running)  # takes nothing back
        running, _ = self.begin(cause)
        self.assertEqual((running["slot"], bootsel.read(self.root)["bad"]), ("a", [self.digest]))
        self.assertEqual((running["fails"], running["died"], running["counted"]), (0, "", False))
        return running["rolled_back"], running["why"]

    def test_the_last_cause_that_is_known_wins(self):
        for ends, reason in (
            ((HARD, HARD, HARD), ("tries", "")),
            ((POWER, SLEEP, HARD), ("tries", "")),
            ((WATCHDOG, WATCHDOG, WATCHDOG), ("hung", "")),
            (("bug", "bug", "bug"), ("crashed", "bug")),
            (("bug", HARD, HARD), ("crashed", "bug")),
            (("bug", HARD, WATCHDOG), ("hung", "")),
            ((WATCHDOG, POWER, "last"), ("crashed", "last")),
        ):
            with self.subTest(ends=ends):
                self.assertEqual(self.ends(*ends), reason)
                self.record(pending="b", tries=0, result=0, bad=[], fails=0, cause=0, why=0)

    def test_what_it_said_stays_until_something_else_is_to_be_said(self):
        self.ends("bug", "bug", "bug")
        running, _ = self.begin(POWER)
        self.assertEqual((running["rolled_back"], running["why"]), ("crashed", "bug"))
        bootsafe.fail(self.root, running, "crashed", "of mine")
        running, _ = self.begin(POWER)
        self.assertEqual((running["rolled_back"], running["why"], running["died"]), ("crashed", "", "crashed: of mine"))

    def test_an_image_that_destroys_the_same_record_each_time_does_not_run_for_ever(self):
        for side in "01":
            starts = 0
            while self.begin()[0]["pending"]:
                starts += 1
                self.disk.put("boot." + side, b"gone")
            self.assertTrue(1 < starts <= 3, starts)
            self.record(pending="b", tries=0, result=0, bad=[])


class CutTest(SafeTest):
    """Power cuts at every flash operation of whatever writes the count: it is as before, or as after."""

    def steps(self):
        def begin():
            return self.begin()[0]

        def crash():
            bootsafe.fail(self.root, self.running, "crashed", "ValueError: of some length")

        def leave():
            bootsafe.leave(self.root, self.running)

        def confirm():
            bootsafe.confirm(self.root, self.running)

        return begin, crash, leave, confirm

    def test_every_cut(self):
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        from harness.flashsim import MODES

        chip, cases = self.disk.chip, 0
        for fill in (0, 60):  # with a metadata block that is nearly full, too
            for _ in range(fill):
                self.record(floor=3)
            self.record(fails=1, floor=3, result=2, bad=[b"b" * 16])
            image = chip.save()
            for step in self.steps():
                for mode in MODES:
                    op = 0
                    while True:
                        chip.load(image)
                        self.disk.reboot()
                        self.running = {"pending": False, "counted": True, "safe": False, "slot": "a"}
                        chip.cut(op, mode, op)
                        step()
                        after = bootsel.read(self.root)
                        if not chip.after_cut():
                            break
                        self.disk.reboot()
                        state = bootsel.read(self.root)
                        wanted = (1, after["fails"])
                        self.assertTrue(state["fails"] in wanted, (step.__name__, mode, op, state["fails"], wanted))
                        self.assertEqual((state["floor"], state["result"], state["bad"]), (3, 2, [b"b" * 16]))
                        self.assertEqual((state["active"], state["pending"]), ("a", None))
                        self.assertEqual(self.begin()[0]["slot"], "a")
                        cases += 1
                        op += 1
                    self.assertTrue(op > 0, step.__name__)
        print("count: %d power cuts" % cases)
        self.assertTrue(cases > 24, cases)


if __name__ == "__main__":
    unittest.main()
