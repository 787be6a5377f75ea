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
_DIGITS = const(17)  # and point, of a number
_HDOP_M = const(5)  # accuracy with an HDOP of 1
_DEGREE = const(10000000)
_LAT = const(900000000)
_LON = const(1800000000)
_MODES = b"ADFRP"  # autonomous, differential, float, RTK, precise: estimated, manual and simulated are no fixes

_RECORD = ("lat", "lon", "alt_mm", "acc_mm", "speed_mm_s", "heading_mdeg", "time")

# State of an epoch: which sentences it had
_GGA = const(1)
_RMC = const(2)
_WHOLE = const(3)
_VOID = const(4)  # it has no fix
_DONE = const(8)  # it was handed over, or was void when it ended


class Reader:
    """`feed` a stream, or `line` by line. `fix`: newest epoch that is whole, or None; whoever takes it sets it to None.

    An epoch is whole when its GGA and its RMC have come, or when the next one begins. `dropped`: lines that were bad.
    Of the sky: `used` satellites, `seen` {talker: (in view, strongest in dB-Hz)}.
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
        epoch = self._epoch
        if not self._state & (_VOID | _DONE) and epoch["lat"] is not None and epoch["lon"] is not None:
            if self._flat:
                epoch["alt_mm"] = None
            self.fix = epoch
        self._state |= _DONE

    def _begin(self, now):
        """A new epoch: `now` is its time of day as one number, hhmmss and milliseconds."""
        self._now = now
        self._state = 0
        self._epoch = dict([(name, None) for name in _RECORD])

    def _at(self, i, bit=0, good=True):
        """The sentence, `good` for a fix, is of the time in its field `i`; -> its epoch."""
        now = self._number(i, 3)
        if now is not None and not (now // 10000000 < 24 and now // 100000 % 100 < 60 and now // 1000 % 100 < 61):
            raise ValueError
        if now is None or now != self._now:
            self.end()
            self._begin(now)
        self._state |= bit if good else bit | _VOID
        return self._epoch

    # --- sentences -------------------------------------------------------------------------------------------------

    def _sentence(self, n):
        """What is in the buffer, without `$`."""
        try:
            self._split(n)
            buf = self._buf
            for c in buf[:2]:
                if not 0x41 <= c <= 0x5A:
                    raise ValueError
            if self._starts[1] == 6 and buf[0] != 0x50:  # P: a maker's own
                handler, least = _HANDLERS.get(bytes(buf[2:5]), (None, 0))
                if self._count < least:
                    raise ValueError
                if handler:
                    handler(self)
                    if self._state & _WHOLE == _WHOLE:
                        self.end()
        except ValueError:
            self.dropped += 1

    def _split(self, n):
        """Find the fields, check the sum."""
        buf = self._buf
        starts = self._starts
        n -= 3
        if n < 1 or buf[n] != _STAR:
            raise ValueError
        total = count = 0
        for i in range(n):
            c = buf[i]
            total ^= c
            if c == _COMMA:
                count += 1
                if count == _FIELDS - 1:
                    raise ValueError
                starts[count] = i + 1
            elif c == _STAR:
                raise ValueError
        if total != int(bytes(buf[n + 1 : n + 3]), 16):
            raise ValueError
        self._count = count + 1
        starts[count + 1] = n + 1

    def _gga(self):
        quality = self._number(6) or 0
        hdop = self._number(8, 3)
        alt, sep = self._number(9, 3, True), self._number(11, 3, True)
        self.used = self._number(7) or 0
        lat, lon = self._angle(2, b"NS", _LAT), self._angle(4, b"EW", _LON)
        epoch = self._at(1, _GGA, 0 < quality < 6)  # 6 estimated, 7 manual, 8 simulated
        epoch["lat"], epoch["lon"] = lat, lon
        if hdop is not None:
            epoch["acc_mm"] = hdop * _HDOP_M
        if alt is not None:
            epoch["alt_mm"] = alt + (sep or 0)

    def _rmc(self):
        good = self._valid(2, 12)
        speed, heading, date = self._number(7, 3), self._number(8, 3), self._number(9)
        start, end = self._starts[9], self._starts[10] - 1
        if (heading or 0) > 360000 or date is not None and (end - start != 6 or b"." in bytes(self._buf[start:end])):
            raise ValueError
        lat, lon = self._angle(3, b"NS", _LAT), self._angle(5, b"EW", _LON)
        epoch = self._at(1, _RMC, good)
        epoch["lat"], epoch["lon"] = lat, lon
        if speed is not None:
            epoch["speed_mm_s"] = (speed * 1852 + 1800) // 3600
        if heading is not None:
            epoch["heading_mdeg"] = heading % 360000
        if date is not None and self._now is not None:
            year = date % 100 + (1900 if date % 100 >= 80 else 2000)
            time = self._now // 1000
            epoch["time"] = received(
                year, date // 100 % 100, date // 10000, time // 10000, time // 100 % 100, time % 100
            )

    def _gll(self):
        good = self._valid(6, 7)
        lat, lon = self._angle(1, b"NS", _LAT), self._angle(3, b"EW", _LON)
        epoch = self._at(5, 0, good)
        epoch["lat"], epoch["lon"] = lat, lon

    def _gsa(self):
        mode, hdop = self._number(2), self._number(16, 3)
        if mode not in (1, 2, 3):
            raise ValueError
        self._flat = mode == 2
        if mode == 1:
            self._state |= _VOID
        if self._epoch["acc_mm"] is None and hdop is not None:
            self._epoch["acc_mm"] = hdop * _HDOP_M

    def _gsv(self):
        number, view = self._number(2), self._number(3)
        if not number or view is None:
            raise ValueError
        talker = bytes(self._buf[:2])
        strongest = self.seen[talker][1] if number > 1 and talker in self.seen else 0
        for i in range(7, self._count, 4):
            strongest = max(strongest, self._number(i) or 0)
        self.seen[talker] = (view, strongest)

    # --- fields ----------------------------------------------------------------------------------------------------

    def _valid(self, i, mode):
        """Status in field `i`, and the mode in field `mode`, of newer versions."""
        starts = self._starts
        if starts[i + 1] - starts[i] != 2 or self._buf[starts[i]] not in b"AV":
            raise ValueError
        if self._count > mode and starts[mode + 1] - starts[mode] == 2 and self._buf[starts[mode]] not in _MODES:
            return False
        return self._buf[starts[i]] == 0x41

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
        if not 0 < end - at <= _DIGITS or end - at == 1 and buf[at] == _POINT:
            raise ValueError
        value = 0
        left = -1  # digits still to come, one more than asked for; -1: the point is still to come
        for j in range(at, end):
            c = buf[j] - 0x30
            if buf[j] == _POINT and left < 0:
                left = places + 1
            elif not 0 <= c <= 9:
                raise ValueError
            elif left:
                value = value * 10 + c
                left -= left > 0
        value = (value * 10 ** (places + 1 if left < 0 else left) + 5) // 10
        return -value if negative else value

    def _angle(self, i, sides, most):
        """Fields `i` (ddmm.mmmm) and the next -> 1e-7 degree, or None when empty."""
        value = self._number(i, 9)
        if value is None:
            return None
        start = self._starts[i + 1]
        side = self._buf[start]
        degrees, minutes = divmod(value, 100000000000)
        value = degrees * _DEGREE + (minutes + 3000) // 6000
        if self._starts[i + 2] - start != 2 or side not in sides or minutes >= 60000000000 or value > most:
            raise ValueError
        return -value if side == sides[1] else value


# Sentence -> what takes it, how many fields it has at least
_HANDLERS = {
    b"GGA": (Reader._gga, 12),
    b"RMC": (Reader._rmc, 10),
    b"GLL": (Reader._gll, 7),
    b"GSA": (Reader._gsa, 18),
    b"GSV": (Reader._gsv, 4),
}
