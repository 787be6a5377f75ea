"""BG95: the GNSS receiver, which shares its radio with LTE in time (modems.md 2C.6).

It is asked once a second. Called through modem.family.Family only. RAM: that of modem.polled.Polled.
"""

from micropython import const

from at.errors import ATError
from at.fields import split
from gnss.date import fields as calendar
from gnss.date import received
from modem import polled
from modem.convert import scaled
from modem.link import attempt

_GNSS_MS = const(5000)
_ONGOING = const(504)
_NOT_ACTIVE = const(505)
# GNSS goes before LTE when both want the radio, which an idle LTE gives up easily; a BG96 has no such choice.
_PREPARE = ('"outport","none"', '"nmeasrc",1', '"priority",0')


def parse_position(line):
    """`+QGPSLOC: hhmmss.sss,lat,lon,hdop,alt,fix,cog,km/h,kn,ddmmyy,nsat` (mode 2) -> fix record, or None when
    malformed. Its height is above mean sea level, which is no help without the geoid: see `height`. A date before 2024
    (weeks miscounted) is time None."""
    fields = split(line)
    try:
        when, lat, lon, hdop, _, _, heading, speed, _, date, _ = fields
        hour, minute, second = [int(when[i : i + 2]) for i in (0, 2, 4)]
        day, month, year = [int(date[i : i + 2]) for i in (0, 2, 4)]
        return {
            "lat": scaled(lat, 7),
            "lon": scaled(lon, 7),
            "alt_mm": None,
            "acc_mm": scaled(hdop, 3) * 5 if hdop else None,
            "speed_mm_s": (scaled(speed, 3) * 5 + 9) // 18 if speed else None,
            "heading_mdeg": scaled(heading, 3) if heading else None,
            "time": received(2000 + year, month, day, hour, minute, second),
        }
    except ValueError:
        return None


def height(line):
    """`+QGPSGNMEA: $GPGGA,...` -> mm above the ellipsoid (height above sea level and the geoid's), or None."""
    fields = line.split(b",")
    try:
        return scaled(fields[9], 3) + scaled(fields[11], 3)
    except (ValueError, IndexError):
        return None


async def _run(modem):
    try:
        await modem.at.command("AT+QGPS=1", timeout_ms=_GNSS_MS)
    except ATError as refused:
        if refused.code != _ONGOING:
            raise
        await _end(modem)
        await modem.at.command("AT+QGPS=1", timeout_ms=_GNSS_MS)


async def _end(modem):
    await attempt(modem, "AT+QGPSEND", timeout_ms=_GNSS_MS)


async def gnss_start(modem, interval_s=0, timeout_s=120, forward=True):
    """Start the receiver: interval 0 one fix, 1 continuous, more: periodic; timeout per fix, 0 none. `forward` has no
    meaning: it takes no assistance from us."""
    for option in _PREPARE:
        await attempt(modem, "AT+QGPSCFG=" + option)
    await _run(modem)
    modem.gnss = polled.Polled(interval_s, timeout_s)


async def _ask(modem):
    try:
        lines = await modem.at.command("AT+QGPSLOC=2", b"+QGPSLOC:", timeout_ms=_GNSS_MS)
    except ATError as refused:
        if refused.code == _NOT_ACTIVE and modem.gnss:
            modem.gnss.stopped()
        return None  # 516: no fix yet
    found = parse_position(lines[0]) if lines else None
    if found:
        lines = await attempt(modem, 'AT+QGPSGNMEA="GGA"', b"+QGPSGNMEA:")
        found["alt_mm"] = height(lines[0]) if lines else None
    return found


async def gnss_fix(modem, timeout_ms):
    """-> fix record, or None when the receiver gave up or `timeout_ms` passed."""
    return await polled.fix(modem, _ask, timeout_ms)


async def set_time(modem, unix_s):
    """The receiver must be off. -> whether it took the time: firmware may want XTRA switched on for that."""
    when = "%d/%02d/%02d,%02d:%02d:%02d" % calendar(unix_s)
    return await attempt(modem, 'AT+QGPSXTRATIME=0,"%s",1,1,3500' % when) is not None


async def gnss_hint(modem, unix_s, place=None):
    """Tell it the time, to 3.5 s; it takes no position. It is switched off and on again for that."""
    if unix_s is None:
        return
    await _end(modem)
    try:
        if not await set_time(modem, unix_s):
            modem.note("the receiver does not take the time")
    finally:
        await _run(modem)


async def gnss_stop(modem):
    """Stop the receiver; fine when it is not running. LTE goes first again."""
    try:
        await _end(modem)
        await attempt(modem, 'AT+QGPSCFG="priority",1')
    finally:
        if modem.gnss:
            modem.gnss.stopped()
            modem.gnss = None
