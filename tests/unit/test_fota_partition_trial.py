"""How the trial of a whole ESP32 image has ended, and firmware/parts.py on a board that has partition()."""
# interpreters: mp64 mp32
# (needs littlefs2; no number in it is a float)

import os
import unittest

import bootsafe
import bootsel
import parts
from fota import InstallError
from harness.esp32_campaign import NEW_BUNDLE, NEW_DIGEST, ROOT, NodeTest
from harness.fota_kit import BLOCK, CLASS, KEY, run


class CauseTest(NodeTest):
    """How a trial has ended, as far as the new image or the chip can tell."""

    def setUp(self):
        NodeTest.setUp(self)
        self.node.dies = 99
        self.ended, bootsafe.ended = bootsafe.ended, lambda: (False, False)

    def tearDown(self):
        bootsafe.ended = self.ended
        NodeTest.tearDown(self)

    def test_watchdog(self):
        bootsafe.ended = lambda: (True, self.node.trials > 0)
        for rollback in (True, False):
            self.node.board.rollback = rollback
            self.node.begin()
            self.assertEqual((self.node.finish(), self.node.why, self.node.trials), ("old", "hung", 3))
            with self.node:
                self.assertEqual(self.start()["why"], "")

    def test_crash(self):
        def trial(slots):
            bootsafe.fail(ROOT, slots._running, "crashed", "ImportError: no module named x")

        self.node._trial = trial
        self.assertEqual((self.node.finish(), self.node.why, self.node.trials), ("old", "crashed", 3))
        with self.node:
            self.assertEqual(self.start()["why"], "ImportError: no module named x")

    def test_an_image_that_destroys_a_state_record_gets_no_more_tries(self):
        for side in "01":
            self.node._trial = lambda slots: os.remove(ROOT + "/boot." + self.side)
            self.side = side
            self.node.begin()
            self.assertEqual(self.node.finish(), "old")
            self.assertTrue(self.node.trials <= 3, "%d trials" % self.node.trials)
            with self.node:
                self.assertEqual(bootsel.read(ROOT)["bad"], [NEW_DIGEST])

    def test_starts_that_end_badly_are_counted_but_not_those_of_a_trial(self):
        self.node.dies = 0
        self.assertEqual(self.node.finish(), "new")
        bootsafe.ended = lambda: (True, True)
        found = []
        for _ in range(5):
            self.node.board.boot()
            with self.node:
                info = self.start()
                found.append((info["fails"], info["safe"], bootsel.wait_s > 0))
        expected = [(1, False, False), (2, False, False), (3, False, True), (4, True, True), (5, True, True)]
        self.assertEqual(found, expected)


class _App:
    """What parts.py wants of an App."""

    room = None

    def __init__(self, running):
        self.root = ROOT
        self.running = running
        self.scratch = memoryview(bytearray(BLOCK))


class _Board:
    DEVICE_CLASS = CLASS

    def __init__(self, part):
        self.partition = lambda: part


class PartsTest(NodeTest):
    """firmware/parts.py on a board with partition()."""

    def setUp(self):
        NodeTest.setUp(self)
        self.board, parts.board = parts.board, _Board(self.part[0])

    def tearDown(self):
        parts.board = self.board
        NodeTest.tearDown(self)

    def test_an_update(self):
        node = self.node
        node.board.boot()
        with node:
            with open(ROOT + "/data/update.pub", "wb") as f:
                f.write(KEY.modulus)
            app = _App(self.start())
            job = {"id": "job", "size": len(NEW_BUNDLE)}
            manifest = run(parts.fetch(app, job, node.link.read, None).run())
            slots = parts.slots(app)
            self.assertEqual((slots.component, slots.other, slots.floor), ("image", "b", 1))
            slots.install(manifest)
            slots.arm()
        self.assertEqual(node.board.boot(), 1)

    def test_not_while_on_trial(self):
        with self.node:
            app = _App(dict(self.start(), pending=True))
            with self.assertRaises(InstallError) as caught:
                parts.fetch(app, {"id": "job", "size": len(NEW_BUNDLE)}, self.node.link.read, None)
            self.assertEqual(caught.exception.reason, "trial")


if __name__ == "__main__":
    unittest.main()
