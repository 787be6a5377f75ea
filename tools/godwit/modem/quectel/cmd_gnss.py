"""GNSS of BG95 in AT (modems.md 2C.6): +QGPS and its family, assistance by a prediction file and a time hint.

The receiver shares its radio with LTE: who goes first is `priority` of +QGPSCFG. Positions, ephemerides and almanacs
from others cannot be given to it.
"""

import datetime

from pynmeagps import GET, NMEAMessage

from godwit.modem import xtra
from godwit.modem.grammar import CmeError
from godwit.modem.quectel import cmd_file
from godwit.modem.quectel import format as fmt
from godwit.modem.registry import Registry

COMMANDS = Registry()
command = COMMANDS.command

INVALID, BUSY, ONGOING, INACTIVE, TIME_ERROR, NO_XTRA, VALIDITY, NOT_FIXED, NOT_FOUND = (
    501, 503, 504, 505, 508, 509, 512, 516, 405)  # fmt: skip
_SENTENCES = ("GGA", "RMC", "GSV", "GSA", "VTG")
_DELETES = {0: 0x7F, 1: 0x30, 2: 0x00, 3: 0x00}  # +QGPSDEL: cold, hot, warm, XTRA -> bits of Knowledge.delete


# on and off


@command("+QGPS", "set")
def _start(dev, params):
    if params.number(0, 1, 4) != 1:
        raise CmeError(INVALID)
    for i, low, high, default in ((1, 1, 255, 30), (2, 1, 1000, 50), (4, 1, 65535, 1)):
        params.number(i, low, high, default=default)
    if dev.gnss_on:
        raise CmeError(ONGOING)
    dev.gnss_on = True
    dev.fixes_left = params.number(3, 0, 1000, default=0)
    if dev.xtra_on and dev.core.gnss.known.predicted and dev.xtra_time_known:
        dev.core.log.event("xtra_used")
    dev.core.gnss.track()


@command("+QGPSEND", "exec")
def _end(dev, params):
    if not dev.gnss_on:
        raise CmeError(INACTIVE)
    dev.gnss_on = False
    dev.core.gnss.stop()


@command("+QGPS", "read")
def _state(dev, params):
    return f"+QGPS: {int(dev.gnss_on)}"


@command("+QGPSDEL", "set")
def _delete(dev, params):
    _must_be_off(dev)
    kind = params.number(0, 0, 3)
    known = dev.core.gnss.known
    known.delete(_DELETES[kind])
    if kind in (0, 3):
        known.predicted = None


def _must_be_off(dev):
    if dev.gnss_on:
        raise CmeError(ONGOING)


# position


def _current(dev):
    if not dev.gnss_on:
        raise CmeError(INACTIVE)
    fix = dev.core.gnss.current()
    if fix is None:
        raise CmeError(NOT_FIXED)
    return fix


@command("+QGPSLOC", "set")
def _position(dev, params):
    mode = params.number(0, 0, 2)
    return fmt.qgpsloc(_current(dev), mode)


@command("+QGPSLOC", "read")
def _position_default(dev, params):
    return fmt.qgpsloc(_current(dev), 0)


@command("+QGPSGNMEA", "set")
def _sentence(dev, params):
    kind = params.text(0)
    if kind not in _SENTENCES:
        raise CmeError(INVALID)
    if not dev.gnss_on or dev.core.settings["qgpscfg"]["nmeasrc"] != ["1"]:
        raise CmeError(INACTIVE if not dev.gnss_on else 507)
    return f"+QGPSGNMEA: {_nmea(dev, kind)}"


def _nmea(dev, kind):
    fix, known = dev.core.gnss.current(), dev.core.gnss.known.time_good
    when = datetime.datetime.fromtimestamp(fix.time_s if fix else dev.core.gnss.now_s(), datetime.UTC)
    clock, date = (f"{when:%H%M%S}.00", f"{when:%d%m%y}") if fix or known else ("", "")
    place = _place(fix)
    hdop = f"{fmt.hdop(fix):.1f}" if fix else ""
    fields = {
        "GGA": [clock, *place, "1" if fix else "0", "08" if fix else "00", hdop,
                *((f"{fix.alt:.1f}", "M", "0.0", "M") if fix else ("", "", "", "")), "", ""],
        "RMC": [clock, "A" if fix else "V", *place, *_motion(fix), date, "", "", "A" if fix else "N"],
        "GSA": ["A", "3" if fix else "1", *(["02", "05", "12", "25"] if fix else [""] * 4), *[""] * 8,
                *((hdop, hdop, hdop) if fix else ("", "", ""))],
        "GSV": ["1", "1", "04", "02", "40", "083", "46", "05", "17", "308", "41", "12", "07", "344", "39", "25", "22",
                "228", "45"],
        "VTG": [_motion(fix)[1], "T", "", "M", _motion(fix)[0], "N", f"{fix.speed * 3.6:.1f}" if fix else "", "K",
                "A" if fix else "N"],
    }[kind]
    return NMEAMessage("GP", kind, GET, payload=fields).serialize().decode().strip()


def _place(fix):
    if fix is None:
        return "", "", "", ""
    return fmt.minutes(fix.lat, 2, 6), "NS"[fix.lat < 0], fmt.minutes(fix.lon, 3, 6), "EW"[fix.lon < 0]


def _motion(fix):
    return (f"{fix.speed / 0.514444:.1f}", f"{fix.heading:.1f}") if fix else ("", "")


def fixed(dev, fix):
    """The core has a fix: nothing is said, but a session of so many fixes may be over."""
    if dev.fixes_left:
        dev.fixes_left -= 1
        if not dev.fixes_left:
            dev.gnss_on = False
            dev.core.gnss.stop()


# assistance


@command("+QGPSXTRA", "set")
def _enable(dev, params):
    dev.core.set("xtra", params.number(0, 0, 1))  # works after the next start


@command("+QGPSXTRA", "read")
def _enabled(dev, params):
    return f"+QGPSXTRA: {dev.core.settings['xtra']}"


def _must_be_enabled(dev):
    if not dev.xtra_on:
        raise CmeError(NO_XTRA)
    _must_be_off(dev)


@command("+QGPSXTRATIME", "set")
def _time(dev, params):
    _must_be_enabled(dev)
    params.number(0, 0, 0)
    try:
        when = datetime.datetime.strptime(params.text(1), "%Y/%m/%d,%H:%M:%S").replace(tzinfo=datetime.UTC)
    except ValueError as err:
        raise CmeError(INVALID) from err
    for i in (2, 3):
        params.number(i, 0, 1, default=1)
    params.number(4, 0, 65535, default=3500)
    if not dev.core.gnss.hint_time(int(when.timestamp())):
        raise CmeError(TIME_ERROR)
    dev.xtra_time_known = True


@command("+QGPSXTRADATA", "set")
def _data(dev, params):
    _must_be_enabled(dev)
    blob = cmd_file.content(dev, params.text(0))
    if blob is None:
        raise CmeError(NOT_FOUND)
    if not dev.xtra_time_known:
        raise CmeError(TIME_ERROR)
    try:
        start_s, end_s = xtra.decode(blob)
    except xtra.XtraError as err:
        dev.core.log.event("xtra_refused", reason=str(err))
        raise CmeError(INVALID) from err
    if not start_s - 60 <= dev.core.gnss.now_s() < end_s:
        raise CmeError(VALIDITY)
    dev.core.gnss.load_xtra(blob)


@command("+QGPSXTRADATA", "read")
def _validity(dev, params):
    if not dev.xtra_on:
        raise CmeError(NO_XTRA)
    predicted = dev.core.gnss.known.predicted
    if predicted is None:
        return '+QGPSXTRADATA: 0,"1980/01/05,19:00:00"'
    start_s, end_s = predicted
    if not start_s - 60 <= dev.core.gnss.now_s() < end_s:
        return '+QGPSXTRADATA: 0,"1980/01/05,19:00:00"'
    start = datetime.datetime.fromtimestamp(start_s, datetime.UTC)
    return f'+QGPSXTRADATA: {(end_s - start_s) // 60},"{start:%Y/%m/%d,%H:%M:%S}"'
