"""lib/fota/slots: install, trial, confirmation, roll-back, refusals. Power cuts are in tests/faults."""
# interpreters: mp64 mp32 cpython
# (4 s, and no number in it is a float)

import os
import sys
import unittest

import bootsel
from fota import InstallError
from fota.fetch import Fetch
from fota.slots import Slots
from harness.fota_kit import (
    CLASS,
    KEY,
    MICROPYTHON,
    NodeTest,
    Source,
    bundle,
    code,
    fields,
    manifest_bytes,
    run,
    seal,
)

_FINAL = ("native", "mpy", "payload")
_OLD = [("app.mpy", code("old app", 900))]
_NEW = [("app.mpy", code("new app", 5000)), ("lib/deep/one.mpy", code("one", 300)), ("notes.txt", b"hello")]
_OLD_IMAGE = bundle(_OLD, "1.0.0", 1)
_NEW_IMAGE = bundle(_NEW, "1.1.0", 2)


class SlotsTest(NodeTest):
    files, image = _OLD, _OLD_IMAGE

    def boot(self):
        self.disk.reboot()
        info = bootsel.select(self.root)
        sys.path[:] = self._path
        self.info = info
        self.slots = Slots(self.root, info)
        return info

    def fetch(self, image=_NEW_IMAGE, job="job"):
        fetch = Fetch(
            self.root, job, len(image), Source(image).read, KEY.modulus, CLASS, self.slots.floor, None,
            self.slots.bad, self.slots.room,
        )  # fmt: skip
        return run(fetch.run())

    def update(self, image=_NEW_IMAGE, job="job"):
        self.slots.install(self.fetch(image, job))
        self.slots.arm()


class UpdateTest(SlotsTest):
    def test_the_whole_way(self):
        self.boot()
        ticks = []
        self.slots.install(self.fetch(), lambda: ticks.append(1))
        self.assertEqual(len(ticks), len(_NEW))
        self.assertEqual(self.boot()["slot"], "a")  # not armed yet
        self.update()
        for path, content in _NEW:
            self.assertEqual(self.disk.get("b/" + path), content)
        info = self.boot()
        self.assertEqual((info["slot"], info["version"], info["pending"]), ("b", "1.1.0", True))
        self.assertEqual(self.slots.floor, 2)
        self.assertTrue(self.slots.confirm())
        self.assertEqual(self.slots.confirm(), False)
        self.assertEqual(self.disk.has("dl"), False)
        for _ in range(5):
            info = self.boot()
            self.assertEqual((info["slot"], info["pending"], info["rolled_back"]), ("b", False, None))
        # and back into slot a with the next release
        self.update(bundle(_OLD, "1.2.0", 3), "job-2")
        info = self.boot()
        self.assertEqual((info["slot"], info["version"], info["pending"]), ("a", "1.2.0", True))

    def test_never_confirmed_goes_back_and_is_not_taken_again(self):
        self.boot()
        self.update()
        for _ in range(3):
            self.assertEqual(self.boot()["slot"], "b")
        info = self.boot()
        self.assertEqual((info["slot"], info["rolled_back"]), ("a", "tries"))
        self.assertEqual(self.slots.floor, 1)
        from fota import FetchError

        with self.assertRaises(FetchError) as caught:
            self.fetch()
        self.assertEqual(caught.exception.reason, "blacklisted")
        self.update(bundle(_NEW, "1.1.1", 3), "job-2")
        info = self.boot()
        self.assertEqual((info["version"], info["rolled_back"]), ("1.1.1", None))

    def test_the_image_itself_can_give_up(self):
        self.boot()
        self.assertEqual(self.slots.roll_back(), False)
        self.update()
        self.boot()
        self.assertTrue(self.slots.roll_back())
        info = self.boot()
        self.assertEqual((info["slot"], info["rolled_back"]), ("a", "refused"))

    def test_an_image_on_trial_installs_nothing(self):
        self.boot()
        self.update()
        self.boot()
        manifest = self.fetch(bundle(_OLD, "1.3.0", 9), "job-9")
        with self.assertRaises(InstallError) as caught:
            self.slots.install(manifest)
        self.assertEqual(caught.exception.reason, "trial")
        self.assertTrue(bootsel.check(self.root, "a"))

    def test_an_armed_image_can_be_replaced_before_the_restart(self):
        self.boot()
        self.update()
        self.update(bundle(_NEW, "1.1.5", 4), "job-2")
        self.assertEqual(self.boot()["version"], "1.1.5")

    def test_leftovers_in_the_slot_go(self):
        self.disk.put("b/app.py", b"shadow")
        self.disk.put("b/old/thing.mpy", b"x")
        self.boot()
        self.update()
        self.assertEqual(self.disk.has("b/app.py") or self.disk.has("b/old"), False)
        self.assertEqual(self.boot()["slot"], "b")

    def test_running_the_fallback_slot_still_updates(self):
        self.boot()
        self.update()
        self.boot()
        self.slots.confirm()
        self.disk.flip("b/app.mpy", 9)
        self.assertEqual(self.boot()["slot"], "a")  # the confirmed one is damaged: the old one serves
        self.assertEqual(self.slots.other, "b")
        self.update(bundle(_NEW, "1.2.0", 3), "job-2")
        self.assertEqual(self.boot()["version"], "1.2.0")
        self.assertTrue(self.slots.confirm())
        self.assertEqual((self.boot()["slot"], bootsel.read(self.root)["active"]), ("b", "b"))


class RefusalTest(SlotsTest):
    def refuses(self, reason, function, *args):
        with self.assertRaises(InstallError) as caught:
            function(*args)
        self.assertEqual((caught.exception.reason, caught.exception.final), (reason, reason in _FINAL))
        self.assertEqual(self.boot()["slot"], "a")

    def test_arming_nothing(self):
        self.boot()
        self.refuses("nothing", self.slots.arm)

    def test_changed_between_check_and_install(self):
        self.boot()
        for path, at, reason in (
            ("dl/data", 10, "changed"),
            ("dl/data", 5200, "changed"),
            ("dl/head", 80, "changed"),
            ("dl/head", 0, "magic"),
        ):
            manifest = self.fetch()
            self.disk.flip(path, at)
            self.refuses(reason, self.slots.install, manifest)
        manifest = self.fetch()
        self.disk.put("dl/data", b"M\x06\x00\x1f")
        self.refuses("short", self.slots.install, manifest)

    def test_native_code_unless_announced(self):
        self.boot()
        native = [("app.mpy", b"M\x06\x2c\x1f" + bytes(100))]
        self.refuses("native", self.slots.install, self.fetch(bundle(native, "1.4.0", 4)))
        self.boot()
        self.slots.install(self.fetch(bundle(native, "1.4.1", 5, k12=1), "job-2"))

    def test_a_file_table_that_lies_about_a_file(self):
        self.boot()
        values = fields(_NEW)
        values[11][1][2] = bytes(16)
        image = seal(manifest_bytes(values), b"".join(c for _, c in _NEW))
        self.refuses("payload", self.slots.install, self.fetch(image))

    def test_room_is_asked_for_before_anything_goes(self):
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        self.boot()
        f = open(self.root + "/fill", "wb")
        try:
            for _ in range(22):
                f.write(bytes(4096))
        finally:
            f.close()
        with self.assertRaises(InstallError) as caught:
            self.fetch()
        self.assertEqual(caught.exception.reason, "space")
        os.remove(self.root + "/fill")
        self.update()
        self.assertEqual(self.boot()["slot"], "b")

    def test_room_at_every_level_never_ends_half_way(self):
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        self.boot()
        image = self.disk.chip.save()
        taken = refused = 0
        for blocks in range(4, 28):
            self.disk.chip.load(image)
            self.boot()
            f = open(self.root + "/fill", "wb")
            for _ in range(blocks):
                f.write(bytes(4096))
            f.close()
            try:
                self.update()
                taken += 1
                self.assertEqual(self.boot()["slot"], "b")
            except InstallError as e:
                # Refused by room(), not by running out of it half-way
                self.assertEqual((e.reason, self.disk.has("dl"), self.disk.has("b")), ("space", False, False))
                refused += 1
        self.assertTrue(taken > 3 and refused > 3, "%d taken, %d refused" % (taken, refused))

    def test_flash_errors_are_install_errors_and_the_old_image_starts(self):
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        self.boot()
        manifest = self.fetch()
        image = self.disk.chip.save()
        seen = 0
        for op in range(0, 90, 4):
            self.disk.chip.load(image)
            self.boot()
            self.disk.chip.fail(op, 5, 2)
            try:
                self.slots.install(manifest)
                self.slots.arm()
            except InstallError as e:
                seen += 1
                self.assertTrue(e.reason in ("flash", "reread"), e.reason)
                self.assertEqual(self.boot()["slot"], "a")
            self.disk.chip.fail(0, 0, 0)
            self.boot()
            self.assertTrue(self.info["version"] in ("1.0.0", "1.1.0"))
        self.assertTrue(seen > 5, "%d errors seen" % seen)


if __name__ == "__main__":
    unittest.main()
