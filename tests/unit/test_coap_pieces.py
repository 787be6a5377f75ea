"""A body read in pieces, one get_blocks after the other, as an update is (4 KB of flash at a time): the second piece
begins with as many blocks in flight as the first one ended with, and whatever the server does about it.

How many are in flight is shown by dialogues (harness/lockstep.py): an answer that is held back until the request after
it has come, or one that changes what the request after it must say.
"""

import time
import unittest

import coap
from harness.aio import run
from harness.coap_support import BODY, OTHER, QUICK, ByOffset, Server
from harness.fakenet import FakeEndpoint, opts
from harness.lockstep import play

_FIRST = """
    C CON GET fw  mid=a tok=t block2=0/0/2
    S ACK 2.05    mid=a tok=t block2=0/1/2 payload=0..64
    C CON GET fw  mid=b tok=u block2=1/0/2
    C CON GET fw  mid=c tok=v block2=2/0/2
    S ACK 2.05    mid=b tok=u block2=1/1/2 payload=64..128
    S ACK 2.05    mid=c tok=v block2=2/1/2 payload=128..192
    C CON GET fw  mid=d tok=w block2=3/0/2
    S ACK 2.05    mid=d tok=w block2=3/1/2 payload=192..256
"""
# Four blocks in two round trips: both answers of one are held back until both requests of it have come.
_AT_ONCE = """
    C CON GET fw  mid=e tok=x block2=4/0/2
    C CON GET fw  mid=f tok=y block2=5/0/2
    S ACK 2.05    mid=e tok=x block2=4/1/2 payload=256..320
    S ACK 2.05    mid=f tok=y block2=5/1/2 payload=320..384
    C CON GET fw  mid=g tok=z block2=6/0/2
    C CON GET fw  mid=h tok=q block2=7/0/2
    S ACK 2.05    mid=g tok=z block2=6/1/2 payload=384..448
    S ACK 2.05    mid=h tok=q block2=7/1/2 payload=448..512
"""
# The answer to the first one alone makes the others smaller: no other request may be on its way by then.
_ONE_FIRST = """
    C CON GET fw  mid=e tok=x block2=4/0/2
    S ACK 2.05    mid=e tok=x block2=8/1/1 payload=256..288 +20
    C CON GET fw  mid=f tok=y block2=9/0/1
    C CON GET fw  mid=g tok=z block2=10/0/1
    S ACK 2.05    mid=f tok=y block2=9/1/1 payload=288..320
    S ACK 2.05    mid=g tok=z block2=10/1/1 payload=320..352
"""


async def two(client, between=None, second=(256, 256), **how):
    """256 bytes, then what `second` (offset, limit) says; -> the bytes of both."""
    got = []

    def sink(offset, view):
        got.append((offset, bytes(view)))

    await client.get_blocks("fw", sink, limit=256, szx=2, window=2)
    if between:
        between(client)
    await client.get_blocks("fw", sink, offset=second[0], limit=second[1], szx=2, **dict({"window": 2}, **how))
    return b"".join([data for _, data in sorted(got)])


class InFlight(unittest.TestCase):
    def plays(self, text, end, **how):
        result, client = play(_FIRST + text, lambda client: two(client, **how))
        self.assertEqual(result, BODY[:end])
        return client

    def test_goes_on_with_all_of_them(self):
        client = self.plays(_AT_ONCE, 512)
        self.assertEqual((client.transfer.offset, client.transfer.window), (512, 2))

    def test_never_more_than_the_call_allows(self):
        self.plays("""
            C CON GET fw  mid=e tok=x block2=4/0/2
            S ACK 2.05    mid=e tok=x block2=8/1/1 payload=256..288 +20
            C CON GET fw  mid=f tok=y block2=9/0/1
            S ACK 2.05    mid=f tok=y block2=9/1/1 payload=288..320
            C CON GET fw  mid=g tok=z block2=10/0/1
            S ACK 2.05    mid=g tok=z block2=10/1/1 payload=320..352
        """, 352, window=1, second=(256, 96))  # fmt: skip

    def test_begins_with_one_where_the_path_is_not_known(self):
        def long_ago(client):
            client.rtt.at = time.ticks_add(time.ticks_ms(), -10000)

        def lost(client):
            client.transfer = None

        def elsewhere(client):
            client.transfer.offset = 255

        def congested(client):
            client.transfer.window = 1

        for between in (long_ago, lost, elsewhere, congested):
            with self.subTest(between=between):
                self.plays(_ONE_FIRST, 352, between=between, second=(256, 96))

    def test_an_action_is_asked_for_once(self):
        """Only the first block's request of a POST may carry the payload that it acts on."""
        self.plays(_ONE_FIRST.replace("GET fw  mid=e", "POST fw mid=e").replace("GET", "POST"), 352,
                   second=(256, 96), method=coap.POST)  # fmt: skip


class Pieces:
    """One client that reads `cuts` (offset, limit) one after the other from `peer`."""

    def __init__(self, peer, cuts, between=None, **how):
        self.peer = peer
        self.place = bytearray(len(BODY))
        self.put = 0
        self.results = []
        run(self._read(cuts, between, how), timeout_s=20)

    def _sink(self, offset, view):
        self.place[offset : offset + len(view)] = view
        self.put += len(view)

    async def _read(self, cuts, between, how):
        self.client = client = coap.Client(FakeEndpoint(self.peer), max_retransmit=2, **QUICK)
        for offset, limit in cuts:
            if self.results and between:
                between()
            try:
                self.results.append(await client.get_blocks("fw", self._sink, offset=offset, limit=limit, **how))
            except coap.CoapError as exc:
                self.results.append(exc)
        await client.close()


_HALVES = ((0, 2048), (2048, 2048))


class Misbehaving(unittest.TestCase):
    """The server is another one, so to speak, from the second piece on."""

    def read(self, spoil, window, server=None, cuts=_HALVES):
        """The second half is spoilt: spoil(server, s, i) with i requests of it before this one."""
        server = server or Server()

        def between():
            begun = len(server.seen)
            server.spoil = lambda s, i: spoil(server, s, i - begun)

        read = Pieces(server, cuts, between, window=window, by_offset=isinstance(server, ByOffset))
        self.assertEqual(bytes(read.place[:2048]), BODY[:2048])
        self.assertEqual(read.client._busy, [])
        return read

    def test_survived(self):
        def smaller(server, s, i):
            server.szx = 3

        def smaller_with_our_numbers(server, s, i):
            server.szx = 3
            return [server.give(s, num=s.block(23)[0])] if i < 2 else None

        def forgotten(server, s, i):
            server.etag = b"v2"  # of a server that was restarted: the same bytes under another name

        def minds_several(server, s, i):
            return [s.ack(0x88)] if i < 2 else None

        def always_the_first(server, s, i):
            return [server.give(s, num=2)] if i < 2 else None

        def busy(server, s, i):
            return [s.ack(0xA3, opts((14, b"")))] if i < 2 else None

        def echo(server, s, i):
            return None if s.values(252) else [s.ack(0x81, opts((252, b"fresh")))]

        manners = {
            "nothing": lambda server, s, i: None,
            "first lost": lambda server, s, i: [] if i == 0 else None,
            "second lost": lambda server, s, i: [] if i == 1 else None,
            "both lost": lambda server, s, i: [] if i < 2 else None,
            "reordered": lambda server, s, i: [(10 if i == 0 else 0, server.give(s))],
            "doubled": lambda server, s, i: [server.give(s)] * 2,
            "smaller": smaller, "our numbers": smaller_with_our_numbers, "forgotten": forgotten,
            "minds several": minds_several, "always the first": always_the_first, "busy": busy, "echo": echo,
        }  # fmt: skip
        for name, spoil in manners.items():
            for window in (2, 4):
                with self.subTest(name=name, window=window):
                    read = self.read(spoil, window)
                    self.assertIsInstance(read.results[1], coap.Result)
                    self.assertEqual((bytes(read.place[:4096]), read.put), (BODY[:4096], 4096))

    def test_said(self):
        def changes_between_blocks(server, s, i):
            server.etag = b"v%d" % s.block(23)[0]

        for name, spoil, error, code in (
            ("4.04", lambda server, s, i: [s.ack(0x84)], coap.Refused, 0x84),
            ("4.08", lambda server, s, i: [s.ack(0x88)], coap.Refused, 0x88),
            ("4.01", lambda server, s, i: [s.ack(0x81)], coap.Refused, 0x81),
            ("short", lambda server, s, i: [server.give(s, payload=BODY[:1000])], coap.BadResponse, None),
            ("first block", lambda server, s, i: [server.give(s, num=0)], coap.BadResponse, None),
            ("changing", changes_between_blocks, coap.ETagChanged, None),
            ("silence", lambda server, s, i: [], coap.Timeout, None),
        ):
            for window in (2, 4):
                with self.subTest(name=name, window=window):
                    read = self.read(spoil, window)
                    error_now = read.results[1]
                    self.assertEqual((type(error_now), getattr(error_now, "code", None)), (error, code))
                    self.assertTrue(read.put <= 3072)
                    at = read.client.transfer.offset
                    self.assertEqual((bytes(read.place[:at]), read.client.transfer.window), (BODY[:at], 1))

    def test_another_body(self):
        """Nothing of the old one binds the second piece: it is all of the new one, and a hash will tell."""

        def spoil(server, s, i):
            server.body, server.etag = OTHER + BODY[3000:4000], b"v2"

        for window in (2, 4):
            read = self.read(spoil, window)
            self.assertEqual((bytes(read.place[2048:4096]), read.results[1].etag),
                             (OTHER[2048:] + BODY[3000:4000] + bytes(96), b"v2"))  # fmt: skip

    def test_blocks_behind_the_end(self):
        """The size is not known again: the second block in flight may be one that there is not."""
        manners = {
            "aiocoap": lambda server, s, i: [server.give(s)],
            "libcoap": lambda server, s, i: [s.ack(0x80)],
            "none": lambda server, s, i: [],
        }
        for name, behind in manners.items():
            for window in (2, 4):
                with self.subTest(name=name, window=window):
                    def spoil(server, s, i, behind=behind):
                        return behind(server, s, i) if s.block(23)[0] > 4 else None

                    read = self.read(spoil, window, Server(size2=False), ((0, 2048), (2048, 2048), (4096, 4096)))
                    self.assertEqual((bytes(read.place), read.put, read.results[2].end), (BODY, 5000, True))

    def test_no_blocks_any_more(self):
        """A server that sends all that there is, or by offset all that is left, in one datagram."""
        for window in (2, 4):
            for server in (Server(BODY[:1000]), ByOffset(BODY[:1000])):

                def spoil(s, i, server=server):
                    at = [int(value[7:]) for value in s.values(15)]
                    return [s.ack(0x45, b"", server.body[at[0] if at else 0 :])]

                def between(server=server, spoil=spoil):
                    server.spoil = spoil

                read = Pieces(server, ((0, 256), (256, 512)), between, window=window, szx=3,
                              by_offset=isinstance(server, ByOffset))  # fmt: skip
                self.assertEqual((bytes(read.place[:768]), read.put, read.client._busy), (BODY[:768], 768, []))

    def test_by_offset(self):
        for window in (2, 4):
            read = self.read(lambda server, s, i: None, window, ByOffset())
            self.assertEqual((bytes(read.place[:4096]), read.put), (BODY[:4096], 4096))


if __name__ == "__main__":
    unittest.main()
