"""The host's half of the campaign against a live client: the pipe to the device, and the datagrams under way.

Frames from the device: kind (1 byte), length (2), time (4, ms), data. Each but T is answered with (2 bytes, 4 bytes): a
number, and when the next datagram comes (0x3FFFFFFF: never).

    S  the client sends data                      R  the client takes the next datagram; number: its length; it follows
    N  a new batch; data: its number              H  from now on the peer is honest, and what is under way is lost
    G  number: how many bytes the peer was given last, 0 if they are not those of BODY
    T  text for campaign.py
"""

import struct

from fuzz.hostile import BODY, Peer
from fuzz.mutate import Corpus, Mutator
from fuzz.xorshift import Xorshift

NEVER = 0x3FFFFFFF
LONGEST = 1280  # the client's receive buffer; what the network brings is never longer
FAVOURED = (
    b"\x00\x44\x45\x5f\x60\x80\x81\x84\x88\x8d\x9d\xa3\x0d\x0e\xd0\xe0\xdd\xee\xff\x06\x16\x26\x61\x62"
    b"\xb1\xc1\xd1\x0a"
)


def plausible(mutator, n):
    """Random bytes with the beginning of an answer."""
    if n > 1:
        mutator.buf[0] = 0x40 | mutator.rng.below(4) << 4 | mutator.rng.below(9)
        mutator.buf[1] = b"\x45\x44\x84\x5f\xa0\x00"[mutator.rng.below(6)]


def attack(mutator, n):
    """An option head with any delta and length."""
    rng = mutator.rng
    if n > 5:
        at = 4 + rng.below(n - 4)
        mutator.buf[at] = rng.below(16) << 4 | rng.below(16)
    return n


class Link:
    """One device's peer and the datagrams between them."""

    def __init__(self, process, corpus, seed, verbose=None):
        self._process = process
        self._seed = seed
        self._verbose = verbose
        self._mutator = Mutator(Corpus(corpus), Xorshift(), LONGEST, FAVOURED, attack, plausible)
        self._inbox = []  # (due, datagram), in the order of due
        self._peer = None
        self.last = []  # the last few datagrams that the client took

    def lines(self):
        """Serve the device to its end; yields the text that it says."""
        kinds = {"S": self._sent, "R": self._taken, "N": self._new, "H": self._honest, "G": self._given}
        read = self._process.stdout.read
        while True:
            head = read(7)
            if len(head) < 7:
                return
            kind, length, now = struct.unpack(">cHI", head)
            data = read(length)
            if kind == b"T":
                yield data.decode()
                continue
            number, follows = kinds[kind.decode()](now, data)
            due = self._inbox[0][0] if self._inbox else NEVER
            try:
                self._process.stdin.write(struct.pack(">HI", number, due) + follows)
                self._process.stdin.flush()
            except BrokenPipeError:
                return  # it died, which its exit status says

    def _tell(self, now, word, data):
        if self._verbose:
            self._verbose(f"{now} {word} {data.hex()}")

    def _new(self, now, data):
        self._mutator.rng.seed(self._seed, int(data))
        self._peer = Peer(self._mutator)
        self._inbox.clear()
        self.last.clear()
        return 0, b""

    def _honest(self, now, data):
        self._inbox.clear()
        self._peer.clean = True
        return 0, b""

    def _given(self, now, data):
        given = self._peer.given
        return len(given) if given == BODY[: len(given)] else 0, b""

    def _sent(self, now, data):
        self._tell(now, "sent", data)
        for delay, answer in self._peer(data):
            due = now + delay
            at = len(self._inbox)
            while at and self._inbox[at - 1][0] > due:
                at -= 1
            self._inbox.insert(at, (due, answer))
        return 0, b""

    def _taken(self, now, data):
        answer = self._inbox.pop(0)[1][:LONGEST]
        self._tell(now, "took", answer)
        self.last = [*self.last[-7:], answer]
        return len(answer), answer
