"""lib/store: whole-file replacement, also at every power cut (littlefs2 on MicroPython)."""

import unittest

import store
from harness.flashsim import MODES, NAMES
from harness.fota_kit import MICROPYTHON, Disk
from store import StoreError


class DiskTest(unittest.TestCase):
    def setUp(self):
        self.disk = Disk(16)

    def tearDown(self):
        self.disk.close()

    def path(self, name):
        return self.disk.root + "/" + name


class FileTest(DiskTest):
    def test_write_and_read(self):
        for data in (b"", b"one", bytes(5000), b"shorter"):
            store.write_bytes(self.path("f"), data)
            self.assertEqual(store.read_bytes(self.path("f")), data)
        self.assertEqual(self.disk.has("f.tmp"), False)

    def test_absent(self):
        self.assertIsNone(store.read_bytes(self.path("none")))
        self.assertEqual(store.read_bytes(self.path("none"), b"default"), b"default")
        self.assertEqual(store.read_json(self.path("none"), {"a": 1}), {"a": 1})
        store.remove(self.path("none"))
        store.remove_tree(self.path("none"))
        self.assertEqual(store.exists(self.path("none")), False)

    def test_limit(self):
        store.write_bytes(self.path("f"), bytes(100))
        self.assertEqual(len(store.read_bytes(self.path("f"), None, 100)), 100)
        with self.assertRaises(StoreError) as caught:
            store.read_bytes(self.path("f"), None, 99)
        self.assertEqual(caught.exception.reason, "size")

    def test_json(self):
        store.write_json(self.path("j"), {"a": [1, None, "x"]})
        self.assertEqual(store.read_json(self.path("j")), {"a": [1, None, "x"]})
        # MicroPython's parser takes an unclosed document for a closed one; only the rename keeps files whole.
        for bad in (b"", b"{a}", b"\xff\xfe", b"[" * 3000):
            store.write_bytes(self.path("j"), bad)
            with self.assertRaises(StoreError) as caught:
                store.read_json(self.path("j"))
            self.assertEqual((caught.exception.reason, caught.exception.path), ("json", self.path("j")))

    def test_remove_tree(self):
        for name in ("t/a", "t/sub/b", "t/sub/deep/c", "t/MANIFEST"):
            self.disk.put(name, b"x")
        store.remove_tree(self.path("t"), "MANIFEST")
        self.assertEqual(self.disk.has("t"), False)
        self.disk.put("f", b"x")
        store.remove_tree(self.path("f"))
        self.assertEqual(self.disk.has("f"), False)


class CutTest(DiskTest):
    """Old or new, nothing else, wherever the power goes."""

    def _cut_everywhere(self, prepare, change, observe, old, new):
        prepare()
        image = self.disk.chip.save()
        op = cases = 0
        while True:
            for mode in MODES:
                self.disk.chip.load(image)
                self.disk.reboot()
                self.disk.chip.reset_counters()
                self.disk.chip.cut(op, mode, op)
                change()
                if not self.disk.chip.after_cut():
                    return cases
                self.disk.reboot()
                cases += 1
                got = observe()
                self.assertTrue(got in (old, new), "%s op %d: %r" % (NAMES[mode], op, got))
                change()
                self.assertEqual(observe(), new)
            op += 1

    def test_file(self):
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        for old, new in ((b"old" * 10, b"new" * 20), (b"old" * 2000, b"new" * 1000), (b"", b"n")):
            cases = self._cut_everywhere(
                lambda old=old: store.write_bytes(self.path("f"), old),
                lambda new=new: store.write_bytes(self.path("f"), new),
                lambda: store.read_bytes(self.path("f")),
                old,
                new,
            )
            self.assertTrue(cases >= 6, "%d cases" % cases)



if __name__ == "__main__":
    unittest.main()
