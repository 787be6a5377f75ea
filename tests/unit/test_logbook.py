"""firmware/logbook.py and what lib/log gives it."""

import unittest

import clock
import log
from logbook import Logbook


class Book(unittest.TestCase):
    def setUp(self):
        self.book = Logbook()
        log.sink = self.book.add
        log.level = 0

    def tearDown(self):
        log.sink = None
        log.sent = 0
        log.level = log.INFO
        clock.reset()

    def test_keeps_what_is_to_be_sent_whatever_is_printed(self):
        for sent, kept in ((0, 0), (log.ERROR, 1), (log.WARN, 2), (log.DEBUG, 4)):
            self.book = Logbook()
            log.sink = self.book.add
            log.sent = sent
            log.error("a", "1")
            log.warn("a", "2")
            log.info("a", "3")
            log.debug("a", "%d", 4)
            self.assertEqual([entry[4] for entry in self.book.entries()], ["1", "2", "3", "4"][:kept])

    def test_without_a_sink_nothing_more_is_printed(self):
        said = []
        log.print = lambda *args: said.append(args)
        try:
            log.sink = None
            log.sent = log.DEBUG
            log.info("a", "x")
            self.assertEqual(said, [])
            log.level = log.INFO
            log.info("a", "x")
            self.assertEqual(len(said), 1)
        finally:
            del log.print

    def test_an_entry(self):
        log.sent = log.WARN
        log.warn("link", "lost: %s", "x" * 500)
        clock.set_utc(1763625600000)
        log.error("link", "again")
        first, second = self.book.entries()
        self.assertEqual(first[:4], (1, None, log.WARN, "link"))
        self.assertEqual(len(first[4]), 160)
        self.assertEqual((second[0], second[1] // 1000), (2, 1763625600))

    def test_the_oldest_make_room(self):
        for length, most in ((1, 24), (100, 12)):
            book = Logbook()
            for n in range(40):
                book.add(log.ERROR, "a", "%02d" % n + "x" * (length - 2))
            self.assertEqual(len(book.entries()), most)
            self.assertEqual(book.dropped, 40 - most)
            self.assertEqual(book.entries()[-1][0], 40)

    def test_what_was_taken_is_gone_and_what_came_meanwhile_is_not(self):
        for _ in range(5):
            self.book.add(log.ERROR, "a", "x")
        self.book.taken(3)
        self.assertEqual([entry[0] for entry in self.book.entries()], [4, 5])
        self.book.taken(9)
        for _ in range(12):
            self.book.add(log.ERROR, "a", "x" * 100)
        self.assertEqual(len(self.book.entries()), 12)


if __name__ == "__main__":
    unittest.main()
