"""What a GNSS receiver knows, what it lacks, and how long a fix takes because of that.

Sky model (modems.md 7.4): cold 35 s, warm 25 s, hot 2 s; ephemerides, time and position injected 6 s, predictions
(XTRA) with time 12 s, with position too 9 s, partial help in between. Pure: time is passed in.
"""

from godwit.modem import agnss

UTC, KLOBUCHAR, NEQUICK, CLOCK, POSITION, INTEGRITY = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

_COLD_S, _TIMED_S, _WARM_S, _COARSE_S, _NO_POSITION_S, _ASSISTED_S, _HOT_S = 35.0, 30.0, 25.0, 15.0, 10.0, 6.0, 2.0
_PREDICTED_S, _PREDICTED_HERE_S = 12.0, 9.0  # with an XTRA file, without and with a position
EPH_FRESH_S = 7200  # asked for again when older
_EPH_DEAD_S = 14400  # refused or unusable when older
ENOUGH = 8  # fresh ephemerides with which the receiver asks for no more
_DAY_S = 86400
# Seconds that each kind of item stays useful.
LASTS_S = {"utc": 7 * _DAY_S, "klobuchar": _DAY_S, "nequick": _DAY_S, "location": 7200, "integrity": 7200}
_ALMANAC_S = 30 * _DAY_S
_TIME_TOLERANCE_S = 120


class Knowledge:
    """Assistance and learnt data, each with its end of validity in Unix seconds."""

    def __init__(self):
        self.ephemerides = {}  # GPS PRN -> age reference: Unix seconds of toe
        self.almanacs = {}  # PRN -> valid until
        self.until = dict.fromkeys(LASTS_S, 0)
        self.time_error_s = None  # None: no time at all
        self.last_fix_s = None
        self.predicted = None  # Unix seconds between which an XTRA file holds

    def fresh(self, now_s, limit_s=_EPH_DEAD_S):
        """PRNs with a usable ephemeris."""
        return [prn for prn, toe_s in self.ephemerides.items() if abs(now_s - toe_s) <= limit_s]

    def has(self, kind, now_s):
        """Is an item of this kind still valid?"""
        return self.until[kind] > now_s

    @property
    def time_good(self):
        """Time known well enough for ephemerides."""
        return self.time_error_s is not None and abs(self.time_error_s) <= _TIME_TOLERANCE_S

    def has_predictions(self, now_s):
        """Is there an XTRA file for this time?"""
        return self.predicted is not None and self.predicted[0] <= now_s < self.predicted[1]

    def need(self, now):
        """What is missing: (flags, {system: (ephemeris mask, almanac mask)}), or None when nothing is."""
        flags = 0 if self.has("utc", now) else UTC
        flags |= 0 if self.has("klobuchar", now) else KLOBUCHAR
        flags |= 0 if self.time_good else CLOCK
        flags |= 0 if self.has("location", now) else POSITION
        flags |= 0 if self.has("integrity", now) else INTEGRITY
        fresh = self.fresh(now, EPH_FRESH_S)
        eph = 0 if len(fresh) >= ENOUGH else 0xFFFFFFFF & ~sum(1 << (prn - 1) for prn in fresh)
        valid = [prn for prn, until in self.almanacs.items() if until > now]
        alm = 0xFFFFFFFF & ~sum(1 << (prn - 1) for prn in valid)
        if len(valid) >= 24:
            alm = 0  # the constellation is never quite complete
        return (flags, {1: (eph, alm)}) if flags or eph or alm else None

    def time_to_fix(self, now):
        """Seconds of undisturbed search that a fix takes with what is known now."""
        usable = len(self.fresh(now)) if self.time_good else 0
        position = self.has("location", now)
        if usable >= 4 and position and self.last_fix_s is not None and now - self.last_fix_s <= LASTS_S["location"]:
            return _HOT_S
        if usable >= ENOUGH:
            return _ASSISTED_S if position else _NO_POSITION_S
        if self.time_good and self.has_predictions(now):
            return _PREDICTED_HERE_S if position else _PREDICTED_S
        if usable >= 4:
            return _COARSE_S
        if self.time_good:
            return _WARM_S if position else _TIMED_S
        return _COLD_S

    def forget_time(self):
        """The clock has stopped."""
        self.time_error_s = None
        self.last_fix_s = None

    def delete(self, mask):
        """Forget what the bits of #XGNSSDEL name."""
        for bit, action in ((0x001, self.ephemerides.clear), (0x002, self.almanacs.clear),
                            (0x004, lambda: self.until.update(klobuchar=0, nequick=0)),
                            (0x008, lambda: self.until.update(location=0)), (0x030, self.forget_time),
                            (0x040, lambda: self.until.update(utc=0))):
            if mask & bit:
                action()
        if mask == 1407:
            self.until.update(integrity=0)

    def seen(self, prns, now):
        """A fix has taught time, place and the ephemerides of these satellites."""
        for prn in prns:
            if abs(now - self.ephemerides.get(prn, 0)) > EPH_FRESH_S:
                self.ephemerides[prn] = now
        self.time_error_s = 0.0
        self.last_fix_s = now
        self.until["location"] = now + LASTS_S["location"]

    def learn(self, kind, fields, now):
        """One decoded item of assistance (agnss.decode); False when it is refused."""
        if kind == "clock":
            self.time_error_s = agnss.clock_unix(fields) - now
            return self.time_good
        if kind == "ephemeris":
            if not self.time_good or fields["health"]:
                return False
            age_s = agnss.age_of(fields["toe"], now + self.time_error_s)
            if abs(age_s) > _EPH_DEAD_S:
                return False
            if fields["sv_id"] <= 32:
                self.ephemerides[fields["sv_id"]] = now - age_s
            return True
        if kind == "almanac":
            if fields["sv_id"] <= 32:
                self.almanacs[fields["sv_id"]] = now + _ALMANAC_S
            return True
        if kind == "location":
            # Within a satellite's horizon any rough position helps; uncertainty code 255 says "unknown".
            if fields["unc_major"] > 127 or abs(agnss.degrees(fields)[0]) > 90:
                return False
            self.until["location"] = now + LASTS_S["location"]
            return True
        if kind in self.until:
            self.until[kind] = now + LASTS_S[kind]
        return True
