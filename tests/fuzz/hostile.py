"""A CoAP server that turns hostile: right answers, twisted ones, mutated ones, floods, silence, and all of it late.

serve() is a plain server for the paths s (small), b (a body in blocks), u (takes uploads) and o (observable); what it
gives goes through spoil() unless `clean`. Its messages come from harness.fakenet, which shares no code with lib/coap.
"""

from harness.fakenet import ACK, CON, NON, RST, Seen, block, message, opts, uint

SMALL = b"\xa1\x01\x18\x2a"
BODY = bytes([(i * 7 + (i >> 8)) & 255 for i in range(600)])
LAST_NUM = 0xFFFFF
ETAGS = (b"v1", b"v2", b"", b"12345678", b"123456789")
CODES = (0x44, 0x45, 0x45, 0x5F, 0x43, 0x80, 0x81, 0x84, 0x88, 0x8D, 0x9D, 0xA3, 0xC0, 0x01)
DELAYS = (0, 0, 0, 5, 40, 300, 2500, 9000, 40000)


class Peer:
    """The server's state: `clean`, `given` (the last upload, whole), `notes` sent."""

    def __init__(self, mutator):
        self.mutator = mutator
        self.rng = mutator.rng
        self.clean = False
        self.given = b""
        self.mid = 0
        self._number = 0  # of notifications

    def __call__(self, data):
        seen = Seen(data)
        if not seen.code:
            return [(0, seen.empty(RST))] if seen.type == CON else []
        if self.clean:
            return self.serve(seen)
        return self.spoil(seen)

    def chance(self, n):
        """True once in n times, and never when clean."""
        return not self.clean and not self.rng.below(n)

    # The server

    def serve(self, seen):
        """The answers to a request: (delay, datagram) each."""
        path = seen.path()
        if path == "u" and seen.block(27) is not None:
            return [(0, self._take(seen))]
        if path == "u":
            self.given = seen.payload
            return [(0, self._answer(seen, 0x44))]
        if path == "o" and seen.values(6) == [b""]:
            return self._register(seen)
        if path == "b" or path == "o" and seen.block(23) is not None:
            return [(0, self._part(seen, (), 0))]
        return [(0, self._answer(seen, 0x45, ((12, uint(60)),), SMALL))]

    def _answer(self, seen, code, pairs=(), payload=b""):
        if self.chance(12):
            code = CODES[self.rng.below(len(CODES))]
        if self.chance(12):
            pairs = self._more_options(list(pairs))
        if seen.type == CON:
            return seen.ack(code, opts(*pairs), payload)
        self.mid = (self.mid + 1) & 0xFFFF
        return seen.separate(NON, self.mid, code, opts(*pairs), payload)

    def _more_options(self, pairs):
        rng = self.rng
        number = (4, 6, 12, 14, 23, 27, 28, 60, 252, 9, 31, 2048)[rng.below(12)]
        value = bytes([rng.bits() & 255 for _ in range(rng.below(5))])
        at = 0
        while at < len(pairs) and pairs[at][0] <= number:
            at += 1
        return pairs[:at] + [(number, value)] + pairs[at:]

    def _part(self, seen, first, number):
        """One block of BODY; `number` is that of a notification's option before it."""
        num, _, szx = seen.block(23) or (0, False, 6)
        start = 0
        for item in seen.values(15):
            if item[:7] == b"offset=":
                start = int(item[7:])
        szx = min(szx, 6)
        if self.chance(10):
            szx = self.rng.below(szx + 1)
            num <<= self.rng.below(3)
        if self.chance(10):
            num = max(0, num + self.rng.below(5) - 2)
        at = start + (num << (szx + 4))
        part = BODY[at : at + (16 << szx)]
        more = at + len(part) < len(BODY)
        if self.chance(10):
            more = not more
        if self.chance(10):
            part = part[: self.rng.below(len(part) + 1)]
        etag = ETAGS[self.rng.below(len(ETAGS))] if self.chance(10) else b"v1"
        size = self.rng.bits() if self.chance(10) else max(0, len(BODY) - start)
        pairs = ((4, etag),) + first + ((23, block(min(num, LAST_NUM), more, szx)),)
        if not num:
            pairs += ((28, uint(size)),)
        return self._answer(seen, 0x45, pairs, part)

    def _take(self, seen):
        num, more, szx = seen.block(27)
        if not num:
            self.given = b""
        if num << (szx + 4) != len(self.given):
            return self._answer(seen, 0x88)
        self.given += seen.payload
        if self.chance(10):
            szx = self.rng.below(8)
            num <<= self.rng.below(3)
        return self._answer(seen, 0x5F if more else 0x44, ((27, block(min(num, LAST_NUM), more, szx)),))

    def _register(self, seen):
        """The answer, and the notifications of the next seconds; some of them in blocks."""
        rng = self.rng
        found = []
        delay = 0
        for i in range(2 + rng.below(4)):
            step = rng.bits() if self.chance(6) else 1
            self._number = (self._number + step) & 0xFFFFFF
            observe = (6, uint(self._number))
            if rng.below(4):
                data = self._answer(seen, 0x45, (observe, (14, uint(rng.below(90)))), SMALL)
            else:
                data = self._part(seen, (observe,), self._number)
            if i:  # only the first answer has the request's message id
                self.mid = (self.mid + 1) & 0xFFFF
                kind = CON if rng.below(2) else NON
                data = bytes([data[0] & 0xCF | kind << 4, data[1], self.mid >> 8, self.mid & 255]) + data[4:]
            found.append((delay, data))
            delay += 20 + rng.below(3000)
        return found

    # What becomes of it

    def spoil(self, seen):
        """The answers to a request, or what an enemy, a bad link or a bad server makes of them."""
        rng = self.rng
        kind = rng.below(20)
        out = [] if kind == 0 else self.serve(seen)
        if kind == 1:
            return [(self._late(), seen.empty(RST))]
        if kind in (2, 3):  # empty ACK, then a separate answer, or none
            self.mid = (self.mid + 1) & 0xFFFF
            answers = [(self._late(), self._separate(seen, data)) for _, data in out[: rng.below(3)]]
            return [(0, seen.empty(ACK))] + answers
        if kind in (4, 5):
            out = self.flood(1 + rng.below(6), seen) + out
        if kind == 6:
            out = out + [(self._late(), data) for _, data in out]
        if kind == 7:
            out = [(self._late(), data) for _, data in out]
        if kind >= 11:
            out = [(delay, self.mutated(data, kind)) for delay, data in out]
        return out

    def _late(self):
        return DELAYS[self.rng.below(len(DELAYS))]

    def _separate(self, seen, data):
        kind = CON if self.rng.below(2) else NON
        return bytes([0x40 | kind << 4 | len(seen.token), data[1], self.mid >> 8, self.mid & 255]) + data[4:]

    def mutated(self, data, kind):
        """The datagram with changes: behind the token mostly, so that they get far."""
        mutator = self.mutator
        n = mutator.load(data)
        first = 0 if kind == 11 else 4 + (data[0] & 15)
        return bytes(mutator.view[: mutator.change(n, first, 1 + self.rng.below(3))])

    def flood(self, count, seen):
        """Datagrams from anywhere; some of them know the request's token, some its message id."""
        found = []
        mutator = self.mutator
        for _ in range(count):
            data = bytes(mutator.view[: mutator.next()])
            kind = self.rng.below(4)
            if kind == 0 and len(data) > 4:
                data = message(data[0] >> 4 & 3, data[1], data[2] << 8 | data[3], seen.token) + data[4:]
            elif kind == 1 and len(data) > 4:
                data = data[:2] + bytes([seen.mid >> 8, seen.mid & 255]) + data[4:]
            found.append((0, data))
        return found
