"""coap message layer against a peer scripted datagram by datagram: requests and their direct answers.

Scenarios: RFC 7252 sections 4 and 5.3, and what breaks other clients: duplicates, wrong tokens, wrong ids, garbage.
"""

import sys
import time
import unittest

import coap
from coap.exchange import Exchange
from harness import fakenet
from harness.aio import run
from harness.coap_support import BODY, FAST, OTHER, Script, Server, ask, echo
from harness.fakenet import ACK, CON, NON, RST, FakeEndpoint, message, opts

NEEDED = "calls download numbers options response settle transfer upload window writer".split()
LOADED_WHEN_NEEDED = ["coap." + name for name in NEEDED]


def forget():
    """What firmware/cold.py does with the modules that are needed now and then."""
    for name in LOADED_WHEN_NEEDED:
        sys.modules.pop(name, None)
        if name[5:] in coap.__dict__:
            delattr(coap, name[5:])


class Forgetful(unittest.TestCase):
    """An application may drop the modules above at any time: nothing that stays holds on to them."""

    def test_with_every_answer(self):
        def lose(seen, count):
            forget()

        async def go(client):
            answer = await client.request(coap.GET, "r")
            made = await client.request(coap.PUT, "r", payload=OTHER)
            await client.close()
            return bytes(answer.payload), made.code

        server = Server()
        server.spoil = lose
        self.assertEqual(run(go(coap.Client(FakeEndpoint(server), **FAST))), (BODY, 0x44))
        self.assertEqual((server.given, len(server.seen)), (OTHER, 5 + 3))

    def test_numbers_and_classes_are_found_but_not_kept(self):
        for name, number in (("GATEWAY_TIMEOUT", 0xA4), ("ETAG", 4), ("CBOR", 60)):
            with self.subTest(name=name):
                self.assertEqual(getattr(coap, name), number)
                self.assertFalse(name in coap.__dict__)
        self.assertEqual(coap.Result.__name__, "Result")
        self.assertEqual(coap.Response.__name__, "Response")
        forget()
        for name in ("Response", "numbers", "response"):
            self.assertFalse(name in coap.__dict__, name)
        for name in ("no_such_name", "numbers", "NO_SUCH_NUMBER"):
            with self.subTest(name=name):
                self.assertFalse(hasattr(coap, name))


class Confirmable(unittest.TestCase):
    def test_piggybacked(self):
        endpoint = FakeEndpoint(lambda s: [s.ack(options=opts((12, b"\x3c"), (14, b"\x0a")), payload=b"hi")])
        client, answer = run(ask(endpoint))
        self.assertEqual((answer.code, bytes(answer.payload)), (coap.CONTENT, b"hi"))
        self.assertEqual((answer.option(coap.CONTENT_FORMAT), answer.max_age), (60, 10))
        self.assertIsNone(answer.option(coap.ETAG))
        self.assertEqual((client.sent, client.received, client.dropped), (1, 1, 0))
        self.assertTrue(len(fakenet.Seen(endpoint.sent[0]).token) >= 4)

    def test_request_bytes(self):
        async def go(client):
            await client.request(
                coap.FETCH, "loc/ground-fix", query=("doReply=false",), payload=b"\xa1", content_format=60, accept=60,
                options=((35, b"u"), (4, b"2"), (4, b"1")),
            )  # fmt: skip

        endpoint = FakeEndpoint(echo)
        run(go(coap.Client(endpoint, **FAST)))
        seen = fakenet.Seen(endpoint.sent[0])
        self.assertEqual((seen.type, seen.code, seen.payload), (CON, 5, b"\xa1"))
        expected = [(4, b"2"), (4, b"1"), (11, b"loc"), (11, b"ground-fix"), (12, b"<"), (15, b"doReply=false")]
        self.assertEqual(seen.options, expected + [(17, b"<"), (35, b"u")])

    def test_content_format_needs_a_payload(self):
        async def go(client):
            await client.request(coap.POST, "a", content_format=0)
            await client.request(coap.POST, "a", content_format=0, payload=b"x", query="k=v")

        endpoint = FakeEndpoint(echo)
        run(go(coap.Client(endpoint, **FAST)))
        self.assertEqual(fakenet.Seen(endpoint.sent[0]).options, [(11, b"a")])
        self.assertEqual(fakenet.Seen(endpoint.sent[1]).options, [(11, b"a"), (12, b""), (15, b"k=v")])

    def test_ids_and_tokens_differ(self):
        async def go():
            endpoint = FakeEndpoint(echo)
            client = coap.Client(endpoint, **FAST)
            client._mid = 0xFFFD
            for _ in range(5):
                await client.request(coap.GET, "a")
            await client.close()
            return [fakenet.Seen(data) for data in endpoint.sent]

        seen = run(go())
        self.assertEqual([s.mid for s in seen], [0xFFFE, 0xFFFF, 0, 1, 2])
        self.assertEqual(len({s.token for s in seen}), 5)

    def test_lost_request_is_repeated_identically(self):
        endpoint = FakeEndpoint(Script(None, None, lambda s: [s.ack(payload=b"3")]))
        client, answer = run(ask(endpoint))
        self.assertEqual(bytes(answer.payload), b"3")
        self.assertEqual(endpoint.sent, [endpoint.sent[0]] * 3)
        self.assertEqual(client.retransmitted, 2)

    def test_gives_up_after_doubling_times(self):
        endpoint = FakeEndpoint()
        _, error = run(ask(endpoint, ack_random=1))
        self.assertIsInstance(error, coap.Timeout)
        self.assertEqual(len(endpoint.sent), 5)
        gaps = [time.ticks_diff(b, a) for a, b in zip(endpoint.at, endpoint.at[1:])]
        for i, gap in enumerate(gaps):
            with self.subTest(i=i, gap=gap):
                self.assertTrue(30 << i <= gap < (30 << i) + 5000)  # a machine may pause

    def test_first_timeout_is_jittered(self):
        async def go():
            first = []
            for _ in range(6):
                endpoint = FakeEndpoint(Script(None, lambda s: [s.ack()]))
                await ask(endpoint, ack_timeout_ms=40, ack_random=2)
                first.append(time.ticks_diff(endpoint.at[1], endpoint.at[0]))
            return first

        first = run(go())
        self.assertTrue(40 <= min(first) and max(first) < 5000, first)
        self.assertTrue(max(first) - min(first) >= 2, first)

    def test_tuning(self):
        endpoint = FakeEndpoint()
        run(ask(endpoint, max_retransmit=0))
        self.assertEqual(len(endpoint.sent), 1)

    def test_time_limit_of_the_caller(self):
        async def go(client):
            started = time.ticks_ms()
            try:
                await client.request(coap.GET, "a", timeout_ms=50)
            except coap.Timeout:
                return time.ticks_diff(time.ticks_ms(), started)

        took = run(go(coap.Client(FakeEndpoint(), ack_timeout_ms=60000)))
        self.assertTrue(50 <= took < 5000, took)

    def test_answers_that_are_not_ours(self):
        wrong = (
            lambda s: s.ack(token=b"9999"),
            lambda s: s.ack(token=s.token[:3]),
            lambda s: s.ack(token=s.token + b"1"),
            lambda s: s.ack(token=b""),
            lambda s: s.ack(mid=(s.mid + 1) & 0xFFFF),
            lambda s: message(ACK, 0x01, s.mid, s.token),
            lambda s: message(ACK, 0, (s.mid + 1) & 0xFFFF),
            lambda s: message(RST, 0, (s.mid + 1) & 0xFFFF),
            lambda s: message(NON, 0x45, s.mid, b"none"),
            lambda s: message(NON, 0, s.mid),
        )
        for i, make in enumerate(wrong):
            with self.subTest(i=i):
                endpoint = FakeEndpoint(lambda s, make=make: [make(s), s.ack(payload=b"right")] if s.code else [])
                client, answer = run(ask(endpoint))
                self.assertEqual(bytes(answer.payload), b"right")
                self.assertEqual((client.dropped, client.sent), (1, 1))

    def test_garbage_is_counted_and_dropped(self):
        garbage = (b"", b"\x60", b"\x00\x45\x00\x01", b"\xff" * 20, bytes(1152), b"\x60\x45\x12\x34\xff")
        endpoint = FakeEndpoint(lambda s: list(garbage) + [s.ack(payload=b"ok")])
        client, answer = run(ask(endpoint))
        self.assertEqual(bytes(answer.payload), b"ok")
        self.assertEqual(client.dropped, len(garbage))

    def test_confirmable_format_error_is_reset(self):
        script = Script(lambda s: [bytes([0x49, 0x45, 0xAB, 0xCD]), s.ack()])
        _, answer = run(ask(FakeEndpoint(script)))
        self.assertEqual(answer.code, coap.CONTENT)
        self.assertEqual(script.control, [(RST, 0xABCD)])

    def test_duplicates_never_shift_answers(self):
        async def go(client):
            for i in range(20):
                body = b"%d" % i
                answer = await client.request(coap.POST, "a", payload=body)
                self.assertEqual(bytes(answer.payload), body)
            await client.close()

        run(go(coap.Client(FakeEndpoint(lambda s: echo(s) * 3), **FAST)))

    def test_reset(self):
        _, error = run(ask(FakeEndpoint(lambda s: [s.empty(RST)])))
        self.assertIsInstance(error, coap.Reset)

    def test_refused(self):
        for code, payload, text in (
            (0x84, b"no such", "4.04 no such"),
            (0xA3, b"", "5.03 "),
            (0x80, b"\xff\xfe", "4.00 b'\\xff\\xfe'"),
        ):
            reply = opts((14, b"\x05")) if code == 0xA3 else b""
            _, error = run(ask(FakeEndpoint(lambda s, c=code, r=reply, p=payload: [s.ack(c, r, p)])))
            self.assertIsInstance(error, coap.Refused)
            self.assertEqual((error.code, str(error)), (code, text))
            self.assertEqual(error.max_age, 5 if code == 0xA3 else None)

    def test_code_that_is_no_answer(self):
        for code in (0x5F, 0x60):  # 2.31 without blocks, 3.00
            _, error = run(ask(FakeEndpoint(lambda s, c=code: [s.ack(c)])))
            self.assertIsInstance(error, coap.BadResponse)

    def test_too_large_for_a_datagram(self):
        async def go(client):
            with self.assertRaises(coap.CodecError):
                await client.request(coap.GET, "a", options=((35, bytes(1200)),))
            await client.request(coap.GET, "a")
            await client.close()

        endpoint = FakeEndpoint(echo)
        run(go(coap.Client(endpoint, **FAST)))
        self.assertEqual(len(endpoint.sent), 1)

    def test_a_request_that_cannot_be_composed_frees_its_slot(self):
        async def go(client):
            for wrong in ({"payload": 5}, {"options": ((14, -1),)}, {"accept": object()}, {"query": (None,)}):
                try:
                    await client.request(coap.POST, "a", **wrong)
                except (TypeError, ValueError):
                    continue
                self.assertEqual(wrong, "refused")
            answer = await client.request(coap.GET, "a")
            await client.close()
            return answer.code

        self.assertEqual(run(go(coap.Client(FakeEndpoint(echo), **FAST))), coap.CONTENT)

    def test_no_memory_for_the_answer(self):
        def no_room(exchange, msg, view, n):
            Exchange.respond = respond
            raise MemoryError

        async def go(client):
            Exchange.respond = no_room
            with self.assertRaises(MemoryError):
                await client.request(coap.GET, "a")
            answer = await client.request(coap.GET, "a")
            await client.close()
            return answer.code

        respond = Exchange.respond
        self.assertEqual(run(go(coap.Client(FakeEndpoint(echo), **FAST))), coap.CONTENT)


class Hungry(unittest.TestCase):
    def test_no_memory_for_a_datagram(self):
        """The endpoint cannot get a buffer: whoever waits hears of it, and the client goes on."""

        async def go():
            endpoint = FakeEndpoint(echo)
            client = coap.Client(endpoint, **FAST)
            endpoint.error = MemoryError()
            endpoint.send = FakeEndpoint(echo).send
            try:
                await client.request(coap.GET, "a")
            except MemoryError:
                endpoint.error = None
                del endpoint.send
                answer = await client.request(coap.GET, "a")
                await client.close()
                return answer.code

        self.assertEqual(run(go()), coap.CONTENT)


class NonConfirmable(unittest.TestCase):
    def once(self, *steps):
        async def go():
            client = coap.Client(endpoint, **FAST)
            try:
                result = await client.request(coap.POST, "a", payload=b"x", confirmable=False)
            except coap.CoapError as exc:
                result = exc
            await client.close()
            return result

        endpoint = FakeEndpoint(Script(*steps))
        return endpoint, run(go())

    def test_answered(self):
        endpoint, answer = self.once(lambda s: [s.separate(NON, 5, 0x44)])
        self.assertEqual((answer.code, fakenet.Seen(endpoint.sent[0]).type), (coap.CHANGED, NON))

    def test_silence(self):
        endpoint, error = self.once()
        self.assertIsInstance(error, coap.Timeout)
        self.assertEqual(len(endpoint.sent), 1)

    def test_reset(self):
        _, error = self.once(lambda s: [s.empty(RST)])
        self.assertIsInstance(error, coap.Reset)

    def test_answer_in_an_ack_is_none(self):
        _, error = self.once(lambda s: [s.ack()])
        self.assertIsInstance(error, coap.Timeout)


if __name__ == "__main__":
    unittest.main()
