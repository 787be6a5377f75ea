"""NMEA 0183 of any talker: GGA, RMC, GSA, GSV and GLL into fix records (modem.base), one for each epoch.

Pure. Integers only. What is cut, damaged or senseless is dropped and counted. RAM: a line of 120 bytes and the epoch.
"""

from micropython import const

from gnss.date import received

_LINE = const(120)  # the standard says 82, receivers say more
_FIELDS = const(40)
_START = const(0x24)  # $
_COMMA = const(0x2C)
_STAR = const(0x2A)
_POINT = const(0x2E)
_HDOP_MM = const(5000)  # accuracy with an HDOP of 1
_DEGREE = const(10000000)
_LAT = const(900000000)
_LON = const(1800000000)
_MODES = b"ADFRP"  # autonomous, differential, float, RTK, precise: estimated, manual and simulated are no fixes


class Reader:
    """`feed` a stream, or `line` by line. `fix`: newest epoch that is whole, or None; whoever takes it sets it to None.

    An epoch is whole when its GGA and its RMC have come, or when the next one begins. `dropped`: lines that were bad.
    Of the sky: `used` satellites, `seen` {talker: [in view, strongest in dB-Hz]}.
    """

    def __init__(self):
        self.fix = None
        self.dropped = 0
        self.used = 0
        self.seen = {}
        self._buf = bytearray(_LINE)
        self._starts = bytearray(_FIELDS)  # where the fields begin
        self._count = 0
        self._fill = -1  # -1: outside of a sentence
        self._flat = False  # by the last GSA: two dimensions
        self._begin(None)

    def feed(self, chunk):
        """Take bytes in, however they are cut."""
        buf = self._buf
        for c in chunk:
            if c == _START:
                self.dropped += self._fill > 0
                self._fill = 0
            elif self._fill < 0:
                pass
            elif c == 13 or c == 10:
                if self._fill:
                    self._sentence(self._fill)
                self._fill = -1
            elif self._fill < _LINE:
                buf[self._fill] = c
                self._fill += 1
            else:
                self.dropped += 1
                self._fill = -1

    def line(self, text):
        """One sentence, from `$` to its checksum or line end; -> whether it was good."""
        dropped = self.dropped
        self._fill = -1
        if not text or text[0] != _START:
            self.dropped += 1
        else:
            self.feed(text)
            self.feed(b"\n")
        return dropped == self.dropped

    def end(self):
        """The epoch in progress gets no more sentences."""
        if not self._done and not self._void and self._lat is not None and self._lon is not None:
            self.fix = {
                "lat": self._lat,
                "lon": self._lon,
                "alt_mm": None if self._flat else self._alt,
                "acc_mm": None if self._hdop is None else self._hdop * _HDOP_MM // 1000,
                "speed_mm_s": self._speed,
                "heading_mdeg": self._heading,
                "time": self._time,
            }
        self._done = True

    # --- sentences -------------------------------------------------------------------------------------------------

    def _sentence(self, n):
        """What is in the buffer, without `$`."""
        try:
            self._split(n)
            buf = self._buf
            if self._count and self._start(1) == 6 and buf[0] != 0x50:  # P: a maker's own
                handler = _HANDLERS.get(bytes(buf[2:5]))
                if handler:
                    handler(self)
        except ValueError:
            self.dropped += 1

    def _split(self, n):
        """Find the fields, check the sum."""
        buf = self._buf
        n -= 3
        if n < 1 or buf[n] != _STAR:
            raise ValueError
        total = count = 0
        starts = self._starts
        starts[0] = 0
        for i in range(n):
            c = buf[i]
            total ^= c
            if c == _COMMA:
                count += 1
                if count == _FIELDS - 1:
                    raise ValueError
                starts[count] = i + 1
        if total != _hex(buf[n + 1]) << 4 | _hex(buf[n + 2]):
            raise ValueError
        self._count = count + 1
        starts[count + 1] = n + 1

    def _gga(self):
        self._need(12)
        quality = self._number(6)
        lat, lon = self._place(2)
        hdop = self._number(8, 3)
        alt, sep = self._number(9, 3, True), self._number(11, 3, True)
        used = self._number(7)
        self._epoch(1)
        self._void = self._void or not quality or quality > 5  # 6 estimated, 7 manual, 8 simulated
        self._lat, self._lon = lat, lon
        if hdop is not None:
            self._hdop = hdop
        if alt is not None:
            self._alt = alt + (sep or 0)
        self.used = used or 0
        self._half(1)

    def _rmc(self):
        self._need(10)
        good = self._valid(2, 12)
        lat, lon = self._place(3)
        speed, heading = self._number(7, 3), self._number(8, 3)
        date = self._number(9)
        if date is not None:
            self._digits(self._start(9), self._start(10) - 1)
            if self._start(10) - self._start(9) != 7:
                raise ValueError
        if (heading or 0) > 360000:
            raise ValueError
        self._epoch(1)
        self._void = self._void or not good
        self._lat, self._lon = lat, lon
        self._speed = None if speed is None else (speed * 1852 + 1800) // 3600
        self._heading = None if heading is None else heading % 360000
        if date is not None and self._now is not None:
            second = self._now // 1000
            year = date % 100 + (1900 if date % 100 >= 80 else 2000)
            self._time = received(
                year, date // 100 % 100, date // 10000, second // 10000, second // 100 % 100, second % 100
            )
        self._half(2)

    def _gll(self):
        self._need(7)
        good = self._valid(6, 7)
        lat, lon = self._place(1)
        self._epoch(5)
        self._void = self._void or not good
        self._lat, self._lon = lat, lon

    def _gsa(self):
        self._need(18)
        mode, hdop = self._number(2), self._number(16, 3)
        if mode not in (1, 2, 3):
            raise ValueError
        self._flat = mode == 2
        self._void = self._void or mode == 1
        if self._hdop is None:
            self._hdop = hdop

    def _gsv(self):
        self._need(4)
        number, view = self._number(2), self._number(3)
        if not number or view is None:
            raise ValueError
        strongest = 0
        for i in range(7, self._count, 4):
            strongest = max(strongest, self._number(i) or 0)
        talker = bytes(self._buf[:2])
        if number > 1 and talker in self.seen:
            strongest = max(strongest, self.seen[talker][1])
        self.seen[talker] = [view, strongest]

    # --- epochs ----------------------------------------------------------------------------------------------------

    def _begin(self, now):
        """A new epoch: time of day as hhmmss and milliseconds, one number."""
        self._now = now
        self._done = self._void = False
        self._halves = 0
        self._lat = self._lon = self._alt = self._hdop = self._speed = self._heading = self._time = None

    def _epoch(self, i):
        """The sentence is of the time in its field `i`."""
        now = self._number(i, 3)
        if now is not None and not (now // 10000000 < 24 and now // 100000 % 100 < 60 and now // 1000 % 100 < 61):
            raise ValueError
        if now is None or now != self._now:
            self.end()
            self._begin(now)

    def _half(self, bit):
        self._halves |= bit
        if self._halves == 3:
            self.end()

    # --- fields ----------------------------------------------------------------------------------------------------

    def _need(self, count):
        if self._count < count:
            raise ValueError

    def _start(self, i):
        return self._starts[i] if i <= self._count else -1

    def _valid(self, i, mode):
        """Status in field `i`, and the mode of newer versions."""
        buf = self._buf
        c = buf[self._start(i)]
        if self._start(i + 1) - self._start(i) != 2 or c not in b"AV":
            raise ValueError
        if c == 0x41 and self._count > mode and self._start(mode + 1) - self._start(mode) == 2:
            return buf[self._start(mode)] in _MODES
        return c == 0x41

    def _number(self, i, places=0, signed=False):
        """Field `i` as int of 10**-places, rounded half away from zero, or None when empty. ValueError."""
        if i >= self._count:
            return None
        at, end = self._starts[i], self._starts[i + 1] - 1
        if at == end:
            return None
        buf = self._buf
        negative = signed and buf[at] == 0x2D
        at += negative
        value = digits = 0
        left = -1  # places still to come, once the point was there
        while at < end:
            c = buf[at] - 0x30
            if buf[at] == _POINT and left < 0:
                left = places
            elif not 0 <= c <= 9:
                raise ValueError
            elif left < 0:
                value = value * 10 + c
                digits += 1
            elif left:
                value = value * 10 + c
                left -= 1
                digits += 1
            else:
                value += c >= 5
                digits += 1
                break
            at += 1
        if at < end:
            self._digits(at + 1, end)
        if not digits or digits > 15:
            raise ValueError
        for _ in range(places if left < 0 else left):
            value *= 10
        return -value if negative else value

    def _digits(self, at, end):
        """ValueError unless there are only digits."""
        for i in range(at, end):
            if not 0x30 <= self._buf[i] <= 0x39:
                raise ValueError

    def _place(self, i):
        """Latitude and longitude in the four fields from `i` on -> 1e-7 degree each, or None, None."""
        return self._angle(i, b"NS", _LAT), self._angle(i + 2, b"EW", _LON)

    def _angle(self, i, sides, most):
        value = self._number(i, 7)  # ddmm.mmmm
        if value is None:
            return None
        side = self._buf[self._start(i + 1)]
        degrees, minutes = divmod(value, 100 * _DEGREE)
        value = degrees * _DEGREE + (minutes + 30) // 60
        if self._start(i + 2) - self._start(i + 1) != 2 or side not in sides:
            raise ValueError
        if minutes >= 60 * _DEGREE or not 0 <= value <= most:
            raise ValueError
        return -value if side == sides[1] else value


def _hex(c):
    if 0x30 <= c <= 0x39:
        return c - 0x30
    if 0x41 <= c <= 0x46 or 0x61 <= c <= 0x66:
        return (c & 0xDF) - 0x37
    raise ValueError


_HANDLERS = {
    b"GGA": Reader._gga,
    b"RMC": Reader._rmc,
    b"GLL": Reader._gll,
    b"GSA": Reader._gsa,
    b"GSV": Reader._gsv,
}
