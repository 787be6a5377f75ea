"""How SARA-R5 and SARA-R422 spell what the core knows: pure functions from state to the text of lines.

Field orders and spellings: modems.md 2D.2 and 2D.5. What the manuals print and the core does not hold (temporary
identity of the network, antenna state) is constant here.
"""

import datetime

from pynmeagps import GET, NMEAMessage

from godwit.modem.cells import rsrp_dbm, rsrq_db, snr_db

LTE_M = 6
_LTE_SERVICE = 4
_FULL_BAND = 50  # resource blocks of 10 MHz, up and down
_TMSI, _GROUP, _CODE = "c0a80101", "8001", "02"
_UNKNOWN = 255
_KNOT = 0.514444  # m/s
NO_FIX_M = 20_000_000  # uncertainty of a position that is none


def ucged_r5(cell, connected):
    """The two lines after `+UCGED: 2` of SARA-R5; `connected` is the RRC state."""
    snr = snr_db(cell.snr)
    signal = f"{_index(cell.rsrp)},{_index(cell.rsrq)},{_UNKNOWN if snr is None else format(snr, '.2f')}"
    return [f"{LTE_M},{_LTE_SERVICE},{_plmn(cell)}",
            f"{cell.earfcn},{cell.band},{_FULL_BAND},{_FULL_BAND},{cell.tac:04x},{cell.eci:x},{cell.pci},{_TMSI},"
            f"{_GROUP},{_CODE},{signal},{int(connected)},0,9,48,-40,-5,64,255,255,0"]


def ucged_r422(cell):
    """The two lines after `+UCGED: 2` of SARA-R422: dBm and dB instead of indices, and no cell identity."""
    snr = snr_db(cell.snr)
    coded = _UNKNOWN if snr is None else min(max((snr + 20) * 5, 0), 250)
    return [f"{LTE_M},{_plmn(cell)}",
            f"{cell.earfcn},{cell.band},{_FULL_BAND},{_FULL_BAND},{cell.tac:04x},{cell.pci},"
            f'{_whole(rsrp_dbm(cell.rsrp))},{_whole(rsrq_db(cell.rsrq))},{coded},-1,3,255,128,"{_TMSI.upper()}"']


def uuloc(fix, detailed, now_s, satellites=8):
    """`+UULOC` line of a Fix; the detailed answer has speed, course, vertical accuracy and what the receiver says.

    Without a Fix the manual wants zeros for latitude and longitude; the uncertainty says that it is none.
    """
    if fix is None:
        when = datetime.datetime.fromtimestamp(now_s, datetime.UTC)
        nowhere = f"+UULOC: {when:%d/%m/%Y,%H:%M:%S}.000,0.0000000,0.0000000,0,{NO_FIX_M}"
        return nowhere + (",0,0,0,0,0,0,0" if detailed else "")
    when = datetime.datetime.fromtimestamp(fix.time_s, datetime.UTC)
    line = (f"+UULOC: {when:%d/%m/%Y,%H:%M:%S}.000,{fix.lat:.7f},{fix.lon:.7f},{round(fix.alt)},"
            f"{max(round(fix.acc), 1)}")
    if not detailed:
        return line
    vertical = max(round(fix.acc * 0.8), 1)
    return line + f",{round(fix.speed)},{round(fix.heading)},{vertical},1,{satellites},0,1"


def rmc(fix, now_s):
    """NMEA RMC sentence (NMEA 4.0, as M8 talks) of a Fix, or without one; `now_s` None: the receiver has no time."""
    if fix is None:
        return _sentence([_time(now_s), "V", "", "", "", "", "", "", _date(now_s), "", "", "N"])
    ns, ew = "NS"[fix.lat < 0], "EW"[fix.lon < 0]
    return _sentence([_time(fix.time_s), "A", _angle(fix.lat, 2), ns, _angle(fix.lon, 3), ew,
                      f"{fix.speed / _KNOT:.3f}", f"{fix.heading:.2f}", _date(fix.time_s), "", "", "A"])


def _sentence(fields):
    return NMEAMessage("GN", "RMC", GET, payload=fields).serialize().decode().strip()


def _angle(degrees, width):
    """ddmm.mmmmm; rounded as a whole, so that 59.999999 minutes become a degree."""
    units = round(abs(degrees) * 6_000_000)
    return f"{units // 6_000_000:0{width}d}{units % 6_000_000 / 100_000:08.5f}"


def _time(unix_s):
    return "" if unix_s is None else f"{datetime.datetime.fromtimestamp(unix_s, datetime.UTC):%H%M%S}.00"


def _date(unix_s):
    return "" if unix_s is None else f"{datetime.datetime.fromtimestamp(unix_s, datetime.UTC):%d%m%y}"


def _plmn(cell):
    return f"{cell.plmn[:3]},{cell.plmn[3:]}"


def _index(value):
    """36.133 index without Nordic's extension below 0 and above 34."""
    return max(value, 0)


def _whole(value):
    return _UNKNOWN if value is None else round(value)
