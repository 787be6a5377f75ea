"""The ways an observation ends (RFC 7641 3.2, 3.6, 4.2): errors, cancel, RST, a dead endpoint, a cancelled task."""

import asyncio
import unittest

import coap
from harness.fakenet import CON, NON, RST
from harness.observe_support import Source, observing, settle, take


class Ended(unittest.TestCase):
    def rest(self, source, send, **how):
        """What the iterator does after one notification and send()."""

        async def job(client, observation):
            await take(observation, 1)
            send(observation)
            found = []
            try:
                async for note in observation:
                    found.append(bytes(note.payload))
            except (coap.CoapError, OSError) as exc:
                found.append(exc)
            source.notify(9, b"too late", token=source.tokens[0])
            count = len(source.control)
            await settle(lambda: len(source.control) > count)
            return found, client._busy

        found, busy = observing(source, job, **how)
        self.assertEqual(busy, [])
        return found

    def test_by_an_error(self):
        source = Source()
        found = self.rest(source, lambda _: source.notify(2, b"gone", code=0x84))
        self.assertEqual((type(found[0]), found[0].code, found[0].diagnostic), (coap.Refused, 0x84, "gone"))
        self.assertEqual(source.control[-1][0], RST)

    def test_by_an_answer_without_number(self):
        source = Source()
        self.assertEqual(self.rest(source, lambda _: source.notify(None, b"last")), [b"last"])

    def test_by_cancel(self):
        async def job(client, observation):
            await take(observation, 1)
            await observation.cancel()
            await observation.cancel()
            for mtype in (CON, NON):
                source.notify(9, b"too late", mtype)
            await settle(lambda: len(source.control) == 2)
            try:
                await observation.__anext__()
            except StopAsyncIteration:
                return "end"

        source = Source()
        self.assertEqual(observing(source, job), "end")
        self.assertEqual((source.asked, [kind for kind, _ in source.control]), ([0, 1], [RST, RST]))

    def test_by_cancel_that_nobody_hears(self):
        async def job(client, observation):
            await take(observation, 1)
            source.muted = True
            await observation.cancel(timeout_ms=50)
            return client._busy

        source = Source()
        self.assertEqual(observing(source, job), [])

    def test_never_began(self):
        async def job(client, observation):
            found = []
            async for note in observation:
                found.append(bytes(note.payload))
            return found, observation.observed

        self.assertEqual(observing(Source(observable=False), job), ([b"0"], False))

    def test_registration_refused(self):
        async def job(client, observation):
            try:
                await take(observation, 1)
            except coap.Refused as exc:
                return exc.code, client._busy

        class Closed(Source):
            def __call__(self, s):
                return [s.ack(0x81)] if s.code else []

        self.assertEqual(observing(Closed(), job), (0x81, []))

    def test_by_a_dead_endpoint(self):
        async def job(client, observation):
            await take(observation, 1)
            task = asyncio.create_task(take(observation, 1))
            await asyncio.sleep_ms(10)
            source.endpoint.error = OSError(9)
            try:
                await task
            except OSError as exc:
                return exc.args[0]

        source = Source()
        self.assertEqual(observing(source, job), 9)

    def test_by_a_critical_option(self):
        source = Source()
        found = self.rest(source, lambda _: source.notify(2, b"x", more=((99, b""),)))
        self.assertIsInstance(found[0], coap.BadResponse)

    def test_cancelled_task_leaves_it_alive(self):
        async def job(client, observation):
            await take(observation, 1)
            task = asyncio.create_task(take(observation, 1))
            await asyncio.sleep_ms(5)
            task.cancel()
            await asyncio.sleep_ms(5)
            source.notify(1, b"1")
            return await take(observation, 1)

        source = Source()
        self.assertEqual(observing(source, job), [b"1"])

    def test_cancelled_during_registration(self):
        async def job(client, observation):
            source.muted = True
            task = asyncio.create_task(take(observation, 1))
            await asyncio.sleep_ms(10)
            task.cancel()
            await asyncio.sleep_ms(5)
            source.muted = False
            found = await take(observation, 1)
            await observation.cancel()
            return found, client._busy, len(client._free)

        source = Source()
        self.assertEqual(observing(source, job), ([b"0"], [], 1))


if __name__ == "__main__":
    unittest.main()
