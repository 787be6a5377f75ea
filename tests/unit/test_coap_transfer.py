"""Downloads that do not go well: servers that mind several requests, busy ones, links and sinks that fail.

Scenarios: RFC 7959, RFC 8516, RFC 9175; facts/coap.md 2 (Golioth's server), 3.3.
"""

import asyncio
import time
import unittest

import coap
import coap.exchange
import coap.messages
import coap.rtt
import coap.window
from harness.aio import run
from harness.coap_support import BODY, QUICK, Late, Script, Server, fetch
from harness.fakenet import FakeEndpoint, opts

_TIMED = (coap.exchange, coap.messages, coap.rtt, coap.window)


class Misbehaving(unittest.TestCase):
    def test_one_state_for_all_requests(self):
        """A server that answers with the block after its last one, whatever was asked: one at a time it is right."""
        server = Server()
        state = [0]

        def spoil(s, i):
            num = s.block(23)[0]
            if len(busy()) > 1:
                return [server.give(s, num=state[0] % 5)]
            return [server.give(s, num=num)]

        async def go():
            endpoint = FakeEndpoint(server)
            client = coap.Client(endpoint, **QUICK)
            clients.append(client)
            result = await client.get_blocks("fw", sink, window=8)
            await client.close()
            return result

        def busy():
            return clients[0]._busy

        def sink(offset, view):
            place[offset : offset + len(view)] = view

        clients, place = [], bytearray(5000)
        server.spoil = spoil
        result = run(go())
        self.assertEqual((bytes(place), result.end, result.bytes), (BODY, True, 5000))
        alone = [s.token for s in server.seen[-3:]]
        self.assertEqual(len(set(alone)), 1)  # some servers know a transfer by its token (Golioth's did)

    def test_what_stays_wrong_is_said(self):
        for name, spoil, error in (
            ("4.08", lambda server, s: s.ack(0x88), coap.Refused),
            ("always the first block", lambda server, s: server.give(s, num=0), coap.BadResponse),
            ("short block", lambda server, s: server.give(s, payload=BODY[:1000]), coap.BadResponse),
            ("other ETag", lambda server, s: server.give(s, etag=b"v2"), coap.ETagChanged),
        ):
            with self.subTest(name=name):
                server = Server()
                server.spoil = lambda s, i, f=spoil, server=server: [f(server, s)] if s.block(23)[0] else None
                result, place, put, client = fetch(server, window=4)
                self.assertEqual(type(result), error)
                self.assertEqual((place[:put], client.transfer.offset), (BODY[:1024], 1024))

    def test_busy_server(self):
        for code in (0x9D, 0xA3):
            with self.subTest(code=code):
                server = Server()
                server.spoil = lambda s, i, c=code: [s.ack(c, opts((14, b"")))] if i in (2, 3, 4) else None
                result, place, put, client = fetch(server, window=4)
                self.assertEqual((place, result.end), (BODY, True))

    def test_busy_for_too_long(self):
        for options in (b"", opts((14, b"\x01\x00"))):
            server = Server()
            server.spoil = lambda s, i, o=options: [s.ack(0xA3, o)] if i == 2 else None
            result, _, _, client = fetch(server, window=4)
            self.assertEqual((type(result), result.code), (coap.Refused, 0xA3))
            self.assertEqual(result.retry_after, 256 if options else 60)

    def test_echo(self):
        """4.01 with Echo: every further block carries it (RFC 9175)."""
        server = Server()
        server.spoil = lambda s, i: None if s.values(252) == [b"fresh"] else [s.ack(0x81, opts((252, b"fresh")))]
        result, place, _, _ = fetch(server, window=4)
        self.assertEqual((place, result.end), (BODY, True))
        server.spoil = lambda s, i: [s.ack(0x81)]
        self.assertIsInstance(fetch(server, window=1)[0], coap.Refused)


class Leap:
    """A clock that can be put forward, in place of `time` in the modules of coap."""

    ticks_add = staticmethod(time.ticks_add)
    ticks_diff = staticmethod(time.ticks_diff)

    def __init__(self):
        self.ahead_ms = 0

    def ticks_ms(self):
        return time.ticks_add(time.ticks_ms(), self.ahead_ms)


class Long(unittest.TestCase):
    """Transfers that last: over 93 s, where libcoap's client forgets them, and over EXCHANGE_LIFETIME (247 s)."""

    def setUp(self):
        self.leap = Leap()
        for module in _TIMED:
            module.time = self.leap

    def tearDown(self):
        for module in _TIMED:
            module.time = time

    def test_twenty_seconds_a_block(self):
        for window in (1, 4):
            with self.subTest(window=window):
                server = Server()
                began = self.leap.ahead_ms

                def spoil(s, i, server=server):
                    self.leap.ahead_ms += 20000
                    return [server.give(s)]

                server.spoil = spoil
                tuning = dict(QUICK, ack_timeout_ms=5000)
                result, place, put, _ = fetch(server, window=window, szx=4, tuning=tuning)
                self.assertEqual((place, put, result.end), (BODY, len(BODY), True))
                self.assertTrue(self.leap.ahead_ms - began >= 20 * 20000)
                self.assertEqual(len({s.mid for s in server.seen}), 20)

    def test_another_body_by_the_time_of_the_resume(self):
        """Five minutes later the server has made another ETag: nothing is joined, and the caller begins anew."""
        server = Server()
        server.spoil = lambda s, i: b"" if i >= 2 else None
        result, place, _, client = fetch(server, timeout_ms=60)
        self.assertIsInstance(result, coap.Timeout)
        offset, etag = client.transfer.offset, client.transfer.etag
        self.leap.ahead_ms += 300000
        server.spoil, server.etag = None, b"v2"
        result, _, put, _ = fetch(server, offset=offset, etag=etag)
        self.assertEqual((type(result), put, offset), (coap.ETagChanged, 0, 2048))
        result, place, _, _ = fetch(server)
        self.assertEqual((place, result.etag), (BODY, b"v2"))


class Interrupted(unittest.TestCase):
    def test_goes_on_where_it_stopped(self):
        """The link is dead from some datagram on: everything before transfer.offset is there, and a resumed transfer
        brings the rest."""
        for after in (1, 3, 4):
            for window in (1, 4):
                with self.subTest(after=after, window=window):
                    server = Server()
                    server.spoil = lambda s, i, a=after: b"" if i >= a else None
                    result, place, put, client = fetch(server, window=window, timeout_ms=80)
                    self.assertIsInstance(result, coap.Timeout)
                    offset = client.transfer.offset
                    self.assertEqual(place[:offset], BODY[:offset])
                    self.assertTrue(offset + 1024 * window >= put >= offset)
                    server.spoil = None
                    rest, again, _, _ = fetch(server, window=window, offset=offset)
                    self.assertEqual((again[offset:], rest.end), (BODY[offset:], True))

    def test_sink_fails(self):
        async def go():
            client = coap.Client(FakeEndpoint(Server()), **QUICK)

            def full(offset, view):
                if offset:
                    raise OSError(28)

            try:
                await client.get_blocks("fw", full, window=4)
            except OSError as exc:
                answer = await client.request(coap.GET, "r")  # the client itself is as good as before
                await client.close()
                return exc.args[0], bytes(answer.payload), client._busy

        self.assertEqual(run(go()), (28, BODY, []))

    def test_cancelled(self):
        async def go():
            client = coap.Client(FakeEndpoint(Late(Server(), (50,))), **QUICK)
            task = asyncio.create_task(client.get_blocks("fw", lambda offset, view: None, window=8))
            await asyncio.sleep_ms(20)
            task.cancel()
            await asyncio.sleep_ms(5)
            left = list(client._busy)
            answer = await client.request(coap.GET, "r")
            await client.close()
            return left, bytes(answer.payload)

        self.assertEqual(run(go()), ([], BODY))

    def test_requests_go_on_beside_it(self):
        async def go():
            server = Server()
            server.spoil = lambda s, i: [s.ack(payload=b"beside")] if s.code == 2 else None
            client = coap.Client(FakeEndpoint(Late(server, (5,))), **QUICK)
            task = asyncio.create_task(client.get_blocks("fw", lambda offset, view: None, window=2, szx=4))
            answers = []
            for _ in range(3):
                answers.append(bytes((await client.request(coap.POST, "t")).payload))
            result = await task
            await client.close()
            return answers, result.end

        self.assertEqual(run(go()), ([b"beside"] * 3, True))

    def test_dead_endpoint(self):
        async def go():
            endpoint = FakeEndpoint(Script())
            client = coap.Client(endpoint, **QUICK)
            task = asyncio.create_task(client.get_blocks("fw", lambda offset, view: None, window=4))
            await asyncio.sleep_ms(10)
            endpoint.error = OSError(9)
            try:
                await task
            except OSError as exc:
                await client.close()
                return exc.args[0]

        self.assertEqual(run(go()), 9)


if __name__ == "__main__":
    unittest.main()
