"""SIM7080: the GNSS receiver, which works only while LTE is off (modems.md 2B.7).

It is asked once a second. Called through modem.family.Family only. RAM: that of modem.polled.Polled.
"""

from errno import EALREADY

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from gnss.date import received
from modem import polled
from modem.convert import scaled
from modem.link import attempt
from modem.rtc import tell

_GNSS_MS = const(5000)
_CFUN_MS = const(10000)
_FIELDS = const(18)


def parse_position(line):
    """`+CGNSINF: run,fix,UTC,lat,lon,alt,km/h,course,mode,,HDOP,PDOP,VDOP,...,HPA,VPA` -> fix record, or None: no fix,
    or malformed. Its height is above mean sea level, and nothing tells the geoid's: alt_mm is None. A date before 2024
    (weeks miscounted) is time None."""
    fields = split(line)
    if len(fields) < _FIELDS or fields[1] != b"1":
        return None
    when, speed, heading, hdop, accuracy = fields[2], fields[6], fields[7], fields[10], fields[-2]
    try:
        month, day, hour, minute, second = [int(when[i : i + 2]) for i in (4, 6, 8, 10, 12)]
        acc_mm = scaled(accuracy, 3) if accuracy else scaled(hdop, 3) * 5 if hdop else None
        return {
            "lat": scaled(fields[3], 7),
            "lon": scaled(fields[4], 7),
            "alt_mm": None,
            "acc_mm": acc_mm,
            "speed_mm_s": (scaled(speed, 3) * 5 + 9) // 18 if speed else None,
            "heading_mdeg": scaled(heading, 3) if heading else None,
            "time": received(int(when[:4]), month, day, hour, minute, second),
        }
    except ValueError:
        return None


async def gnss_start(modem, interval_s=0, timeout_s=120, forward=True):
    """Start the receiver: interval 0 one fix, 1 continuous, more: periodic; timeout per fix, 0 none. `forward` has no
    meaning: it takes no assistance from us. Raises OSError(EALREADY) while LTE is on: detach() first."""
    lines = await modem.at.command("AT+CFUN?", b"+CFUN:", timeout_ms=_CFUN_MS)
    if lines and scan_int(split(lines[0])[0]) == 1:
        raise OSError(EALREADY, "LTE is on")
    await attempt(modem, "AT+CNACT=0,0", timeout_ms=_CFUN_MS)
    await modem.at.command("AT+CFUN=0", timeout_ms=_CFUN_MS)
    try:
        await modem.at.command("AT+CGNSPWR=1", timeout_ms=_GNSS_MS)
    except ATError:  # it may have been running
        await attempt(modem, "AT+CGNSPWR=0", timeout_ms=_GNSS_MS)
        await modem.at.command("AT+CGNSPWR=1", timeout_ms=_GNSS_MS)
    if modem.fresh:
        await attempt(modem, "AT+CGNSCOLD", timeout_ms=_GNSS_MS)
        modem.fresh = False
    modem.gnss = polled.Polled(interval_s, timeout_s)


async def _ask(modem):
    try:
        lines = await modem.at.command("AT+CGNSINF", b"+CGNSINF:", timeout_ms=_GNSS_MS)
    except ATError:
        lines = ()
    if lines and split(lines[0])[0] == b"0" and modem.gnss:
        modem.gnss.stopped()
    return parse_position(lines[0]) if lines else None


async def gnss_fix(modem, timeout_ms):
    """-> fix record, or None when the receiver gave up or `timeout_ms` passed."""
    return await polled.fix(modem, _ask, timeout_ms)


async def gnss_hint(modem, unix_s, place=None):
    """Tell it the time, by the modem's clock; it takes no position."""
    if unix_s is not None:
        await tell(modem, unix_s)


async def gnss_stop(modem):
    """Stop the receiver; fine when it is not running. LTE stays off until attach()."""
    try:
        await attempt(modem, "AT+CGNSPWR=0", timeout_ms=_GNSS_MS)
    finally:
        if modem.gnss:
            modem.gnss.stopped()
            modem.gnss = None
