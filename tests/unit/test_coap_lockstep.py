"""coap message layer, as dialogues: what Californium, aiocoap and the plugtests try with a client, and ThingsBoard's
manner (facts/coap.md 5.3, facts/platforms.md 1.4). harness/lockstep.py says how to read them.
"""

import unittest

import coap
from harness.coap_support import BODY
from harness.lockstep import HASTY, PATIENT, play


def get(client):
    return client.request(coap.GET, "r")


def post(client):
    return client.request(coap.POST, "telemetry", payload=b"t=21")


class Answered(unittest.TestCase):
    def ok(self, text, act=get, payload=b"hi", **how):
        answer, client = play(text, act, **how)
        self.assertIsInstance(answer, coap.Response)
        self.assertEqual(bytes(answer.payload), payload)
        return client

    def test_piggybacked(self):
        self.ok("""
            C CON GET r   mid=a tok=t
            S ACK 2.05    mid=a tok=t payload=hi
        """)

    def test_request_lost(self):
        self.ok(
            """
            C CON GET r   mid=a tok=t
            C again a
            C again a
            S ACK 2.05    mid=a tok=t payload=hi
            """,
            tuning=HASTY,
        )

    def test_answer_comes_twice_and_again_for_the_next_request(self):
        async def two(client):
            first = await client.request(coap.GET, "one")
            second = await client.request(coap.GET, "two")
            return first if bytes(first.payload) != b"1" else second

        self.ok(
            """
            C CON GET one mid=a tok=t
            S ACK 2.05    mid=a tok=t payload=1
            S again a2
            C CON GET two mid=b tok=u
            S again a2
            S ACK 2.05    mid=b tok=t payload=wrong
            S ACK 2.05    mid=b tok=u payload=hi
            """.replace("S again a2", "S ACK 2.05 mid=a tok=t payload=1"),
            two,
        )

    def test_separate(self):
        for kind, reply in (("CON", "C ACK mid=7"), ("NON", "")):
            with self.subTest(kind=kind):
                self.ok(
                    """
                    C CON GET r   mid=a tok=t
                    S ACK         mid=a
                    S %s 2.05     mid=7 tok=t payload=hi +15
                    %s
                """
                    % (kind, reply)
                )

    def test_separate_before_its_ack(self):
        """Disordered: the answer overtakes the empty ACK, which then means nothing."""
        self.ok("""
            C CON GET r   mid=a tok=t
            S CON 2.05    mid=7 tok=t payload=hi
            S ACK         mid=a
            C ACK         mid=7
        """)

    def test_separate_and_its_ack_was_lost(self):
        """Retransmission ends with the answer, not with the ACK."""
        self.ok(
            """
            C CON GET r   mid=a tok=t
            C again a
            S CON 2.05    mid=7 tok=t payload=hi
            C ACK         mid=7
            """,
            tuning=HASTY,
            rest_ms=100,
        )

    def test_our_ack_was_lost(self):
        """The server repeats its answer: acknowledged again, delivered once, also while another request waits."""

        async def two(client):
            await client.request(coap.GET, "one")
            return await client.request(coap.GET, "two")

        self.ok(
            """
            C CON GET one mid=a tok=t
            S ACK         mid=a
            S CON 2.05    mid=7 tok=t payload=1
            C ACK         mid=7
            C CON GET two mid=b tok=u
            S CON 2.05    mid=7 tok=t payload=1
            C ACK         mid=7
            S ACK 2.05    mid=b tok=u payload=hi
            """,
            two,
        )

    def test_same_message_id_from_both_sides(self):
        """The id of the server's answer is its own: that ours has the same number means nothing."""
        self.ok("""
            C CON GET r   mid=a tok=t
            S ACK         mid=a
            S CON 2.05    mid=a tok=t payload=hi +5
            C ACK         mid=a
        """)

    def test_ping_in_between(self):
        self.ok("""
            C CON GET r   mid=a tok=t
            S CON         mid=99
            C RST         mid=99
            S ACK 2.05    mid=a tok=t payload=hi
        """)

    def test_answers_that_nobody_asked_for(self):
        """Wrong token or id: rejected when confirmable (RFC 7252 4.2), else ignored, and we go on waiting."""
        client = self.ok("""
            C CON GET old mid=x tok=old
            S ACK 2.05    mid=x tok=old payload=old
            C CON GET r   mid=a tok=t
            S ACK 2.05    mid=x tok=t payload=no
            S ACK 2.05    mid=a tok=old payload=no
            S NON 2.05    mid=8 tok=old payload=no
            S RST         mid=x
            S ACK         mid=x
            S CON 2.05    mid=9 tok=old payload=no
            C RST         mid=9
            S ACK 2.05    mid=a tok=t payload=hi
        """, self.old_then_get)  # fmt: skip
        self.assertEqual(client.dropped, 6)

    @staticmethod
    async def old_then_get(client):
        await client.request(coap.GET, "old")
        return await client.request(coap.GET, "r")


class ThingsBoard(unittest.TestCase):
    """A quick success is a CON of its own, with the request's token and without any ACK for the request."""

    def test_telemetry_fast(self):
        answer, client = play("""
            C CON POST telemetry mid=a tok=t payload=t=21
            S CON 2.01           mid=40000 tok=t
            C ACK                mid=40000
        """, post, tuning=HASTY, rest_ms=150)  # fmt: skip
        self.assertEqual((answer.code, client.retransmitted), (coap.CREATED, 0))

    def test_telemetry_slow(self):
        answer, _ = play("""
            C CON POST telemetry mid=a tok=t payload=t=21
            S ACK                mid=a
            S CON 2.01           mid=40000 tok=t +30
            C ACK                mid=40000
        """, post)  # fmt: skip
        self.assertEqual(answer.code, coap.CREATED)

    def test_repeated_request_of_an_answered_one(self):
        """Our request came twice: the second copy gets an empty ACK, which finds nobody."""
        answer, client = play("""
            C CON POST telemetry mid=a tok=t payload=t=21
            C again a
            S CON 2.01           mid=40000 tok=t
            S ACK                mid=a
            C ACK                mid=40000
        """, post, tuning=dict(HASTY, linger_ms=200), rest_ms=60)  # fmt: skip
        self.assertEqual((answer.code, client.dropped), (coap.CREATED, 1))

    def test_refusals_are_piggybacked(self):
        answer, _ = play("""
            C CON POST telemetry mid=a tok=t payload=t=21
            S ACK 4.00           mid=a tok=t payload=bad
        """, post)  # fmt: skip
        self.assertEqual((type(answer), answer.code, answer.diagnostic), (coap.Refused, 0x80, "bad"))

    def test_past_the_end(self):
        """Wire sequence K: an empty ACK and nothing more; the caller's deadline ends it."""
        answer, _ = play("""
            C CON GET r   mid=a tok=t
            S ACK         mid=a
        """, lambda client: client.request(coap.GET, "r", timeout_ms=60))  # fmt: skip
        self.assertIsInstance(answer, coap.Timeout)

    def test_upload(self):
        """Wire sequence H: 2.31 in the ACK, the end as a CON of its own."""

        async def act(client):
            return await client.request(coap.POST, "telemetry", payload=BODY[:700])

        answer, _ = play("""
            C CON POST telemetry mid=a tok=t block1=0/1/5 size1=700 payload=0..512
            S ACK 2.31           mid=a tok=t block1=0/1/5
            C CON POST telemetry mid=b tok=u block1=1/0/5 payload=512..700
            S CON 2.01           mid=40000 tok=u block1=1/0/5
            C ACK                mid=40000
        """, act, tuning=dict(PATIENT, szx=5))  # fmt: skip
        self.assertEqual(answer.code, coap.CREATED)

    def test_large_answer(self):
        """Block 0 as an answer of its own, the others piggybacked."""
        answer, _ = play("""
            C CON GET r   mid=a tok=t
            S ACK         mid=a
            S CON 2.05    mid=40000 tok=t block2=0/1/6 size2=2500 payload=0..1024
            C ACK         mid=40000
            C CON GET r   mid=b tok=u block2=1/0/6
            S ACK 2.05    mid=b tok=u block2=1/1/6 payload=1024..2048
            C CON GET r   mid=c tok=v block2=2/0/6
            S ACK 2.05    mid=c tok=v block2=2/0/6 payload=2048..2500
        """, get)  # fmt: skip
        self.assertEqual(bytes(answer.payload), BODY[:2500])


class Malformed(unittest.TestCase):
    """What aiocoap's raw-datagram client sends to a server, sent to a client while it waits (RFC 7252 3, 4.2)."""

    def test_all(self):
        for name, data, rejected in (
            ("nothing", b"", False),
            ("very short", b"\x40", False),
            ("half a message id", b"\x40\x01\x97", False),
            ("version 2", b"\x80\x45\x12\x34", False),
            ("token longer than 8", b"\x49\x45\x12\x34123456789", True),
            ("token beyond the end", b"\x44\x45\x12\x34ab", True),
            ("marker without payload", b"\x40\x45\x12\x34\xff", True),
            ("option beyond the end", b"\x40\x45\x12\x34\x65a", True),
            ("reserved option length", b"\x40\x45\x12\x34\x1f", True),
            ("empty message with a token", b"\x41\x00\x12\x34a", True),
            ("empty message with more", b"\x40\x00\x12\x34\x61a", True),
            ("reserved code class", b"\x40\x25\x12\x34", True),
            ("request", b"\x40\x01\x12\x34", True),
            ("the same as NON", b"\x50\x45\x12\x34\xff", False),
            ("malformed RST", b"\x70\x45\x12\x34\xff", False),
        ):
            with self.subTest(name=name):
                self.one(data, rejected)

    def one(self, data, rejected):
        async def act(client):
            client._endpoint.push(data)
            return await client.request(coap.GET, "r")

        answer, client = play("""
            C CON GET r   mid=a tok=t
            %s
            S ACK 2.05    mid=a tok=t payload=hi
        """ % ("C RST mid=4660" if rejected else ""), act)  # fmt: skip
        self.assertIsInstance(answer, coap.Response)
        self.assertEqual((bytes(answer.payload), client.dropped), (b"hi", 1))


class Failed(unittest.TestCase):
    def test_reset(self):
        error, _ = play("""
            C CON GET r   mid=a tok=t
            S RST         mid=a
        """, get)  # fmt: skip
        self.assertIsInstance(error, coap.Reset)

    def test_reset_after_the_ack_is_late(self):
        """The exchange of this message id is over: only the answer counts."""
        answer, _ = play("""
            C CON GET r   mid=a tok=t
            S ACK         mid=a
            S RST         mid=a
            S CON 2.05    mid=7 tok=t payload=hi +10
            C ACK         mid=7
        """, get)  # fmt: skip
        self.assertEqual(bytes(answer.payload), b"hi")

    def test_nothing_ever(self):
        error, client = play("""
            C CON GET r   mid=a tok=t
            C again a
            C again a
        """, get, tuning=dict(HASTY, max_retransmit=2))  # fmt: skip
        self.assertIsInstance(error, coap.Timeout)

    def test_acknowledged_and_then_nothing(self):
        error, _ = play("""
            C CON GET r   mid=a tok=t
            S ACK         mid=a
        """, get, tuning=dict(PATIENT, separate_timeout_ms=50))  # fmt: skip
        self.assertIsInstance(error, coap.Timeout)

    def test_answer_after_we_gave_up(self):
        """It is nobody's by then: RST, and the next request is not disturbed."""

        async def act(client):
            try:
                await client.request(coap.GET, "one", timeout_ms=30)
            except coap.Timeout:
                return await client.request(coap.GET, "two")

        answer, _ = play("""
            C CON GET one mid=a tok=t
            C CON GET two mid=b tok=u
            S CON 2.05    mid=7 tok=t payload=old
            C RST         mid=7
            S ACK 2.05    mid=b tok=u payload=hi
        """, act)  # fmt: skip
        self.assertEqual(bytes(answer.payload), b"hi")


if __name__ == "__main__":
    unittest.main()
