"""lib/fota/partition, partitions and firmware/partboot: a whole ESP32 image in the other app partition, on trial,
confirmed or given up. Power cuts: test_fota_partition_cuts.py.
"""
# interpreters: mp64 mp32
# (needs littlefs2; no number in it is a float)

import os
import sys
import unittest

import bootsel
import partboot
from fota import InstallError, ManifestError
from fota.partition import PartitionBlocks, check_head, text
from fota.partitions import Partitions
from harness import espimage
from harness.esp32_campaign import BLOCKS, NEW, NEW_DIGEST, OLD, ROOT, Broken, Node, NodeTest
from harness.fota_kit import BLOCK, bundle, run

_FULL = os.getenv("GODWIT_CAMPAIGN") == "full"


class RefusalTest(NodeTest):
    def offer(self, image, **changes):
        """Serve another image; -> the reason for which the node refuses it."""
        self.node.begin()
        self.node.link.image = bundle([("image.bin", image)], "1.1.0", 2, **dict({"k6": "image"}, **changes))
        with self.assertRaises(Broken) as caught:
            self.node.finish()
        found = str(caught.exception)
        self.assertTrue(found.startswith("update refused: "), found)
        return found[16:].split(" ")[0]

    def other(self):
        """What the other partition holds."""
        return self.node.board.content(1, 0, BLOCKS * BLOCK)

    def test_what_is_not_for_this_board_touches_nothing(self):
        before = self.other()
        image = espimage.make("1.1.0", 6000)
        for reason, other, changes in (
            ("component", image, {"k6": "app"}),
            ("chip", espimage.make("1.1.0", 6000, chip=espimage.ESP32S3), {}),
            ("project", espimage.make("1.1.0", 6000, project="micropython"), {}),
            ("image", espimage.make("1.1.0", 6000, appended=0), {}),
            ("image", b"\xea" + image[1:], {}),
            ("image", image[:32] + b"\x00" + image[33:], {}),
            ("image", image[:100], {}),
            ("size", espimage.make("1.1.0", BLOCKS * BLOCK + 64), {}),
        ):
            self.assertEqual((self.offer(other, **changes), self.other() == before), (reason, True))
            payload = [n for offset, n in self.node.link.reads if offset >= 1024]
            self.assertTrue(sum(payload) <= BLOCK, "%d bytes fetched of a %s" % (sum(payload), reason))

    def test_a_signed_image_that_the_bootloader_refuses_is_never_tried_again(self):
        broken = bytearray(NEW)
        broken[7000] ^= 1
        self.assertEqual(self.offer(broken), "image")
        self.assertEqual((self.node.live(), self.node.why), ("old", "damaged"))

    def test_no_second_partition(self):
        self.node.board.single = True
        with self.assertRaises(InstallError) as caught:
            PartitionBlocks(self.part[0])
        self.assertEqual((caught.exception.reason, caught.exception.final), ("partition", True))

    def test_an_image_on_trial_does_not_overwrite_the_one_to_go_back_to(self):
        with self.assertRaises(InstallError) as caught:
            PartitionBlocks(self.part[0], True)
        self.assertEqual(caught.exception.reason, "trial")

    def test_arming_nothing(self):
        with self.assertRaises(InstallError):
            Partitions(ROOT, {"selector": bootsel, "slot": "a"}, self.part[0]).arm()

    def test_full_file_system_is_refused_before_anything_is_erased(self):
        taken = refused = 0
        before = self.other()
        for blocks in range(1, 20):
            self.node.begin()
            with self.node:
                f = open(ROOT + "/fill", "wb")
                for _ in range(blocks):
                    f.write(bytes(BLOCK))
                f.close()
            try:
                self.assertEqual(self.node.finish(), "new")
                taken += 1
            except Broken as e:
                refused += 1
                self.assertTrue("space" in str(e) and self.other() == before, str(e))
        self.assertTrue(taken > 1 and refused > 3, "%d taken, %d refused" % (taken, refused))


class BlocksTest(NodeTest):
    def test_first_bytes(self):
        own = memoryview(OLD)[:112]
        check_head(memoryview(NEW)[:4096], own)
        for at in (0, 12, 23, 32, 80):
            bad = bytearray(NEW[:4096])
            bad[at] ^= 0x80
            with self.assertRaises(ManifestError):
                check_head(bad, own)
        self.assertEqual(text(b"go\xffwit\x01\0\0x"), "go?wit?")

    def test_a_block_that_does_not_hold_what_was_written_is_the_flash_not_the_image(self):
        store = PartitionBlocks(self.part[0])
        store.write(0, memoryview(NEW)[:BLOCK])
        view = memoryview(bytearray(BLOCK))
        self.assertEqual((store.read(0, view), bytes(view)), (BLOCK, NEW[:BLOCK]))
        chip = self.node.chip
        chip.stuck = (2 + BLOCKS + 1,)
        with self.assertRaises(OSError) as caught:
            store.write(1, memoryview(NEW)[BLOCK : 2 * BLOCK])
        self.assertEqual(caught.exception.args[0], 5)

    def test_a_short_last_block_leaves_the_rest_erased(self):
        store = PartitionBlocks(self.part[0])
        store.write(3, memoryview(NEW)[3 * BLOCK :])
        self.assertEqual(self.node.board.content(1, 3 * BLOCK, BLOCK), NEW[3 * BLOCK :] + b"\xff" * (BLOCK - 1600))
        self.assertEqual(store.read(BLOCKS, memoryview(bytearray(16))), 0)
        with self.assertRaises(OSError):
            store.write(BLOCKS, memoryview(NEW)[:16])


def _flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(b"\xee")


class LifeTest(NodeTest):
    def test_update_there_and_back(self):
        node, board = self.node, self.node.board
        self.assertEqual((node.finish(), node.starts), ("new", 2))
        third = espimage.make("1.2.0", 9000)  # into ota_0, over the first
        node.link.image = bundle([("image.bin", third)], "1.2.0", 3, k6="image")
        with node:
            info = self.start()
            self.assertEqual((info["slot"], info["version"], info["sequence"]), ("b", "1.1.0", 2))
            self.assertEqual(info["digest"], NEW_DIGEST)
            slots = Partitions(ROOT, dict(info), self.part[1])
            self.assertEqual((slots.floor, slots.other, slots.component), (2, "a", "image"))
            run(node.update(slots, 1))
        self.assertEqual((board.boot(), board.content(0, 0, len(third))), (0, third))
        with node:
            info = self.start()
            self.assertEqual((info["version"], info["pending"], info["tries"]), ("1.2.0", True, 1))
            self.assertTrue(Partitions(ROOT, dict(info), self.part[0]).confirm())
            self.assertEqual(bootsel.read(ROOT)["floor"], 3)
        for _ in range(5):  # and it stays
            self.assertEqual(board.boot(), 0)
            with node:
                info = self.start()
            self.assertEqual((info["version"], info["pending"], info["fault"]), ("1.2.0", False, None))

    def test_update_keys_come_with_the_confirmation_of_an_image(self):
        """They lie behind the image; here its SHA-256 ends in the block before theirs, or in the same."""
        node = self.node
        keys = bytes([0xC1]) * 384 + bytes([0xC3]) * 384
        for size in (2 * BLOCK + 32, 2 * BLOCK, 9000):
            image = espimage.make("1.1.0", size)
            node.images["1.1.0"] = image
            node.begin()
            node.link.image = bundle([("image.bin", image), ("update.pub", keys)], "1.1.0", 2, k6="image")
            node.live()
            with node:
                self.assertEqual(os.listdir(ROOT + "/data"), [])  # not before it is confirmed
            self.assertEqual(node.finish(), "new")
            with node:
                self.assertEqual(self.start()["path"], ROOT + "/b")
                with open(ROOT + "/data/update.pub", "rb") as f:
                    self.assertEqual(f.read(), keys)
            self.assertEqual((node.live(), node.board.running), ("new", 1))

    def test_what_else_may_lie_behind_an_image(self):
        for more in ([("update.pub", bytes(1153))], [("z", b"1")]):
            rows = [("image.bin", NEW)] + more
            self.node.begin()
            self.node.link.image = bundle(rows, "1.1.0", 2, k6="image")
            with self.assertRaises(Broken) as caught:
                self.node.finish()
            self.assertEqual(str(caught.exception), "update refused: files (%s)" % rows[-1][0])

    def test_trials_that_fail(self):
        for rollback in (True, False):
            for dies, ended, trials in ((1, "new", 2), (2, "new", 3), (3, "old", 3), (99, "old", 3)):
                self.node.close()
                self.node = Node(rollback=rollback)
                self.node.dies = dies
                self.node.begin()
                found = self.node.finish(), self.node.trials, self.node.why
                self.assertEqual(found, (ended, trials, "tries" if ended == "old" else None))

    def test_health_gate_gives_up_with_its_reason(self):
        for reason in ("unreached", "memory"):
            self.node.reason = reason
            self.node.begin()
            self.assertEqual((self.node.finish(), self.node.why, self.node.trials), ("old", reason, 1))
        # and the same image is not taken again
        with self.node:
            slots = Partitions(ROOT, self.start(), self.part[0])
            self.assertEqual((slots.bad, slots.floor), ([NEW_DIGEST], 1))

    def test_damaged_between_install_and_start(self):
        for at in (40, 5000, len(NEW) - 1):
            self.node.begin()
            self.node.live()  # installed and armed
            self.node.chip.flip((2 + BLOCKS) * BLOCK + at)
            self.assertEqual((self.node.finish(), self.node.why), ("old", "damaged"))

    def test_what_has_changed_since_it_was_checked_is_not_installed(self):
        chip, start = self.node.chip, (2 + BLOCKS) * BLOCK

        class Late(Partitions):
            def install(self, manifest, tick=None):
                damage(self._root)
                Partitions.install(self, manifest, tick)

        self.node._partitions = Late
        for change in (
            lambda _: chip.flip(start + 1000),
            lambda _: chip.flip(start + len(NEW) - 1),
            lambda root: _flip(root + "/dl/head", 200),
        ):
            damage = change
            self.node.begin()
            with self.assertRaises(Broken) as caught:
                self.node.live()
            self.assertEqual(str(caught.exception), "update refused: changed")
            self.assertEqual(self.node.board.boot(), 0)

    def test_an_image_by_cable_is_no_trial_and_no_update(self):
        node = self.node
        node.finish()
        cable = espimage.make("9.9-cable", 5000)
        node.board.flash(1, cable)
        self.assertEqual(node.board.boot(), 1)
        with node:
            info = self.start()
        found = info["version"], info["sequence"], info["pending"], info["digest"]
        self.assertEqual(found, ("9.9-cable", 0, False, bytes(16)))

    def test_an_image_that_cannot_read_the_flash_does_not_stay(self):
        self.node.live()
        board = self.node.board
        self.assertEqual(board.boot(), 1)
        info = partboot.select(ROOT, self.part[1], None)  # nothing is mounted there
        sys.path[:] = self.path
        self.assertEqual((info["version"], info["pending"]), ("1.1.0", False))
        self.assertEqual((board.boot(), self.node.finish()), (0, "new"))

    def test_one_partition_only_runs(self):
        self.node.board.single = True
        self.node.board.boot()
        with self.node:
            info = self.start()
        self.assertEqual((info["version"], info["slot"], info["pending"], info["fault"]), ("1.0.0", "a", False, None))

    def test_flash_errors_delay_the_update_and_break_nothing(self):
        ops = self.node.record()
        seen = 0
        for op in range(0, ops, 1 if _FULL else 3):
            for times in (1, 2):
                self.node.begin()
                self.node.chip.fail(op, 5, times)
                self.node.faulty = True
                ended = None
                for _ in range(6):
                    try:
                        ended = self.node.live()
                    except (Broken, OSError) as e:
                        self.assertTrue("refused: flash" in str(e) or isinstance(e, OSError), "op %d: %s" % (op, e))
                        seen += 1
                    if ended:
                        break
                self.assertEqual((op, ended), (op, "new"))
        self.assertTrue(seen > 10, "%d errors seen" % seen)


if __name__ == "__main__":
    unittest.main()
