"""firmware/tasks/ladder against fakes, in virtual time: which rung comes when, and what a restart does not forget."""

import os
import unittest

import clock
import coap
import store
from harness.aio import run
from harness.flashsim import MODES, NAMES
from harness.fota_kit import MICROPYTHON, Disk
from harness.node_kit import Answer, Life, Scripted
from modem.base import ATError
from records import unpack
from tasks import ladder
from tasks.health import Heap
from tasks.uplink import Uplink

DAY_S = 86400


class Rungs(Life):
    def pauses(self):
        """-> seconds that passed before each rung, since the attempt before it."""
        tries = [call[0] for call in self.cloud.open.calls + self.modem.attach.calls + self.modem.start.calls]
        rungs = [call[0] for call in self.modem.reset.calls if call[1][0]]
        return [(at - max([one for one in tries if one < at])) // 1000 for at in rungs]

    def test_a_session_that_fails_climbs_every_rung_after_two_attempts_each(self):
        self.cloud.open = Scripted(coap.Timeout())
        self.restarts_itself()
        self.assertEqual(self.modem.levels(), [1, 2, 3, 4, 5, 6])
        self.assertEqual(len(self.cloud.open.calls), 14)
        self.assertEqual(len(self.modem.start.calls), 7)  # the first, and after each rung
        pauses = self.pauses()
        for pause in pauses[:3]:
            self.assertBetween(pause, 0, 200)
        for pause, wanted in zip(pauses[3:], (600, 1800, 3600)):
            self.assertAbout(pause, wanted)
        self.assertAbout((self.restarts[0] - self.cloud.open.calls[-1][0]) // 1000, 3600)

    def test_without_a_network_the_sockets_are_left_alone(self):
        self.modem.attach = Scripted(OSError(110, "no network"))
        self.restarts_itself()
        self.assertEqual(self.modem.levels(), [3, 4, 5, 6])
        self.assertEqual(len(self.modem.attach.calls), 10)

    def test_a_modem_that_does_not_answer_is_reset_by_its_pin_at_once(self):
        self.modem.start = Scripted(OSError(110))
        self.restarts_itself()
        self.assertEqual(self.modem.levels(), [5, 6])
        self.assertBetween(self.pauses()[0], 0, 60)
        self.assertAbout(self.pauses()[1], 600)

    def test_one_that_falls_silent_later_is_found_by_the_probe(self):
        self.modem.attach = Scripted(OSError(110))
        self.modem.reset = Scripted(OSError(110))
        self.restarts_itself()
        self.assertEqual(self.modem.levels(), [5, 6])
        self.assertEqual(len(self.modem.attach.calls), 3)

    def test_a_rung_that_does_not_work_is_followed_by_the_next(self):
        for problem in (OSError(19, "no power switch"), OSError(110), ATError(b"AT+CFUN=1,1", "ERROR")):
            self.setUp()
            self.cloud.open = Scripted(coap.Timeout())
            self.modem.reset = Scripted(*[None, problem] * 6, None)  # probes work
            self.restarts_itself()
            self.assertEqual(self.modem.levels(), [1, 2, 3, 4, 5, 6])

    def test_one_failure_climbs_nothing_and_leaves_nothing(self):
        self.cloud.open = Scripted(coap.Timeout(), 3600)
        self.up()
        self.assertEqual((self.modem.levels(), self.state.ladder, os.listdir(self.root)), ([], None, []))

    def test_a_session_in_which_nothing_is_heard_is_a_failure(self):
        lost = []

        def until():
            if len(self.modem.levels()) == 4:
                return True
            if self.state.link.is_set():
                lost.append(clock.uptime_ms())
                self.state.fail(coap.Timeout())
            return False

        self.live(until)
        self.assertEqual(self.modem.levels(), [1, 2, 3, 4])
        self.assertEqual(len(lost), 8)
        self.assertAbout((self.modem.reset.calls[-1][0] - lost[-1]) // 1000, 600)

    def test_a_session_that_worked_is_none_however_often_it_is_lost(self):
        lost = []

        def until():
            if self.state.link.is_set():
                lost.append(1)
                self.cloud.heard = clock.uptime_ms() + 1
                self.state.fail(OSError(104))
            return len(lost) == 12

        self.live(until)
        self.assertEqual((self.modem.levels(), self.state.ladder), ([], None))

    def test_flash_is_written_when_a_rung_is_climbed_and_not_else(self):
        seen = []

        def until():
            raw = store.read_bytes(self.root + "/ladder.json")
            if raw and raw not in seen:
                seen.append(raw)
            return self.state.link.is_set()

        self.cloud.open = Scripted(*[coap.Timeout()] * 7, 3600)
        self.live(until)
        self.assertEqual(len(seen), 3)
        self.assertEqual(self.file()["counts"], [0, 1, 1, 1, 0, 0, 0, 0])
        self.assertEqual(self.file()["error"], "Timeout")


class Restarts(Life):
    def test_after_its_own_restart_it_goes_on_where_it_was(self):
        self.cloud.open = Scripted(coap.Timeout())
        self.restarts_itself()
        self.assertEqual([self.file()[key] for key in ("level", "boots", "open")], [7, 1, True])
        self.reboot()
        self.until_s(20000)
        self.assertEqual(self.cloud.open.calls[0][0] // 1000, 0)  # at once
        levels = self.modem.levels()
        self.assertEqual(levels[:4], [3, 4, 5, 6][: len(levels)])
        self.assertTrue(len(levels) >= 2)
        for gap in self.gaps_s(self.cloud.open)[1::2]:
            self.assertAbout(gap, 3600)

    def test_it_restarts_once_and_then_once_a_day_at_most(self):
        self.cloud.open = Scripted(coap.Timeout())
        self.restarts_itself()
        self.reboot()
        self.restarts_itself()
        self.assertBetween(self.restarts[-1] // 1000, DAY_S, DAY_S + 8 * 3600)
        self.assertEqual(self.file()["counts"][7], 2)

    def test_starts_in_a_row_wait_longer_and_longer_whatever_restarts_the_board(self):
        self.cloud.open = Scripted(*[coap.Timeout()] * 5, 3600)
        self.live(lambda: len(self.modem.levels()) == 2)
        for wanted in (0, 600, 1800, 3600, 3600):
            self.reboot()
            self.live(lambda: self.modem.start.calls)
            self.assertAbout(self.modem.start.calls[0][0] // 1000, wanted)

    def test_a_board_that_cannot_remember_its_restart_does_not_restart(self):
        self.settings.folder = "/nowhere"
        self.cloud.open = Scripted(coap.Timeout())
        self.live(lambda: len(self.modem.levels()) == 8)
        self.assertEqual(self.restarts, [])
        self.assertEqual(self.modem.levels(), [1, 2, 3, 4, 5, 6, 3, 3])

    def test_a_damaged_file_is_a_new_ladder(self):
        good = {"counts": [0] * 8, "level": 4, "costly": 1, "boots": 0, "starts": 0, "error": "x", "open": True}
        self.assertEqual(self.read(good)["level"], 4)
        for key, value in (
            ("counts", [0] * 7), ("counts", [-1] + [0] * 7), ("counts", 8), ("level", 8), ("level", -1),
            ("level", "4"), ("costly", None), ("boots", []), ("error", 5), ("open", 1),
        ):  # fmt: skip
            self.assertEqual(self.read(dict(good, **{key: value}))["level"], 0, (key, value))
            self.assertEqual(self.read({k: v for k, v in good.items() if k != key})["level"], 0, key)
        for raw in (b"", b"[]", b"7", b"null", b'{"level": 4', b"\xff" * 9000):
            store.write_bytes(self.root + "/ladder.json", raw)
            self.up()
            self.assertEqual(self.modem.levels(), [])
            self.setUp()

    def read(self, content):
        store.write_json(self.root + "/ladder.json", content)
        return ladder._read(self.settings)

    def test_at_every_power_cut_the_old_rung_or_the_new_one(self):
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        disk = Disk(16)
        self.settings.folder = disk.root
        try:
            self.cut_everywhere(disk)
        finally:
            disk.close()

    def cut_everywhere(self, disk):
        link = self.make_link()
        link.state.ladder = ladder._read(self.settings)
        link.level = 0
        link.state.ladder["error"] = "Timeout"
        for old in (1, 6):
            self.assertTrue(ladder._count(link, link.state.ladder, old))
            climbed = sum(link.state.ladder["counts"])
            image = disk.chip.save()
            op = cases = 0
            reached = True
            while reached:
                for mode in MODES:
                    disk.chip.load(image)
                    disk.reboot()
                    disk.chip.cut(op, mode, op)
                    found = ladder._read(self.settings)
                    ladder._count(link, found, old + 1)
                    reached = disk.chip.after_cut()
                    if not reached:
                        break
                    disk.reboot()
                    cases += 1
                    found = ladder._read(self.settings)
                    told = (found["level"], sum(found["counts"]), found["open"])
                    wanted = ((old, climbed, True), (old + 1, climbed + 1, True))
                    self.assertTrue(told in wanted, (NAMES[mode], op, told))
                op += 1
            self.assertTrue(cases >= 6, cases)
            disk.chip.load(image)
            disk.reboot()


class Proof(Life):
    def uplink(self):
        self.state.control = {"alertsEn": True, "logLvl": 0}
        self.state.health = 1 << 40  # nothing to say about the heap
        return Uplink(self.state, self.settings, self.records, self.cloud, self.logbook, Heap(self.state))

    def test_a_session_alone_ends_nothing_an_uplink_does_and_the_cloud_is_told(self):
        self.cloud.open = Scripted(*[coap.Timeout()] * 5, 3600)
        self.up()
        self.assertTrue(self.file()["open"])
        self.assertTrue(self.state.records.is_set())  # an uplink is due at once
        uplink = self.uplink()
        alerts = []

        async def publish(records):
            alerts.extend([record[3] for record in records])
            return len(records)

        self.cloud.publish = publish
        run(uplink.visit())
        self.assertIsNone(self.state.ladder)
        wanted = {"type": "recovered", "value": 2, "desc": "recovered by level 2 (bearer): Timeout"}
        self.assertEqual(alerts, [wanted])
        kept = self.file()
        self.assertEqual([kept[key] for key in ("level", "costly", "boots", "starts", "open")], [0, 0, 0, 0, False])
        self.assertEqual(kept["counts"], [0, 1, 1, 0, 0, 0, 0, 0])
        self.assertEqual(ladder.counts(self.settings), {"sockets": 1, "bearer": 1, "error": "Timeout"})

    def test_what_is_over_is_forgotten_at_the_next_start(self):
        self.test_a_session_alone_ends_nothing_an_uplink_does_and_the_cloud_is_told()
        self.reboot()
        self.up()
        self.assertEqual((self.state.ladder, clock.uptime_ms() // 1000), (None, 0))

    def test_an_uplink_that_fails_proves_nothing_and_tells_once(self):
        self.cloud.open = Scripted(*[coap.Timeout()] * 3, 3600)
        self.up()
        uplink = self.uplink()
        for _ in range(2):
            self.cloud.publish = Scripted(coap.Timeout())
            with self.assertRaises(coap.Timeout):
                run(uplink.visit())
        self.assertTrue(self.file()["open"])
        self.assertEqual(self.records.pending(), 1)
        self.assertEqual(unpack(*self.journal.peek(1)[0])[2], "alert")

    def test_an_answer_that_is_a_refusal_shows_that_the_way_is_open(self):
        self.up()
        self.state.heard = 0
        self.records.add("temp", 1)
        self.cloud.publish = Scripted(coap.Refused(Answer(0xA3, b"")))
        self.board.ms += 5000
        with self.assertRaises(coap.Refused):
            run(self.uplink().visit())
        self.assertTrue(self.state.heard >= 5000)

    def test_nothing_was_ever_wrong(self):
        self.assertIsNone(ladder.counts(self.settings))


if __name__ == "__main__":
    unittest.main()
