"""coap observation, as dialogues (harness/lockstep.py): what Californium tries with an observing client, and
ThingsBoard's watches (facts/coap.md 5.3, facts/platforms.md 1.4 and 1.14).
"""

import asyncio
import unittest

import coap
from harness.coap_support import BODY
from harness.lockstep import HASTY, PATIENT, play

LINGER = dict(PATIENT, linger_ms=300)


def watch(count, *, cancel=True, gaps=None, **how):
    """An act for play(): collect `count` notifications, then end it; the payloads, or ("over", payloads)."""

    async def act(client):
        observation = client.observe("r", renew_s=0, **how)
        notes = []
        try:
            async for note in observation:
                notes.append(bytes(note.payload))
                if len(notes) == count:
                    break
            else:
                return "over", notes
        except coap.Refused as exc:
            return exc.code, notes
        if cancel:
            await observation.cancel()
        if gaps is not None:
            gaps.append(observation.gaps)
        return notes

    return act


class Notified(unittest.TestCase):
    def played(self, text, act, expected, **how):
        result, client = play(text, act, **how)
        self.assertEqual(result, expected)
        return client

    def test_registration_notifications_proactive_cancel(self):
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=12 payload=one
            S CON 2.05     mid=7 tok=t observe=13 payload=two +10
            C ACK          mid=7
            S NON 2.05     mid=8 tok=t observe=14 payload=three +10
            C CON GET r    mid=b tok=t observe=1
            S ACK 2.05     mid=b tok=t payload=three
        """, watch(3), [b"one", b"two", b"three"])  # fmt: skip

    def test_registration_is_answered_separately(self):
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK          mid=a
            S CON 2.05     mid=6 tok=t observe=0 payload=one +10
            C ACK          mid=6
            S CON 2.05     mid=7 tok=t observe=1 payload=two
            C ACK          mid=7
        """, watch(2, cancel=False), [b"one", b"two"])  # fmt: skip

    def test_registration_lost(self):
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            C again a
            S ACK 2.05     mid=a tok=t observe=0 payload=one
        """, watch(1, cancel=False), [b"one"], tuning=HASTY)  # fmt: skip

    def test_answer_to_the_registration_was_lost(self):
        """A notification is an answer to it as well; the repeated answer that comes later is older."""
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S CON 2.05     mid=7 tok=t observe=5 payload=two
            C ACK          mid=7
            S ACK 2.05     mid=a tok=t observe=4 payload=one
            S CON 2.05     mid=8 tok=t observe=6 payload=three
            C ACK          mid=8
        """, watch(2, cancel=False), [b"two", b"three"])  # fmt: skip

    def test_our_ack_was_lost(self):
        """The same notification again, with the same message id: acknowledged again, not delivered again."""
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            S CON 2.05     mid=7 tok=t observe=1 payload=two
            C ACK          mid=7
            S CON 2.05     mid=7 tok=t observe=1 payload=two +10
            C ACK          mid=7
            S CON 2.05     mid=8 tok=t observe=2 payload=three
            C ACK          mid=8
        """, watch(3, cancel=False), [b"one", b"two", b"three"])  # fmt: skip

    def test_late_ones_are_acknowledged_and_dropped(self):
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=16777215 payload=one
            S CON 2.05     mid=7 tok=t observe=3 payload=two
            C ACK          mid=7
            S CON 2.05     mid=8 tok=t observe=1 payload=late
            C ACK          mid=8
            S CON 2.05     mid=9 tok=t observe=16777214 payload=late
            C ACK          mid=9
            S CON 2.05     mid=10 tok=t observe=4 payload=three
            C ACK          mid=10
        """, watch(3, cancel=False), [b"one", b"two", b"three"])  # fmt: skip

    def test_same_message_id_as_our_request(self):
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            S CON 2.05     mid=a tok=t observe=1 payload=two
            C ACK          mid=a
        """, watch(2, cancel=False), [b"one", b"two"])  # fmt: skip

    def test_refused(self):
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 4.04     mid=a tok=t
        """, watch(9), (0x84, []))  # fmt: skip

    def test_resource_is_gone(self):
        """A 4.04 notification ends it, and nothing has to be cancelled."""
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            S CON 4.04     mid=7 tok=t
            C ACK          mid=7
        """, watch(9), (0x84, [b"one"]))  # fmt: skip

    def test_server_does_not_observe(self):
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t payload=one
        """, watch(9), ("over", [b"one"]))  # fmt: skip

    def test_server_ends_it(self):
        """A notification without Observe is the last one."""
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            S CON 2.05     mid=7 tok=t payload=two
            C ACK          mid=7
        """, watch(9), ("over", [b"one", b"two"]))  # fmt: skip

    def test_reactive_cancel(self):
        """The word that ends it gets lost: the next notification is rejected."""

        async def act(client):
            observation = client.observe("r", renew_s=0)
            await observation.__anext__()
            await observation.cancel(40)
            await asyncio.sleep(0.06)

        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            C CON GET r    mid=b tok=t observe=1
            S CON 2.05     mid=7 tok=t observe=1 payload=two +50
            C RST          mid=7
            S NON 2.05     mid=8 tok=t observe=2 payload=three
            C RST          mid=8
        """, act, None, tuning=LINGER)  # fmt: skip

    def test_notification_crosses_the_cancellation(self):
        """It was sent before the server knew: rejected, which says the same once more."""
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            C CON GET r    mid=b tok=t observe=1
            S CON 2.05     mid=7 tok=t observe=1 payload=two
            S ACK 2.05     mid=b tok=t payload=two +10
            C ACK          mid=7
        """, watch(1), [b"one"], tuning=LINGER)  # fmt: skip

    def test_two_observations_and_a_request(self):
        """Each notification goes to the one with its token."""

        async def act(client):
            first, second = client.observe("r", renew_s=0), client.observe("s", renew_s=0)
            got = [await first.__anext__(), await second.__anext__(), await client.request(coap.GET, "q")]
            got += [await second.__anext__(), await first.__anext__()]
            return [bytes(note.payload) for note in got]

        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=r0
            C CON GET s    mid=b tok=u observe=0
            S ACK 2.05     mid=b tok=u observe=0 payload=s0
            C CON GET q    mid=c tok=v
            S CON 2.05     mid=7 tok=t observe=1 payload=r1
            C ACK          mid=7
            S NON 2.05     mid=8 tok=u observe=1 payload=s1
            S ACK 2.05     mid=c tok=v payload=q
        """, act, [b"r0", b"s0", b"q", b"s1", b"r1"])  # fmt: skip


class InBlocks(unittest.TestCase):
    """A notification larger than a datagram: its other blocks are fetched by requests of their own (RFC 7959 3.4)."""

    def bodies(self, text, count, expected, **how):
        result, _ = play(text, watch(count, cancel=False), **how)
        self.assertEqual(result, expected)

    def test_registration_and_notification(self):
        self.bodies("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 block2=0/1/6 etag=v1 payload=0..1024
            C CON GET r    mid=b tok=u block2=1/0/6
            S ACK 2.05     mid=b tok=u block2=1/0/6 etag=v1 payload=1024..1500
            S CON 2.05     mid=7 tok=t observe=1 block2=0/1/6 etag=v2 payload=1000..2024
            C ACK          mid=7
            C CON GET r    mid=c tok=v block2=1/0/6
            S ACK 2.05     mid=c tok=v block2=1/0/6 etag=v2 payload=2024..2100
        """, 2, [BODY[:1500], BODY[1000:2100]])  # fmt: skip

    def test_interrupted_by_a_newer_one(self):
        """The old body can no longer be had: the next thing delivered is the new one, whole."""
        self.bodies("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            S CON 2.05     mid=7 tok=t observe=1 block2=0/1/6 etag=v1 payload=0..1024
            C ACK          mid=7
            C CON GET r    mid=b tok=u block2=1/0/6
            S CON 2.05     mid=8 tok=t observe=2 block2=0/1/6 etag=v2 payload=1000..2024
            C ACK          mid=8
            S ACK 2.05     mid=b tok=u block2=1/0/6 etag=v2 payload=2024..2100
            C CON GET r    mid=c tok=v block2=0/0/6
            S ACK 2.05     mid=c tok=v block2=0/1/6 etag=v2 payload=1000..2024
            C CON GET r    mid=d tok=w block2=1/0/6
            S ACK 2.05     mid=d tok=w block2=1/0/6 etag=v2 payload=2024..2100
        """, 2, [b"one", BODY[1000:2100]])  # fmt: skip

    def test_interrupted_by_an_older_one(self):
        self.bodies("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=5 payload=one
            S CON 2.05     mid=8 tok=t observe=7 block2=0/1/6 etag=v2 payload=0..1024
            C ACK          mid=8
            C CON GET r    mid=b tok=u block2=1/0/6
            S CON 2.05     mid=7 tok=t observe=6 block2=0/1/6 etag=v1 payload=1000..2024
            C ACK          mid=7
            S ACK 2.05     mid=b tok=u block2=1/0/6 etag=v2 payload=1024..1500
        """, 2, [b"one", BODY[:1500]])  # fmt: skip

    def test_block_of_it_lost(self):
        self.bodies("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 block2=0/1/6 etag=v1 payload=0..1024
            C CON GET r    mid=b tok=u block2=1/0/6
            C again b
            S ACK 2.05     mid=b tok=u block2=1/0/6 etag=v1 payload=1024..1500
        """, 1, [BODY[:1500]], tuning=HASTY)  # fmt: skip

    def test_small_blocks(self):
        """The server chose 64 bytes: we go on with those."""
        self.bodies("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 block2=0/1/2 payload=0..64
            C CON GET r    mid=b tok=u block2=1/0/2
            S ACK          mid=b
            S CON 2.05     mid=7 tok=u block2=1/1/2 payload=64..128 +5
            C ACK          mid=7
            C CON GET r    mid=c tok=v block2=2/0/2
            S ACK 2.05     mid=c tok=v block2=2/0/2 payload=128..130
        """, 1, [BODY[:130]])  # fmt: skip


class ThingsBoard(unittest.TestCase):
    def played(self, text, act, expected, **how):
        result, _ = play(text, act, **how)
        self.assertEqual(result, expected)

    def test_attribute_watch(self):
        """Wire sequence C. Its numbers go up by one: that one is missing tells that a change was never seen."""
        gaps = []
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload={"a":1}
            S CON 2.05     mid=61000 tok=t observe=1 payload={"a":2} +10
            C ACK          mid=61000
            S CON 2.05     mid=417 tok=t observe=4 payload={"a":5} +10
            C ACK          mid=417
        """, watch(3, cancel=False, gaps=gaps), [b'{"a":1}', b'{"a":2}', b'{"a":5}'])  # fmt: skip
        self.assertEqual(gaps, [1])

    def test_rpc_watch(self):
        """Wire sequence D: the first answer is a CON 2.03 of its own, without any ACK; then a command, answered."""

        async def act(client):
            observation = client.observe("r", renew_s=0)
            first = await observation.__anext__()
            command = await observation.__anext__()
            await client.request(coap.POST, "rpc/0", payload=b"done")
            return first.code, bytes(command.payload)

        self.played("""
            C CON GET r        mid=a tok=t observe=0
            S CON 2.03         mid=40000 tok=t observe=0
            C ACK              mid=40000
            S CON 2.05         mid=40077 tok=t observe=1 payload={"id":0}
            C ACK              mid=40077
            C CON POST rpc/0   mid=b tok=u payload=done
            S CON 2.01         mid=40001 tok=u
            C ACK              mid=40001
        """, act, (0x43, b'{"id":0}'))  # fmt: skip

    def test_replaced_watch(self):
        """Wire sequence E: somebody else watches now; a 2.02 on the old token says so, in spite of its Observe 0."""
        result, _ = play("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            S CON 2.05     mid=7 tok=t observe=1 payload=two
            C ACK          mid=7
            S CON 2.02     mid=8 tok=t observe=0
            C ACK          mid=8
        """, lambda client: asyncio.wait_for(watch(9)(client), 1))  # fmt: skip
        self.assertEqual((result[0], result[1][:2]), ("over", [b"one", b"two"]))

    def test_unsubscribe(self):
        """Wire sequence G: GET with Observe 1 gets an empty ACK and nothing more; nobody waits for more."""
        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=one
            C CON GET r    mid=b tok=t observe=1
            S ACK          mid=b +15
        """, watch(1), [b"one"], tuning=dict(PATIENT, separate_timeout_ms=60000))  # fmt: skip

    def test_subscribed_again(self):
        """After a gap we register anew with the same token: its numbers start at 0 again, and count."""

        async def act(client):
            observation = client.observe("r", renew_s=1)
            notes = []
            async for note in observation:
                notes.append(bytes(note.payload))
                if len(notes) == 4:
                    return notes

        self.played("""
            C CON GET r    mid=a tok=t observe=0
            S ACK 2.05     mid=a tok=t observe=0 payload=0
            S CON 2.05     mid=7 tok=t observe=9 payload=9
            C ACK          mid=7
            C CON GET r    mid=b tok=t observe=0
            S ACK 2.05     mid=b tok=t observe=0 payload=10
            S CON 2.05     mid=8 tok=t observe=1 payload=11
            C ACK          mid=8
        """, act, [b"0", b"9", b"10", b"11"])  # fmt: skip


if __name__ == "__main__":
    unittest.main()
