"""Observing (RFC 7641) from a scripted server: freshness, renewal, two at a time, blocks.

Scenarios: RFC 7641 sections 3 and 4, ETSI OBS_01..08, and how ThingsBoard deviates (facts/platforms.md 1.4).
"""

import asyncio
import time
import unittest

import coap
from coap.observe import Observation
from harness.coap_support import FAST
from harness.fakenet import ACK, CON, NON, FakeEndpoint, block, message, opts
from harness.observe_support import Source, observing, settle, take


class Notified(unittest.TestCase):
    def test_in_order(self):
        async def job(client, observation):
            found = await take(observation, 1)
            for number, mtype in ((1, CON), (2, NON), (5, CON)):
                source.notify(number, b"%d" % number, mtype)
            found += await take(observation, 3)
            await settle(lambda: len(source.control) == 2)
            return found, observation.gaps

        source = Source()
        found, gaps = observing(source, job)
        self.assertEqual((found, gaps), ([b"0", b"1", b"2", b"5"], 1))
        self.assertEqual(source.control, [(ACK, 0x5001), (ACK, 0x5003)])

    def test_async_for_and_with(self):
        async def job(client, observation):
            found = []
            async with observation:
                async for note in observation:
                    found.append((bytes(note.payload), note.sequence, note.code))
                    if len(found) == 3:
                        break
                    source.notify(len(found), b"x")
            return found, client._busy

        source = Source()
        found, busy = observing(source, job)
        self.assertEqual(found, [(b"0", 0, 0x45), (b"x", 1, 0x45), (b"x", 2, 0x45)])
        self.assertEqual((source.asked, busy), ([0, 1], []))

    def test_freshness(self):
        """RFC 7641 3.4: newer is up to half the range ahead, with wrap; anything is newer after 128 s."""
        top = 0xFFFFFF
        for before, number, newer in (
            (1, 2, True), (2, 1, False), (2, 2, False), (0, 0x7FFFFF, True), (0, 0x800000, False),
            (top, 0, True), (0, top, False), (top - 5, 3, True), (0x800001, 1, False), (0x800002, 1, True),
        ):  # fmt: skip
            with self.subTest(before=before, number=number):
                observation = Observation(coap.Client(FakeEndpoint(), **FAST), (), b"", None, 4)
                self.assertTrue(observation._is_newer(before))
                self.assertEqual(observation._is_newer(number), newer)
                observation._at = time.ticks_add(time.ticks_ms(), -128001)
                self.assertTrue(observation._is_newer(number))

    def test_stale_ones_are_acknowledged_and_dropped(self):
        async def job(client, observation):
            await take(observation, 1)
            for number in (5, 4, 5, 6):
                source.notify(number, b"%d" % number)
            found = await take(observation, 2)
            await settle(lambda: len(source.control) == 4)
            return found, observation.stale, len(source.control)

        source = Source()
        self.assertEqual(observing(source, job), ([b"5", b"6"], 2, 4))

    def test_slow_application(self):
        async def job(client, observation):
            await take(observation, 1)
            for number in range(1, 8):
                source.notify(number, b"%d" % number)
            await settle(lambda: len(source.control) == 7)
            return await take(observation, 3), observation.lost

        source = Source()
        self.assertEqual(observing(source, job, depth=3), ([b"5", b"6", b"7"], 4))

    def test_early_ones_are_not_rejected(self):
        """A notification that overtakes the answer to the registration."""

        async def job(client, observation):
            return await take(observation, 2)

        class Hasty(Source):
            def __call__(self, s):
                out = super().__call__(s)
                if s.code and s.values(6) == [b""]:
                    note = message(CON, 0x45, 0x99, s.token, self.options(3), b"early")
                    later = message(CON, 0x45, 0x9A, s.token, self.options(4), b"next")
                    return [note, (10, later), (20, out[0])]
                return out

        source = Hasty()
        self.assertEqual(observing(source, job), [b"early", b"next"])
        self.assertEqual(source.control, [(ACK, 0x99), (ACK, 0x9A)])

    def test_two_at_a_time(self):
        async def job(client, first):
            second = client.observe("other")
            found = await take(first, 1) + await take(second, 1)
            source.notify(1, b"first", token=source.tokens[0])
            source.notify(1, b"second", token=source.tokens[1])
            found += await take(second, 1) + await take(first, 1)
            await first.cancel()
            source.notify(2, b"2", token=source.tokens[1])
            answer = await client.request(coap.POST, "beside")
            return found + await take(second, 1), bytes(answer.payload)

        source = Source()
        self.assertEqual(observing(source, job), ([b"0", b"0", b"second", b"first", b"2"], b"other"))

    def test_in_blocks(self):
        body = bytes([i & 255 for i in range(2500)])

        async def job(client, observation):
            await take(observation, 1)
            source.notify(1, body[:1024], more=((23, block(0, True, 6)),))
            return await take(observation, 1)

        class Large(Source):
            def __call__(self, s):
                if s.values(23):
                    self.others.append(s)
                    num = s.block(23)[0]
                    part = body[num * 1024 : num * 1024 + 1024]
                    return [s.ack(0x45, opts((23, block(num, num < 2, 6))), part)]
                return super().__call__(s)

        source = Large()
        self.assertEqual(observing(source, job), [body])
        for s in source.others:
            self.assertEqual((s.values(6), s.token in source.tokens), ([], False))  # RFC 7959 3.4

    def test_fetch(self):
        async def job(client, observation):
            return await take(observation, 1)

        class Fetched(Source):
            def __call__(self, s):
                if s.code:
                    self.others.append((s.code, s.payload))
                return super().__call__(s)

        source = Fetched()
        observing(source, job, method=coap.FETCH, payload=b"q", content_format=0)
        self.assertEqual(source.others, [(5, b"q")])


class Renewed(unittest.TestCase):
    def test_when_nothing_comes(self):
        """renew_s: registers again with the same token; the server counts anew, and that is no stale notification."""

        async def job(client, observation):
            found = await take(observation, 1)
            source.notify(7, b"7")
            found += await take(observation, 1)
            observation.deadline = time.ticks_ms()  # renew_s has passed
            found += await take(observation, 1)
            source.notify(1, b"1")
            return found + await take(observation, 1)

        source = Source()
        self.assertEqual(observing(source, job, renew_s=30), [b"0", b"7", b"0", b"1"])
        self.assertEqual((source.asked, len(set(source.tokens))), ([0, 0], 1))

    def left(self, source, renew_s):
        async def job(client, observation):
            await take(observation, 1)
            observation.deadline = 0
            source.notify(1)
            await take(observation, 1)
            return time.ticks_diff(observation.deadline, time.ticks_ms())

        return observing(source, job, renew_s=renew_s)

    def test_deadline(self):
        """Max-Age, 60 s without it, plus 5 to 15 s; renew_s as it is; 0 for never; each notification starts it anew."""
        for max_age, renew_s, low, high in (
            (None, None, 65, 75), (10, None, 15, 25), (0, None, 5, 15), (10, 600, 600, 600), (10, 0, 86400, 300000),
            (0xFFFFFFFF, None, 86400, 300000),
        ):  # fmt: skip
            with self.subTest(max_age=max_age, renew_s=renew_s):

                left = self.left(Source(max_age=max_age), renew_s)
                self.assertTrue(low * 1000 - 3000 <= left <= high * 1000, left)

    def test_never(self):
        async def job(client, observation):
            await take(observation, 1)
            observation.deadline = time.ticks_ms()
            await asyncio.sleep_ms(120)
            source.notify(1, b"1")
            return await take(observation, 1)

        source = Source()
        self.assertEqual((observing(source, job, renew_s=0), source.asked), ([b"1"], [0]))

    def test_unanswered_renewal_is_said_and_tried_again(self):
        async def job(client, observation):
            await take(observation, 1)
            source.muted = True
            observation.deadline = time.ticks_ms()
            try:
                await take(observation, 1)
            except coap.Timeout:
                source.muted = False
                return await take(observation, 1)

        source = Source()
        self.assertEqual(observing(source, job), [b"0"])
        self.assertEqual(len(source.tokens), 2)


if __name__ == "__main__":
    unittest.main()
