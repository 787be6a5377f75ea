"""The GNSS receiver: acquisition, single, periodic and continuous fixes, assistance from the host.

How long a fix takes is the sky model's (sky.py). Acquisition only advances while the radio is free, in the way of the
family (Profile.gnss). The receiver keeps what it has learnt for hours, so a second start asks for less or nothing.
Owned by Core; statuses are those of #XGNSS (modems.md 2A.8).
"""

import dataclasses
import time

from godwit.modem import agnss, xtra
from godwit.modem.sky import ENOUGH, LASTS_S, Knowledge

STOPPED, STARTED, WOKEN, TIMED_OUT, FIXED = range(5)
_TELLING_S = 0.5  # real seconds between two items of assistance, or two packets, at most
TRACKING = -1  # in place of an interval: until it is stopped, fixes are made when they are asked for


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
        self.fix = None  # the last one since the start
        self._on_since_ms = None
        self._told = 0.0  # real time of the last assistance

    # what is

    @property
    def searching(self):
        """Looking for satellites right now?"""
        return self.status in (STARTED, WOKEN)

    @property
    def running(self):
        """Between start and stop (a single fix ends by itself)?"""
        return self.searching or (self.status != STOPPED and self._interval != 0)

    def now_s(self):
        """World time in Unix seconds."""
        return self._core.clock.now_ms() / 1000

    def need(self):
        """What is missing (Knowledge.need)."""
        return self.known.need(self.now_s())

    def time_to_fix(self):
        """Seconds of undisturbed search that a fix takes with what is known now."""
        return self.known.time_to_fix(self.now_s())

    def current(self):
        """The fix of this moment, for receivers that are asked; None while there is none."""
        if self.status == FIXED and self.running and not self._core.faults.on("no_fix"):
            self.fix = self._make_fix()
            return self.fix
        return None

    # verbs

    def start(self, interval, timeout):
        """Begin: interval 0 single, 1 continuous, else periodic in s; timeout in s, 0 none."""
        self._interval, self._timeout = interval, timeout
        self._begin(STARTED)

    def track(self):
        """Search, and hold on to what is found until stop(): for receivers that are asked (current)."""
        self._interval, self._timeout = TRACKING, 0
        self._begin(STARTED)

    def stop(self):
        """End; True when it was running."""
        was = self.running
        self._cancel()
        if self.status != STOPPED:
            self._core.log.event("gnss_stop")
        self._end_use()
        self.status = STOPPED
        self.fix = None
        self._core.radio.unblocked()
        return was

    def power_cut(self):
        """Time is lost, the data in the NVM is not."""
        self._cancel()
        self._end_use()
        self.status = STOPPED
        self.fix = None
        self.known.forget_time()

    def delete(self, mask):
        """#XGNSSDEL."""
        self.known.delete(mask)

    def on_ms(self):
        """Milliseconds of world time since the receiver was switched on; 0 when it is off."""
        return 0 if self._on_since_ms is None else self._core.clock.now_ms() - self._on_since_ms

    def _end_use(self):
        self._core.log.count("gnss_on_ms", self.on_ms())
        self._on_since_ms = None

    # acquisition

    def _begin(self, status):
        self._cancel()
        self.status = status
        self._started_ms = self._core.clock.now_ms()
        self._acquired_s = 0.0
        self.fix = None
        self._left_s = self.time_to_fix()
        self._helped = {}
        if self._on_since_ms is None:
            self._on_since_ms = self._started_ms
        self._core.log.event("gnss_start", interval=self._interval, timeout=self._timeout, expected_s=self._left_s)
        if self._timeout:
            self._end_timer = self._core.clock.later(self._timeout, self._give_up)
        if self._interval > 1:
            self._wake_timer = self._core.clock.later(self._interval, self._wake, drives=False)
        self.update_blocking()

    def update_blocking(self):
        """LTE took or released the radio: hold or resume the search."""
        free = self.searching and not self._core.gnss_blocked()
        if self._resumed_ms is not None:
            part_s = (self._core.clock.now_ms() - self._resumed_ms) / 1000
            self._acquired_s += part_s
            self._left_s = max(self._left_s - part_s, 0.0)
            self._fix_timer.cancel()
            self._resumed_ms = None
        if free:
            self._resumed_ms = self._core.clock.now_ms()
            self._fix_timer = self._core.clock.later(self._left_s, self._try_fix, drives=self._awaited)

    def _awaited(self):
        """Does the host do nothing but wait for the fix?

        Nobody waits for the second one of a receiver that makes one after the other; and while assistance is fetched,
        or comes item by item, the world does not hurry, or the time a slow host takes for it would count many times.
        """
        return self.fix is None and time.monotonic() - max(self._told, self._core.radio.heard) > _TELLING_S

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
        if not self.running:
            self._end_use()
        self._core.radio.unblocked()
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
        fix = self.fix = self._make_fix()
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

    def _make_fix(self):
        """Position with noise that fits the reported accuracy; the sky taught us time, place and ephemerides."""
        now, rng, spot = self.now_s(), self._core.faults.rng, self._core.spot()
        acc = rng.uniform(2.5, 9.0) if len(self.known.fresh(now)) >= ENOUGH else rng.uniform(6.0, 18.0)
        self.known.seen({(int(now // 3600) * 5 + i * 3) % 32 + 1 for i in range(10)}, now)
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
            book = taken if self.known.learn(kind, fields, self.now_s()) else refused
            book[kind] = book.get(kind, 0) + 1
        entry = {"accepted": taken, "refused": refused, "error": error,
                 "svs": sorted(f["sv_id"] for k, f in items if k == "ephemeris")}
        self.injected.append(entry)
        for kind, count in taken.items():
            self._helped[kind] = self._helped.get(kind, 0) + count
        self._core.log.event("agnss", **entry)
        self._told = time.monotonic()
        self._sooner()

    def hint_time(self, unix_s):
        """A host tells the time. False when it is too far from the truth to be of use."""
        self.known.time_error_s = unix_s - self.now_s()
        self._helped["time"] = 1
        self._sooner()
        return self.known.time_good

    def hint_position(self, lat, lon):
        """A host tells a position in degrees. False when there is no such place."""
        good = abs(lat) <= 90 and abs(lon) <= 180
        if good:
            self.known.until["location"] = self.now_s() + LASTS_S["location"]
            self._helped["location"] = 1
            self._sooner()
        return good

    def load_xtra(self, blob):
        """Predictions (xtra.py). Returns (start, end) in Unix seconds. Raises XtraError."""
        self.known.predicted = xtra.decode(blob)
        self._helped["xtra"] = 1
        self._core.log.event("xtra", start=self.known.predicted[0], end=self.known.predicted[1])
        return self.known.predicted

    def _sooner(self):
        if self.searching:
            self.update_blocking()
            self._left_s = min(self._left_s, self.time_to_fix())
            self.update_blocking()
