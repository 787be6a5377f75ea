"""lib/fota/trust and the confirmation that calls it: a life through a change of keys, the power cut anywhere in it."""
# interpreters: mp64 mp32 cpython
# (no number in it is a float)

import sys
import unittest

import bootsel
import store
from fota import FetchError
from fota.fetch import Fetch
from fota.slots import Slots
from fota.trust import adopt
from harness.flashsim import MODES
from harness.fota_kit import (
    CLASS,
    KEY,
    MICROPYTHON,
    Key,
    NodeTest,
    Source,
    bundle,
    code,
    fields,
    manifest_bytes,
    run,
    seal,
)

NEXT = Key("next")
_PUB = "data/update.pub"
_BOTH = NEXT.modulus + KEY.modulus


def release(sequence, key, trust=None):
    """A signed bundle of an app, with a list of keys to trust when there is one."""
    files = [("app.mpy", code("app %d" % sequence, 600))]
    if trust is not None:
        files.append(("update.pub", trust))
    values = fields(files, "1.%d.0" % sequence, sequence)
    values[13] = key.id
    raw = manifest_bytes(values)
    return seal(raw, b"".join(content for _, content in files), key.sign(raw), key=key.id)


_FIRST = [("app.mpy", code("app 1", 600))]


class Life(NodeTest):
    files, image = _FIRST, bundle(_FIRST, "1.1.0", 1)

    def setUp(self):
        NodeTest.setUp(self)
        self.disk.put(_PUB, KEY.modulus)
        self.boot()

    def boot(self):
        """A start, and what firmware/parts.py does before it looks for an update."""
        self.disk.reboot()
        self.info = bootsel.select(self.root)
        sys.path[:] = self._path
        self.slots = Slots(self.root, self.info)
        if not self.info["pending"]:
            adopt(self.root, self.info["path"], lambda: self.slots.floor > self.info["sequence"])

    def trusted(self):
        return self.disk.get(_PUB)

    def take(self, image):
        fetch = Fetch(
            self.root, "job %d" % len(image), len(image), Source(image).read, store.read_bytes(self.root + "/" + _PUB),
            CLASS, self.slots.floor, None, self.slots.bad, self.slots.room,
        )  # fmt: skip
        self.slots.install(run(fetch.run()))
        self.slots.arm()
        self.boot()

    def refuses(self, image):
        with self.assertRaises(FetchError) as caught:
            self.take(image)
        self.assertEqual((caught.exception.reason, caught.exception.final), ("key", True))
        self.assertEqual(self.disk.has("dl/data"), False)


class RotationTest(Life):
    def test_from_one_key_to_the_next(self):
        self.refuses(release(2, NEXT))
        self.take(release(2, KEY, _BOTH))
        self.assertEqual(self.trusted(), KEY.modulus)  # not before it is confirmed
        self.assertTrue(self.slots.confirm())
        self.assertEqual(self.trusted(), _BOTH)
        self.take(release(3, NEXT, NEXT.modulus))
        self.assertEqual(self.trusted(), _BOTH)
        self.slots.confirm()
        self.assertEqual(self.trusted(), NEXT.modulus)
        self.refuses(release(4, KEY))
        self.take(release(5, NEXT))
        self.slots.confirm()
        self.boot()
        self.assertEqual((self.info["version"], self.trusted()), ("1.5.0", NEXT.modulus))

    def test_an_image_that_is_rolled_back_takes_its_keys_with_it(self):
        self.take(release(2, KEY, NEXT.modulus))
        self.slots.roll_back()
        self.boot()
        self.assertEqual((self.info["version"], self.trusted()), ("1.1.0", KEY.modulus))
        self.take(release(3, KEY))

    def test_what_is_left_to_run_does_not_bring_old_keys_back(self):
        self.take(release(2, KEY, _BOTH))
        self.slots.confirm()
        self.take(release(3, NEXT, NEXT.modulus))
        self.slots.confirm()
        self.disk.flip(self.info["slot"] + "/app.mpy", 9)
        for _ in range(3):
            self.boot()
            self.assertEqual((self.info["sequence"], self.trusted()), (2, NEXT.modulus))
        self.take(release(4, NEXT))  # which makes the old image the active one before it replaces the damaged one
        self.slots.roll_back()
        self.boot()
        self.assertEqual((self.info["sequence"], self.trusted()), (2, NEXT.modulus))
        self.refuses(release(5, KEY))

    def test_power_cuts_in_the_confirmation(self):
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        self.take(release(2, KEY, NEXT.modulus))
        chip = self.disk.chip
        image = chip.save()
        op = confirmed = before = 0
        while True:
            chip.load(image)
            self.boot()
            chip.cut(op, MODES[op % 3], op)
            self.slots.confirm()
            if not chip.after_cut():
                break
            self.boot()
            if self.info["pending"]:
                before += 1
                self.assertEqual(self.trusted(), KEY.modulus)
            else:
                confirmed += 1
                self.assertEqual(self.trusted(), NEXT.modulus)
            op += 1
        self.assertTrue(confirmed > 3 and before > 0, "%d after, %d before" % (confirmed, before))

    def test_flash_errors_in_the_confirmation(self):
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        self.take(release(2, KEY, NEXT.modulus))
        chip = self.disk.chip
        image = chip.save()
        for op in range(1, 8):
            chip.load(image)
            self.boot()
            chip.fail(op, 5, 1)
            try:
                self.slots.confirm()
            except Exception as e:
                self.assertEqual(type(e).__name__, "InstallError")
            chip.fail(0, 0, 0)
            self.boot()
            want = KEY.modulus if self.info["pending"] else NEXT.modulus
            self.assertEqual(self.trusted(), want)


class ListTest(Life):
    def adopt(self, content):
        self.disk.put("a/update.pub", content)
        return adopt(self.root, self.root + "/a")

    def test_lists_that_are_none(self):
        good = NEXT.modulus
        for bad in (b"", b"x", good[:-1], good + b"\0", good * 4, bytes(384), b"\x7f" + good[1:], good[:-1] + b"\0",
                    good + bytes(384), b"\xff" * 20000):  # fmt: skip
            self.assertEqual(self.adopt(bad), False)
            self.assertEqual(self.trusted(), KEY.modulus)

    def test_lists_of_one_to_three(self):
        for good in (NEXT.modulus, _BOTH, _BOTH + NEXT.modulus):
            self.assertEqual(self.adopt(good), True)
            self.assertEqual(self.trusted(), good)
            self.assertEqual(self.adopt(good), False)

    def test_no_list(self):
        self.assertEqual(adopt(self.root, self.root + "/a"), False)

    def test_whatever_was_there_before(self):
        for before in (b"", b"\0" * 5000):
            self.disk.put(_PUB, before)
            self.assertEqual(self.adopt(NEXT.modulus), True)
            self.assertEqual(self.trusted(), NEXT.modulus)
        self.disk.put(_PUB, KEY.modulus)
        self.assertEqual(adopt(self.root, self.root + "/a", lambda: True), False)
        self.assertEqual(self.trusted(), KEY.modulus)


if __name__ == "__main__":
    unittest.main()
