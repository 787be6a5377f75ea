"""Fuzzes lib/coap/codec.py and response.py: mutated datagrams against a second reading of the RFC (reader.py).

Runs under MicroPython. Every verdict, every option and the place of the payload have to be those of the reader, and
nothing but CodecError may come out. The job (see rounds.py) has besides: corpus, the path of a corpus file, and
longest, the largest input.
"""

from mutate import Corpus, Mutator
from reader import Reading
from rounds import Wrong, read_job, run
from xorshift import Xorshift

from coap.codec import CodecError, Message
from coap.options import Options
from coap.response import Response

# Header bytes; option heads with every kind of nibble; the payload marker; 2.31, 4.08, 4.13, 5.03.
FAVOURED = (
    b"\x00\x40\x44\x48\x49\x4f\x50\x60\x70\x80\x0f\x0d\x0e\xd0\xe0\xf0\xdd\xde\xed\xee\xef\xfe\xff"
    b"\x5f\x88\x8d\xa3\x7f"
)
UINTS = (6, 7, 12, 14, 16, 17, 23, 27, 28, 60, 258)
ASKED = (1, 4, 6, 8, 11, 12, 14, 20, 23, 27, 28, 60, 65535)


def plausible(mutator, n):
    """Random bytes that get past the header."""
    if n:
        mutator.buf[0] = 0x40 | mutator.rng.below(4) << 4 | mutator.rng.below(9)
    if n > 1:
        mutator.buf[1] = b"\x45\x01\x44\x84\x5f\xa0"[mutator.rng.below(6)]


def attack(mutator, n):
    """An option head whose delta and length claim whatever they like, at the options or anywhere."""
    rng = mutator.rng
    if n < 5:
        return n
    at = min(4 + (mutator.buf[0] & 15), n - 1) if rng.below(2) else 4 + rng.below(n - 4)
    mutator.buf[at] = rng.below(16) << 4 | rng.below(16)
    for i in range(at + 1, min(at + 1 + rng.below(5), n)):
        mutator.buf[i] = b"\x00\x01\x0c\x0d\xf1\xf2\xfe\xff"[rng.below(8)]
    return n


class Check:
    """Calls the codec and compares it with the reader."""

    def __init__(self):
        self.msg = Message()
        self.cursor = Options()
        self.reading = Reading()
        self.turn = 0

    def __call__(self, buf, n):
        msg = self.msg
        try:
            msg.parse(buf, n)
            good = True
        except CodecError:
            good = False
        reading = self.reading
        if reading.read(buf, n) != good:
            raise Wrong("codec says %s, the RFC %s" % (good, reading.valid))
        if not good:
            return False
        if msg.type != buf[0] >> 4 & 3 or msg.tkl != buf[0] & 15 or msg.code != buf[1]:
            raise Wrong("header")
        if msg.mid != buf[2] * 256 + buf[3] or msg.options_at != reading.first:
            raise Wrong("message id or token")
        if msg.payload_at != reading.payload or msg.critical != reading.critical:
            raise Wrong("payload at %d, critical %d" % (msg.payload_at, msg.critical))
        if msg.observe != reading.observe(buf):
            raise Wrong("observe %d" % msg.observe)
        self._options(buf, n)
        self.turn = (self.turn + 1) & 3
        if not self.turn:
            self._response(buf, n)
        return True

    def _options(self, buf, n):
        reading = self.reading
        cursor = self.cursor.over(buf, reading.first, n)
        i = 0
        while cursor.next():
            if i < 200 and (cursor.number, cursor.value, cursor.length) != (
                reading.numbers[i], reading.starts[i], reading.lengths[i]
            ):  # fmt: skip
                raise Wrong("option %d" % i)
            i += 1
        if min(i, 200) != reading.count:
            raise Wrong("%d options" % i)

    def _response(self, buf, n):
        """What a caller of the client sees of it."""
        reading = self.reading
        if reading.count == 200:
            return
        first = reading.first
        answer = Response(buf[1], bytes(memoryview(buf)[first:n]), reading.payload - first)
        if bytes(answer.payload) != bytes(memoryview(buf)[reading.payload : n]):
            raise Wrong("payload")
        for number in ASKED:
            raw = reading.value(buf, number)
            expected = raw
            if raw is not None and number in UINTS:
                expected = int.from_bytes(raw, "big") if len(raw) <= 4 else None
            if answer.option(number) != expected:
                raise Wrong("option(%d)" % number)
        if answer.options(8) != reading.values(buf, 8) or answer.max_age != answer.option(14):
            raise Wrong("options(8) or max_age")


def main():
    job = read_job()
    mutator = Mutator(Corpus(job["corpus"]), Xorshift(), job["longest"], FAVOURED, attack, plausible)
    run(job, mutator, Check())


main()
