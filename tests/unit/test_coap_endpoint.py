"""coap and its endpoint: errors, cancellation, closing, several requests at once, slow senders, an idle reader.
"""

import asyncio
import unittest
from errno import EBADF, ECONNRESET, ENOMEM

import coap
from harness import fakenet
from harness.aio import run
from harness.coap_support import Script, ask, echo, payloads
from harness.fakenet import CON, RST, FakeEndpoint


class Endpoints(unittest.TestCase):
    def test_dead_endpoint_wakes_all(self):
        async def waiter(client, found):
            try:
                await client.request(coap.GET, "a")
            except OSError as exc:
                found.append(exc.args[0])

        async def go():
            endpoint = FakeEndpoint()
            client = coap.Client(endpoint, nstart=2)
            found = []
            tasks = [asyncio.create_task(waiter(client, found)) for _ in range(3)]
            await asyncio.sleep_ms(20)
            endpoint.error = OSError(ECONNRESET)
            for task in tasks:
                await task
            await waiter(client, found)  # and the next request does not even try
            await client.close()
            await client.close()
            return found, len(endpoint.sent)

        found, sent = run(go())
        self.assertEqual((found, sent), ([ECONNRESET] * 4, 2))

    def test_dead_on_send(self):
        endpoint = FakeEndpoint()
        endpoint.error = OSError(EBADF)
        _, error = run(ask(endpoint))
        self.assertEqual(error.args[0], EBADF)

    def test_passing_send_error_is_a_lost_datagram(self):
        class Once(FakeEndpoint):
            failures = 0

            async def send(self, buf):
                if not self.failures:
                    self.failures = 1
                    raise OSError(ENOMEM)
                await super().send(buf)

        client, answer = run(ask(Once(echo)))
        self.assertEqual((answer.code, client.sent, client.retransmitted), (coap.CONTENT, 1, 1))

    def test_close_wakes_the_waiter(self):
        async def go():
            client = coap.Client(FakeEndpoint())
            task = asyncio.create_task(client.request(coap.GET, "a"))
            await asyncio.sleep_ms(10)
            await client.close()
            try:
                await task
            except OSError:
                return True

        self.assertTrue(run(go()))

    def test_cancelled_request_frees_its_slot(self):
        async def go():
            endpoint = FakeEndpoint(Script(None, lambda s: [s.ack(payload=b"2")]))
            client = coap.Client(endpoint, ack_timeout_ms=1000)
            task = asyncio.create_task(client.request(coap.GET, "a"))
            await asyncio.sleep_ms(10)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            first = fakenet.Seen(endpoint.sent[0])
            endpoint.push(first.separate(CON, 99))  # its answer comes later
            answer = await client.request(coap.GET, "b")
            await client.close()
            return bytes(answer.payload), [fakenet.Seen(d).type for d in endpoint.sent]

        payload, types = run(go())
        self.assertEqual(payload, b"2")
        self.assertTrue(RST in types)

    def test_one_at_a_time_and_n_at_a_time(self):
        async def go(nstart):
            waiting = []

            def serve(s):
                waiting.append(s)
                most[0] = max(most[0], len(waiting))
                return [(8, s.ack(payload=s.payload))]

            class Endpoint(FakeEndpoint):
                async def recv_into(self, buf, timeout_ms):
                    n = await super().recv_into(buf, timeout_ms)
                    waiting.pop()
                    return n

            endpoint = Endpoint(serve)
            client = coap.Client(endpoint, ack_timeout_ms=500, nstart=nstart)
            bodies = [b"%d" % i for i in range(5)]
            tasks = [asyncio.create_task(client.request(coap.POST, "a", payload=b)) for b in bodies]
            got = await payloads(tasks)
            await client.close()
            self.assertEqual((got, endpoint.overlaps), (bodies, 0))

        for nstart in (1, 3):
            most = [0]
            run(go(nstart))
            self.assertEqual(most[0], nstart)

    def test_slow_sender(self):
        """An endpoint that takes its time (a modem) gets one datagram at a time, and never a changed one."""

        async def go():
            endpoint = FakeEndpoint(lambda s: [s.ack(payload=s.payload)] if s.code else [])
            endpoint.send_ms = 15
            client = coap.Client(endpoint, ack_timeout_ms=12, ack_random=1, nstart=2, max_retransmit=6)
            bodies = [b"%d" % i for i in range(6)]
            tasks = [asyncio.create_task(client.request(coap.POST, "a", payload=b)) for b in bodies]
            got = await payloads(tasks)
            await client.close()
            seen = [fakenet.Seen(d) for d in endpoint.sent]
            by_token = {}
            for s in seen:
                by_token.setdefault(s.token, set()).add(s.data)
            self.assertEqual((got, endpoint.overlaps), (bodies, 0))
            self.assertEqual([len(v) for v in by_token.values()], [1] * 6)

        run(go())

    def test_the_clock_starts_when_the_datagram_has_left(self):
        async def go():
            endpoint = FakeEndpoint(echo)
            endpoint.send_ms = 60
            client = coap.Client(endpoint, ack_timeout_ms=20)
            await client.request(coap.GET, "a")
            await client.close()
            return len(endpoint.sent)

        self.assertEqual(run(go()), 1)

    def test_cancelled_while_its_retransmission_waits(self):
        async def go():
            endpoint = FakeEndpoint()
            client = coap.Client(endpoint, ack_timeout_ms=90, ack_random=1, nstart=2, linger_ms=0)
            first = asyncio.create_task(client.request(coap.GET, "first"))
            await asyncio.sleep_ms(50)
            endpoint.send_ms = 120
            second = asyncio.create_task(client.request(coap.GET, "second", confirmable=False))
            await asyncio.sleep_ms(70)  # the first is due again, and waits for the second to be sent
            first.cancel()
            await asyncio.sleep_ms(300)
            second.cancel()
            await asyncio.sleep_ms(0)
            await client.close()
            return [fakenet.Seen(data).path() for data in endpoint.sent]

        self.assertEqual(run(go()), ["first", "second"])

    def test_reader_sleeps_when_idle(self):
        async def go():
            endpoint = FakeEndpoint(echo)
            client = coap.Client(endpoint, ack_timeout_ms=30, linger_ms=150)
            await client.request(coap.GET, "a")
            await asyncio.sleep_ms(20)
            lingering = endpoint.readers
            await asyncio.sleep_ms(300)
            idle = endpoint.readers
            await client.request(coap.GET, "a")
            await client.close()
            return lingering, idle

        self.assertEqual(run(go()), (1, 0))


if __name__ == "__main__":
    unittest.main()
