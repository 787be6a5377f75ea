"""Windowed downloads: several Block2 requests in flight, by number and by the offset query of nRF Cloud's /proxy.

Scenarios: RFC 7959, facts/coap.md 3.3 and 5.3 (loss, duplicates, reordering, the end of a body of unknown size).
"""

import unittest

import coap
from coap.rtt import RTT
from coap.window import Window
from harness.aio import run
from harness.coap_support import BODY, QUICK, ByOffset, Late, Server, fetch, parts
from harness.fakenet import CON, FakeEndpoint, Impaired
from harness.rng import Rng, seed


class Complete(unittest.TestCase):
    def check(self, peer, **how):
        result, place, put, client = fetch(peer, **how)
        self.assertIsInstance(result, coap.Result)
        self.assertEqual((place, put), (BODY, len(BODY)))
        self.assertEqual((result.end, result.bytes, result.offset), (True, len(BODY), len(BODY)))
        return client

    def test_every_window(self):
        for window in (1, 2, 3, 8, 16):
            for how in ({}, {"size2": False}, {"etag": None}, {"szx": 3}):
                with self.subTest(window=window, how=how):
                    self.check(Server(**how), window=window)
                    self.check(ByOffset(), window=window, by_offset=True)

    def test_answers_in_any_order(self):
        for delays in ((30, 0), (0, 12, 3, 25, 7), (20, 15, 10, 5, 0)):
            with self.subTest(delays=delays):
                self.check(Late(Server(), delays), window=8, szx=4)
                self.check(Late(ByOffset(), delays), window=8, szx=4, by_offset=True)

    def test_several_are_in_flight(self):
        server = Server()
        server.spoil = lambda s, i: [(20, server.give(s))]

        async def go():
            client = coap.Client(FakeEndpoint(server), ack_timeout_ms=2000, linger_ms=0)
            seen = []
            await client.get_blocks("fw", lambda offset, view: seen.append(len(client._busy)), window=8, szx=4)
            await client.close()
            return seen

        seen = run(go())
        self.assertEqual(max(seen), 7)  # others that are asked for while one is delivered
        tokens = {s.token for s in server.seen}
        self.assertEqual((len(tokens), len({s.mid for s in server.seen})), (len(server.seen), len(server.seen)))

    def test_bad_link(self):
        rng = Rng(seed(1024))
        tuning = dict(QUICK, max_retransmit=6)
        for peer in (Server, ByOffset):
            for _ in range(4):
                impaired = Impaired(peer(), rng, loss=10, double=10, late=20, late_ms=50)
                self.check(impaired, window=8, szx=4, tuning=tuning, by_offset=peer is ByOffset)

    def test_part_of_a_body(self):
        for offset, limit in ((0, 1), (1, 1024), (1023, 2), (1500, 2500), (4096, None), (4999, 1), (0, 5000)):
            for by_offset in (False, True):
                with self.subTest(offset=offset, limit=limit, by_offset=by_offset):
                    peer = ByOffset() if by_offset else Server()
                    result, place, put, _ = fetch(peer, window=8, offset=offset, limit=limit, by_offset=by_offset)
                    end = len(BODY) if limit is None else offset + limit
                    self.assertEqual((place[offset:end], put), (BODY[offset:end], end - offset))
                    self.assertEqual((result.offset, result.end), (end, end == len(BODY)))

    def test_server_changes_to_smaller_blocks(self):
        for keeps_number in (False, True):
            with self.subTest(keeps_number=keeps_number):
                server = Server()

                def spoil(s, i, server=server, keeps_number=keeps_number):
                    if i >= 2:
                        server.szx = 3
                    if i == 2 and keeps_number:
                        return [server.give(s, num=s.block(23)[0])]
                    return None

                server.spoil = spoil
                self.check(server, window=4)

    def test_separate_answers(self):
        server = Server()
        server.spoil = lambda s, i: [s.separate(CON, 0x4000 + i, 0x45, *parts(server.give(s)))]
        self.check(server, window=4)

    def test_no_answer_is_repeated_otherwise_than_it_was(self):
        """A repetition has the same bytes, also when more is known by then than when it was first sent."""
        server = Server()
        sent = {}

        def peer(s):
            same = sent.get(s.mid)
            sent[s.mid] = s.data
            if same is None:
                return [] if s.block(23)[0] == 0 else server(s)  # the first is lost once
            self.assertEqual(same, s.data)
            return server(s)

        client = self.check(peer, window=4)
        self.assertTrue(client.retransmitted >= 1)


class WithoutBlocks(unittest.TestCase):
    """A server that ignores Block2 sends all that there is, or by offset all that is left, in one datagram."""

    def test_once_only(self):
        for window in (1, 2, 8):
            for offset in (0, 100, 700, 1200):
                with self.subTest(window=window, offset=offset):
                    server = Server(BODY[:1100])
                    server.spoil = lambda s, i, server=server: [s.ack(0x45, b"", server.body)]
                    result, place, put, client = fetch(server, window=window, offset=offset, szx=4)
                    self.assertEqual((place[offset:1100], put), (BODY[offset:1100], max(0, 1100 - offset)))
                    self.assertEqual((result.end, client._busy), (True, []))

    def test_rest_of_the_body(self):
        for window in (1, 4):
            server = ByOffset(BODY[:1000])
            server.spoil = lambda s, i, server=server: [s.ack(0x45, b"", server.body[offset_of(s) :])]
            result, place, put, _ = fetch(server, window=window, szx=4, by_offset=True)
            self.assertEqual((place[:1000], put, result.end), (BODY[:1000], 1000, True))

    def test_not_in_mid_transfer(self):
        server = Server()
        server.spoil = lambda s, i: [s.ack(0x45, b"", BODY[:700])] if i == 1 else None
        result, place, put, client = fetch(server, window=1)
        self.assertEqual((type(result), put, client.transfer.offset), (coap.BadResponse, 1024, 1024))


def offset_of(s):
    return int(s.values(15)[0][7:])


class BehindTheEnd(unittest.TestCase):
    """What servers say to a block behind the end, while its client cannot know better (measured, coap.md 3.3)."""

    def test_all_of_them(self):
        def empty(server, s, num):
            return [server.give(s)]

        def bad_request(server, s, num):
            return [s.ack(0x80, b"", b"no such block")]

        def bad_option(server, s, num):
            return [server.give(s)] if num == 5 else [s.ack(0x82)]

        def silent(server, s, num):
            return []

        manners = {"aiocoap": empty, "libcoap": bad_request, "Californium": bad_option, "none": silent}
        for name, behind in manners.items():
            for window in (2, 8, 16):
                with self.subTest(name=name, window=window):
                    server = Server(size2=False)

                    def spoil(s, i, server=server, behind=behind):
                        num = s.block(23)[0]
                        return behind(server, s, num) if num > 4 else None

                    server.spoil = spoil
                    result, place, put, _ = fetch(server, window=window)
                    self.assertEqual((place, put, result.end, result.total), (BODY, 5000, True, 5000))

    def test_whole_blocks(self):
        server = Server(BODY[:4096], size2=False)
        result, place, put, _ = fetch(server, window=8)
        self.assertEqual((place[:4096], put, result.end), (BODY[:4096], 4096, True))

    def test_empty_body(self):
        result, _, put, _ = fetch(Server(b""), window=8)
        self.assertEqual((put, result.end, result.total), (0, True, 0))


class Asked:
    """As much of a Pending as the book-keeping looks at."""

    def __init__(self, transfer):
        self.state = 0
        self.tries = 1
        self.sent_at = 0


class Overtaken(unittest.TestCase):
    def test_third_later_block_repeats_a_lost_one(self):
        """Long before its retransmission time, which is 2 s here."""
        server = Server()
        seen = {}

        def spoil(s, i):
            num = s.block(23)[0]
            seen[num] = seen.get(num, 0) + 1
            return [] if num == 3 and seen[num] == 1 else [(10, server.give(s))]

        server.spoil = spoil
        result, place, _, client = fetch(server, window=4, szx=4, tuning={"linger_ms": 0})
        self.assertEqual((place, result.end, client.retransmitted, seen[3]), (BODY, True, 1, 2))
        self.assertTrue(client.rtt.samples >= 15)

    def test_not_for_those_of_the_same_moment(self):
        window = Window(6, 0, None, 8, RTT(2000))
        window.size = 2
        asks = [window.next(Asked, None), window.next(Asked, None)]
        for ask in asks:
            ask.deadline = 7
        for _ in range(5):
            window.passed(asks[1])
        self.assertEqual((asks[0].late, asks[0].deadline), (0, 7))
        asks[1].sent_at = 1
        for _ in range(2):
            window.passed(asks[1])
        self.assertEqual((asks[0].late, asks[0].deadline), (2, 7))
        window.passed(asks[1])
        self.assertFalse(asks[0].deadline == 7)


class Congestion(unittest.TestCase):
    """The size of the window alone: RFC 5681's shape, but for a single loss without a queue."""

    def window(self, cap=8):
        window = Window(6, 0, None, cap, RTT(2000))
        window._rtt.sample(100)
        return window

    def test_doubles_then_grows_by_one(self):
        window = self.window(16)
        sizes = []
        for _ in range(14):
            sizes.append(window.size)
            window._grow(100)
        self.assertEqual((sizes[0], sizes[-1]), (1, 14))
        window = self.window(16)
        window._threshold = 4
        for _ in range(3 + 4 + 5):
            window._grow(100)
        self.assertEqual(window.size, 6)

    def test_single_loss_keeps_the_size_and_ends_the_doubling(self):
        window = self.window()
        for _ in range(3):
            window._grow(100)
        ask = Asked(None)
        ask.tries = 2
        window.lost(ask)
        self.assertEqual((window.size, window._threshold), (4, 4))

    def test_second_loss_halves_once_per_round_trip(self):
        window = self.window()
        window.size = 8
        for _ in range(3):
            ask = Asked(None)
            ask.tries = 3
            ask.sent_at = window._cut_at or 0
            window.lost(ask)
        self.assertEqual(window.size, 4)

    def test_queue_halves(self):
        window = self.window()
        window.size = 8
        window._grow(100)
        for _ in range(30):
            window._rtt.sample(300)
        ask = Asked(None)
        ask.tries = 2
        window.lost(ask)
        self.assertEqual(window.size, 4)

    def test_busy_server_means_one(self):
        window = self.window()
        window.size = 8
        window.shrink()
        self.assertEqual(window.size, 1)
        window._grow(100)
        self.assertEqual(window.size, 2)
        window._grow(100)
        window._grow(100)
        self.assertEqual(window.size, 3)


if __name__ == "__main__":
    unittest.main()
