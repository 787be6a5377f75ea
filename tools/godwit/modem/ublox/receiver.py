"""The u-blox M8 receiver inside SARA-R510M8S and SARA-R422M8S, as its host sees it (modems.md 2D.5).

It has its own antenna and does not wait for LTE. It has no backup supply: whatever it was told or has learnt is gone
at `+UGPS=0`, unless local aiding (aiding bit 1) let the modem put it away; then the next start with local aiding takes
it up again. UBX frames come through `+UGUBX`; assistance among them goes to the sky model of `core.gnss`.
"""

import copy
import struct
import time

from godwit.modem import agnss
from godwit.modem.sky import Knowledge
from godwit.modem.ublox import ubx

LOCAL_AIDING = 1
_BUSY_S = 0.5  # after a restart by CFG-RST
_VERSIONS = ("ROM CORE 3.01 (107888)", "00080000", "FWVER=SPG 3.01", "PROTVER=18.00", "GPS;SBAS;GLO;BDS;QZSS")
# What would write to a memory that is not there, or take the receiver out of the modem's hands.
_FORBIDDEN = ("CFG-CFG", "LOG-", "UPD-", "RINV", "CFG-RINV")
_OK, _NO_TIME, _BAD_VERSION, _BAD_LENGTH, _NOT_STORED, _BAD_TYPE = 0, 1, 2, 3, 4, 6
_USABILITY_UNIT_S = 900  # of an ephemeris in NAV-ORB
_FROM_SKY, _FROM_HOST = 1, 2


class Busy(Exception):
    """It does not listen just now."""


class M8:
    """One receiver; `on`, `aid`, `systems` are those of `+UGPS`."""

    def __init__(self, core):
        self._core = core
        self._saved = None
        self._polls = {"MON-VER": self._version, "NAV-ORB": self._orbits, "NAV-STATUS": self._state,
                       "NAV-PVT": self._solution, "CFG-NAVX5": self._navigation}
        self._forget()

    def _forget(self):
        self.on = False
        self.aid = self.systems = 0
        self._acks = False
        self._ready_ms = 0
        self._from_host = set()
        self._core.gnss.known = Knowledge()

    @property
    def fix(self):
        """The Fix of this moment, or None."""
        return self._core.gnss.current() if self.on else None

    # power

    def start(self, aid, systems):
        """Switch on and search."""
        self._forget()
        self.on, self.aid, self.systems = True, aid, systems
        if aid & LOCAL_AIDING and self._saved is not None:
            self._core.gnss.known = copy.deepcopy(self._saved)
            if self._core.rtc_s() is not None:  # the modem's clock is given along, right or wrong
                self._core.gnss.known.time_error_s = self._core.rtc_s() - self._core.gnss.now_s()
        self._core.gnss.track()

    def stop(self):
        """Switch off; local aiding keeps what is known."""
        if self.aid & LOCAL_AIDING:
            self._saved = copy.deepcopy(self._core.gnss.known)
        self._core.gnss.stop()
        self._forget()

    def power_cut(self):
        """The modem is gone, and the receiver with it. What local aiding put away is in its flash."""
        self._forget()

    # frames

    def frame(self, data):
        """Take one frame; returns the bytes that answer it, or None. Raises Busy, ubx.UbxError."""
        core = self._core
        if core.clock.now_ms() < self._ready_ms:
            raise Busy
        core.log.count("ubx_frames")
        try:
            message = ubx.parse(data, check=False)  # the modem writes the checksum anew
        except ubx.UbxError as err:
            return self._refused(data, str(err))
        if message.identity.startswith(_FORBIDDEN):
            raise ubx.UbxError("not allowed without a memory")
        if not message.payload:
            poll = self._polls.get(message.identity)
            return poll() if poll else None
        if message.msg_cls == bytes((ubx.MGA,)):
            code = self._assist(message)
            return ubx.ack(message.msg_id[0], message.payload, code) if self._acks else None
        if message.identity == "CFG-RST":
            self._reset(message)
            return None
        if message.identity.startswith("CFG-"):
            return self._configure(message)
        return None

    def _refused(self, data, error):
        """A frame that does not decode: assistance is logged and refused, anything else is the modem's ERROR."""
        if len(data) < 10 or data[:3] != ubx.SYNC + bytes((ubx.MGA,)) or error == "wrong length":
            raise ubx.UbxError(error)
        self._core.gnss.inject([], error=error)
        return ubx.ack(data[3], data[6:], _BAD_LENGTH) if self._acks else None

    def _assist(self, message):
        gnss, identity = self._core.gnss, message.identity
        error, found = None, []
        if not ubx.known(message):
            code = _BAD_LENGTH if identity in ubx.LENGTHS else _BAD_TYPE
            error = "length" if identity in ubx.LENGTHS else "unknown type"
        elif message.payload[1]:
            code, error = _BAD_VERSION, "version"
        else:
            code, found, error = self._decoded(message)
        gnss.inject(found, error=error)
        entry = gnss.injected[-1]
        entry["ubx"] = {"id": identity, **ubx.values(message)}
        if found and entry["refused"]:
            code = _NOT_STORED if gnss.known.time_good or found[0][0] != "ephemeris" else _NO_TIME
        self._from_host |= set(entry["svs"]) if code == _OK else set()
        return code

    @staticmethod
    def _decoded(message):
        try:
            return _OK, ubx.items(message), None
        except ubx.UbxError as err:
            return _NOT_STORED, [], str(err)

    def _configure(self, message):
        taken = message.identity not in ("CFG-VALSET", "CFG-VALDEL")  # M8 does not know configuration keys
        if message.identity == "CFG-NAVX5" and message.ackAid:
            self._acks = bool(message.ackAiding)
        payload = message.msg_cls + message.msg_id
        return ubx.make(b"\x05", b"\x01" if taken else b"\x00", payload=payload)

    def _reset(self, message):
        known = self._core.gnss.known
        if message.eph:
            known.ephemerides.clear()
        if message.alm:
            known.almanacs.clear()
        if message.pos:
            known.until["location"] = 0
        if message.rtc:
            known.time_error_s = known.last_fix_s = None
        self._acks = False
        self._ready_ms = self._core.clock.now_ms() + round(_BUSY_S * 1000)
        self._core.gnss.stop()
        self._core.gnss.track()

    # answers to polls

    def _version(self):
        software, hardware, *more = (text.encode() for text in _VERSIONS)
        payload = software.ljust(30, b"\0") + hardware.ljust(10, b"\0")
        return ubx.make(b"\x0a", b"\x04", payload=payload + b"".join(text.ljust(30, b"\0") for text in more))

    def _tow_ms(self):
        now = self._core.gnss.now_s()
        return int((now - agnss.GPS_EPOCH + agnss.LEAP_SECONDS) % agnss.WEEK * 1000)

    def _orbits(self):
        """NAV-ORB: for each GPS satellite how long its ephemeris is still usable, and whether it came from the host."""
        gnss, now = self._core.gnss, self._core.gnss.now_s()
        fresh = set(gnss.known.fresh(now)) if gnss.known.time_good else set()
        rows = b""
        for sv in sorted(fresh | set(gnss.known.almanacs)):
            left_s = max(gnss.known.ephemerides[sv] + 7200 - now, 0) if sv in fresh else 0
            usable = min(round(left_s / _USABILITY_UNIT_S), 30)
            source = (_FROM_HOST if sv in self._from_host else _FROM_SKY) if sv in fresh else 0
            almanac = 30 | _FROM_HOST << 5 if sv in gnss.known.almanacs else 0
            rows += bytes((0, sv, 1, usable | source << 5, almanac, 0))
        return ubx.make(b"\x01", b"\x34", payload=struct.pack("<IBBxx", self._tow_ms(), 1, len(rows) // 6) + rows)

    def _state(self):
        good, fixed = self._core.gnss.known.time_good, self.fix is not None
        return ubx.make("NAV", "NAV-STATUS", iTOW=self._tow_ms(), gpsFix=3 if fixed else 0, gpsFixOk=int(fixed),
                        wknSet=int(good), towSet=int(good))

    def _solution(self):
        """NAV-PVT; in this world the geoid is the ellipsoid, so that all families report the same altitude."""
        gnss, fix = self._core.gnss, self.fix
        fields = {"iTOW": self._tow_ms(), "fixType": 0, "hAcc": 0xFFFFFFFF, "vAcc": 0xFFFFFFFF, "tAcc": 0xFFFFFFFF}
        if gnss.known.time_good:
            names = ("year", "month", "day", "hour", "min", "second")
            now = gnss.now_s() + gnss.known.time_error_s
            fields |= dict(zip(names, time.gmtime(now))) | {"validDate": 1, "validTime": 1, "tAcc": 2_000_000_000}
        if fix is not None:
            height = round(fix.alt * 1000)
            fields |= {"fullyResolved": 1, "tAcc": 50, "fixType": 3, "gnssFixOk": 1, "numSV": 8, "lat": fix.lat,
                       "lon": fix.lon, "height": height, "hMSL": height, "hAcc": round(fix.acc * 1000),
                       "vAcc": round(fix.acc * 1500), "gSpeed": round(fix.speed * 1000), "headMot": fix.heading,
                       "pDOP": max(fix.acc / 4, 1.0)}
        return ubx.make("NAV", "NAV-PVT", **fields)

    def _navigation(self):
        return ubx.make("CFG", "CFG-NAVX5", version=2, ackAiding=int(self._acks))
