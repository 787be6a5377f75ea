"""Fuzzes lib/coap/writer.py: whatever message is composed, in whatever order of options, comes out as it went in.

Runs under MicroPython. Random messages are written by Writer, or by compose from a path and queries, and read again by
Options and by the second reader; both have to give a list that was sorted here. A message may be refused only when it
does not fit its buffer. The job (see rounds.py) has besides: made, to print every message for aiocoap to read:
"made HEX TYPE CODE MID TOKEN NUMBER=VALUE,.. PAYLOAD".
"""

from reader import Reading
from rounds import Wrong, read_job, run, to_hex
from xorshift import Xorshift

from coap.codec import CodecError, Message
from coap.options import Options
from coap.writer import Writer, compose

SIZES = (0, 1, 2, 8, 12, 13, 14, 40, 255, 268, 269, 270, 1034)
UINTS = (6, 7, 12, 14, 17, 23, 27, 28, 60, 258)
OTHERS = (1, 3, 4, 4, 8, 8, 11, 11, 15, 15, 20, 35, 252, 292, 2048, 65000, 65535)
CODES = (1, 2, 3, 4, 5, 6, 7, 0x41, 0x44, 0x45, 0x5F, 0x80, 0x84, 0x8D, 0xA0, 0xA3)


def minimal(value):
    """An unsigned integer as an option's bytes."""
    return value.to_bytes(4, "big").lstrip(b"\x00") if value else b""


class Maker:
    """In the place of a Mutator: next() composes a message in `buf` and remembers what it was."""

    def __init__(self, longest):
        self.rng = Xorshift()
        self.buf = bytearray(longest)
        self.source = bytes([(i * 37 + 11) & 127 for i in range(1100)])
        self.options = []
        self.token = self.payload = b""
        self.kind = self.code = self.mid = 0

    def rest(self):
        """The end of a batch: let go of the last message."""
        self.options = []
        self.token = self.payload = b""

    def some(self, n):
        """n bytes that are seldom the same."""
        at = self.rng.below(len(self.source) - n + 1)
        return self.source[at : at + n]

    def expect(self, number, value):
        """Add to the list: behind all that are not greater."""
        at = len(self.options)
        while at and self.options[at - 1][0] > number:
            at -= 1
        self.options.insert(at, (number, value))

    def size(self):
        """Bytes of the whole message."""
        total = 4 + len(self.token) + (1 + len(self.payload) if self.payload else 0)
        last = 0
        for number, value in self.options:
            for n in (number - last, len(value)):
                total += 0 if n < 13 else 1 if n < 269 else 2
            total += 1 + len(value)
            last = number
        return total

    def next(self):
        """Compose the next message; its length, 0 when it does not fit."""
        rng = self.rng
        self.options = []
        self.token = self.some(rng.below(9))
        self.kind, self.mid = rng.below(2), rng.bits()
        self.code = CODES[rng.below(len(CODES))]
        self.payload = self.some(rng.below(64) if rng.below(8) else rng.below(1100))
        room = 30 + rng.below(len(self.buf) - 30) if not rng.below(8) else len(self.buf)
        try:
            n = self.request(memoryview(self.buf)[:room]) if not rng.below(3) else self.raw(memoryview(self.buf)[:room])
        except CodecError:
            n = 0
        if not n and self.size() > room:
            return 0
        if n != self.size() or n > room:
            raise Wrong("%d bytes in %d instead of %d" % (n, room, self.size()))
        return n

    def raw(self, buf):
        """By Writer, options of every size in any order."""
        rng = self.rng
        todo = []
        for _ in range(rng.below(10)):
            if rng.below(3):
                number = OTHERS[rng.below(len(OTHERS))] if rng.below(8) else 300 + rng.below(65000)
                value = self.some(SIZES[rng.below(len(SIZES))] if not rng.below(4) else rng.below(20))
                self.expect(number, value)
            else:
                number = UINTS[rng.below(len(UINTS))]
                value = (rng.bits() << 8 & 0xFFFFFF | rng.bits() & 255) >> rng.below(25)
                self.expect(number, minimal(value))
            todo.append((number, value))
        writer = Writer(buf)
        writer.begin(self.kind, self.code, self.mid, self.token)
        for number, value in todo:
            writer.option(number, value)
        writer.payload(self.payload)
        return writer.n

    def request(self, buf):
        """By compose, as the client does."""
        rng = self.rng
        self.code = 1 + rng.below(7)
        parts = ["part%d" % rng.below(99) * rng.below(4) for _ in range(1 + rng.below(4))]
        path = "/".join(parts)
        if path:  # "" names the root, and so does "/"; a leading "/" is none of the path
            for part in parts[1:] if path[0] == "/" else parts:
                self.expect(11, part.encode())
        if path == "/":
            self.options = []
        query = tuple(["k%d=%d" % (i, rng.bits()) for i in range(rng.below(3))])
        content_format = (None, 0, 60, 11542)[rng.below(4)]
        accept = (None, 0, 60, 65535)[rng.below(4)]
        block = rng.bits() << 4 & 0xFFFFF | rng.below(7)
        extra = ((4, self.some(4)), (35, "coap://x"), (60, 5000))[: rng.below(4)]
        for item in query:
            self.expect(15, item.encode())
        if content_format is not None and self.payload:
            self.expect(12, minimal(content_format))
        if accept is not None:
            self.expect(17, minimal(accept))
        self.expect(23, minimal(block))
        for number, value in extra:
            self.expect(number, minimal(value) if number == 60 else value.encode() if number == 35 else value)
        head = (self.code, path, query, content_format, accept, extra, self.kind == 0)
        return compose(buf, self.mid, self.token, head, self.payload, ((23, block),))


class Check:
    """Reads what the maker made."""

    def __init__(self, maker, made):
        self.maker = maker
        self.made = made
        self.msg = Message()
        self.reading = Reading()

    def __call__(self, buf, n):
        maker, msg = self.maker, self.msg
        if not n:
            return False
        msg.parse(buf, n)
        if (msg.type, msg.code, msg.mid) != (maker.kind, maker.code, maker.mid) or not msg.has_token(buf, maker.token):
            raise Wrong("header or token")
        cursor = Options(buf, msg.options_at, n)
        found = []
        while cursor.next():
            found.append((cursor.number, bytes(buf[cursor.value : cursor.value + cursor.length])))
        if found != maker.options or bytes(buf[msg.payload_at : n]) != maker.payload:
            raise Wrong("%r became %r" % (maker.options, found))
        if not self.reading.read(buf, n) or self.reading.payload != msg.payload_at:
            raise Wrong("the second reader disagrees")
        if self.made:
            options = ",".join(["%d=%s" % (number, value.hex() if value else "") for number, value in found])
            words = (maker.token.hex() or "-", options or "-", maker.payload.hex() or "-")
            print("made", to_hex(buf, n), maker.kind, maker.code, maker.mid, *words)
        return True


def main():
    job = read_job()
    maker = Maker(job["longest"])
    run(job, maker, Check(maker, job.get("made")))


main()
