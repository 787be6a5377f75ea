"""What a request may ask for beside an answer: No-Response, ping, Echo, tokens of every length, retry hints, sources.

Sources: RFC 7967, RFC 7252 4.3, RFC 9175, RFC 8516; node's coap as measured (test_coap_node.py).
"""

import unittest

import coap
from harness import fakenet
from harness.aio import run
from harness.coap_support import BODY, FAST, QUICK, Script, Server, ask
from harness.fakenet import ACK, CON, NON, RST, FakeEndpoint, block, message, opts


def call(peer, job, **tuning):
    """(result or exception of job(client), endpoint)."""

    async def go():
        client = coap.Client(endpoint, **dict(FAST, **tuning))
        try:
            return await job(client)
        except (coap.CoapError, ValueError) as exc:
            return exc
        finally:
            await client.close()

    endpoint = FakeEndpoint(peer)
    return run(go()), endpoint


class Told(unittest.TestCase):
    def test_ends_when_it_is_sent(self):
        result, endpoint = call(Script(), lambda c: c.tell(coap.POST, "t", payload=b"x", content_format=0, query="a=b"))
        self.assertIsNone(result)
        seen = fakenet.Seen(endpoint.sent[0])
        self.assertEqual((len(endpoint.sent), seen.type, seen.code, seen.payload), (1, NON, 2, b"x"))
        self.assertEqual(seen.options, [(11, b"t"), (12, b""), (15, b"a=b"), (258, b"\x1a")])

    def test_confirmable_ends_when_it_is_acknowledged(self):
        peer = Script(None, lambda s: [s.empty(ACK)])
        result, endpoint = call(peer, lambda c: c.tell(coap.POST, "t", confirmable=True))
        self.assertIsNone(result)
        self.assertEqual(endpoint.sent, [endpoint.sent[0]] * 2)
        result, _ = call(Script(), lambda c: c.tell(coap.POST, "t", confirmable=True))
        self.assertIsInstance(result, coap.Timeout)

    def test_an_answer_all_the_same(self):
        """A server that does not know the option: what it answers is acknowledged, or rejected when it is too late."""
        peer = Script(lambda s: [s.ack(0x44)], lambda s: [(10, s.separate(CON, 0x77, 0x44))])

        async def job(client):
            await client.tell(coap.POST, "t", confirmable=True)
            await client.tell(coap.POST, "t")
            await fakenet.asyncio.sleep_ms(40)

        call(peer, job)
        self.assertEqual(peer.control, [(RST, 0x77)])


class Pinged(unittest.TestCase):
    def test_round_trip(self):
        def peer(s):
            self.assertEqual((s.type, s.code, len(s.data)), (CON, 0, 4))
            return [(20, message(RST, 0, s.mid))]

        result, _ = call(peer, lambda c: c.ping())
        self.assertTrue(result >= 19)

    def test_peers_that_answer_otherwise(self):
        for answer in (lambda s: s.empty(ACK), lambda s: s.ack(0x84)):
            result, _ = call(lambda s, answer=answer: [answer(s)], lambda c: c.ping())
            self.assertIsInstance(result, int)

    def test_nobody(self):
        result, endpoint = call(lambda s: [], lambda c: c.ping(timeout_ms=60))
        self.assertIsInstance(result, coap.Timeout)


class Echoed(unittest.TestCase):
    def test_once(self):
        wants = opts((252, b"\x01\x02"))
        peer = Script(lambda s: [s.ack(0x81, wants)], lambda s: [s.ack(0x44)])
        result, endpoint = call(peer, lambda c: c.request(coap.PUT, "a", payload=b"x"))
        self.assertEqual(result.code, coap.CHANGED)
        first, second = [fakenet.Seen(data) for data in endpoint.sent]
        self.assertEqual((second.values(252), second.payload), ([b"\x01\x02"], b"x"))
        self.assertFalse(first.mid == second.mid)

    def test_not_for_ever(self):
        wants = opts((252, b"\x01"))
        result, endpoint = call(lambda s: [s.ack(0x81, wants)], lambda c: c.request(coap.GET, "a"))
        self.assertEqual((result.code, len(endpoint.sent)), (0x81, 2))

    def test_in_an_upload(self):
        server = Server()
        server.spoil = lambda s, i: None if s.values(252) or i == 0 else [s.ack(0x81, opts((252, b"e")))]
        result, _ = call(server, lambda c: c.request(coap.PUT, "a", payload=BODY))
        self.assertEqual((result.code, server.given), (0x44, BODY))


class Tokens(unittest.TestCase):
    def test_every_length(self):
        for length in range(9):
            with self.subTest(length=length):
                client, answer = run(ask(FakeEndpoint(lambda s: [s.ack(payload=b"1")]), token_length=length))
                self.assertEqual(bytes(answer.payload), b"1")
                endpoint = FakeEndpoint(Server())
                result, _ = call(Server(), lambda c: c.request(coap.GET, "a"), token_length=length)
                self.assertEqual(bytes(result.payload), BODY)
                run(ask(endpoint, token_length=length))
                self.assertEqual(len(fakenet.Seen(endpoint.sent[0]).token), length)


class RetryAfter(unittest.TestCase):
    def test_seconds(self):
        for code, max_age, seconds in ((0x9D, 5, 5), (0xA3, 0, 0), (0x9D, None, 60), (0xA3, None, 60), (0x84, 5, None)):
            with self.subTest(code=code, max_age=max_age):
                options = b"" if max_age is None else opts((14, fakenet.uint(max_age)))
                result, _ = call(
                    lambda s, c=code, o=options: [s.ack(c, o)] if s.code else [], lambda c: c.request(coap.GET, "a")
                )
                self.assertEqual((result.code, result.retry_after, result.max_age), (code, seconds, max_age))


class Again(unittest.TestCase):
    """The same request with other payloads goes out from the same bytes: what it looks like must not depend on that."""

    def test_looks_the_same_as_a_new_one(self):
        variants = (
            {"payload": b"one"}, {"payload": b"another"}, {"payload": b""}, {"payload": b"x" * 1024}, {"payload": b"1"},
            {"payload": b"1", "query": ("k=v",)}, {"payload": b"2", "query": ("k=v",)},
            {"payload": b"2", "query": ["k"]},
            {"payload": b"3", "content_format": 0}, {"payload": b"3", "content_format": None}, {"payload": b"4"},
            {"payload": b"5", "confirmable": False}, {"payload": b"6", "confirmable": False}, {"payload": b"7"},
            {"payload": b"8", "options": ((4, bytearray(b"e")),)},
            {"payload": b"9", "options": ((4, bytearray(b"f")),)},
        )  # fmt: skip

        async def job(client):
            for how in variants:
                await client.request(coap.POST, "v1/t", **dict({"content_format": 60}, **how))

        _, endpoint = call(lambda s: [s.ack(0x44) if s.type == CON else s.separate(NON, 1, 0x44)], job)
        self.assertEqual(len(endpoint.sent), len(variants))
        for data, how in zip(endpoint.sent, variants):
            with self.subTest(how=how):
                seen = fakenet.Seen(data)

                async def alone(client, how=how):
                    await client.request(coap.POST, "v1/t", **dict({"content_format": 60}, **how))

                _, other = call(lambda s: [s.ack(0x44) if s.type == CON else s.separate(NON, 1, 0x44)], alone)
                new = fakenet.Seen(other.sent[0])
                self.assertEqual((seen.type, seen.options, seen.payload), (new.type, new.options, new.payload))
                self.assertEqual(data[8:], other.sent[0][8:])


class FromASource(unittest.TestCase):
    def put(self, server, size=5000, **how):
        asked = []

        def source(offset, view):
            asked.append((offset, len(view)))
            view[:] = BODY[offset : offset + len(view)]

        result, _ = call(server, lambda c: c.put_blocks("fw", source, size, **how), **QUICK)
        return result, asked

    def test_sizes(self):
        for size in (0, 1, 1024, 1025, 5000):
            with self.subTest(size=size):
                server = Server()
                result, asked = self.put(server, size, content_format=42)
                self.assertEqual((result.code, server.given), (0x44, BODY[:size]))
                self.assertEqual(len(asked), max(1, (size + 1023) // 1024))

    def test_what_is_lost_is_read_again(self):
        server = Server(szx=4)
        server.spoil = lambda s, i: [s.ack(0x88)] if i == 3 else None
        result, asked = self.put(server)
        self.assertEqual((result.code, server.given), (0x44, BODY))
        self.assertTrue([offset for offset, _ in asked].count(0) == 2)

    def test_source_fails(self):
        async def job(client):
            def broken(offset, view):
                if offset:
                    raise OSError(5)
                view[:] = BODY[: len(view)]

            try:
                await client.put_blocks("fw", broken, 5000)
            except OSError as exc:
                return exc.args[0], bytes((await client.request(coap.GET, "r")).payload)

        result, _ = call(Server(), job)
        self.assertEqual(result, (5, BODY))

    def test_request_tag(self):
        """One of four bytes for all blocks, another one after 4.08, none for a body in one block (RFC 9175 3.4)."""
        server = Server()
        server.spoil = lambda s, i: [s.ack(0x88)] if i == 2 else None
        self.put(server)
        tags = [s.values(292) for s in server.seen]
        self.assertEqual([len(t) for t in tags], [1] * 8)
        self.assertEqual((len(set(map(bytes, (t[0] for t in tags[:3])))), len({t[0] for t in tags})), (1, 2))
        server = Server()
        self.put(server, 1000)
        self.assertEqual(server.seen[0].values(292), [])

    def test_server_that_knows_an_upload_by_its_token(self):
        """node's coap 1.5: another token is another body, whose first block is missing: 5.00."""
        given = {}

        def peer(s):
            if s.code == 0:
                return []
            num, more, szx = s.block(27)
            part = given.setdefault(s.token, b"")
            if len(part) != num * 1024:
                return [s.ack(0xA0, b"", b"Byte offset not the next in line")]
            given[s.token] = part + s.payload
            return [s.ack(0x5F if more else 0x44, opts((27, block(num, more, szx))))]

        result, _ = self.put(peer)
        self.assertEqual(result.code, 0x44)
        self.assertTrue(BODY in given.values())

    def test_the_rest_of_the_answer_is_asked_for_with_the_same_tag(self):
        server = Server()

        def spoil(s, i):
            if s.block(27) is not None and not s.block(27)[1]:
                return [s.ack(0x44, opts((23, block(0, True, 6)), (27, s.values(27)[0])), BODY[:1024])]
            if s.block(23) is not None:
                num = s.block(23)[0]
                return [s.ack(0x44, opts((23, block(num, num < 4, 6))), BODY[num * 1024 : num * 1024 + 1024])]
            return None

        server.spoil = spoil
        result, _ = self.put(server, method=coap.POST)
        self.assertEqual(bytes(result.payload), BODY)
        self.assertEqual(len({s.values(292)[0] for s in server.seen}), 1)


if __name__ == "__main__":
    unittest.main()
