"""coap block-wise transfers, as dialogues (harness/lockstep.py): Californium's client-side cases (facts/coap.md 5.3)
with get_blocks, put_blocks and request. What a server may do wrong is in test_coap_block.py and test_coap_upload.py.
"""

import asyncio
import unittest

import coap
from harness.coap_support import BODY
from harness.lockstep import HASTY, play


def download(client, **how):
    """Bytes that get_blocks delivered, joined by offset."""
    return _download(client, how)


async def _download(client, how):
    got = []
    await client.get_blocks("fw", lambda offset, view: got.append((offset, bytes(view))), **how)
    return b"".join([data for _, data in sorted(got)])


def upload(client, size=160, szx=2, **how):
    def source(offset, view):
        view[:] = BODY[offset : offset + len(view)]

    return client.put_blocks("up", source, size, szx=szx, **how)


class Case(unittest.TestCase):
    def gets(self, text, expected, act=download, **how):
        result, client = play(text, act, **how)
        self.assertEqual(result, expected)
        return client

    def puts(self, text, code=0x44, act=upload, **how):
        result, _ = play(text, act, **how)
        self.assertEqual((type(result), result.code), (coap.Response if code < 0x80 else coap.Refused, code))

    def fails(self, text, error, act=download, **how):
        result, _ = play(text, act, **how)
        self.assertEqual(type(result), error)


class Get(Case):
    def test_early_negotiation(self):
        self.gets("""
            C CON GET fw  mid=a tok=t block2=0/0/2
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            C CON GET fw  mid=b tok=u block2=1/0/2
            S ACK 2.05    mid=b tok=u block2=1/0/2 payload=64..100
        """, BODY[:100], lambda client: download(client, szx=2))  # fmt: skip

    def test_late_negotiation(self):
        async def whole(client):
            return bytes((await client.request(coap.GET, "fw")).payload)

        self.gets("""
            C CON GET fw  mid=a tok=t
            S ACK 2.05    mid=a tok=t block2=0/1/3 payload=0..128
            C CON GET fw  mid=b tok=u block2=1/0/3
            S ACK 2.05    mid=b tok=u block2=1/0/3 payload=128..130
        """, BODY[:130], whole)  # fmt: skip

    def test_server_wants_smaller_blocks(self):
        self.gets("""
            C CON GET fw  mid=a tok=t block2=0/0/6
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            C CON GET fw  mid=b tok=u block2=1/0/2
            S ACK 2.05    mid=b tok=u block2=1/0/2 payload=64..100
        """, BODY[:100])  # fmt: skip

    def test_answer_with_a_block_lost(self):
        self.gets("""
            C CON GET fw  mid=a tok=t block2=0/0/2
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            C CON GET fw  mid=b tok=u block2=1/0/2
            C again b
            C again b
            S ACK 2.05    mid=b tok=u block2=1/0/2 payload=64..100
        """, BODY[:100], lambda client: download(client, szx=2), tuning=HASTY)  # fmt: skip

    def test_separate_blocks_that_overtake_their_acks(self):
        self.gets("""
            C CON GET fw  mid=a tok=t block2=0/0/2
            S CON 2.05    mid=7 tok=t block2=0/1/2 payload=0..64
            S ACK         mid=a
            C ACK         mid=7
            C CON GET fw  mid=b tok=u block2=1/0/2
            S ACK         mid=b
            S CON 2.05    mid=8 tok=u block2=1/0/2 payload=64..100 +5
            C ACK         mid=8
        """, BODY[:100], lambda client: download(client, szx=2))  # fmt: skip

    def test_old_block_again(self):
        """A late copy of a block is nobody's: it is not written a second time."""
        self.gets("""
            C CON GET fw  mid=a tok=t block2=0/0/2
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            C CON GET fw  mid=b tok=u block2=1/0/2
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            S ACK 2.05    mid=b tok=u block2=1/1/2 payload=64..128
            C CON GET fw  mid=c tok=v block2=2/0/2
            S ACK 2.05    mid=b tok=u block2=1/1/2 payload=64..128
            S ACK 2.05    mid=c tok=v block2=2/0/2 payload=128..130
        """, BODY[:130], lambda client: download(client, szx=2))  # fmt: skip

    def test_random_access(self):
        """One block out of the middle, and no more."""
        self.gets("""
            C CON GET fw  mid=a tok=t block2=3/0/2
            S ACK 2.05    mid=a tok=t block2=3/1/2 payload=192..256
        """, BODY[192:256], lambda client: download(client, szx=2, offset=192, limit=64))  # fmt: skip

    def test_random_access_to_what_is_smaller(self):
        """From byte 1000 on: the server gives 64 bytes of it at a time."""
        self.gets("""
            C CON GET fw  mid=a tok=t block2=1/0/5
            S ACK 2.05    mid=a tok=t block2=8/1/2 payload=512..576
            C CON GET fw  mid=b tok=u block2=9/0/2
            S ACK 2.05    mid=b tok=u block2=9/0/2 payload=576..600
        """, BODY[520:600], lambda client: download(client, szx=5, offset=520))  # fmt: skip

    def test_incomplete_without_ack(self):
        self.fails("""
            C CON GET fw  mid=a tok=t block2=0/0/2
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            C CON GET fw  mid=b tok=u block2=1/0/2
            C again b
            C CON         mid=c
            C again c
        """, coap.Timeout, lambda client: download(client, szx=2), tuning=dict(HASTY, max_retransmit=1))  # fmt: skip

    def test_incomplete_with_ack(self):
        self.fails("""
            C CON GET fw  mid=a tok=t block2=0/0/2
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            C CON GET fw  mid=b tok=u block2=1/0/2
            S ACK         mid=b
        """, coap.Timeout, lambda client: download(client, szx=2, timeout_ms=60))  # fmt: skip

    def test_reset_in_mid_transfer(self):
        self.fails("""
            C CON GET fw  mid=a tok=t block2=0/0/2
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            C CON GET fw  mid=b tok=u block2=1/0/2
            S RST         mid=b
        """, coap.Reset, lambda client: download(client, szx=2))  # fmt: skip

    def test_cancelled(self):
        """Nothing more is sent, the block on its way is nobody's, and the client can go on."""

        async def act(client):
            task = asyncio.create_task(download(client, szx=2))
            while client.sent < 2:
                await asyncio.sleep_ms(1)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            return bytes((await client.request(coap.GET, "r")).payload)

        self.gets("""
            C CON GET fw  mid=a tok=t block2=0/0/2
            S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
            C CON GET fw  mid=b tok=u block2=1/0/2
            C CON GET r   mid=c tok=v
            S ACK 2.05    mid=b tok=u block2=1/1/2 payload=64..128
            S ACK 2.05    mid=c tok=v payload=hi
        """, b"hi", act)  # fmt: skip


class Put(Case):
    def test_all_of_it(self):
        self.puts("""
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=160 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON PUT up  mid=b tok=u block1=1/1/2 payload=64..128
            S ACK 2.31    mid=b tok=u block1=1/1/2
            C CON PUT up  mid=c tok=v block1=2/0/2 payload=128..160
            S ACK 2.04    mid=c tok=v block1=2/0/2
        """)  # fmt: skip

    def test_block_and_answers_lost(self):
        self.puts("""
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=100 payload=0..64
            C again a
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON PUT up  mid=b tok=u block1=1/0/2 payload=64..100
            C again b
            C again b
            S ACK 2.04    mid=b tok=u block1=1/0/2
        """, act=lambda client: upload(client, 100), tuning=HASTY)  # fmt: skip

    def test_old_continue_again(self):
        """A late copy of 2.31 does not push the transfer on."""
        self.puts("""
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=160 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON PUT up  mid=b tok=u block1=1/1/2 payload=64..128
            S ACK 2.31    mid=a tok=t block1=0/1/2
            S ACK 2.31    mid=b tok=u block1=1/1/2
            C CON PUT up  mid=c tok=v block1=2/0/2 payload=128..160
            S ACK 2.31    mid=b tok=u block1=1/1/2
            S ACK 2.04    mid=c tok=v block1=2/0/2
        """)  # fmt: skip

    def test_last_answer_is_separate(self):
        self.puts("""
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=100 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON PUT up  mid=b tok=u block1=1/0/2 payload=64..100
            S ACK         mid=b
            S CON 2.04    mid=7 tok=u block1=1/0/2 +10
            C ACK         mid=7
        """, act=lambda client: upload(client, 100))  # fmt: skip

    def test_server_wants_smaller_blocks(self):
        """Its 2.31 says 32: the next number counts in those."""
        self.puts("""
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=100 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/1
            C CON PUT up  mid=b tok=u block1=2/1/1 payload=64..96
            S ACK 2.31    mid=b tok=u block1=2/1/1
            C CON PUT up  mid=c tok=v block1=3/0/1 payload=96..100
            S ACK 2.04    mid=c tok=v block1=3/0/1
        """, act=lambda client: upload(client, 100))  # fmt: skip

    def test_too_large_block(self):
        """4.13 with a smaller size, at the beginning and in the middle: again from byte 0 with that size."""
        again = """
            C CON PUT up  mid=x tok=x block1=0/1/1 size1=70 payload=0..32
            S ACK 2.31    mid=x tok=x block1=0/1/1
            C CON PUT up  mid=y tok=y block1=1/1/1 payload=32..64
            S ACK 2.31    mid=y tok=y block1=1/1/1
            C CON PUT up  mid=z tok=z block1=2/0/1 payload=64..70
            S ACK 2.04    mid=z tok=z block1=2/0/1
        """
        for at, text in (
            ("beginning", """
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=70 payload=0..64
            S ACK 4.13    mid=a tok=t block1=0/1/1
            """),
            ("end", """
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=70 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON PUT up  mid=b tok=u block1=1/0/2 payload=64..70
            S ACK 4.13    mid=b tok=u block1=1/0/1
            """),
        ):  # fmt: skip
            with self.subTest(at=at):
                self.puts(text + again, act=lambda client: upload(client, 70))

    def test_too_large_body(self):
        """4.13 with Size1, without any option, and with the size that we had: nothing else helps."""
        for option in ("size1=50", "", "block1=0/1/2"):
            with self.subTest(option=option):
                self.puts("""
                    C CON PUT up  mid=a tok=t block1=0/1/2 size1=70 payload=0..64
                    S ACK 4.13    mid=a tok=t %s
                """ % option, 0x8D, act=lambda client: upload(client, 70))  # fmt: skip

    def test_server_lost_its_part(self):
        """4.08: once again from the beginning, and no third time."""
        first = """
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=100 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON PUT up  mid=b tok=u block1=1/0/2 payload=64..100
            S ACK 4.08    mid=b tok=u
            C CON PUT up  mid=c tok=v block1=0/1/2 size1=100 payload=0..64
            S ACK 2.31    mid=c tok=v block1=0/1/2
            C CON PUT up  mid=d       block1=1/0/2 payload=64..100
        """
        self.puts(first + "S ACK 2.04 mid=d tok=v block1=1/0/2", act=lambda client: upload(client, 100))
        self.puts(first + "S ACK 4.08 mid=d tok=v", 0x88, act=lambda client: upload(client, 100))

    def test_server_that_knows_tokens(self):
        """node's coap: 5.00 at the end, as a NON, unless all blocks have one token. Its second copy is nobody's."""
        self.puts("""
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=100 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON PUT up  mid=b tok=u block1=1/0/2 payload=64..100
            S NON 5.00    mid=b tok=u
            S NON 5.00    mid=b tok=u +5
            C CON PUT up  mid=c tok=v block1=0/1/2 size1=100 payload=0..64
            S ACK 2.31    mid=c tok=v block1=0/1/2 +15
            C CON PUT up  mid=d tok=v block1=1/0/2 payload=64..100
            S ACK 2.04    mid=d tok=v block1=1/0/2
        """, act=lambda client: upload(client, 100))  # fmt: skip

    def test_small_request_that_is_too_large(self):
        """4.13 to a body in one datagram, with a size: it goes in blocks of that."""

        def act(client):
            return client.request(coap.PUT, "up", payload=BODY[:100])

        self.puts("""
            C CON PUT up  mid=a tok=t payload=0..100
            S ACK 4.13    mid=a tok=t block1=0/0/2
            C CON PUT up  mid=b tok=u block1=0/1/2 size1=100 payload=0..64
            S ACK 2.31    mid=b tok=u block1=0/1/2
            C CON PUT up  mid=c tok=v block1=1/0/2 payload=64..100
            S ACK 2.04    mid=c tok=v block1=1/0/2
        """, act=act)  # fmt: skip

    def test_large_both_ways(self):
        """The first block of the answer comes with the last ACK of the body."""

        async def act(client):
            answer = await upload(client, 100, method=coap.POST)
            self.assertEqual(bytes(answer.payload), BODY[:90])
            return answer

        self.puts("""
            C CON POST up mid=a tok=t block1=0/1/2 size1=100 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON POST up mid=b tok=u block1=1/0/2 payload=64..100
            S ACK 2.04    mid=b tok=u block1=1/0/2 block2=0/1/2 payload=0..64
            C CON POST up mid=c       block2=1/0/2
            S ACK 2.04    mid=c tok=u block2=1/0/2 payload=64..90
        """, act=act)  # fmt: skip

    def test_silence_in_the_middle(self):
        self.fails("""
            C CON PUT up  mid=a tok=t block1=0/1/2 size1=160 payload=0..64
            S ACK 2.31    mid=a tok=t block1=0/1/2
            C CON PUT up  mid=b tok=u block1=1/1/2 payload=64..128
            C again b
        """, coap.Timeout, upload, tuning=dict(HASTY, max_retransmit=1))  # fmt: skip


if __name__ == "__main__":
    unittest.main()
