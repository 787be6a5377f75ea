"""Power cuts at every flash operation of an update of a whole ESP32 image, the bootloader's included.

Each scenario is cut at every operation in one mode, in turn; in all, with three kinds of torn writes and many second
cuts, with GODWIT_CAMPAIGN=full. Mutants show that the campaign sees; the simulated bootloader has tests of its own.
"""
# interpreters: mp64 mp32
# (needs littlefs2; no number in it is a float)

import os
import unittest

import bootsel
import partboot
from fota import FotaError
from fota.partition import PartitionBlocks
from fota.partitions import Partitions
from harness import rng
from harness.esp32_campaign import BLOCKS, NEW, OLD, ROOT, SCENARIOS, Broken, Node, node_of
from harness.esp32sim import ABORTED, PENDING, VALID, Esp32, crc
from harness.fota_kit import BLOCK

_FULL = os.getenv("GODWIT_CAMPAIGN") == "full"
_SEED = rng.seed(20)


class SimTest(unittest.TestCase):
    """The bootloader's rules, from Espressif's documents."""

    def setUp(self):
        self.board = Esp32(BLOCKS, 4)

    def states(self):
        return [self.board.entry(i)[:2] for i in range(2)]

    def test_check_value_of_a_select_entry(self):
        self.assertEqual(crc(1), 0x4743989A)  # as every dump of a factory's otadata shows it: 9a 98 43 47

    def test_blank_flash_starts_nothing_and_a_first_image_is_written_down(self):
        self.assertEqual(self.board.boot(), None)
        self.board.flash(0, OLD)
        self.assertEqual(self.board.boot(), 0)
        self.assertEqual(self.states()[0], (1, VALID))

    def test_an_image_is_started_once_on_trial_and_then_given_up(self):
        board = self.board
        board.flash(0, OLD)
        board.boot()
        board.flash(1, NEW)
        board.partitions[1].set_boot()
        self.assertEqual((board.boot(), self.states()), (1, [(1, VALID), (2, PENDING)]))
        self.assertEqual((board.boot(), self.states()), (0, [(1, VALID), (2, ABORTED)]))
        board.partitions[1].set_boot()
        board.boot()
        board.partitions[1].mark_app_valid_cancel_rollback()
        self.assertEqual((board.boot(), self.states()), (1, [(1, VALID), (2, VALID)]))
        board.partitions[0].set_boot()
        self.assertEqual((board.boot(), self.states()), (0, [(3, PENDING), (2, VALID)]))

    def test_a_damaged_image_is_refused_and_not_started(self):
        board = self.board
        board.flash(0, OLD)
        board.boot()
        for at in (0, 1, 23, 24, 100, len(NEW) - 33, len(NEW) - 1):
            board.flash(1, NEW)
            board.partitions[1].set_boot()
            board.chip.flip(2 * BLOCK + BLOCKS * BLOCK + at)
            self.assertEqual(board.boot(), 0, at)
            with self.assertRaises(OSError) as caught:
                board.partitions[1].set_boot()
            self.assertEqual(caught.exception.args[0], -5379)


class CutTest(unittest.TestCase):
    def test_every_cut_leaves_old_or_new_and_the_update_ends_as_it_would_have(self):
        cases = boots = again = 0
        for name, (dies, _, _, twice, ops) in SCENARIOS.items():
            node = node_of(name)
            found = node.campaign(3 if _FULL else 1, 1, _FULL, twice * (300 if _FULL else 12), seed=_SEED)
            node.close()
            self.assertEqual((name, found["failures"]), (name, []))
            low = ops - 6  # the campaign has the exact number
            self.assertTrue(found["ops"] >= low, "only %d operations: has it stopped exploring?" % found["ops"])
            cases += found["cases"]
            boots = max(boots, 0 if dies else found["boots"])
            again = max(again, found["again"])
        print(
            "partitions: %d power cuts, 0 failures; after one at most %d starts, %d bytes fetched again"
            % (cases, boots, again)
        )


class MutantTest(unittest.TestCase):
    """Each of these must be caught by the campaign."""

    def caught(self, dies=0, **parts):
        node = Node(**parts)
        node.dies = dies
        try:
            found = node.campaign(every=True, stop_at_first=True)
        except (Broken, FotaError, OSError) as e:
            return str(e)
        finally:
            node.close()
        self.assertTrue(found["failures"], "%d cuts and nothing noticed" % found["cases"])

    def with_partboot(self, name, function, **parts):
        """caught(), with a function of partboot replaced."""
        old = getattr(partboot, name)
        setattr(partboot, name, function)
        try:
            self.caught(**parts)
        finally:
            setattr(partboot, name, old)

    def test_bootloader_before_the_record(self):
        class Hasty(Partitions):
            def _write(self, state):
                if state["pending"] == self.other:
                    self._part.set_boot()
                Partitions._write(self, state)

        # (The start-up would notice that an image runs which nobody has proved.)
        self.with_partboot("_settled", lambda *_: None, partitions=Hasty)

    def test_a_trial_that_was_cut_is_not_taken_up_again(self):
        self.with_partboot("_old", lambda *_: None, dies=99)

    def test_starts_are_not_counted(self):
        self.with_partboot("_write", lambda *_: True, dies=99)

    def test_valid_before_it_is_proved(self):
        def trusting(root, part, reset):
            part.mark_app_valid_cancel_rollback()
            return partboot.select(root, part, reset)

        self.caught(select=trusting)

    def test_bootloader_is_not_told(self):
        class Quiet(Partitions):
            def confirm(self):
                self._own = self
                return Partitions.confirm(self)

            def mark_app_valid_cancel_rollback(self):
                pass

        self.caught(partitions=Quiet)

    def test_no_manifest_beside_the_image(self):
        class Nameless(Partitions):
            def _seal(self, manifest):
                pass

        self.caught(partitions=Nameless)

    def test_last_try_is_spent_before_it_is_confirmed(self):
        class Strict(Partitions):
            def confirm(self):
                state = bootsel.read(ROOT)
                self._own.mark_app_valid_cancel_rollback()
                state["active"], state["pending"], state["tries"], state["floor"] = "b", None, 0, 2
                bootsel.write(ROOT, state)

        self.caught(dies=2, partitions=Strict)

    def test_blocks_are_not_erased(self):
        class Lazy(PartitionBlocks):
            def write(self, i, view):
                self._part.writeblocks(i, view, 0)

        self.caught(blocks=Lazy)

    def test_progress_is_believed(self):
        class Believing(PartitionBlocks):
            def read(self, i, view):
                view[:] = NEW[i * BLOCK : i * BLOCK + len(view)]
                return len(view)

        self.caught(blocks=Believing)


if __name__ == "__main__":
    unittest.main()
