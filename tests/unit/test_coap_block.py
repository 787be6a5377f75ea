"""Block2 downloads (RFC 7959) from a scripted server: what works, and what must not be accepted.

Scenarios after Californium's lock-step cases and the faults measured in other clients: late negotiation, smaller blocks
in mid-transfer, lost and doubled datagrams, wrong numbers, changed ETag.
"""

import unittest

import coap
from harness.aio import run
from harness.coap_support import BODY, QUICK, Server, get, transfer
from harness.fakenet import CON, RST, FakeEndpoint, Impaired, block, opts, uint
from harness.rng import Rng, seed


class Hole(Server):
    """Its answers of more than `most` bytes are lost on the way; a ping is answered."""

    def __init__(self, most):
        super().__init__()
        self.most = most
        self.pings = 0

    def __call__(self, s):
        if s.code:
            return [reply for reply in super().__call__(s) if len(reply) <= self.most]
        self.pings += s.type == CON
        return [s.empty(RST)] if self.most and s.type == CON else []


class Streamed(unittest.TestCase):
    def test_whole(self):
        for size in (0, 1, 16, 1023, 1024, 1025, 2048, 5000):
            for szx in (2, 6):
                with self.subTest(size=size, szx=szx):
                    server = Server(BODY[:size])
                    result, data, pieces = get(server, szx=szx)
                    self.assertEqual(data, BODY[:size])
                    self.assertEqual((result.total, result.etag, result.end, result.bytes), (size, b"v1", True, size))
                    self.assertEqual([o for o, _ in pieces], list(range(0, size, 16 << szx)))
                    self.assertEqual(server.seen[0].values(28), [b""])  # asks for the size, once
                    self.assertEqual([s.values(28) for s in server.seen[1:]], [[]] * (len(server.seen) - 1))

    def test_offset_and_limit(self):
        for offset in (0, 1, 1023, 1024, 3500, 4096, 4999, 5000, 6000):
            for limit in (None, 1, 1024, 1500, 9999):
                with self.subTest(offset=offset, limit=limit):
                    result, data, pieces = get(Server(), offset=offset, limit=limit)
                    end = len(BODY) if limit is None else min(len(BODY), offset + limit)
                    self.assertEqual(data, BODY[offset:end])
                    self.assertEqual(result.bytes, max(0, end - offset))
                    self.assertEqual(result.end, end == len(BODY))
                    if pieces:
                        self.assertEqual(pieces[0][0], offset)

    def test_nothing_to_do(self):
        server = Server()
        result, _, _ = get(server, limit=0)
        self.assertEqual((result.bytes, result.end, len(server.seen)), (0, False, 0))

    def test_size_unknown(self):
        result, data, _ = get(Server(size2=False))
        self.assertEqual((data, result.total), (BODY, len(BODY)))
        result, data, _ = get(Server(size2=False), limit=1024)
        self.assertIsNone(result.total)

    def test_server_without_blocks(self):
        server = Server()
        server.spoil = lambda s, i: [s.ack(0x45, b"", BODY[:700])]
        for offset in (0, 100, 700, 900):
            result, data, _ = get(server, offset=offset)
            self.assertEqual((data, result.end), (BODY[offset:700], True))

    def test_server_prefers_smaller_blocks(self):
        for offset in (0, 3000):
            result, data, _ = get(Server(szx=2), offset=offset)
            self.assertEqual((data, result.end), (BODY[offset:], True))

    def test_smaller_blocks_in_mid_transfer(self):
        for right in (True, False):
            with self.subTest(right=right):
                server = Server()

                def spoil(s, i, server=server, right=right):
                    if i >= 2:
                        server.szx = 3
                    if i == 2 and not right:  # keeps our number, which now means another place
                        return [server.give(s, num=s.block(23)[0])]

                server.spoil = spoil
                result, data, _ = get(server)
                self.assertEqual((data, result.end), (BODY, True))
                self.assertEqual(server.seen[-1].block(23)[2], 3)

    def test_a_path_that_drops_what_is_large(self):
        """RFC 8899: a black hole. The peer still answers what is small, so that smaller blocks are asked for."""
        for most, window in ((600, 1), (300, 2)):
            with self.subTest(most=most, window=window):
                server = Hole(most)
                result, data, _ = get(server, window=window)
                self.assertEqual((data, result.end), (BODY, True))
                self.assertTrue(16 << server.seen[-1].block(23)[2] < most)

    def test_a_path_that_drops_everything_is_dead(self):
        result, data, _ = get(Hole(0))
        self.assertEqual((type(result), data), (coap.Timeout, b""))

    def test_silence_after_a_block_is_not_its_size(self):
        """It is asked for once more, at the same size, as long as the peer is there."""
        for window in (1, 3):
            server = Hole(9999)
            server.spoil = lambda s, i: [] if 0 < i < 7 else None
            result, data, pieces = get(server, window=window)
            self.assertEqual(len(data), len(BODY))
            self.assertEqual(b"".join(piece for _, piece in sorted(pieces)), BODY)
            self.assertEqual({s.block(23)[2] for s in server.seen}, {6})
            self.assertEqual(server.pings > 0, window == 1)

    def test_one_block_that_is_a_few_bytes_too_large(self):
        """The number of a block is longer from 16 on, which can be a byte too much; the session goes on with 1024."""
        server = Hole(9999)
        server.spoil = lambda s, i: [] if s.block(23) == (2, False, 6) else None
        result, data, _ = get(server)
        self.assertEqual((data, result.end), (BODY, True))
        self.assertEqual({s.block(23)[2] for s in server.seen}, {6, 5})

    def test_not_smaller_without_end(self):
        server = Hole(20)
        result, data, _ = get(server, szx=3)
        self.assertEqual((type(result), data), (coap.Timeout, b""))
        self.assertEqual(min(s.block(23)[2] for s in server.seen), 2)

    def test_block_numbers_of_three_bytes(self):
        class Zeros:
            def __getitem__(self, part):
                return bytes(min(part.stop, len(self)) - part.start)

            def __len__(self):
                return 65538 * 16

        server = Server(Zeros(), szx=0)
        result, data, pieces = get(server, szx=0, offset=65534 * 16)
        self.assertEqual([o for o, _ in pieces], [n * 16 for n in range(65534, 65538)])
        self.assertEqual([s.block(23)[0] for s in server.seen], [65534, 65535, 65536, 65537])
        result, _, _ = get(server, szx=0, offset=(1 << 20) * 16)
        self.assertIsInstance(result, ValueError)
        self.assertEqual(len(server.seen), 4)

    def test_not_accepted(self):
        for name, spoil, error in (
            ("number too high", lambda server, s: server.give(s, num=2), coap.BadResponse),
            ("number too low", lambda server, s: server.give(s, num=0), coap.BadResponse),
            ("short block", lambda server, s: server.give(s, payload=BODY[:1000]), coap.BadResponse),
            ("long block", lambda server, s: server.give(s, payload=BODY[:1030]), coap.BadResponse),
            ("long end", lambda server, s: server.give(s, payload=BODY[:1030], more=False), coap.BadResponse),
            ("size 7", lambda server, s: server.give(s, szx=7, num=0, payload=BODY[:1024]), coap.BadResponse),
            ("other code", lambda server, s: s.ack(0x44, opts((23, block(1, True, 6))), BODY[:1024]), coap.BadResponse),
            ("2.31", lambda server, s: s.ack(0x5F), coap.BadResponse),
            ("other ETag", lambda server, s: server.give(s, etag=b"v2"), coap.ETagChanged),
            ("refused", lambda server, s: s.ack(0x88), coap.Refused),
            ("silence", lambda server, s: b"", coap.Timeout),
        ):
            with self.subTest(name=name):
                server = Server()
                server.spoil = lambda s, i, f=spoil, server=server: [f(server, s)] if i else None
                result, data, _ = get(server)
                self.assertEqual(type(result), error)
                self.assertEqual(data, BODY[:1024])  # what came before is right, and nothing else was written

    def test_size_changes(self):
        server = Server(etag=None)

        def spoil(s, i):
            if i == 1:
                return [s.ack(0x45, opts((23, block(1, True, 6)), (28, uint(4999))), BODY[1024:2048])]

        server.spoil = spoil
        result, data, _ = get(server)
        self.assertIsInstance(result, coap.ETagChanged)

    def test_resume_with_etag(self):
        result, data, _ = get(Server(), offset=2048, etag=b"v1")
        self.assertEqual((data, result.etag), (BODY[2048:], b"v1"))
        result, data, _ = get(Server(etag=b"v2"), offset=2048, etag=b"v1")
        self.assertEqual((type(result), data), (coap.ETagChanged, b""))
        result, data, _ = get(Server(etag=None), offset=2048, etag=b"v1")
        self.assertEqual((result.etag, data), (None, BODY[2048:]))  # the caller sees that it proves nothing

    def test_etag_with_first_block_only(self):
        server = Server()

        def spoil(s, i):
            server.etag = b"v1" if i == 0 else None

        server.spoil = spoil
        result, data, _ = get(server)
        self.assertEqual((data, result.etag), (BODY, b"v1"))

    def test_sink_may_fail(self):
        async def go():
            client = coap.Client(FakeEndpoint(Server()), **QUICK)

            def full(offset, view):
                raise OSError(28)

            code = None
            try:
                await client.get_blocks("fw", full)
            except OSError as exc:
                code = exc.args[0]
            answer = await client.request(coap.GET, "r")  # the client itself is as good as before
            await client.close()
            return code, bytes(answer.payload)

        self.assertEqual(run(go()), (28, BODY))

    def test_fetch_repeats_its_payload_and_options(self):
        server = Server()
        get(server, method=coap.FETCH, payload=b"\xa1", accept=42, query=("a=b",), options=((35, b"https://h/f"),))
        self.assertEqual(len(server.seen), 5)
        for s in server.seen:
            self.assertEqual((s.payload, s.values(35), s.values(17)), (b"\xa1", [b"https://h/f"], [b"\x2a"]))
            self.assertEqual(s.values(15), [b"a=b"])
        self.assertEqual(len({s.token for s in server.seen}), 5)

    def test_bad_link(self):
        rng = Rng(seed(5000))
        for _ in range(3):
            impaired = Impaired(Server(), rng, loss=5, double=10, late=10, late_ms=30)
            result, data, _ = get(impaired, szx=4)
            self.assertEqual(data, BODY)


class Collected(unittest.TestCase):
    def test_large_answers(self):
        for size in (1024, 1025, 3072, 5000):
            answer = transfer(Server(BODY[:size]))
            self.assertEqual((bytes(answer.payload), answer.option(coap.ETAG)), (BODY[:size], b"v1"))

    def test_fetch_repeats_its_payload_and_post_does_not(self):
        for method, expected in ((coap.FETCH, [b"q"] * 5), (6, [b"q"] + [b""] * 4)):
            server = Server()
            answer = transfer(server, method, payload=b"q", content_format=60)
            self.assertEqual(bytes(answer.payload), BODY)
            self.assertEqual([s.payload for s in server.seen], expected)

    def test_answer_to_an_action_keeps_its_token_and_is_not_asked_for_twice(self):
        server = Server()
        answer = transfer(server, coap.POST, payload=b"go")
        self.assertEqual((bytes(answer.payload), len({s.token for s in server.seen})), (BODY, 1))
        self.assertEqual(len({s.mid for s in server.seen}), 5)
        server = Server()

        def spoil(s, i):
            server.etag = b"v1" if i < 2 else b"v2"

        server.spoil = spoil
        self.assertIsInstance(transfer(server, coap.POST, payload=b"go"), coap.ETagChanged)
        self.assertEqual([s.payload for s in server.seen], [b"go", b"", b""])

    def test_limits(self):
        tuning = dict(QUICK, max_body=4000)
        self.assertIsInstance(transfer(Server(), tuning=tuning), coap.BadResponse)
        server = Server(size2=False)
        self.assertIsInstance(transfer(server, tuning=tuning), coap.BadResponse)
        self.assertEqual(len(server.seen), 4)
        server = Server()
        transfer(server, tuning=tuning)
        self.assertEqual(len(server.seen), 1)  # Size2 said so at once

    def test_starts_with_another_block(self):
        server = Server()
        server.spoil = lambda s, i: [server.give(s, num=1)]
        self.assertIsInstance(transfer(server), coap.BadResponse)

    def test_changed_body_is_read_again_once(self):
        for changes, good in (((2,), True), ((2, 4), False)):
            server = Server()

            def spoil(s, i, server=server, changes=changes):
                if i in changes:
                    server.etag += b"x"
                    server.body = server.body[:-1] + bytes([server.body[-1] ^ 255])

            server.spoil = spoil
            answer = transfer(server)
            if good:
                self.assertEqual(bytes(answer.payload), BODY[:-1] + bytes([BODY[-1] ^ 255]))
            else:
                self.assertIsInstance(answer, coap.ETagChanged)

    def test_small_mtu_negotiates_early(self):
        class Narrow(FakeEndpoint):
            mtu = 400

        server = Server()
        answer = transfer(server, endpoint=Narrow(server))
        self.assertEqual(bytes(answer.payload), BODY)
        self.assertEqual(server.seen[0].block(23), (0, False, 4))

    def test_error_in_mid_transfer(self):
        server = Server()
        server.spoil = lambda s, i: [s.ack(0xA0, b"", b"oops")] if i == 2 else None
        error = transfer(server)
        self.assertEqual((type(error), error.code, error.diagnostic), (coap.Refused, 0xA0, "oops"))


if __name__ == "__main__":
    unittest.main()
