"""lib/journal: the queue's promises, in normal use, at every power cut, and with flash that fails or lies.

The campaign (CutTest) cuts at every flash operation of a run of appends, peeks and acks, in three modes; 300
records and three kinds of torn operation with GODWIT_CAMPAIGN=full. The mutants show that it would notice.
"""

import os
import unittest

import journal
from harness.flashsim import AFTER, BEFORE, MODES, NAMES, TORN, FlashSim
from harness.journal_campaign import MAX as _MAX
from harness.journal_campaign import SECTOR as _SECTOR
from harness.journal_campaign import campaign, cuts_in_recovery
from harness.journal_campaign import open_journal as _open
from harness.rng import Rng, seed
from journal import Journal, JournalError, recover

_FULL = os.getenv("GODWIT_CAMPAIGN") == "full"


def _payload(seq):
    """A record's content that tells which record it is, of varying length."""
    return (b"%d:" % seq) + bytes((seq * 7 + i) & 0xFF for i in range(8 + seq * 5 % 60))


class UseTest(unittest.TestCase):
    def setUp(self):
        self.chip = FlashSim(4, _SECTOR)
        self.journal = _open(self.chip)

    def test_new_one_is_empty(self):
        self.assertEqual(self.journal.pending, 0)
        self.assertEqual(self.journal.peek(), [])
        self.assertEqual((self.journal.dropped, self.journal.cursor), (0, 0))

    def test_append_peek_ack(self):
        seqs = [self.journal.append(_payload(i)) for i in range(1, 6)]
        self.assertEqual(seqs, [1, 2, 3, 4, 5])
        self.assertEqual(self.journal.peek(3), [(i, _payload(i)) for i in (1, 2, 3)])
        self.assertEqual(self.journal.peek(3), [(i, _payload(i)) for i in (1, 2, 3)])
        self.journal.ack(3)
        self.assertEqual(self.journal.pending, 2)
        self.assertEqual(self.journal.peek(), [(i, _payload(i)) for i in (4, 5)])

    def test_peek_keeps_to_its_byte_limit_but_gives_one(self):
        for _ in range(3):
            self.journal.append(bytes(100))
        self.assertEqual(len(self.journal.peek(10, 250)), 2)
        self.assertEqual(len(self.journal.peek(10, 50)), 1)

    def test_ack_is_idempotent_and_bounded(self):
        self.journal.append(b"x")
        self.journal.ack(1)
        ops = self.chip.ops
        self.journal.ack(1)
        self.journal.ack(0)
        self.assertEqual(self.chip.ops, ops)
        with self.assertRaises(JournalError) as caught:
            self.journal.ack(2)
        self.assertEqual(caught.exception.args[0], "cursor")

    def test_lengths(self):
        for n in (1, 2, 3, 4, _MAX):
            self.journal.append(bytes(range(n)))
        self.assertEqual([len(p) for _, p in self.journal.peek()], [1, 2, 3, 4, _MAX])
        for payload in (b"", bytes(_MAX + 1)):
            with self.assertRaises(JournalError) as caught:
                self.journal.append(payload)
            self.assertEqual(caught.exception.args[0], "size")
        self.assertEqual(self.journal.pending, 5)

    def test_geometry(self):
        for blocks, size in ((1, 4096), (4, 128)):
            with self.assertRaises(JournalError):
                _open(FlashSim(blocks, size))

    def test_restart_keeps_everything(self):
        for i in range(1, 10):
            self.journal.append(_payload(i))
        self.journal.ack(4)
        again = _open(self.chip)
        self.assertEqual(again.stream, self.journal.stream)
        self.assertEqual(again.peek(), [(i, _payload(i)) for i in range(5, 10)])
        self.assertEqual(again.append(b"next"), 10)

    def test_sequence_goes_on_after_everything_was_acked_and_wrapped(self):
        seq = 0
        for _ in range(200):
            seq = self.journal.append(bytes(50))
            self.journal.ack(seq)
        again = _open(self.chip)
        self.assertEqual((again.append(b"x"), again.dropped, again.pending), (201, 0, 1))

    def test_full_ring_drops_the_oldest_and_says_so(self):
        for i in range(1, 201):
            self.journal.append(_payload(i))
        kept = self.journal.pending
        self.assertTrue(0 < kept < 200)
        self.assertEqual(self.journal.dropped, 200 - kept)
        for queue in (self.journal, _open(self.chip)):
            got = queue.peek(1000, 100000)
            self.assertEqual(got, [(i, _payload(i)) for i in range(201 - kept, 201)])
            self.assertEqual(queue.dropped, 200 - kept)

    def test_format_starts_a_new_stream(self):
        old = self.journal.stream
        for i in range(1, 100):
            self.journal.append(_payload(i))
        self.journal.format()
        self.assertTrue(self.journal.stream != old)
        again = _open(self.chip)
        self.assertEqual((again.stream, again.pending, again.append(b"x")), (self.journal.stream, 0, 1))

    def test_wear_and_write_amplification(self):
        # facts/fota.md 4.2: 64-byte records, an ack every 8, 4 KB sectors: 19.6 erases and 1.26 bytes per byte
        chip = FlashSim(8)
        queue = Journal(chip)
        chip.reset_counters()
        for i in range(1000):
            seq = queue.append(bytes(64))
            if i % 8 == 7:
                queue.ack(seq)
        self.assertTrue(chip.erases <= 21, "%d erases" % chip.erases)
        self.assertTrue(chip.bytes_programmed * 100 <= 130 * 64 * 1000, "%d bytes" % chip.bytes_programmed)
        self.assertEqual(chip.violations, 0)


class DamageTest(unittest.TestCase):
    def setUp(self):
        self.chip = FlashSim(4, _SECTOR)
        self.journal = _open(self.chip)
        for i in range(1, 21):
            self.journal.append(_payload(i))

    def _find(self, seq):
        return self.chip.flat().find(_payload(seq))

    def test_a_damaged_record_is_counted_and_its_neighbours_live(self):
        self.chip.flip(self._find(5))
        again = _open(self.chip)
        self.assertEqual([s for s, _ in again.peek(100, 9999)], [1, 2, 3, 4])
        again.ack(4)
        self.assertEqual([s for s, _ in again.peek(100, 9999)], list(range(6, 21)))
        self.assertEqual(again.dropped, 1)
        again.ack(20)
        self.assertEqual(_open(self.chip).dropped, 1)

    def test_a_damaged_sector_header_costs_that_sector_only(self):
        self.chip.flip(_SECTOR + 4)
        again = _open(self.chip)
        got = []
        while again.pending:
            batch = again.peek(4)
            if batch:
                got += [s for s, _ in batch]
                again.ack(batch[-1][0])
        self.assertTrue(1 in got and 20 in got)
        self.assertEqual(len(got) + again.dropped, 20)
        self.assertEqual(again.append(b"x"), 21)

    def test_any_flipped_byte_never_delivers_a_wrong_record(self):
        rng = Rng(seed(4711))
        image = self.chip.save()
        for _ in range(300):
            self.chip.load(image)
            self.chip.flip(rng.below(3 * _SECTOR), 1 << rng.below(8))
            again = _open(self.chip)
            got = again.peek(100, 9999)
            for seq, payload in got:
                self.assertEqual(payload, _payload(seq))

    def test_garbage_device_is_formatted(self):
        self.chip.load(Rng(seed(3)).bytes(4 * _SECTOR))
        queue = _open(self.chip)
        self.assertEqual(queue.append(b"x"), 1)
        self.assertEqual(_open(self.chip).peek(), [(1, b"x")])

    def test_failing_flash_raises_and_the_queue_goes_on(self):
        for op in range(30):
            self.chip = FlashSim(4, _SECTOR)
            queue = _open(self.chip)
            self.chip.fail(op, 5)
            written = []
            for i in range(40):
                try:
                    written.append((queue.append(_payload(i)), _payload(i)))
                except OSError as e:
                    self.assertEqual(e.args[0], 5)
            for it in (queue, _open(self.chip)):
                self.assertEqual(it.peek(100, 99999), written[-it.pending :])
                self.assertEqual(it.dropped + it.pending, len(written))
            self.assertEqual(self.chip.violations, 0)

    def test_failed_ack_is_not_done(self):
        self.chip.fail(0, 5)
        with self.assertRaises(OSError):
            self.journal.ack(3)
        self.assertEqual(self.journal.pending, 20)
        self.journal.ack(3)
        self.assertEqual(_open(self.chip).pending, 17)


class CutTest(unittest.TestCase):
    def test_every_cut_keeps_what_was_promised(self):
        cases, failures = campaign(steps=300, kinds=3) if _FULL else campaign()
        print("journal: %d power cuts" % cases)
        # The number of flash operations is a property of the format: if it shrinks the campaign explores less.
        self.assertEqual(cases, 1845 if _FULL else 219)
        self.assertEqual(failures, [])

    def test_second_cut_in_recovery_and_after(self):
        self.assertEqual(cuts_in_recovery(seed(20), 400 if _FULL else 60), [])

    def test_cut_in_the_first_format(self):
        chip = FlashSim(3, _SECTOR)
        image = Rng(1).bytes(3 * _SECTOR)
        for op in range(2):
            for mode in MODES:
                chip.load(image)
                chip.cut(op, mode, op)
                _open(chip)
                self.assertTrue(chip.after_cut())
                queue = _open(chip)
                self.assertEqual(queue.append(b"x"), 1)
                self.assertEqual(_open(chip).peek(), [(1, b"x")])

    def test_modes_do_what_they_say(self):
        chip = FlashSim(2, _SECTOR)
        for mode, low, high in ((BEFORE, 0, 0), (TORN, 0, 64), (AFTER, 64, 64)):
            chip.load(b"\xff" * (2 * _SECTOR))
            chip.cut(0, mode, 5)
            chip.writeblocks(0, bytes(64), 0)
            self.assertTrue(chip.after_cut())
            done = 64 - chip.flat()[:64].count(b"\xff")
            self.assertTrue(low <= done <= high, "%s: %d" % (NAMES[mode], done))


class _NoCrc(Journal):
    def _crc(self, n):
        return 0


class _WritesOverTornTail(Journal):
    def __init__(self, *args):
        true, recover.is_blank = recover.is_blank, lambda journal, sector, at: True
        try:
            super().__init__(*args)
        finally:
            recover.is_blank = true


class _AckBeforeRecord(Journal):
    """Forgets that a sequence number must be durable first."""

    def append(self, payload):
        seq = self.next
        self.next += 1
        self._pending_payload, late = bytes(payload), getattr(self, "_pending_payload", None)
        if late is not None:
            self._view[journal._span(0) : journal._span(0) + len(late)] = late
            self._write(1, seq - 1, len(late))
        return seq


class MutantTest(unittest.TestCase):
    """The campaign must notice each of these; one that it lets pass proves the campaign blind."""

    def test_every_mutant_is_caught(self):
        for mutant in (_NoCrc, _WritesOverTornTail, _AckBeforeRecord):
            with self.subTest(mutant=mutant.__name__):
                _, failures = campaign(lambda chip, m=mutant: m(chip, _MAX), stop_at_first=True)
                self.assertTrue(failures)


if __name__ == "__main__":
    unittest.main()
