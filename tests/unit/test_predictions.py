"""gnss.predictions, gnss.download: predictions on flash: resume, wrong files, the tail, and power cuts.

On MicroPython the store lies on littlefs2 on a simulated chip.
"""

import os
import unittest

from gnss import download, pgps, predictions
from harness.aio import run
from harness.flashsim import MODES
from harness.fota_kit import MICROPYTHON, Disk
from harness.pgps_kit import PERIOD, START, Dead, Source, epochs, file_of, header, prediction
from harness.rng import Rng, seed


class Store(unittest.TestCase):
    def setUp(self):
        self.disk = Disk(60)
        self.folder = self.disk.root + "/pgps"
        self.buf = memoryview(bytearray(4200))

    def tearDown(self):
        self.disk.close()

    def begin(self, start=START, count=3):
        job = {"key": "https://h/p", "start": start, "count": count}
        predictions.begin(self.folder, job)
        return job

    def get(self, source, job=None):
        return run(download.download(self.folder, job or self.begin(), source.read, self.buf))

    def found(self, gps_s):
        mv = self.buf[:2006]
        return bytes(mv) if predictions.find(self.folder, gps_s, mv) else None

    def names(self):
        try:
            return sorted(os.listdir(self.folder))
        except OSError:
            return []

    def fails(self, reason, data, **how):
        with self.assertRaises(pgps.PgpsError) as caught:
            self.get(Source(data, **how))
        self.assertEqual(caught.exception.reason, reason)
        self.assertEqual(self.names(), [])

    def test_nothing_there(self):
        self.assertIsNone(self.found(START))
        self.assertIsNone(predictions.pending(self.folder))
        self.assertEqual(predictions.reach(self.folder, START + 7200), (0, START + PERIOD))

    def test_download_and_every_prediction_at_its_time(self):
        data = file_of(count=5)
        self.assertEqual(self.get(Source(data), self.begin(count=5)), len(data))
        self.assertEqual(self.names(), [str(START)])
        self.disk.reboot()
        for gps_s, epoch in (
            (START - 7201, None),
            (START - 7200, START),
            (START + 7199, START),
            (START + 7200, START + PERIOD),
            (START + 4 * PERIOD, START + 4 * PERIOD),
        ):
            self.assertEqual(self.found(gps_s), prediction(epoch) if epoch else None)
        self.assertEqual(predictions.reach(self.folder, START), (5, START + 5 * PERIOD))
        self.assertEqual(predictions.reach(self.folder, START + 2 * PERIOD), (3, START + 5 * PERIOD))
        self.assertEqual(self.names(), [str(START)])

    def test_what_is_over_is_removed(self):
        self.get(Source(file_of()))
        self.assertIsNone(self.found(START + 2 * PERIOD + 7200))
        self.assertEqual(self.names(), [])

    def test_any_chunk_size_and_buffer(self):
        data = file_of()
        for chunk in (1, 15, 16, 1024, 2006, 5000):
            for size in (2022, 4096, 7424):
                if chunk == 1 and size != 4096:
                    continue
                self.buf = memoryview(bytearray(size))
                self.get(Source(data, chunk=chunk))
                self.assertEqual(self.found(START + PERIOD), prediction(START + PERIOD))

    def test_the_tail_goes_behind_what_is_there(self):
        self.get(Source(file_of()))
        tail = START + 3 * PERIOD
        self.get(Source(file_of(tail, 2)), self.begin(tail, 2))
        self.assertEqual(predictions.reach(self.folder, START + PERIOD), (4, tail + 2 * PERIOD))
        for epoch in epochs(4, START + PERIOD):
            self.assertEqual(self.found(epoch), prediction(epoch))
        self.assertEqual(predictions.reach(self.folder, tail), (2, tail + 2 * PERIOD))
        self.assertEqual(self.names(), [str(tail)])

    def test_a_gap_ends_what_is_held(self):
        self.get(Source(file_of()))
        later = START + 4 * PERIOD
        self.get(Source(file_of(later, 2)), self.begin(later, 2))
        self.assertEqual(predictions.reach(self.folder, START), (3, START + 3 * PERIOD))
        self.assertIsNone(self.found(START + 3 * PERIOD))

    def test_wrong_files_are_named_and_discarded(self):
        data = file_of()
        for reason, wrong in (
            ("short", b""),
            ("short", data[:10]),
            ("short", data[:16]),
            ("short", data[:-1]),
            ("schema", b'{"appId":"PGPS","messageType":"DATA","err":42200}'),
            ("size", header(size=2048) + data[16:]),
            ("stale", file_of(START - PERIOD)),
            ("stale", file_of(START + PERIOD)),
            ("stale", file_of(START - 86400)),
            ("epoch", header(count=3) + prediction(START) * 3),
            ("record", data[:-2006] + b"\x08" + data[-2005:]),
        ):
            self.fails(reason, wrong)

    def test_fewer_than_were_asked_for_are_taken(self):
        self.get(Source(file_of(count=2)), self.begin(count=6))
        self.assertEqual(predictions.reach(self.folder, START), (2, START + 2 * PERIOD))

    def test_what_follows_the_last_prediction_is_ignored(self):
        self.get(Source(file_of() + b"more"))
        self.assertEqual(os.stat(self.folder + "/" + str(START))[6], 16 + 3 * 2006)

    def test_goes_on_with_the_next_prediction_after_a_lost_link(self):
        data = file_of(count=6)
        job = self.begin(count=6)
        source = Source(data, fail_at=16 + 4 * 2006 + 900)
        with self.assertRaises(Dead):
            self.get(source, job)
        self.disk.reboot()
        self.assertEqual(predictions.pending(self.folder), job)
        source = Source(data)
        self.assertEqual(self.get(source, predictions.pending(self.folder)), 2 * 2006)
        self.assertEqual(source.reads[0], 16 + 4 * 2006)
        self.assertIsNone(predictions.pending(self.folder))
        for epoch in epochs(6):
            self.assertEqual(self.found(epoch), prediction(epoch))

    def test_what_is_no_whole_prediction_is_written_over(self):
        """Not ours, as we write whole ones: what another version, or a file system with other habits, may leave."""
        data = file_of()
        for left in (b"", data[:5], data[:15], data[:16], data[:16] + b"x" * 700, data[: 16 + 2006] + b"x" * 2005):
            job = self.begin()
            with open(self.folder + "/new", "wb") as f:
                f.write(left)
            self.get(Source(data), job)
            for epoch in epochs(3):
                self.assertEqual(self.found(epoch), prediction(epoch), len(left))

    def test_a_file_with_another_grid_leaves_a_gap(self):
        """An hour in which neither the last of the first file nor the first of the second serves."""
        self.get(Source(file_of()))
        later = START + 3 * PERIOD + 3600
        self.get(Source(file_of(later, 2)), self.begin(later, 2))
        self.assertEqual(predictions.reach(self.folder, START), (3, START + 3 * PERIOD))
        self.assertEqual(self.found(later), prediction(later))

    def test_a_download_in_progress_serves_nobody(self):
        with self.assertRaises(Dead):
            self.get(Source(file_of(), fail_at=5000))
        self.assertIsNone(self.found(START))

    def test_a_damaged_note_of_a_download_is_none(self):
        self.begin()
        for text in ("", "{", "[]", "{}", '{"key":"x","start":1}', '{"key":"x","start":"1","count":1}'):
            with open(self.folder + "/job", "w") as f:
                f.write(text)
            self.assertIsNone(predictions.pending(self.folder))

    def test_damaged_files_are_removed_and_the_next_one_serves(self):
        self.get(Source(file_of()))
        # Another one for this time, with a wrong epoch in it
        with open("%s/%d" % (self.folder, START - 60), "wb") as f:
            f.write(header(START - 60) + prediction(START) * 3)
        with open(self.folder + "/12", "wb") as f:
            f.write(b"no header")
        self.assertEqual(self.found(START), prediction(START))
        self.assertEqual(self.names(), [str(START)])

    def test_no_room_is_said_before_anything_is_fetched(self):
        if not MICROPYTHON:
            self.skipTest("the host's disk is too large")
        self.disk.close()
        self.disk = Disk(24)
        with self.assertRaises(pgps.PgpsError) as caught:
            self.begin(count=42)
        self.assertEqual(caught.exception.reason, "space")
        self.begin(count=20)

    def test_blocks_that_are_counted_twice_are_no_room(self):
        """What statvfs of a full littlefs says on 64 bit: more blocks free than there are."""

        class Full:
            def __getattr__(self, name):
                return getattr(real, name)

            def statvfs(self, path):
                return 512, 512, 64, 4294967294, 4294967294, 0, 0, 0, 0, 255

        real, predictions.os = predictions.os, Full()
        try:
            with self.assertRaises(pgps.PgpsError) as caught:
                self.begin(count=1)
        finally:
            predictions.os = real
        self.assertEqual(caught.exception.reason, "space")


class PowerCuts(unittest.TestCase):
    def test_a_cut_at_any_operation_goes_on_and_is_never_wrong(self):
        """A download of four predictions and its tail, cut at one operation of the flash after the other."""
        if not MICROPYTHON:
            self.skipTest("needs littlefs2")
        rng = Rng(seed(43))
        data = file_of(count=4)
        buf = memoryview(bytearray(2022))
        disk = Disk(24)
        try:
            blank = disk.chip.save()
            disk.chip.reset_counters()
            self.life(disk, data, buf)
            operations = disk.chip.ops
            self.assertTrue(operations > 20, operations)
            for op in range(operations):
                self.replace(disk, lambda: disk.chip.load(blank))
                disk.chip.cut(op, MODES[rng.below(len(MODES))], rng.below(1 << 30))
                self.life(disk, data, buf)
                self.replace(disk, lambda: self.assertTrue(disk.chip.after_cut()))
                self.judge(disk, buf)
                self.life(disk, data, buf)
                self.assertEqual(self.judge(disk, buf), 4, op)
        finally:
            disk.close()

    def replace(self, disk, change):
        """Change the content of the chip while nobody looks."""
        disk._vfs.umount(disk.root)
        change()
        disk.mount()

    def life(self, disk, data, buf):
        folder = disk.root + "/pgps"
        job = predictions.pending(folder)
        if predictions.reach(folder, START)[0] == 4:
            return
        if job is None:
            job = {"key": "https://h/p", "start": START, "count": 4}
            predictions.begin(folder, job)
        run(download.download(folder, job, Source(data).read, buf))

    def judge(self, disk, buf):
        """-> how many predictions are there; each of them is right."""
        right = 0
        for epoch in epochs(4):
            if predictions.find(disk.root + "/pgps", epoch, buf[:2006]):
                self.assertEqual(bytes(buf[:2006]), prediction(epoch))
                right += 1
        return right


if __name__ == "__main__":
    unittest.main()
