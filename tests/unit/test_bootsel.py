"""firmware/bootsel: state record, slot check, choice of the slot, tries and roll-back."""

import io
import sys
import time
import unittest
from hashlib import sha256

import bootsafe
import bootsel
from fota import manifest as mf
from harness.fota_kit import NodeTest, bundle, code, install_by_cable
from harness.rng import Rng, seed

_OLD = [("app.mpy", code("old app", 900)), ("tasks/one.mpy", code("old one", 300))]
_NEW = [("app.mpy", code("new app", 5000)), ("tasks/one.mpy", code("new one", 300))]
_OLD_IMAGE = bundle(_OLD, "1.0.0", 1)
_NEW_IMAGE = bundle(_NEW, "1.1.0", 2)


class _Reset(Exception):
    pass


def _digest(image):
    return mf.parse_header(image).digest[:16]


class BootTest(NodeTest):
    files, image = _OLD, _OLD_IMAGE

    def reset(self):
        raise _Reset()

    def boot(self):
        info = bootsel.select(self.root)
        self.path = list(sys.path)
        sys.path[:] = self._path
        return info

    def pend(self, image=_NEW_IMAGE, files=_NEW, **state):
        install_by_cable(self.disk, "b", image, files)
        record = bootsel.read(self.root)
        record["pending"] = "b"
        record["digest"] = _digest(image)
        record.update(state)
        bootsel.write(self.root, record)


class RecordTest(BootTest):
    def test_without_a_record_slot_a_is_active(self):
        state = bootsel.read(self.root)
        self.assertEqual((state["n"], state["active"], state["pending"], state["floor"]), (0, "a", None, 0))

    def test_round_trip(self):
        state = bootsel.read(self.root)
        bad = [bytes([i] * 16) for i in (1, 2)]
        for i in range(5):
            state.update(active="ab"[i & 1], pending=(None, "a", "b")[i % 3], tries=i, floor=70000 + i)
            state.update(digest=bytes([i] * 16), bad=bad, result=i)
            state.update(fails=i, cause=6 - i, why=0xFFFFFFF0 + i)
            bootsel.write(self.root, state)
            again = bootsel.read(self.root)
            self.assertFalse(again.pop("alone"))
            self.assertEqual(again, state)
            self.assertEqual(again["n"], i + 2)  # the first time both are written
        self.assertTrue(len(self.disk.get("boot.0")) <= 128)

    def test_only_the_last_three_bad_ones_are_kept(self):
        state = bootsel.read(self.root)
        state["bad"] = [bytes([i] * 16) for i in range(5)]
        bootsel.write(self.root, state)
        self.assertEqual(bootsel.read(self.root)["bad"], [bytes([i] * 16) for i in (2, 3, 4)])

    def test_damage_falls_back_to_the_record_before(self):
        state = bootsel.read(self.root)
        for floor in (0, 1, 2):
            state["floor"] = floor
            bootsel.write(self.root, state)
        whole = self.disk.get("boot.0")  # the second
        rng = Rng(seed(9))
        for at in range(len(whole)):
            self.disk.put("boot.0", whole)
            self.disk.flip("boot.0", at, 1 << rng.below(8))
            self.assertEqual(bootsel.read(self.root)["floor"], 1)
        for n in (0, 1, 84, 89):
            self.disk.put("boot.0", whole[:n])
            self.assertEqual(bootsel.read(self.root)["floor"], 1)
        self.disk.put("boot.1", b"")
        self.assertEqual(bootsel.read(self.root)["n"], 0)


class CheckTest(BootTest):
    def test_a_whole_slot(self):
        found = bootsel.check(self.root, "a")
        self.assertEqual((found["version"], found["sequence"], found["digest"]), ("1.0.0", 1, _digest(_OLD_IMAGE)))
        self.assertIsNone(bootsel.check(self.root, "b"))

    def test_any_damage_is_found(self):
        for path in ("app.mpy", "tasks/one.mpy"):
            whole = self.disk.get("a/" + path)
            for at in range(0, len(whole), 37):
                self.disk.flip("a/" + path, at)
                self.assertIsNone(bootsel.check(self.root, "a"))
                self.disk.put("a/" + path, whole)
            for content in (b"", whole[:-1], whole + b"\0"):
                self.disk.put("a/" + path, content)
                self.assertIsNone(bootsel.check(self.root, "a"))
            self.disk.put("a/" + path, whole)
        self.assertTrue(bootsel.check(self.root, "a"))

    def test_a_file_too_many_would_be_imported_instead(self):
        for extra in ("a/app.py", "a/tasks/one.py", "a/deep/x"):
            self.disk.put(extra, b"print('shadow')")
            self.assertIsNone(bootsel.check(self.root, "a"))
            self.disk.close()
            self.setUp()

    def test_damaged_manifest(self):
        whole = self.disk.get("a/MANIFEST")
        size = len(whole)
        rng = Rng(seed(11))
        for _ in range(60):
            at = rng.below(size - 384)  # the signature is checked when the image comes in, not at each start
            if 8 <= at < 12 or 0 <= at < 4 or at >= 20 and not 52 <= at < 64:
                self.disk.flip("a/MANIFEST", at, 1 << rng.below(8))
                self.assertIsNone(bootsel.check(self.root, "a"))
                self.disk.put("a/MANIFEST", whole)
        for n in (0, 3, 63, 64, 100):
            self.disk.put("a/MANIFEST", whole[:n])
            self.assertIsNone(bootsel.check(self.root, "a"))

    def test_mutated_manifest_with_a_right_digest_is_no_traceback(self):
        # Only someone who can write the flash can do this; it must not stop the other slot from starting.
        rng = Rng(seed(12))
        good = self.disk.get("a/MANIFEST")
        raw = bytearray(good[64:-384])
        for _ in range(200):
            bad = bytearray(raw)
            for _ in range(1 + rng.below(4)):
                bad[rng.below(len(bad))] = rng.bits(8)
            if rng.chance(20):
                bad = bad[: 1 + rng.below(len(bad))]
            self.disk.put("a/MANIFEST", good[:8] + bytes([len(bad) & 255, len(bad) >> 8, 0, 0]) + good[12:20]
                          + sha256(bad).digest() + good[52:64] + bad)  # fmt: skip
            found = bootsel.check(self.root, "a")
            self.assertTrue(found is None or found["files"] == len(_OLD))

    def test_items(self):
        for raw, value in (
            (b"\x00", 0), (b"\x17", 23), (b"\x18\xff", 255), (b"\x1a\x00\x01\x00\x00", 65536), (b"\x42ab", b"ab"),
            (b"\x62ab", "ab"), (b"\x83", 3), (b"\xad", 13), (b"\x60", ""),
        ):  # fmt: skip
            self.assertEqual(bootsel._item(io.BytesIO(raw)), value)
        for raw in (b"\x5b" + b"\xff" * 8, b"\xbf", b"\x9f", b"\x5f", b"\xf6", b"\x20", b"\xc0", b"\x1c", b""):
            with self.assertRaises((ValueError, IndexError)):
                bootsel._item(io.BytesIO(raw))


class SelectTest(BootTest):
    def test_factory(self):
        info = self.boot()
        self.assertEqual((info["slot"], info["version"], info["sequence"]), ("a", "1.0.0", 1))
        self.assertEqual((info["pending"], info["rolled_back"], info["root"]), (False, None, self.root))
        self.assertEqual(self.path, [self.root + "/a", ".frozen"])
        self.assertTrue(info["selector"] is bootsel)

    def test_a_normal_start_writes_nothing(self):
        self.boot()
        self.assertEqual((self.disk.has("boot.0"), self.disk.has("boot.1")), (False, False))

    def test_pending_gets_three_tries_then_the_old_one(self):
        self.pend()
        for tries in (1, 2, 3):
            info = self.boot()
            self.assertEqual((info["slot"], info["version"]), ("b", "1.1.0"))
            self.assertEqual((info["pending"], info["tries"]), (True, tries))
            self.assertEqual(bootsel.read(self.root)["tries"], tries)
        for _ in range(2):
            info = self.boot()
            self.assertEqual((info["slot"], info["version"], info["pending"]), ("a", "1.0.0", False))
            self.assertEqual(info["rolled_back"], "tries")
        self.assertEqual(bootsel.read(self.root)["bad"], [_digest(_NEW_IMAGE)])

    def test_damaged_pending_is_not_started(self):
        self.pend()
        self.disk.flip("b/app.mpy", 77)
        info = self.boot()
        self.assertEqual((info["slot"], info["rolled_back"]), ("a", "damaged"))

    def test_another_image_than_the_one_put_on_trial_is_not_started(self):
        self.pend(digest=bytes(16))
        self.assertEqual(self.boot()["slot"], "a")

    def test_confirmed_slot_stays(self):
        self.pend()
        state = bootsel.read(self.root)
        state.update(active="b", pending=None, floor=2)
        bootsel.write(self.root, state)
        for _ in range(10):
            info = self.boot()
            self.assertEqual((info["slot"], info["pending"], info["rolled_back"]), ("b", False, None))

    def test_damaged_active_falls_back_to_the_other(self):
        self.pend()
        state = bootsel.read(self.root)
        state.update(active="b", pending=None)
        bootsel.write(self.root, state)
        self.disk.flip("b/app.mpy", 0)
        info = self.boot()
        self.assertEqual((info["slot"], info["fault"]), ("a", "app.mpy is damaged"))

    def test_nothing_fit_to_run_is_said(self):
        self.disk.flip("a/app.mpy", 5)
        self.assertIsNone(self.boot())
        self.assertIsNone(bootsel.info)
        waited = []
        reset, bootsafe.reset = bootsafe.reset, self.reset
        bootsafe.sleep_ms = waited.append
        try:
            with self.assertRaises(_Reset):
                bootsel.start()
        finally:
            bootsafe.reset, bootsafe.sleep_ms = reset, time.sleep_ms
        self.assertTrue(22 <= len(waited) <= 30, len(waited))

    def test_a_try_that_cannot_be_counted_does_not_begin(self):
        self.pend()

        def broken(root, state):
            raise OSError(5)

        write, bootsel.write = bootsel.write, broken
        try:
            self.assertEqual(self.boot()["slot"], "a")
        finally:
            bootsel.write = write
        self.assertEqual(self.boot()["slot"], "b")

    def test_start_returns_what_runs(self):
        self.boot()
        self.assertEqual(bootsel.start()["slot"], "a")


if __name__ == "__main__":
    unittest.main()
