"""The update errand and its reports, with the power cut before and after every durable step, and every answer lost in
turn: each state of a job gets into the journal once and to the cloud in order, whatever the job comes to.

tests/faults does the same with flash that tears; here a step happens or does not. Mutants show that it would notice.
"""
# interpreters: mp32

import unittest

import clock
import cold
import journal
import log
import store
from cloud.base import FAILED, REJECTED, STARTED, STEPS, SUCCEEDED, UPDATE
from fota import ManifestError
from harness.update_kit import JOB, NEW, Cloud, Node
from records import unpack
from tasks import job

_LIVES = 12
_STEPS = ((store, "write_json"), (store, "remove"), (journal.Journal, "append"), (journal.Journal, "ack"))
_INSTALLER = ("install", "arm", "confirm")


class Cut(BaseException):
    """The power is gone."""


class Power:
    """Counts durable steps; cuts before or after the one with the number `at`. `kept`: what the journal took."""

    def __init__(self):
        self.at = None
        self.count = 0
        self.after = False
        self.kept = []

    def step(self, function, what):
        def guarded(*args):
            number = self.count
            self.count += 1
            if number == self.at and not self.after:
                raise Cut
            result = function(*args)
            if what == "append":
                self.kept.append(unpack(0, args[1]))
            if number == self.at:
                raise Cut
            return result

        return guarded


class Story:
    """One job from offer to end, on a node whose `power` may fail; `outcome`: what it comes to."""

    def __init__(self, outcome, power, caps=(UPDATE,), lose=()):
        self.outcome = outcome
        self.cloud = Cloud(JOB, caps=caps)
        self.cloud.lose = lose
        self.node = Node(self.cloud)
        self.power = power
        if outcome == REJECTED:
            self.node.script = [ManifestError("class")] * 20
        for name in _INSTALLER:
            setattr(self.node.slots, name, power.step(getattr(self.node.slots, name), name))

    def boot(self):
        """The selector's part."""
        slots = self.node.slots
        if not slots.armed:
            self.node.boot()
        elif self.outcome == FAILED:
            self.node.fall_back("tries")
        else:
            self.node.try_new()
        self.node.records.add("heap", 1)  # what a start has to say comes after what was cut off

    def run(self):
        """-> lives that it took; None when it did not end."""
        for life in range(_LIVES):
            try:
                if life:
                    self.boot()
                if not self.node.live(self.node.settled, tasks=(self.measure(),)):
                    return life + 1
            except Cut:
                pass
        return None

    async def measure(self):
        """Others have something to keep, too."""
        while True:
            await clock.sleep(20)
            try:
                self.node.records.add("temp", 1)
            except MemoryError:
                pass  # it is started again


class Cuts(unittest.TestCase):
    def setUp(self):
        log.level = 0
        self.power = Power()
        self.saved = [getattr(owner, name) for owner, name in _STEPS]
        for owner, name in _STEPS:
            setattr(owner, name, self.power.step(getattr(owner, name), name))
        self.forget, cold.forget = cold.forget, lambda: None  # or the steps would be forgotten, too

    def tearDown(self):
        log.level = log.INFO
        cold.forget = self.forget
        for (owner, name), function in zip(_STEPS, self.saved):
            setattr(owner, name, function)

    def story(self, outcome, at=None, after=False, once=True, **how):
        """-> what is wrong with it, or None. `once`: the journal must have been given each state once."""
        power = self.power
        power.__init__()
        power.at, power.after = at, after
        story = Story(outcome, power, **how)
        try:
            lives = story.run()
            wanted = self.wanted(outcome, story.cloud)
            if lives is None or story.node.states() != wanted:
                return "%s lives, the cloud saw %s" % (lives, story.node.states())
            kept = [value["state"] for _, _, name, value in power.kept if name == "job"]
            if once and kept != wanted:
                return "in the journal: %s" % kept
            self.told = len(story.cloud.told)
            self.asked = story.cloud.asked
            if outcome == SUCCEEDED and NEW != story.node.running["digest"]:
                return "the old one runs"
        finally:
            story.node.close()
        return None

    def wanted(self, outcome, cloud):
        if STEPS in cloud.caps and outcome != REJECTED:
            return [STARTED, "downloaded", "verified", "installing", outcome]
        return [STARTED, outcome]

    def campaign(self, outcome, first=False, **how):
        """-> (steps of a run without a cut, what was wrong with the others; `first`: that is enough)."""
        self.assertIsNone(self.story(outcome, **how))
        steps = self.power.count
        wrong = []
        for at in range(steps):
            for after in (False, True):
                if first and wrong:
                    return steps, wrong
                problem = self.story(outcome, at, after, **how)
                if problem:
                    wrong.append("%s step %d: %s" % ("after" if after else "before", at, problem))
        return steps, wrong


class Everywhere(Cuts):
    def test_each_outcome_is_said_once_wherever_the_power_is_cut(self):
        for outcome, least in ((SUCCEEDED, 10), (FAILED, 8), (REJECTED, 6)):
            with self.subTest(outcome=outcome):
                steps, wrong = self.campaign(outcome)
                self.assertEqual(wrong, [])
                self.assertTrue(steps >= least, steps)

    def test_so_is_each_step_where_the_cloud_has_words_for_them(self):
        steps, wrong = self.campaign(SUCCEEDED, caps=(UPDATE, STEPS))
        self.assertEqual(wrong, [])
        self.assertTrue(steps >= 19, steps)

    def test_a_lost_answer_is_asked_for_again_and_changes_nothing(self):
        for outcome in (SUCCEEDED, FAILED, REJECTED):
            self.assertIsNone(self.story(outcome))
            self.assertEqual(self.told, 2)
            for number in range(1, self.asked + 1):
                with self.subTest(outcome=outcome, number=number):
                    self.assertIsNone(self.story(outcome, lose=(number,)))
                    self.assertTrue(self.told <= 3, self.told)


class Flash(Cuts):
    """Flash that says no, or want of memory, once or more often, before or after it has done it."""

    def refuse(self, owner, name, times, done, error):
        real = getattr(owner, name)
        left = [times]

        def refusing(*args):
            if not left[0]:
                return real(*args)
            left[0] -= 1
            if done:
                real(*args)
            raise error

        setattr(owner, name, refusing)
        return left

    def test_a_report_outlives_it(self):
        for owner, name in _STEPS[:3]:
            for times in (1, 3):
                for done in (False, True):
                    for error in (OSError(5), MemoryError()):
                        with self.subTest(name=name, times=times, done=done, error=error):
                            self.outlives(owner, name, times, done, error)

    def outlives(self, owner, name, times, done, error):
        saved = getattr(owner, name)
        left = self.refuse(owner, name, times, done, error)
        try:
            for outcome in (SUCCEEDED, REJECTED):
                left[0] = times
                self.assertIsNone(self.story(outcome, once=name != "append" or not done))
        finally:
            setattr(owner, name, saved)

    def test_what_has_taken_its_number_meanwhile_does_not_stand_for_it(self):
        """No memory between the file and the journal; before the errand comes again, somebody else appends."""
        for outcome in (SUCCEEDED, REJECTED):
            for report in range(2):
                self.assertIsNone(self.robbed(outcome, report))

    def robbed(self, outcome, report):
        real = job._append
        left = [report]

        def append(path, records, record):
            left[0] -= 1
            if left[0] == -1:
                records.add("temp", 1)
                raise MemoryError
            real(path, records, record)

        job._append = append
        try:
            return self.story(outcome)
        finally:
            job._append = real


class Mutants(Cuts):
    """What these break, the campaign must find."""

    def killed(self, name, mutant, outcome=SUCCEEDED):
        real = getattr(job, name)
        setattr(job, name, mutant)
        try:
            return self.campaign(outcome, True)[1]
        finally:
            setattr(job, name, real)

    def test_appended_before_the_file_says_so(self):
        def tell(path, records, record, state, detail=None):
            record.update(state=state, detail=detail, seq=records.journal.next)
            job._append(path, records, record)
            job.keep(path, record)

        self.assertTrue(self.killed("tell", tell))

    def test_what_was_cut_off_is_not_finished(self):
        self.assertTrue(self.killed("finish", lambda path, records: job.load(path)))

    def test_what_was_cut_off_is_always_said_again(self):
        def finish(path, records):
            record = job.load(path)
            if record:
                job.tell(path, records, record, record["state"], record["detail"])
            return record

        real = job.finish
        job.finish = finish
        try:
            self.assertTrue(self.story(SUCCEEDED))
        finally:
            job.finish = real

    def test_the_file_does_not_say_which_image_it_was(self):
        real = job.mark
        job.mark = lambda path, record, digest: None
        try:
            self.assertTrue(self.story(FAILED))
        finally:
            job.mark = real


if __name__ == "__main__":
    unittest.main()
