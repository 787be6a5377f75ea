"""The GNSS receiver: what it knows, what it asks for, and how long a fix takes because of that.

Sky model (modems.md 7.4): cold 35 s, warm 25 s, hot 2 s; ephemerides, time and position injected 6 s, partial help in
between. Acquisition only advances while the radio is free (LTE idle or off). The receiver keeps what it has learnt for
hours, so a second start asks for less or nothing. Owned by Core; statuses are those of #XGNSS (modems.md 2A.8).
"""

import dataclasses

from godwit.modem import agnss

STOPPED, STARTED, WOKEN, TIMED_OUT, FIXED = range(5)
UTC, KLOBUCHAR, NEQUICK, CLOCK, POSITION, INTEGRITY = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

_COLD_S, _WARM_S, _COARSE_S, _NO_POSITION_S, _ASSISTED_S, _HOT_S = 35.0, 25.0, 15.0, 10.0, 6.0, 2.0
_EPH_FRESH_S = 7200  # asked for again when older
_EPH_DEAD_S = 14400  # refused or unusable when older
_ENOUGH = 8  # fresh ephemerides with which the receiver asks for no more
_DAY_S = 86400
# Seconds that each kind of item stays useful.
_LASTS_S = {"utc": 7 * _DAY_S, "klobuchar": _DAY_S, "nequick": _DAY_S, "location": 7200, "integrity": 7200}
_ALMANAC_S = 30 * _DAY_S
_TIME_TOLERANCE_S = 120


@dataclasses.dataclass
class Fix:
    """What #XGNSSPOS reports."""

    lat: float
    lon: float
    alt: float
    acc: float
    speed: float
    heading: float
    time_s: int


class Knowledge:
    """Assistance and learnt data, each with its end of validity in Unix seconds."""

    def __init__(self):
        self.ephemerides = {}  # GPS PRN -> age reference: Unix seconds of toe
        self.almanacs = {}  # PRN -> valid until
        self.until = dict.fromkeys(_LASTS_S, 0)
        self.time_error_s = None  # None: no time at all
        self.last_fix_s = None

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


class Receiver:
    """One receiver. The personality calls start, stop, need, inject; it gets notify("gnss_*")."""

    def __init__(self, core):
        self._core = core
        self.known = Knowledge()
        self.injected = []  # log of every injection, for assertions
        self.status = STOPPED
        self.forwards = False  # started so that the host is asked for assistance
        self._fix_timer = self._end_timer = self._wake_timer = None
        self._left_s = 0.0
        self._resumed_ms = None
        self._started_ms = 0
        self._acquired_s = 0.0
        self._interval = self._timeout = 0
        self._helped = {}

    # what is

    @property
    def searching(self):
        """Looking for satellites right now?"""
        return self.status in (STARTED, WOKEN)

    @property
    def running(self):
        """Between start and stop (a single fix ends by itself)?"""
        return self.searching or (self.status != STOPPED and self._interval > 0)

    def now_s(self):
        """World time in Unix seconds."""
        return self._core.clock.now_ms() / 1000

    def need(self):
        """What is missing: (flags, {system: (ephemeris mask, almanac mask)}), or None when nothing is."""
        now, known = self.now_s(), self.known
        flags = 0 if known.has("utc", now) else UTC
        flags |= 0 if known.has("klobuchar", now) else KLOBUCHAR
        flags |= 0 if known.time_good else CLOCK
        flags |= 0 if known.has("location", now) else POSITION
        flags |= 0 if known.has("integrity", now) else INTEGRITY
        fresh = known.fresh(now, _EPH_FRESH_S)
        eph = 0 if len(fresh) >= _ENOUGH else 0xFFFFFFFF & ~sum(1 << (prn - 1) for prn in fresh)
        valid = [prn for prn, until in known.almanacs.items() if until > now]
        alm = 0xFFFFFFFF & ~sum(1 << (prn - 1) for prn in valid)
        if len(valid) >= 24:
            alm = 0  # the constellation is never quite complete
        return (flags, {1: (eph, alm)}) if flags or eph or alm else None

    def time_to_fix(self):
        """Seconds of undisturbed search that a fix takes with what is known now."""
        now, known = self.now_s(), self.known
        usable = len(known.fresh(now)) if known.time_good else 0
        position = known.has("location", now)
        if usable >= 4 and position and known.last_fix_s is not None and now - known.last_fix_s <= 7200:
            return _HOT_S
        if usable >= _ENOUGH:
            return _ASSISTED_S if position else _NO_POSITION_S
        if usable >= 4:
            return _COARSE_S
        return _WARM_S if known.time_good and position else _COLD_S

    # verbs

    def start(self, interval, timeout):
        """Begin: interval 0 single, 1 continuous, else periodic in s; timeout in s, 0 none."""
        self._interval, self._timeout = interval, timeout
        self._begin(STARTED)

    def stop(self):
        """End; True when it was running."""
        was = self.running
        self._cancel()
        if self.status != STOPPED:
            self._core.log.event("gnss_stop")
        self.status = STOPPED
        return was

    def power_cut(self):
        """Time is lost, the data in the NVM is not."""
        self._cancel()
        self.status = STOPPED
        self.known.time_error_s = None
        self.known.last_fix_s = None

    def delete(self, mask):
        """#XGNSSDEL."""
        known = self.known
        for bit, action in ((0x001, known.ephemerides.clear), (0x002, known.almanacs.clear),
                            (0x004, lambda: known.until.update(klobuchar=0, nequick=0)),
                            (0x008, lambda: known.until.update(location=0)), (0x030, self._forget_time),
                            (0x040, lambda: known.until.update(utc=0))):
            if mask & bit:
                action()
        if mask == 1407:
            known.until.update(integrity=0)

    def _forget_time(self):
        self.known.time_error_s = None
        self.known.last_fix_s = None

    # acquisition

    def _begin(self, status):
        self._cancel()
        self.status = status
        self._started_ms = self._core.clock.now_ms()
        self._acquired_s = 0.0
        self._left_s = self.time_to_fix()
        self._helped = {}
        self._core.log.event("gnss_start", interval=self._interval, timeout=self._timeout, expected_s=self._left_s)
        if self._timeout:
            self._end_timer = self._core.clock.later(self._timeout, self._give_up)
        if self._interval > 1:
            self._wake_timer = self._core.clock.later(self._interval, self._wake, drives=False)
        self.update_blocking()

    def update_blocking(self):
        """LTE took or released the radio: hold or resume the search."""
        free = self.searching and not self._core.radio.rrc
        if self._resumed_ms is not None:
            part_s = (self._core.clock.now_ms() - self._resumed_ms) / 1000
            self._acquired_s += part_s
            self._left_s = max(self._left_s - part_s, 0.0)
            self._fix_timer.cancel()
            self._resumed_ms = None
        if free:
            self._resumed_ms = self._core.clock.now_ms()
            self._fix_timer = self._core.clock.later(self._left_s, self._try_fix)

    def _cancel(self):
        for timer in (self._fix_timer, self._end_timer, self._wake_timer):
            if timer:
                timer.cancel()
        self._end_timer = self._wake_timer = None
        self._resumed_ms = None

    def _end_search(self, status):
        self.status = status
        if self._end_timer:
            self._end_timer.cancel()
        self.update_blocking()
        self._core.notify("gnss_status", status)

    def _wake(self):
        self._begin(WOKEN)
        self._core.notify("gnss_status", WOKEN)
        self._core.notify("gnss_need")

    def _give_up(self):
        self._core.log.event("gnss_timeout", after_s=self._timeout)
        self._end_search(TIMED_OUT)

    def _try_fix(self):
        self._acquired_s += (self._core.clock.now_ms() - self._resumed_ms) / 1000
        self._resumed_ms = None
        if self._core.faults.on("no_fix"):
            self._left_s = 5.0
            self.update_blocking()
            return
        fix = self._fix()
        self._core.log.event("gnss_fix", ttff_s=round((self._core.clock.now_ms() - self._started_ms) / 1000, 1),
                             acquired_s=round(self._acquired_s, 1), injected=self._helped or None,
                             lat=round(fix.lat, 6), lon=round(fix.lon, 6), acc_m=round(fix.acc, 1))
        self._core.notify("gnss_fix", fix)
        if self._interval == 1:
            self._left_s = 1.0
            self._started_ms = self._core.clock.now_ms()
            self.update_blocking()
        else:
            self._end_search(FIXED)

    def _fix(self):
        """Position with noise that fits the reported accuracy; the sky taught us time, place and ephemerides."""
        now, rng, spot = self.now_s(), self._core.faults.rng, self._core.spot()
        known = self.known
        acc = rng.uniform(2.5, 9.0) if len(known.fresh(now)) >= _ENOUGH else rng.uniform(6.0, 18.0)
        visible = {(int(now // 3600) * 5 + i * 3) % 32 + 1 for i in range(10)}
        for prn in visible:
            known.ephemerides.setdefault(prn, now)
            if abs(now - known.ephemerides[prn]) > _EPH_FRESH_S:
                known.ephemerides[prn] = now
        known.time_error_s = 0.0
        known.last_fix_s = now
        known.until["location"] = now + _LASTS_S["location"]
        self._core.time_known = True
        metre = 1 / 111_200
        date_s = int(now) - (1024 * agnss.WEEK if self._core.faults.on("week_rollover") else 0)
        return Fix(spot.lat + rng.gauss(0, acc / 1.5) * metre, spot.lon + rng.gauss(0, acc / 1.5) * metre / 0.58,
                   spot.alt + rng.gauss(0, acc), acc, max(spot.speed + rng.gauss(0, 0.05), 0.0), spot.heading, date_s)

    # assistance

    def inject(self, items, error=None):
        """Take decoded items (agnss.decode); clocks first. Logs what was accepted and what was not."""
        taken, refused = {}, {}
        for kind, fields in sorted(items, key=lambda item: item[0] != "clock"):
            book = taken if self._learn(kind, fields) else refused
            book[kind] = book.get(kind, 0) + 1
        entry = {"accepted": taken, "refused": refused, "error": error,
                 "svs": sorted(f["sv_id"] for k, f in items if k == "ephemeris")}
        self.injected.append(entry)
        for kind, count in taken.items():
            self._helped[kind] = self._helped.get(kind, 0) + count
        self._core.log.event("agnss", **entry)
        if self.searching:
            self.update_blocking()
            self._left_s = min(self._left_s, self.time_to_fix())
            self.update_blocking()

    def _learn(self, kind, fields):
        known, now = self.known, self.now_s()
        if kind == "clock":
            known.time_error_s = agnss.clock_unix(fields) - now
            return known.time_good
        if kind == "ephemeris":
            if not known.time_good or fields["health"]:
                return False
            age_s = agnss.age_of(fields["toe"], now + known.time_error_s)
            if abs(age_s) > _EPH_DEAD_S:
                return False
            if fields["sv_id"] <= 32:
                known.ephemerides[fields["sv_id"]] = now - age_s
            return True
        if kind == "almanac":
            if fields["sv_id"] <= 32:
                known.almanacs[fields["sv_id"]] = now + _ALMANAC_S
            return True
        if kind == "location":
            return self._learn_location(fields, now)
        if kind in known.until:
            known.until[kind] = now + _LASTS_S[kind]
        return True

    def _learn_location(self, fields, now):
        lat, _ = agnss.degrees(fields)
        # Within a satellite's horizon any rough position helps; uncertainty code 255 says "unknown".
        if fields["unc_major"] > 127 or abs(lat) > 90:
            return False
        self.known.until["location"] = now + _LASTS_S["location"]
        return True
