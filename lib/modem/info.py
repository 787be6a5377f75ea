"""Who the modem is, what time it is, how strong the signal is (27.007; modems.md 2A.4, 2A.10, 8.4).

Called through modem.family.Family; what a family is asked is in its steps. RAM: none.
"""

from at.errors import ATError
from at.fields import readable, scan_int, split
from gnss.date import received
from modem.convert import rsrp_dbm, rsrq_db
from modem.verbs import steps


async def _text(modem, cmd, prefix):
    """-> first field of the answer as str, or None when the modem refuses or says nothing."""
    try:
        lines = await modem.at.command(cmd, prefix, timeout_ms=3000, free=prefix is None)
    except ATError:
        return None
    return readable(split(lines[0])[0]) if lines else None


async def identity(modem):
    """-> dict of str or None: imei, iccid, imsi, model, firmware, uuid, app."""
    found = {"imei": None, "iccid": None, "imsi": None, "model": None, "firmware": None, "uuid": None}
    found["app"] = modem.version
    for field, cmd, prefix in steps(modem).IDENTITY:  # the first that answers wins
        if found[field] is None:
            found[field] = await _text(modem, cmd, prefix)
    if found["iccid"]:
        found["iccid"] = found["iccid"].rstrip("F")  # filler of one with an odd number of digits
    return found


async def time(modem):
    """-> Unix time in s by the network, or None."""
    try:
        lines = await modem.at.command("AT+CCLK?", b"+CCLK:", timeout_ms=3000)
    except ATError:  # neither network nor GNSS have told it yet
        return None
    return parse_cclk(lines[0]) if lines else None


def parse_cclk(line):
    """`+CCLK: "26/01/02,05:04:05+08"`: local time and its zone in quarter hours -> Unix s; None when not set."""
    text = split(line)[0]
    numbers = [scan_int(text[i : i + 2]) for i in (0, 3, 6, 9, 12, 15)]
    if None in numbers or not 24 <= numbers[0] < 80:  # a clock that starts at 1970, 1980 or 2004 does not know
        return None
    quarters = scan_int(text[18:20]) or 0
    if text[17:18] == b"-":
        quarters = -quarters
    unix_s = received(2000 + numbers[0], *numbers[1:])  # None: noise on the line made no date of it
    return unix_s if unix_s is None else unix_s - quarters * 900


async def signal(modem):
    """-> {"rsrp_dbm", "rsrq_db"}; None where unknown. +CESQ: rxlev,ber,rscp,ecno,rsrq,rsrp."""
    lines = await modem.at.command("AT+CESQ", b"+CESQ:", timeout_ms=3000)
    fields = split(lines[0]) if lines else ()
    rsrq, rsrp = (scan_int(fields[4]), scan_int(fields[5])) if len(fields) > 5 else (None, None)
    return {"rsrp_dbm": rsrp_dbm(rsrp), "rsrq_db": rsrq_db(rsrq)}


async def battery_mv(modem):
    """-> supply voltage in mV, or None where the modem does not measure it."""
    cmd, prefix, index = steps(modem).BATTERY
    if cmd is None:
        return None
    lines = await modem.at.command(cmd, prefix, timeout_ms=3000)
    fields = split(lines[0]) if lines else ()
    return scan_int(fields[index]) if len(fields) > index else None
