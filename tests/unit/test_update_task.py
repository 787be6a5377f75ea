"""firmware/tasks/update and job against fakes, in virtual time: every way a job can end, and what is said about it."""

import unittest

import clock
import coap
import log
import store
from cloud.base import FAILED, REJECTED, STARTED, STEPS, SUCCEEDED, TIMED_OUT, UPDATE, AuthError, CloudError
from errands import Errand
from fota import FetchError, InstallError, ManifestError
from harness.update_kit import JOB, Cloud, Node, refusal


class Jobs(unittest.TestCase):
    caps = (UPDATE,)
    blocks = 3

    def setUp(self):
        log.level = 0
        self.cloud = Cloud(JOB, caps=self.caps)
        self.node = Node(self.cloud, self.blocks)

    def tearDown(self):
        log.level = log.INFO
        self.node.close()

    def steps(self):
        return self.node.slots.steps

    def last(self):
        return self.cloud.history[-1][1:]


class Taking(Jobs):
    def test_the_whole_way(self):
        self.assertTrue(self.node.live())
        self.assertEqual(self.steps(), ["install", "arm", "restart"])
        self.assertEqual(self.node.states(), [STARTED])
        self.node.try_new()
        self.node.live(self.node.settled)
        self.assertEqual(self.last(), (SUCCEEDED, "FOTA update completed successfully"))
        self.node.until_s(8000)
        self.assertEqual(len(self.cloud.told), 2)
        self.assertEqual(self.steps()[-1], "confirm")
        self.assertTrue(not store.exists(self.node.file))

    def test_on_trial_nothing_is_taken_and_nothing_said(self):
        self.node.try_new(sound=False)
        self.node.until_s(600)
        self.assertEqual((self.cloud.told, self.steps(), self.node.done), ([], [], 0))

    def test_a_lost_link_goes_on_without_saying_that_it_started_again(self):
        self.cloud.lose = (3, 5, 6)  # answers: to the report, to blocks
        self.assertTrue(self.node.live())
        self.assertEqual(self.node.states(), [STARTED])
        self.assertEqual(self.node.records.journal.cursor, 1)

    def test_a_session_that_never_brings_a_block_is_not_tried_for_ever_at_once(self):
        self.node.script = [coap.Timeout("too large for this path")] * 1000
        self.node.until_s(10000)
        self.assertTrue(4 <= 1000 - len(self.node.script) < 20, len(self.node.script))
        del self.node.script[1:]
        self.assertTrue(self.node.live())

    def test_a_start_in_the_middle_does_not_say_it_again_either(self):
        self.node.blocks = 100
        self.node.block_s = 10
        self.node.until_s(100)
        done = self.node.done
        self.assertTrue(done > 5)
        self.node.boot()
        self.node.until_s(20)
        self.assertTrue(self.node.done > done)
        self.assertEqual(len(self.cloud.told), 1)

    def test_an_image_for_others_is_rejected_and_one_that_is_broken_at_its_source_failed_after_five_attempts(self):
        for problem, times, wanted in (
            (ManifestError("sequence", 3), 1, (REJECTED, "Device rejected the update: sequence 3")),
            (FetchError("signature", None, True), 1, (REJECTED, "Device rejected the update: signature")),
            (FetchError("block", 7), 5, (FAILED, "Error occurred while downloading the file: block 7")),
            (FetchError("space", "9 of 40 blocks"), 1,
             (FAILED, "Error occurred while downloading the file: space 9 of 40 blocks")),
            (refusal(0x84), 5, (FAILED, "Error occurred while downloading the file: 4.04 ")),
            (CloudError("unassigned"), 5, (FAILED, "Error occurred while downloading the file: unassigned")),
            (MemoryError(), 5, (FAILED, "Error occurred while downloading the file: memory")),
        ):  # fmt: skip
            with self.subTest(problem=str(problem)):
                self.tearDown()
                self.setUp()
                self.node.script = [problem] * 5
                self.node.live(self.node.settled)
                self.assertEqual((self.node.states(), self.last()), ([STARTED, wanted[0]], wanted))
                self.assertEqual(len(self.node.script), 5 - times)
                self.assertEqual(self.steps(), [])

    def test_a_cloud_that_is_busy_or_does_not_know_us_costs_no_attempt(self):
        self.node.script = [refusal(0xA3), refusal(0x9D), AuthError("who"), refusal(0xA0)] * 2
        self.assertTrue(self.node.live())
        self.assertEqual(self.node.states(), [STARTED])

    def test_attempts_are_further_and_further_apart(self):
        self.node.script = [FetchError("block", 1)] * 5
        self.node.live(self.node.settled)
        self.assertTrue(clock.uptime_ms() > 200000, clock.uptime_ms())

    def test_what_cannot_be_installed(self):
        for problem, wanted in (
            (InstallError("reread"), (FAILED, "Update could not be validated: reread")),
            (InstallError("native", "a.mpy", True), (REJECTED, "Device rejected the update: native a.mpy")),
        ):
            self.tearDown()
            self.setUp()
            self.node.slots.fail = problem
            self.node.live(self.node.settled)
            self.assertEqual((self.last(), self.steps()), (wanted, []))

    def test_types_and_hosts_that_are_not_for_us(self):
        for change, wanted in (
            ({"kind": "MODEM"}, "FW file does not match specified FOTA type"),
            ({"kind": "BOOT", "refused": "x"}, "FW file does not match specified FOTA type"),
            ({"refused": "the proxy does not take h"}, "Device rejected the update: the proxy does not take h"),
        ):
            self.tearDown()
            self.setUp()
            self.cloud.jobs = [dict(JOB)]
            self.cloud.jobs[0].update(change)
            self.node.until_s(4000)
            self.assertEqual(self.cloud.history, [(JOB["id"], REJECTED, wanted)])
            self.assertEqual(self.node.done, 0)

    def test_a_journal_that_waits_does_not_make_us_take_a_job_twice(self):
        self.node.script = [ManifestError("class")]
        self.cloud.refuse = [refusal(0xA3)] * 6
        self.node.until_s(4000)
        self.assertEqual(self.node.script, [])
        self.node.until_s(20000)
        self.assertEqual(self.node.states(), [STARTED, REJECTED])
        self.assertEqual(self.node.records.journal.cursor, 2)

    def test_telemetry_does_not_wait_for_a_report_that_is_not_taken(self):
        """5.00 for hours, or no answer: the measurements go up, and then what is left to say: how it ended."""
        for refused in (refusal(0xA0), coap.Timeout("silence"), CloudError("not now")):
            self.tearDown()
            self.setUp()
            self.node.script = [ManifestError("class")]
            for i in range(3):
                self.node.records.add("temp", i)
            refusals = self.cloud.refuse = [refused] * 1000
            self.node.until_s(30)
            for i in range(3):
                self.node.records.add("temp", i)
            self.node.until_s(15000)
            self.assertEqual((self.cloud.published, self.cloud.told), (6, []))
            self.assertEqual([record[2] for record in self.node.records.peek(9)], ["job"])
            self.assertTrue(1000 - len(refusals) < 60, len(refusals))
            refusals.clear()
            self.node.until_s(30000)
            self.assertEqual([state for _, state, _ in self.cloud.told], [REJECTED])

    def test_a_cloud_that_makes_a_new_job_of_each_that_fails_does_not_keep_us_busy(self):
        for ends, change in (([], {"refused": "host"}), ([ManifestError("class")] * 99, {})):
            self.tearDown()
            self.setUp()
            self.node.script = ends
            self.cloud.jobs = [dict(JOB, id="job%d" % i, **change) for i in range(99)]
            self.node.until_s(6 * 3600)
            ended = [entry[0] for entry in self.cloud.history if entry[1] == REJECTED]
            self.assertEqual(ended, ["job%d" % i for i in range(6)])  # one each update_interval_s

    def test_the_next_job_has_its_turn(self):
        second = dict(JOB)
        second["id"] = "second"
        self.cloud.jobs.append(second)
        self.node.script = [ManifestError("class"), ManifestError("class")]
        self.node.until_s(9000)
        self.assertEqual([entry[0] for entry in self.cloud.history], [JOB["id"]] * 2 + ["second"] * 2)


class Stretches(Jobs):
    blocks = 100

    def setUp(self):
        super().setUp()
        self.node.block_s = 10

    def test_another_errand_that_is_due_gets_its_turn_at_the_next_block(self):
        visits = []

        class Other:
            async def visit(self):
                visits.append(clock.uptime_ms() // 1000)
                return 100

        self.node.until_s(1000, others=(Errand("other", lambda name: Other()),))
        self.assertTrue(len(visits) >= 9, visits)
        for i in range(1, len(visits)):
            self.assertTrue(abs(visits[i] - visits[i - 1] - 100) <= 12, visits)

    def test_an_uplink_that_backs_off_does_not_stop_it(self):
        self.cloud.refuse = [refusal(0xA3)] * 100
        self.node.until_s(900)
        self.assertTrue(self.node.done > 70)

    def test_the_job_is_asked_for_again_at_each_tenth_and_then_a_cancelled_one_ends(self):
        async def cancel():
            await clock.sleep(150)
            self.cloud.jobs = []

        self.node.until_s(1500, tasks=(cancel(),))
        self.assertTrue(15 <= self.node.done <= 21, self.node.done)
        self.assertEqual(self.node.states(), [STARTED])
        self.assertTrue(not store.exists(self.node.file))

    def test_a_job_that_is_cancelled_while_the_link_is_away_is_not_installed(self):
        """Its image is complete, the cloud still wants it, and another errand is due first and finds the link dead."""
        node, cloud = self.node, self.cloud
        node.done = node.blocks
        check = cloud.update_check

        class Other:
            async def visit(self):
                if node.state.job is None:
                    return 100000
                cloud.jobs = []
                raise OSError(110)

        other = Errand("other", lambda name: Other())

        async def asked():
            other.due_ms = 0
            return await check()

        cloud.update_check = asked
        node.until_s(20000, others=(other,))
        self.assertEqual((cloud.jobs, self.steps(), node.states()), ([], [], [STARTED]))

    def test_a_job_that_is_cancelled_before_it_was_said_to_have_started_is_no_trouble(self):
        self.cloud.refuse = [refusal(0xA3)]
        self.node.until_s(20)
        self.cloud.jobs = []
        self.node.until_s(2000)
        self.assertEqual((self.cloud.history, self.node.records.pending()), ([], 0))

    def test_the_same_image_under_another_job_goes_on_where_it_was(self):
        self.node.until_s(150)
        done = self.node.done
        self.cloud.jobs = []
        self.node.until_s(1000)
        self.cloud.jobs = [dict(JOB)]
        self.cloud.jobs[0]["id"] = "again"
        self.assertTrue(self.node.live())
        self.assertTrue(done > 10)
        self.assertEqual([entry[:2] for entry in self.cloud.history], [(JOB["id"], STARTED), ("again", STARTED)])

    def test_a_low_battery_stops_it_and_a_better_one_lets_it_go_on(self):
        async def sag():
            await clock.sleep(100)
            self.node.state.low = True
            await clock.sleep(5000)
            self.low_at = self.node.done
            self.node.state.low = False

        self.assertTrue(self.node.live(tasks=(sag(),)))
        self.assertTrue(9 <= self.low_at <= 11, self.low_at)
        self.assertEqual(self.node.states(), [STARTED])

    def test_a_low_battery_keeps_an_install_from_beginning(self):
        self.node.done = self.node.blocks
        self.node.state.low = True
        self.node.until_s(5000)
        self.assertEqual(self.steps(), [])

    def test_a_slow_one_ends_after_its_hours_of_uptime(self):
        self.node.settings["update_hours"] = 2
        self.node.block_s = 200
        self.node.until_s(3600)
        clock.set_utc(4102444800000)  # 2100: nobody cares
        self.node.until_s(7000)
        self.assertEqual(self.node.states(), [STARTED])
        self.node.until_s(8200)
        self.assertEqual(self.last(), (TIMED_OUT, "Download did not complete in the allotted time"))

    def test_its_age_outlives_a_restart_and_a_pause_counts(self):
        self.node.settings["update_hours"] = 2
        self.node.block_s = 200
        for _ in range(3):
            self.node.until_s(3000)
            if TIMED_OUT in self.node.states():
                break
            self.node.boot()
        self.assertEqual(self.node.states(), [STARTED, TIMED_OUT])


class Steps(Jobs):
    caps = (UPDATE, STEPS)

    def test_a_platform_with_words_for_the_steps_hears_each_once(self):
        self.assertTrue(self.node.live())
        self.node.try_new()
        self.node.live(self.node.settled)
        self.assertEqual(self.node.states(), ["started", "downloaded", "verified", "installing", "succeeded"])
        self.assertEqual(len(self.cloud.told), 5)


class Ending(Jobs):
    def setUp(self):
        super().setUp()
        self.assertTrue(self.node.live())

    def test_a_rolled_back_version_is_a_failed_job_with_its_reason(self):
        self.node.fall_back("crashed", "ImportError: no module named x")
        self.node.live(self.node.settled)
        wanted = "Update could not be validated: crashed: ImportError: no module named x"
        self.assertEqual(self.last(), (FAILED, wanted))
        self.node.until_s(8000)
        self.assertEqual(self.node.states(), [STARTED, FAILED])

    def test_power_cut_between_install_and_arming_installs_again_without_a_word(self):
        self.node.boot()
        self.assertTrue(self.node.live())
        self.assertEqual(self.steps(), ["install", "arm", "restart"] * 2)
        self.assertEqual(self.node.states(), [STARTED])

    def test_a_result_that_was_not_taken_is_said_again(self):
        self.node.fall_back()
        self.cloud.refuse = [refusal(0xA3)]
        self.node.live(self.node.settled)
        self.assertEqual(self.node.states(), [STARTED, FAILED])

    def test_a_job_that_the_cloud_has_forgotten_stops_nothing(self):
        self.cloud.jobs = []
        self.node.fall_back()
        self.node.records.add("temp", 20)
        self.node.live(lambda: self.cloud.published)
        self.assertEqual((self.node.states(), self.node.records.pending()), ([STARTED], 0))

    def test_a_confirmation_that_flash_refuses_is_tried_again(self):
        confirm = self.node.slots.confirm
        failures = [InstallError("flash"), InstallError("flash")]

        def failing():
            if failures:
                raise failures.pop()
            return confirm()

        self.node.slots.confirm = failing
        self.node.try_new()
        self.node.live(self.node.settled)
        self.assertEqual(self.node.states(), [STARTED, SUCCEEDED])

    def test_an_unreadable_record_does_not_stop_updates(self):
        store.write_bytes(self.node.file, b"{half")
        self.node.boot()
        self.assertTrue(self.node.live())

    def test_a_report_that_a_full_journal_overwrote_is_said_again(self):
        self.node.script = [ManifestError("class")]
        self.node.boot()
        refusals = self.cloud.refuse = [refusal(0xA3)] * 1000
        self.node.until_s(10)
        for i in range(300):
            self.node.records.add("temp", i)
        refusals.clear()
        self.node.until_s(9000)
        self.assertEqual(self.node.states(), [STARTED, REJECTED])


if __name__ == "__main__":
    unittest.main()
