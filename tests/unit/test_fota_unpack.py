"""lib/fota/unpack: deflated payloads, and every way in which what was signed can still not be what it says."""
# interpreters: mp64 mp32 cpython
# (no number in it is a float)

import sys
import unittest
from hashlib import sha256

import bootsel
from fota import InstallError
from fota.fetch import Fetch
from fota.slots import Slots
from harness import deflater
from harness.fota_kit import (
    BLOCK,
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

_OLD = [("app.mpy", code("old app", 900))]
_OLD_IMAGE = bundle(_OLD, "1.0.0", 1)
_FILES = [("app.mpy", code("new app", 9000)), ("lib/deep/one.mpy", code("one", 300)), ("notes.txt", b"hello")]
_PLAIN = b"".join(content for _, content in _FILES)


def deflated(payload, files=_FILES, **changes):
    """A signed bundle that says: this `payload` is `files`, deflated."""
    values = fields(files)
    blocks = [sha256(payload[i : i + BLOCK]).digest()[:16] for i in range(0, len(payload), BLOCK)]
    values.update({7: len(payload), 8: sha256(payload).digest(), 10: b"".join(blocks), 12: 2})
    for name, value in changes.items():
        values[int(name[1:])] = value
    return seal(manifest_bytes(values), payload)


class DeflateTest(NodeTest):
    files, image = _OLD, _OLD_IMAGE

    def boot(self):
        self.disk.reboot()
        self.info = bootsel.select(self.root)
        sys.path[:] = self._path
        self.slots = Slots(self.root, self.info)
        return self.info

    def fetch(self, image):
        self.boot()
        job = sha256(image).digest().hex()  # another one for each image, so that none is taken for its predecessor
        fetch = Fetch(
            self.root, job, len(image), Source(image).read, KEY.modulus, CLASS, self.slots.floor, None,
            self.slots.bad, self.slots.room,
        )  # fmt: skip
        return run(fetch.run())

    def refuses(self, reason, detail, image, final=True, damage=None):
        manifest = self.fetch(image)
        if damage:
            damage()
        with self.assertRaises(InstallError) as caught:
            self.slots.install(manifest)
        e = caught.exception
        self.assertEqual((e.reason, e.detail, e.final), (reason, detail, final))
        with self.assertRaises(InstallError):
            self.slots.arm()
        self.assertEqual(self.disk.has("b/MANIFEST"), False)
        self.assertEqual((self.boot()["slot"], self.info["version"]), ("a", "1.0.0"))

    def written(self):
        """Bytes of files in slot b."""
        total = 0
        for path, _ in _FILES:
            if self.disk.has("b/" + path):
                total += len(self.disk.get("b/" + path))
        return total

    def test_every_way_to_say_the_same(self):
        for payload in (
            deflater.squeezed(_PLAIN),
            deflater.stream([_PLAIN]),
            deflater.stored(_PLAIN),
            deflater.stored(_PLAIN[:5000], False) + deflater.stored(b"", False) + deflater.stored(_PLAIN[5000:]),
            deflater.stored(_PLAIN, False) + deflater.stored(b""),
        ):
            manifest = self.fetch(deflated(payload))
            ticks = []
            self.slots.install(manifest, lambda ticks=ticks: ticks.append(1))
            self.slots.arm()
            self.assertEqual(len(ticks), len(_FILES))
            self.assertEqual((self.boot()["slot"], self.info["version"]), ("b", "1.1.0"))
            for path, content in _FILES:
                self.assertEqual(self.disk.get("b/" + path), content)
            self.assertTrue(self.slots.confirm())
            self.tearDown()
            self.setUp()

    def test_a_buffer_is_lent_for_the_inflater_and_wanted_back_after_a_failure(self):
        for payload, told in (
            (deflater.squeezed(_PLAIN), [True]),
            (deflater.squeezed(_PLAIN)[:-3], [True, False]),
            (None, []),
        ):
            manifest = self.fetch(bundle(_FILES) if payload is None else deflated(payload))
            lent = []
            slots = Slots(self.root, self.info, lent.append)
            try:
                slots.install(manifest)
            except InstallError:
                self.assertEqual(slots._armed, None)
            self.assertEqual(lent, told)

    def test_the_largest_window(self):
        start = code("w", 32)
        content = start + bytes(2016) + start  # a match exactly 2048 bytes back
        files = [("app.mpy", content)]
        payload = deflater.stream([start, b"\0", (258, 1)] + [(254, 1)] * 6 + [(233, 1), (32, 2048)])
        manifest = self.fetch(deflated(payload, files))
        self.slots.install(manifest)
        self.assertEqual(self.disk.get("b/app.mpy"), content)

    def test_a_window_that_the_node_has_not(self):
        start = code("w", 32)
        content = start + bytes(2017) + start
        payload = deflater.stream([start, b"\0", (258, 1)] + [(254, 1)] * 6 + [(234, 1), (32, 2049)])
        if MICROPYTHON:
            self.refuses("payload", "inflate app.mpy", deflated(payload, [("app.mpy", content)]))

    def test_bombs(self):
        # 13 bits for 258 bytes: 650 bytes of it are 103,200, promised are 9,305 bytes
        bomb = deflater.stream([b"M\x06\x00\x1f"] + [(258, 1)] * 400)
        self.refuses("payload", "changed app.mpy", deflated(bomb))
        self.assertTrue(self.written() <= 9000)
        good = _PLAIN + b"\0"
        for payload in (deflater.stream([good] + [(258, 1)] * 400), deflater.stream([good]), deflater.stored(good)):
            self.refuses("payload", "inflate more than its files", deflated(payload))
            self.assertEqual(self.written(), len(_PLAIN))

    def test_what_is_behind_the_stream(self):
        for extra in (b"x", bytes(5000), deflater.stored(b"")):
            self.refuses("payload", "inflate more than its files", deflated(deflater.squeezed(_PLAIN) + extra))

    def test_streams_that_end_too_early(self):
        whole = deflater.squeezed(_PLAIN)
        self.refuses("payload", "short notes.txt", deflated(whole[:-3]))
        self.refuses("payload", "short app.mpy", deflated(whole[:60]))
        self.refuses("payload", "short notes.txt", deflated(deflater.stream([_PLAIN], end=False)))
        self.refuses("payload", "short notes.txt", deflated(deflater.stored(_PLAIN, False)))
        self.refuses("payload", "short notes.txt", deflated(deflater.stored(_PLAIN[:-1])))
        self.refuses("payload", "short app.mpy", deflated(deflater.stored(b"")))

    def test_what_is_no_stream(self):
        for payload in (b"\x07", b"\x06" + bytes(50), b"\xff" * 300):
            self.refuses("payload", "inflate app.mpy", deflated(payload))
        bad = deflater.stored(_PLAIN)
        self.refuses("payload", "inflate app.mpy", deflated(bad[:3] + b"\0\0" + bad[5:]))

    def test_plain_files_that_say_they_are_deflated_and_the_reverse(self):
        values = fields(_FILES, "1.2.0", 9)
        values[12] = 2
        self.refuses("payload", "inflate app.mpy", seal(manifest_bytes(values), _PLAIN))

    def test_machine_code_in_a_stream(self):
        files = [("app.mpy", b"M\x06\x2c\x1f" + bytes(100))]
        self.refuses("native", "app.mpy", deflated(deflater.squeezed(files[0][1]), files))
        files = [("app.mpy", b"M\x05\x00\x1f" + bytes(100))]
        self.refuses("mpy", "app.mpy", deflated(deflater.squeezed(files[0][1]), files))

    def test_flash_that_changed_is_not_the_images_fault(self):
        image = deflated(deflater.stored(_PLAIN))
        self.refuses("changed", "app.mpy", image, False, lambda: self.disk.flip("dl/data", 100))
        self.refuses("changed", "notes.txt", image, False, lambda: self.disk.flip("dl/data", len(_PLAIN) + 4))
        self.refuses("short", "app.mpy", image, False, lambda: self.disk.put("dl/data", b""))
        self.refuses("inflate", "app.mpy", image, False, lambda: self.disk.put("dl/data", b"\x07" * 9))

    def test_a_plain_payload_whose_table_lies(self):
        values = fields(_FILES)
        values[11][1][2] = bytes(16)
        self.refuses("payload", "changed lib/deep/one.mpy", seal(manifest_bytes(values), _PLAIN))

    def test_room_is_for_what_is_unpacked(self):
        payload = deflater.stream([code("x", 4)] + [(258, 1)] * 500)
        image = deflated(payload, k11=[["app.mpy", 129004, bytes(16)]])
        if MICROPYTHON:
            with self.assertRaises(InstallError) as caught:
                self.fetch(image)
            self.assertEqual(caught.exception.reason, "space")
            self.assertEqual(self.disk.has("dl"), False)


if __name__ == "__main__":
    unittest.main()
