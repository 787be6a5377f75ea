"""firmware/tasks/update against fakes, in virtual time: every way a job can end, and what is said about it."""

import unittest
from binascii import hexlify

import clock
import coap
import log
import store
from cloud.base import FAILED, REJECTED, STARTED, SUCCEEDED, UPDATE
from errands import Errand, Errands
from fota import FetchError, InstallError, ManifestError
from harness import scratch
from harness.virtual import Board, together
from state import State
from tasks.trial import Trial
from tasks.update import Update

NEW = b"n" * 16
OLD = b"o" * 16
JOB = {"id": "9140bd5d-911c", "kind": "APP", "size": 1000, "version": "1.1.0", "key": "https://h/p", "refused": None}


class Restarted(BaseException):
    """What restart() does here: nothing after it may run."""


class Cloud:
    caps = frozenset((UPDATE,))

    def __init__(self):
        self.jobs = []
        self.reports = []
        self.refuse = []

    async def update_check(self):
        return self.jobs.pop(0) if self.jobs else None

    async def update_report(self, job_id, state, detail=None):
        if self.refuse:
            raise self.refuse.pop(0)
        self.reports.append((job_id, state, detail))


class Manifest:
    version = "1.1.0"
    digest = NEW + b"\0" * 16


class Slots:
    other = "b"
    bad = ()
    fail = None

    def __init__(self):
        self.steps = []

    def install(self, manifest):
        if self.fail:
            raise self.fail
        self.steps.append("install")

    def arm(self):
        self.steps.append("arm")

    def confirm(self):
        self.steps.append("confirm")


class Answer:
    max_age = None
    payload = b""

    def __init__(self, code):
        self.code = code


class Heap:
    def mark(self):
        pass


class Node(unittest.TestCase):
    def setUp(self):
        Board().install()
        log.level = 0
        self.root = scratch.make()
        self.file = self.root + "/job.json"
        self.state = State()
        self.state.link.set()
        self.cloud = Cloud()
        self.slots = Slots()
        self.running = {"version": "1.0.0", "digest": OLD, "pending": False, "rolled_back": None, "tries": 1}
        self.fetched = []  # what each download does: an exception, or a Manifest

    def tearDown(self):
        log.level = log.INFO
        clock.reset()
        scratch.remove(self.root)

    def _make_fetch(self, job, read, progress):
        node = self

        class Fetch:
            async def run(self):
                result = node.fetched.pop(0)
                if isinstance(result, Exception):
                    raise result
                progress(500, 1000)
                return result

        return Fetch()

    def restart(self):
        self.slots.steps.append("restart")
        raise Restarted

    def make(self, name):
        config = {"update_interval_s": 3600}
        return Update(
            self.state, config, self.cloud, lambda: self.slots, self._make_fetch, self.file, self.running,
            self.restart, Heap(),
        )

    def live(self, until):
        tasks = [Errands(self.state, (Errand("update", self.make),)).run()]
        if self.running["pending"]:
            tasks.append(Trial(self.state, self.running, self.restart).run())
        try:
            together(*tasks, until=until)
        except Restarted:
            return True
        return False

    def reports(self):
        return [report[1] for report in self.cloud.reports]


class Taking(Node):
    def test_a_good_image_is_armed_only_when_the_job_is_on_flash(self):
        self.cloud.jobs = [JOB]
        self.fetched = [Manifest()]
        self.assertTrue(self.live(None))
        self.assertEqual(self.slots.steps, ["install", "arm", "restart"])
        self.assertEqual(self.reports(), [STARTED])
        self.assertEqual(store.read_json(self.file)["digest"], hexlify(NEW).decode())

    def test_a_lost_link_resumes_and_takes_the_job_again(self):
        self.cloud.jobs = [JOB, JOB]
        self.fetched = [coap.Timeout(), Manifest()]

        def until():  # the link task mends it
            if self.state.link_lost.is_set():
                self.state.link_lost.clear()
                self.state.link.set()
            return False

        self.assertTrue(self.live(until))
        self.assertEqual(self.reports(), [STARTED, STARTED])

    def test_refused_images_are_rejected_and_broken_ones_failed(self):
        final = FetchError("signature")
        final.final = True
        for problem, wanted in (
            (final, REJECTED),
            (ManifestError("class"), REJECTED),
            (FetchError("flash"), FAILED),
        ):
            with self.subTest(problem=str(problem)):
                Board().install()
                self.cloud.reports = []
                self.cloud.jobs = [JOB]
                self.fetched = [problem]
                self.live(lambda: len(self.cloud.reports) == 2)
                self.assertEqual(self.reports(), [STARTED, wanted])
                self.assertTrue(not store.exists(self.file))

    def test_an_image_that_does_not_fit_is_reported_and_nothing_is_armed(self):
        self.cloud.jobs = [JOB]
        self.fetched = [Manifest()]
        self.slots.fail = InstallError("space")
        self.live(lambda: len(self.cloud.reports) == 2)
        self.assertEqual(self.reports(), [STARTED, FAILED])
        self.assertEqual(self.slots.steps, [])

    def test_a_job_for_the_modem_is_rejected_before_a_byte_is_fetched(self):
        job = dict(JOB)
        job["kind"] = "MODEM"
        self.cloud.jobs = [job]
        self.live(lambda: self.cloud.reports)
        self.assertEqual(self.reports(), [REJECTED])


class Ending(Node):
    def after_restart(self, digest=NEW, state=STARTED):
        store.write_json(
            self.file, {"id": JOB["id"], "state": state, "detail": None, "digest": hexlify(digest).decode()}
        )

    def test_confirms_after_the_round_trip_and_reports_once(self):
        self.after_restart()
        self.running.update(version="1.1.0", digest=NEW, pending=True)
        self.state.reported.set()
        self.live(lambda: clock.uptime_ms() > 8000000)
        self.assertEqual(self.slots.steps, ["confirm"])
        self.assertEqual(self.reports(), [SUCCEEDED])
        self.assertTrue(not store.exists(self.file))

    def test_a_version_that_reaches_nobody_restarts_unconfirmed(self):
        self.after_restart()
        self.running.update(version="1.1.0", digest=NEW, pending=True)
        self.assertTrue(self.live(None))
        self.assertEqual(self.slots.steps, ["restart"])
        self.assertEqual(self.cloud.reports, [])
        self.assertEqual(clock.uptime_ms() // 100000, 6)

    def test_a_rolled_back_version_is_a_failed_job_with_its_reason(self):
        self.after_restart()
        self.slots.bad = [NEW]
        self.running["rolled_back"] = "tries"
        self.live(lambda: self.cloud.reports)
        self.assertEqual(self.cloud.reports, [(JOB["id"], FAILED, "Update could not be validated (tries)")])

    def test_power_cut_between_install_and_restart_takes_the_job_again(self):
        self.after_restart()
        self.cloud.jobs = [JOB]
        self.fetched = [Manifest()]
        self.assertTrue(self.live(None))
        self.assertEqual(self.slots.steps, ["install", "arm", "restart"])

    def test_a_result_that_was_not_taken_is_said_again_after_a_restart(self):
        self.after_restart(state=REJECTED)
        self.cloud.refuse = [coap.Refused(Answer(0xA3))]
        self.live(lambda: self.cloud.reports)
        self.assertEqual(self.reports(), [REJECTED])

    def test_a_job_that_the_cloud_has_forgotten_is_forgotten(self):
        self.after_restart(state=REJECTED)
        self.cloud.refuse = [coap.Refused(Answer(0x84))]
        self.live(lambda: not store.exists(self.file))
        self.assertEqual(self.cloud.reports, [])

    def test_an_unreadable_record_does_not_stop_updates(self):
        store.write_bytes(self.file, b"{half")
        self.cloud.jobs = [JOB]
        self.fetched = [Manifest()]
        self.assertTrue(self.live(None))


if __name__ == "__main__":
    unittest.main()
