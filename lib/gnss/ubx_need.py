"""What a u-blox receiver lacks, in the words of modem.base's need record: by what it says it holds, or was given.

Pure. One `Given` lives as long as its receiver may remember. RAM: a dictionary of the ephemerides given.
Validity (modems.md 3.6): ephemerides two hours around their reference time; UTC, ionosphere and health a day; a
position and the time until the receiver loses its memory. Almanacs are never asked for, as ephemerides make them
useless, nor NeQuick, which no message carries.
"""

from micropython import const

_HALF_S = const(7200)
_DAY_S = const(86400)
_WEEK_S = const(604800)
_ENOUGH = const(8)  # satellites with a good ephemeris: as many as are in view
_ALL = {1: 0xFFFFFFFF, 3: 0x3FF}

_EPHEMERIS = const(1)  # types of MGA-GPS and MGA-QZSS messages
_INI = const(0x40)
_FLAGS = ((5, 0x01), (6, 0x02), (4, 0x20))  # UTC, Klobuchar, integrity


class Given:
    """What the receiver took since it last forgot everything. `qzss`: ask for QZSS as well (Japan to Australia)."""

    def __init__(self, qzss=False):
        self._systems = (1, 3) if qzss else (1,)
        self.clear()

    def clear(self):
        """It lost its memory."""
        self._toes = {}  # system << 8 | satellite -> toe in units of 16 s
        self._times = {}  # type -> Unix time when it was given
        self._placed = False  # it was told where it is

    def took(self, frame, now_s):
        """`frame` (of gnss.agnss_ubx) was accepted at Unix time `now_s`, or None when we do not know the time."""
        ident, kind = frame[3], frame[6]
        if ident == _INI:
            self._placed = self._placed or kind == 1
        elif kind == _EPHEMERIS:
            self._toes[(3 if ident else 1) << 8 | frame[8]] = frame[46] | frame[47] << 8
        elif not ident and now_s is not None:
            self._times[kind] = now_s

    def held(self, now_s):
        """-> {1: mask of GPS, 3: of QZSS}: satellites whose ephemeris was given and still serves."""
        masks = {1: 0, 3: 0}
        if now_s is not None:
            from gnss.pgps import gps_time  # not for as long as we live

            second = gps_time(now_s) % _WEEK_S
            for key, toe in self._toes.items():
                if (second - toe * 16 + _HALF_S) % _WEEK_S <= 2 * _HALF_S:
                    masks[key >> 8] |= 1 << ((key & 255) - 1)
        return masks

    def need(self, now_s, has_time, has_place, held=None):
        """-> need record, or None: nothing. `has_time`, `has_place`: it knows them, or will be told by hints; `held`:
        what gnss.ubx.orbits said, which counts more than what was given."""
        held = held or self.held(now_s)
        flags = 0 if has_time else 0x08
        if not has_place and not self._placed:
            flags |= 0x10
        for kind, flag in _FLAGS:
            if now_s is None or not 0 <= now_s - self._times.get(kind, -_DAY_S) < _DAY_S:
                flags |= flag
        systems = {}
        for system in self._systems:
            systems[system] = (_ALL[system] & ~held[system], 0)
        if _count(held[1]) >= _ENOUGH:
            systems[1] = (0, 0)
            flags &= ~0x20
        if flags or any([masks[0] for masks in systems.values()]):
            return {"flags": flags, "systems": systems}
        return None


def _count(mask):
    count = 0
    while mask:
        mask &= mask - 1
        count += 1
    return count
