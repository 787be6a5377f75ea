"""Fuzzes lib/cbor: whatever the bytes are, loads gives a value or CBORError, within a heap of 64 KB.

Runs under MicroPython. What is accepted has to survive: dumps, loads and dumps again give the same value and as many
bytes. The job (see rounds.py) has besides: corpus, the path of a corpus file; longest, the largest input; verdicts, to
print for each input what became of it ("verdict HEX ok ENCODED-AGAIN" or "verdict HEX no REASON"), for cbor2 to judge.

An item of one byte takes up to 64 bytes of heap while it is decoded. So 384 bytes are what 64 KB can hold for certain
beside the code and this program, and larger inputs need a larger heap, as on a board.
"""

import gc

from micropython import const
from mutate import Corpus, Mutator
from rounds import Wrong, read_job, run, to_hex
from xorshift import Xorshift

import cbor

_LARGE = const(128)
_ROUND_TRIP = const(192)
# Heads of each major type with each kind of argument, breaks, reserved ones, the bytes that UTF-8 is made of.
FAVOURED = (
    b"\x00\x17\x18\x19\x1a\x1b\x1c\x1f\x20\x37\x3b\x40\x41\x58\x5b\x5f\x60\x61\x78\x7b\x7f\x80\x81\x98\x9b\x9f\xa0\xa1"
    b"\xb8\xbb\xbf\xc0\xc2\xc3\xdb\xdf\xe0\xf4\xf7\xf8\xf9\xfa\xfb\xfc\xff\xc3\xed\xf0"
)
_scaled = cbor.scaled(7)


def plausible(mutator, n):
    """Random bytes that begin with a container."""
    if n:
        mutator.buf[0] = b"\x82\x85\x98\x9f\xa1\xa4\xbf\xd8"[mutator.rng.below(8)]


def attack(mutator, n):
    """A head that claims a length, a count or a tag of any size, somewhere."""
    rng = mutator.rng
    at = rng.below(n + 1)
    size = 1 << rng.below(4)
    if at + 1 + size > len(mutator.buf):
        return n
    mutator.buf[at] = rng.below(8) << 5 | 23 + (1, 2, 3, 4)[rng.below(4)] if rng.below(8) else rng.bits() & 255
    for i in range(at + 1, at + 1 + size):
        mutator.buf[i] = b"\x00\x00\x00\x01\x7f\x80\xff\xff"[rng.below(8)]
    return max(n, at + 1 + size)


def same(a, b):
    """Equal, to the kind of number, the sign of a zero and NaN."""
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        if any(k != k for k in a):  # NaN is no key that one could look up
            return isinstance(b, dict) and len(a) == len(b)
        return isinstance(b, dict) and len(a) == len(b) and all(k in b and same(a[k], b[k]) for k in a)
    if isinstance(a, cbor.Tag):
        return isinstance(b, cbor.Tag) and a.number == b.number and same(a.value, b.value)
    if isinstance(a, float):
        return isinstance(b, float) and (a != a and b != b or a == b and str(a) == str(b))
    return type(a) is type(b) and a == b


def survives(value):
    """Encode and decode what was decoded; the encoded bytes."""
    first = cbor.dumps(value)
    again = cbor.loads(first)
    if not same(value, again):
        raise Wrong("%r became %r" % (value, again))
    if len(cbor.dumps(again)) != len(first):
        raise Wrong("another length the second time")
    return first


class Check:
    """Calls the decoder in each of its ways."""

    def __init__(self, verdicts):
        self.verdicts = verdicts
        self.turn = 0

    def __call__(self, buf, n):
        view = memoryview(buf)[:n]
        self.turn = (self.turn + 1) & 7
        if n > _LARGE:  # what is decoded shall not lie scattered in the garbage of those before
            gc.collect()
        try:
            value = cbor.loads(view)
        except cbor.CBORError as error:
            if self.verdicts:
                print("verdict", to_hex(buf, n), "no", error)
            return False
        if n > _ROUND_TRIP:  # two such values at once are too much for the heap
            return True
        again = survives(value)
        if self.verdicts:
            print("verdict", to_hex(buf, n), "ok", to_hex(again, len(again)))
        if not self.turn:
            self.other_ways(view, value)
        return True

    def other_ways(self, view, value):
        """Floats by integers, byte strings as views, from within, and a budget that is raised until it suffices."""
        try:
            cbor.loads(view, floats=_scaled)
        except cbor.CBORError as error:
            if "duplicate key" not in str(error):  # two keys may be one when they are rounded
                raise
        cbor.loads(view, views=True)
        if cbor.load_from(view)[1] != len(view):
            raise Wrong("load_from ends elsewhere")
        items = 1
        while True:
            try:
                if not same(cbor.loads(view, max_items=items), value):
                    raise Wrong("max_items changes the value")
                return
            except cbor.CBORError:
                items += items
                if items > 2048:
                    raise


def main():
    job = read_job()
    mutator = Mutator(Corpus(job["corpus"]), Xorshift(), job["longest"], FAVOURED, attack, plausible)
    run(job, mutator, Check(job.get("verdicts")))


main()
