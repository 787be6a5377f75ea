"""Block1 uploads (RFC 7959) to a scripted server: smaller blocks, 4.08, 4.13 in all variants, answers that are wrong.
"""

import unittest

import coap
from harness.coap_support import BODY, OTHER, Dedup, Server, transfer
from harness.fakenet import FakeEndpoint, Impaired, block, opts, uint
from harness.rng import Rng, seed


class Uploaded(unittest.TestCase):
    def blocks(self, server):
        return [s.block(27) for s in server.seen]

    def test_sizes(self):
        for size in (0, 1, 1024, 1025, 2048, 5000):
            with self.subTest(size=size):
                server = Server()
                answer = transfer(server, coap.PUT, payload=BODY[:size], content_format=42)
                if size:
                    self.assertEqual((answer.code, server.given), (coap.CHANGED, BODY[:size]))
                count = (size + 1023) // 1024
                if count > 1:
                    self.assertEqual(self.blocks(server), [(i, i < count - 1, 6) for i in range(count)])
                    self.assertEqual(server.seen[0].values(60), [uint(size)])
                    self.assertEqual(server.seen[1].values(60), [])
                    self.assertEqual([s.values(12) for s in server.seen], [[b"*"]] * count)
                else:
                    self.assertEqual(self.blocks(server), [None])

    def test_server_wants_smaller_blocks(self):
        server = Server(szx=3)
        answer = transfer(server, coap.PUT, payload=BODY)
        self.assertEqual((answer.code, server.given), (coap.CHANGED, BODY))
        self.assertEqual(self.blocks(server)[:2], [(0, True, 6), (8, True, 3)])

    def test_too_large(self):
        small = opts((27, block(0, False, 2)))
        for name, at, options, length, works in (
            ("smaller size at the beginning", 0, small, 5000, True),
            ("in the middle", 2, small, 5000, True),
            ("at the end", 4, small, 5000, True),
            ("in answer to one datagram", 0, small, 900, True),
            ("size of the body only", 1, opts((60, uint(2000))), 5000, False),
            ("without option", 1, b"", 5000, False),
            ("equal size", 1, opts((27, block(1, True, 6))), 5000, False),
            ("to one datagram, no smaller", 0, opts((27, block(0, False, 6))), 900, False),
        ):
            with self.subTest(name=name):
                server = Server()
                server.spoil = lambda s, i, at=at, options=options: [s.ack(0x8D, options)] if i == at else None
                answer = transfer(server, coap.PUT, payload=BODY[:length])
                if works:
                    self.assertEqual((answer.code, server.given), (coap.CHANGED, BODY[:length]))
                    self.assertEqual(self.blocks(server)[at + 1], (0, True, 2))  # from the beginning
                    self.assertEqual(self.blocks(server)[-1][2], 2)
                else:
                    self.assertEqual((type(answer), answer.code), (coap.Refused, 0x8D))

    def test_endless_too_large(self):
        server = Server()

        def spoil(s, i):
            szx = (s.block(27) or (0, 0, 6))[2]
            return [s.ack(0x8D, opts((27, block(0, False, max(0, szx - 1)))))]

        server.spoil = spoil
        self.assertEqual(transfer(server, coap.PUT, payload=BODY).code, 0x8D)
        self.assertEqual(len(server.seen), 7)

    def test_incomplete(self):
        for times, works in (((2,), True), ((2, 5), False)):
            server = Server()
            server.spoil = lambda s, i, times=times: [s.ack(0x88)] if i in times else None
            answer = transfer(server, coap.PUT, payload=BODY)
            if works:
                self.assertEqual(server.given, BODY)
            else:
                self.assertEqual((type(answer), answer.code), (coap.Refused, 0x88))

    def test_not_accepted(self):
        for name, spoil in (
            ("2.31 without Block1", lambda s, i: [s.ack(0x5F)]),
            ("2.31 for another block", lambda s, i: [s.ack(0x5F, opts((27, block(9, True, 6))))]),
            ("2.04 without Block1 before the end", lambda s, i: [s.ack(0x44)]),
        ):
            with self.subTest(name=name):
                server = Server()
                server.spoil = lambda s, i, spoil=spoil: spoil(s, i) if i == 1 else None
                self.assertIsInstance(transfer(server, coap.PUT, payload=BODY), coap.BadResponse)

    def test_each_block_processed_by_itself(self):
        server = Server()
        server.spoil = lambda s, i: [s.ack(0x44, opts((27, block(i, False, 6))))]
        self.assertEqual(transfer(server, coap.PUT, payload=BODY).code, 0x44)
        self.assertEqual(len(server.seen), 5)

    def test_continue_after_the_last_block(self):
        server = Server()
        server.spoil = lambda s, i: [s.ack(0x5F, opts((27, block(i, i < 4, 6))))]
        self.assertIsInstance(transfer(server, coap.PUT, payload=BODY), coap.BadResponse)

    def test_large_both_ways(self):
        server = Server()

        def spoil(s, i):
            first = s.block(27)
            if first is not None and not first[1]:
                server.take(s)
                options = opts((23, block(0, True, 6)), (27, block(first[0], False, 6)))
                return [s.ack(0x44, options, BODY[:1024])]
            if s.block(23) is not None:
                num = s.block(23)[0]
                part = BODY[num * 1024 : num * 1024 + 1024]
                return [s.ack(0x44, opts((23, block(num, num < 4, 6))), part)]

        server.spoil = spoil
        answer = transfer(server, coap.POST, payload=OTHER)
        self.assertEqual((server.given, bytes(answer.payload)), (OTHER, BODY))
        self.assertEqual([s.payload for s in server.seen[3:]], [b""] * 4)

    def test_long_options_make_smaller_blocks(self):
        server = Server()
        answer = transfer(server, coap.PUT, payload=BODY[:1000], options=((35, b"u" * 300),))
        self.assertEqual((answer.code, server.given), (coap.CHANGED, BODY[:1000]))
        self.assertEqual(self.blocks(server), [(0, True, 5), (1, False, 5)])
        for s in server.seen:
            self.assertTrue(len(s.data) <= FakeEndpoint.mtu)
        self.assertIsInstance(transfer(Server(), coap.PUT, payload=BODY, options=((35, bytes(1140)),)), coap.CodecError)

    def test_bad_link(self):
        rng = Rng(seed(1959))
        for _ in range(3):
            server = Server(szx=4)
            impaired = Impaired(Dedup(server), rng, loss=5, double=10, late=5, late_ms=30)
            answer = transfer(impaired, coap.PUT, payload=BODY)
            self.assertEqual((answer.code, server.given), (coap.CHANGED, BODY))


if __name__ == "__main__":
    unittest.main()
