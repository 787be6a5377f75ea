"""nRF91: who it is, what time it is, how strong the signal is (modems.md 2A.4, 2A.10).

Called by modem.nrf91.Modem only. RAM: none.
"""

from at.errors import ATError
from at.fields import scan_int, split
from modem.convert import rsrp_dbm, rsrq_db, unix_time

# field, command, prefix (None: the answer is free text). The first that answers wins.
_IDENTITY = (
    ("imei", "AT+CGSN=1", b"+CGSN:"),
    ("iccid", "AT%XICCID", b"%XICCID:"),
    ("imsi", "AT+CIMI", None),
    ("model", "AT+CGMM", None),
    ("firmware", "AT+CGMR", None),
    ("uuid", "AT%DEVICEUUID", b"%DEVICEUUID:"),
    ("uuid", "AT#XUUID", b"#XUUID:"),
)


async def _text(modem, cmd, prefix):
    """-> first field of the answer as str, or None when the modem refuses or says nothing."""
    try:
        lines = await modem.at.command(cmd, prefix, timeout_ms=3000, free=prefix is None)
    except ATError:
        return None
    return split(lines[0])[0].decode() if lines else None


async def identity(modem):
    """-> dict of str or None: imei, iccid, imsi, model, firmware, uuid, app."""
    found = {"app": modem.version}
    for field, cmd, prefix in _IDENTITY:
        if found.get(field) is None:
            found[field] = await _text(modem, cmd, prefix)
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
    if None in numbers or numbers[0] < 24:  # a clock that starts at 1970 or 1980 does not know
        return None
    quarters = scan_int(text[18:20]) or 0
    if text[17:18] == b"-":
        quarters = -quarters
    return unix_time(2000 + numbers[0], *numbers[1:]) - quarters * 900


async def signal(modem):
    """-> {"rsrp_dbm", "rsrq_db"}; None where unknown. +CESQ: rxlev,ber,rscp,ecno,rsrq,rsrp."""
    lines = await modem.at.command("AT+CESQ", b"+CESQ:", timeout_ms=3000)
    fields = split(lines[0]) if lines else ()
    rsrq, rsrp = (scan_int(fields[4]), scan_int(fields[5])) if len(fields) > 5 else (None, None)
    return {"rsrp_dbm": rsrp_dbm(rsrp), "rsrq_db": rsrq_db(rsrq)}


async def battery_mv(modem):
    """-> supply voltage in mV, or None."""
    lines = await modem.at.command("AT%XVBAT", b"%XVBAT:", timeout_ms=3000)
    return scan_int(split(lines[0])[0]) if lines else None
