"""lib/fota/fetch: nothing unverified is written, every interruption resumes, every wrong image is refused early."""
# interpreters: mp64 mp32 cpython
# (4 s each, and no number in it is a float)

import gc
import unittest

from fota import FetchError, InstallError, ManifestError
from fota.blocks import FileBlocks
from fota.fetch import Fetch
from harness.fota_kit import BLOCK, CLASS, KEY, Disk, Source, bundle, code, fields, manifest_bytes, run, seal
from harness.rng import Rng, seed

_FILES = [("app.mpy", code("app", 14000)), ("lib/util.mpy", code("util", 3000))]
_IMAGE = bundle(_FILES, "1.1.0", 5)
_PAYLOAD = b"".join(c for _, c in _FILES)
_OTHER = bundle([("app.mpy", code("other", 17000))], "1.2.0", 6)
_HEAD = len(_IMAGE) - len(_PAYLOAD)


class Swapped(Source):
    """Another image from the read number `reads` on."""

    def __init__(self, image, other, reads):
        Source.__init__(self, image)
        self.chunk = 1024
        self.other = other
        self.at = reads

    async def read(self, offset, view):
        if len(self.reads) == self.at:
            self.image = self.other
        return await Source.read(self, offset, view)


class FetchTest(unittest.TestCase):
    def setUp(self):
        self.disk = Disk()
        self.progress = []

    def tearDown(self):
        self.disk.close()

    def make(self, source, job="job-1", **changes):
        terms = {"size": len(source.image), "keys": KEY.modulus, "device_class": CLASS, "floor": 4, "bad": ()}
        terms.update(changes)
        return Fetch(
            self.disk.root, job, terms["size"], source.read, terms["keys"], terms["device_class"], terms["floor"],
            lambda done, total: self.progress.append((done, total)), terms["bad"], terms.get("room"),
            blocks=terms.get("blocks"), component=terms.get("component", "app"),
        )  # fmt: skip

    def fails(self, source, reason, final, **changes):
        with self.assertRaises(FetchError) as caught:
            run(self.make(source, **changes).run())
        self.assertEqual((caught.exception.reason, caught.exception.final), (reason, final))

    def stop_after(self, source, payload_bytes):
        """Run a download whose link breaks after so many bytes of payload."""
        source.fail_at = _HEAD + payload_bytes
        with self.assertRaises(OSError):
            run(self.make(source).run())
        source.fail_at = None
        self.disk.reboot()
        source.reads = []
        source.read_bytes = 0

    def replace(self):
        """Have another job's image downloaded, so that the next download starts from nothing."""
        run(self.make(Source(_OTHER), "job-0").run())

    def whole(self):
        """Block by block: a heap of 1 MB that holds a chip has no large pieces to spare."""
        with open(self.disk.root + "/dl/data", "rb") as f:
            for at in range(0, len(_PAYLOAD), BLOCK):
                self.assertEqual(f.read(BLOCK), _PAYLOAD[at : at + BLOCK])
            self.assertEqual(f.read(1), b"")


class DownloadTest(FetchTest):
    def test_a_whole_download(self):
        source = Source(_IMAGE)
        fetch = self.make(source)
        manifest = run(fetch.run())
        self.assertEqual((manifest.version, manifest.sequence), ("1.1.0", 5))
        self.whole()
        total = len(_PAYLOAD)
        self.assertEqual(self.progress, [(n, total) for n in (0, 4096, 8192, 12288, 16384, total)])
        self.assertEqual(fetch.fetched, source.read_bytes)
        self.assertTrue(source.read_bytes <= len(_IMAGE))
        # Whole CoAP blocks: a block of flash never straddles one more block of the wire than it must
        self.assertTrue(all(offset % 1024 == 0 for offset, _ in source.reads if offset > 64))

    def test_any_chunk_size(self):
        for chunk in (1, 7, 1023, 1024, 5000):
            source = Source(_IMAGE)
            source.chunk = chunk
            run(self.make(source, "job %d" % chunk).run())
            self.whole()
            self.replace()

    def test_a_head_larger_than_the_buffer(self):
        files = [("tasks/a_module_called_%03d.mpy" % i, code("module %d" % i, 60)) for i in range(150)]
        image = bundle(files, "1.3.0", 7)
        source = Source(image)
        manifest = run(self.make(source).run())
        self.assertEqual((manifest.file_count, len(self.disk.get("dl/data"))), (150, 150 * 60))
        self.assertTrue(len(self.disk.get("dl/head")) > 6000)
        self.disk.reboot()
        source.read_bytes = 0
        run(self.make(source).run())
        self.assertEqual(source.read_bytes, 0)

    def test_a_complete_download_asks_for_nothing(self):
        run(self.make(Source(_IMAGE)).run())
        self.disk.reboot()
        source = Source(_IMAGE)
        fetch = self.make(source)
        run(fetch.run())
        self.assertEqual((source.read_bytes, fetch.resumed_at), (0, len(_PAYLOAD)))

    def test_resume_at_every_fill(self):
        rng = Rng(seed(31))
        edges = [0, 1, 4095, 4096, 4097, 8192, 12288, len(_PAYLOAD) - 1]
        for stop in edges + [rng.below(len(_PAYLOAD)) for _ in range(6)]:
            source = Source(_IMAGE)
            source.chunk = 1 + rng.below(2000)
            self.stop_after(source, stop)
            fetch = self.make(source)
            run(fetch.run())
            self.whole()
            self.assertEqual(fetch.resumed_at, stop // BLOCK * BLOCK)
            self.assertEqual(source.reads[0][0], _HEAD + fetch.resumed_at)  # not a byte of the head again
            self.replace()

    def test_link_errors_go_through_and_the_same_object_can_go_on(self):
        source = Source(_IMAGE)
        fetch = self.make(source)
        for fail_at in (30, 100, _HEAD + 10, _HEAD + 5000, _HEAD + 16000):
            source.fail_at = fail_at
            with self.assertRaises(OSError) as caught:
                run(fetch.run())
            self.assertEqual(caught.exception.args[0], 110)
        source.fail_at = None
        run(fetch.run())
        self.whole()

    def test_another_job_for_the_same_image_keeps_the_blocks(self):
        source = Source(_IMAGE)
        self.stop_after(source, 9000)
        run(self.make(source, "job-2").run())
        self.whole()
        self.assertEqual(source.read_bytes, 64 + len(_PAYLOAD) - 8192)
        source.read_bytes = 0
        run(self.make(source, "job-2").run())
        self.assertEqual(source.read_bytes, 0)

    def test_another_image_starts_over(self):
        self.stop_after(Source(_IMAGE), 9000)
        fetch = self.make(Source(_OTHER), "job-2")
        self.assertEqual(run(fetch.run()).version, "1.2.0")
        self.assertEqual(fetch.resumed_at, 0)

    def test_an_image_swapped_under_the_same_job_starts_over(self):
        old = bundle([("app.mpy", code("old", 17000))], "1.1.9", 5)
        self.assertEqual(len(old), len(_OTHER))
        source = Source(old)
        source.fail_at = len(old) - 17000 + 9000
        with self.assertRaises(OSError):
            run(self.make(source).run())
        source = Source(_OTHER)
        self.assertEqual(run(self.make(source).run()).version, "1.2.0")
        self.assertTrue(source.read_bytes <= len(_OTHER) + BLOCK + 64)

    def test_an_image_swapped_while_its_head_comes_in_is_not_refused_for_good(self):
        files = [("m%03d.mpy" % i, code("old", 40)) for i in range(150)]
        old = bundle(files, "1.1.0", 5)
        changed = bundle(files[:-1] + [("m149.mpy", code("new", 40))], "1.1.1", 6)
        longer = bundle(files[:-1] + [("m149_.mpy", code("new", 40))], "1.1.1", 6)
        self.assertTrue(len(old) - 150 * 40 > BLOCK)  # a head of two reads
        for new in (changed, longer):
            self.assertEqual(len(new), len(old))
            for reads in range(1, 6):
                source = Swapped(old, new, reads)
                self.fails(source, "unstable", False)
                self.assertFalse(self.disk.has("dl.new"))
                self.assertEqual(run(self.make(source).run()).version, "1.1.1")
                self.replace()

    def test_damage_on_flash_is_fetched_again(self):
        source = Source(_IMAGE)
        last = len(_PAYLOAD) - 1
        for path, at in (("dl/data", 5000), ("dl/data", 0), ("dl/data", last), ("dl/head", 0), ("dl/head", 100),
                         ("dl/job", 0)):  # fmt: skip
            run(self.make(source).run())
            self.disk.flip(path, at)
            run(self.make(source).run())
            self.whole()
        for content in (b"", _PAYLOAD[:-1], _PAYLOAD[:5000], _PAYLOAD + b"more"):
            self.disk.put("dl/data", content)
            run(self.make(source).run())
            self.assertEqual(self.disk.get("dl/data")[: len(_PAYLOAD)], _PAYLOAD)

    def test_terms_that_changed_meanwhile_count(self):
        source = Source(_IMAGE)
        self.stop_after(source, 9000)
        self.fails(source, "sequence", True, floor=5)
        self.assertEqual(self.disk.has("dl"), False)


class RefusalTest(FetchTest):
    """Reason, finality, and that not a byte of payload was asked for nor anything kept."""

    def refuses(self, image, reason, **changes):
        source = Source(image)
        self.fails(source, reason, True, **changes)
        self.assertTrue(all(offset < _HEAD for offset, _ in source.reads), "payload was asked for")
        self.assertEqual((self.disk.has("dl"), self.disk.has("dl.new")), (False, False))

    def test_terms(self):
        self.refuses(_IMAGE, "class", device_class="another")
        self.refuses(_IMAGE, "sequence", floor=5)
        self.refuses(_IMAGE, "sequence", floor=6)
        self.refuses(_IMAGE, "size", size=len(_IMAGE) + 1)
        self.refuses(_IMAGE, "size", size=len(_IMAGE) - 1)
        self.refuses(_IMAGE, "key", keys=b"")
        self.refuses(_IMAGE, "key", keys=b"\xff" + KEY.modulus[1:])
        self.refuses(bundle(_FILES, k5=5), "precursor", floor=1)
        self.refuses(bundle(_FILES, k4="bootloader"), "class")

    def test_hostile_bundles(self):
        raw = manifest_bytes(fields(_FILES))
        self.refuses(seal(raw, _PAYLOAD, bytes(384)), "signature")
        self.refuses(b"\x7fELF" + _IMAGE[4:], "magic")
        self.refuses(_IMAGE[:70] + bytes([_IMAGE[70] ^ 1]) + _IMAGE[71:], "digest")
        self.refuses(bundle(_FILES, k11=[["../boot.py", len(_PAYLOAD), bytes(32)]]), "path")

    def test_a_refused_image_costs_nothing_of_another(self):
        source = Source(_IMAGE)
        self.stop_after(source, 9000)
        for image, reason in ((bundle(_FILES, k4="bootloader"), "class"), (b"\x7fELF" + _IMAGE[4:], "magic")):
            self.fails(Source(image), reason, True, job="job-2")
        fetch = self.make(source)
        run(fetch.run())
        self.assertEqual(fetch.resumed_at, 8192)

    def test_refused_by_the_first_block(self):
        """As a partition refuses what is no image for it."""

        class Picky(FileBlocks):
            def write(self, i, view):
                raise ManifestError("chip")

        source = Source(_IMAGE)
        self.fails(source, "chip", True, blocks=Picky(self.disk.root))
        self.assertEqual((self.disk.has("dl"), max(offset for offset, _ in source.reads)), (False, _HEAD))

    def test_another_component(self):
        self.refuses(bundle(_FILES, k6="image"), "component")
        self.refuses(_IMAGE, "component", component="image")

    def test_truncated(self):
        for n in (0, 1, 63, 64, 500, _HEAD, _HEAD + 1, _HEAD + 9000, len(_IMAGE) - 1):
            self.fails(Source(_IMAGE[:n]), "short", False, size=len(_IMAGE))

    def test_no_room(self):
        def room(manifest):
            self.assertEqual(manifest.file_count, 2)
            raise InstallError("space")

        with self.assertRaises(InstallError):
            run(self.make(Source(_IMAGE), room=room).run())
        self.assertEqual(self.disk.has("dl"), False)

    def test_a_flipped_block_stops_within_one_block_and_is_not_kept(self):
        for at in range(0, len(_PAYLOAD), 1500):
            gc.collect()  # 1 MB, most of which is the chip
            bad = bytearray(_IMAGE)
            bad[_HEAD + at] ^= 0x40
            source = Source(bad)
            self.fails(source, "block", False)
            block = at // BLOCK
            self.assertTrue(max(offset for offset, _ in source.reads) <= _HEAD + block * BLOCK)
            self.assertEqual(len(self.disk.get("dl/data")) if block else 0, block * BLOCK)
            good = Source(_IMAGE)
            run(self.make(good).run())
            self.whole()
            self.replace()

    def test_swapped_blocks(self):
        swapped = _IMAGE[:_HEAD] + _PAYLOAD[BLOCK : 2 * BLOCK] + _PAYLOAD[:BLOCK] + _PAYLOAD[2 * BLOCK :]
        self.fails(Source(swapped), "block", False)

    def test_blocks_that_match_but_a_whole_that_does_not(self):
        values = fields(_FILES)
        values[8] = bytes(32)
        self.fails(Source(seal(manifest_bytes(values), _PAYLOAD)), "payload", True, floor=1)
        self.assertEqual(self.disk.has("dl"), False)

    def test_an_image_that_keeps_changing_is_given_up(self):
        images = [bundle([("app.mpy", code("x%d" % i, 17000))], "1.%d" % i, 10 + i) for i in range(4)]

        class Fickle(Source):
            """Another image at each look at the header."""

            async def read(self, offset, view):
                if offset == 0:
                    self.image = images.pop(0)
                elif offset > _HEAD and images:
                    self.image = images[0]
                return await Source.read(self, offset, view)

        self.fails(Fickle(images[0]), "unstable", False)


class FlashErrorTest(FetchTest):
    def test_flash_errors_are_not_link_errors(self):
        if self.disk.chip is None:
            self.skipTest("needs a simulated chip")
        image = self.disk.chip.save()
        for op in range(0, 40, 3):
            for errno, reasons in ((5, ("flash",)), (28, ("space", "flash"))):
                self.disk.chip.load(image)
                self.disk.reboot()
                self.disk.chip.fail(op, errno, 1)
                try:
                    run(self.make(Source(_IMAGE)).run())
                except FetchError as e:
                    self.assertTrue(e.reason in reasons, e.reason)
                self.disk.reboot()
                run(self.make(Source(_IMAGE)).run())
                self.whole()

    def test_a_full_disk_is_space(self):
        if self.disk.chip is None:
            self.skipTest("needs a simulated chip")
        f = open(self.disk.root + "/fill", "wb")
        try:
            for _ in range(33):
                f.write(bytes(4096))
        finally:
            f.close()
        self.fails(Source(_IMAGE), "space", False)


if __name__ == "__main__":
    unittest.main()
