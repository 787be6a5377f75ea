"""Fuzzes lib/gnss: NMEA, UBX frames and assistance, mutated; checksums are often set right again.

Runs under MicroPython. The job (see rounds.py) has besides: corpus, the path of a corpus file; longest, the largest
input; what, the part of lib/gnss. What has to hold:

    nmea   chunks make no difference; what comes out is a fix record within its ranges
    ubx    the frames are those of a second, simple reading; the readers of messages give a record or None
    agnss  frames() refuses what walk() refuses, and the parser too; chunks make no difference; each frame is whole
"""

from mutate import Corpus, Mutator
from rounds import Wrong, read_job, run
from xorshift import Xorshift

from gnss import ubx
from gnss.agnss import AgnssError, Parser
from gnss.agnss_ubx import frames
from gnss.nmea import Reader
from gnss.ubx_stream import Parser as Stream
from gnss.walk import walk

_ZEROS = bytes(256)
_BUFFER = 256


class Nmea:
    favoured = b"$*,.-\r\n0123456789NSEWAVDRGCL"

    def plausible(self, mutator, n):
        mutator.buf[: min(n, 7)] = b"$GPGGA,"[:n]

    def attack(self, mutator, n):
        """Set the sum of every sentence right."""
        buf = mutator.buf
        total = 0
        for i in range(n):
            if buf[i] == 0x24:
                total = 0
            elif buf[i] == 0x2A and i + 2 < n:
                buf[i + 1] = b"0123456789ABCDEF"[total >> 4]
                buf[i + 2] = b"0123456789ABCDEF"[total & 15]
            else:
                total ^= buf[i]
        return n

    def check(self, view, n):
        whole, pieces = self.read(view, 10000), self.read(view, 1 + n % 13)
        if whole != pieces:
            raise Wrong("%s in pieces is %s" % (whole, pieces))
        fix = whole[0]
        if fix:
            if not (abs(fix["lat"]) <= 900000000 and abs(fix["lon"]) <= 1800000000):
                raise Wrong("%s" % fix)
            for name in ("acc_mm", "speed_mm_s", "heading_mdeg"):
                if fix[name] is not None and fix[name] < 0:
                    raise Wrong("%s" % fix)
            if fix["time"] is not None and fix["time"] < 1704067200:
                raise Wrong("%s" % fix)
        return fix is not None

    def read(self, view, step):
        reader = Reader()
        for i in range(0, len(view), step):
            reader.feed(view[i : i + step])
        reader.feed(b"\r\n")
        reader.end()
        return reader.fix, reader.dropped, reader.used, reader.seen


class Ubx:
    favoured = b"\xb5\x62\x00\x01\x05\x06\x07\x08\x13\x34\x60\x5c\x28$"

    def plausible(self, mutator, n):
        mutator.buf[: min(n, 2)] = b"\xb5\x62"[:n]

    def attack(self, mutator, n):
        """Set the sum of the first frame right, or of one that may begin anywhere."""
        buf = mutator.buf
        at = 0 if mutator.rng.below(2) else mutator.rng.below(n + 1)
        if at + 8 <= n:
            size = buf[at + 4] | buf[at + 5] << 8
            if at + 8 + size > n:
                size = n - at - 8
                buf[at + 4], buf[at + 5] = size & 255, size >> 8
            buf[at], buf[at + 1] = 0xB5, 0x62
            total = ubx.checksum(buf, at + 2, at + size + 6)
            buf[at + size + 6], buf[at + size + 7] = total & 255, total >> 8
        return n

    def check(self, view, n):
        found = []
        stream = Stream(lambda cls, ident, payload: found.append(self.read(cls, ident, payload)), size=_BUFFER)
        step = 1 + n % 37
        for i in range(0, n, step):
            stream.feed(view[i : i + step])
        stream.feed(_ZEROS)
        if found != self.simple(bytes(view) + _ZEROS):
            raise Wrong("%s" % found)
        return bool(found)

    def read(self, cls, ident, payload):
        """Every reader has to cope with every payload."""
        ubx.fix(payload), ubx.when(payload), ubx.orbits(payload), ubx.accepted(payload, ubx.POLL_PVT + b"\x00\x00")
        return cls, ident, bytes(payload)

    def simple(self, data):
        found = []
        at = 0
        while at + 8 <= len(data):
            n = 8 + data[at + 4] + 256 * data[at + 5]
            one = ubx.unpack(data[at : at + n]) if data[at] == 0xB5 and n <= _BUFFER else None
            if one:
                found.append((one[0], one[1], bytes(one[2])))
            at += n if one else 1
        return found


class Agnss:
    favoured = b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x10\x20\x7f\x80\xc1\xca\xff"

    def plausible(self, mutator, n):
        mutator.buf[: min(n, 4)] = bytes((1, 1 + mutator.rng.below(13), mutator.rng.below(4), 0))[:n]

    def attack(self, mutator, n):
        """The first section gets as many elements as there is room for, and the rest is cut off."""
        size = {2: 62, 12: 62, 3: 31, 11: 31}.get(mutator.buf[1]) if n > 4 else None
        if not size:
            return n
        mutator.buf[2], mutator.buf[3] = (n - 4) // size, 0
        return 4 + (n - 4) // size * size

    def check(self, view, n):
        try:
            unknown = walk(view)
        except ValueError:
            unknown = "wrong"
        step = 16 + n % 53
        chunks = [view[i : i + step] for i in range(0, n, step)]
        if self.parsed(chunks) != unknown:
            raise Wrong("walk says %s" % unknown)
        whole, pieces = self.made(view), self.made(chunks)
        if whole != pieces or (whole is None) != (unknown == "wrong"):
            raise Wrong("%s frames, in pieces %s, walk says %s" % (whole, pieces, unknown))
        return bool(whole)

    def parsed(self, chunks):
        parser = Parser(lambda kind, index, element: None)
        try:
            for chunk in chunks:
                parser.feed(chunk)
            parser.finish()
        except AgnssError:
            return "wrong"
        return parser.unknown

    def made(self, blob):
        """-> [frames, their sums together], or None when refused."""
        found = total = 0
        try:
            for frame in frames(blob):
                one = ubx.unpack(frame)
                if one is None or one[0] != 0x13:
                    raise Wrong("no frame")
                found += 1
                total += frame[-1] * 256 + frame[-2]
        except ValueError:
            return None
        return found and [found, total]


def main():
    job = read_job()
    part = {"nmea": Nmea, "ubx": Ubx, "agnss": Agnss}[job["what"]]()
    mutator = Mutator(
        Corpus(job["corpus"]), Xorshift(), job["longest"], part.favoured, part.attack, part.plausible
    )
    run(job, mutator, lambda buf, n: part.check(memoryview(buf)[:n], n))


main()
