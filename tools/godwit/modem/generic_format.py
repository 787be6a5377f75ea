"""How TS 27.007 spells what the core knows: pure functions from state to the fields of a line."""

import datetime

from godwit.modem.cells import rsrp_dbm, rssi_dbm
from godwit.modem.radio import DENIED, NO_SIM, NOT_SEARCHING, UNKNOWN

TZ_QUARTERS = 8  # the network announces local time, two hours ahead of UTC


def act(core):
    """The access technology of the serving cell in the numbering of the family."""
    return core.profile.acts.get(core.radio.cell.act, core.radio.cell.act)


def cereg(core, n):
    """Fields of +CEREG for reporting level n (without n itself)."""
    radio = core.radio
    fields = [str(radio.stat)]
    if n >= 2 and radio.cell and radio.stat not in (NOT_SEARCHING, UNKNOWN, NO_SIM):
        fields += [f'"{radio.cell.tac:04X}"', f'"{radio.cell.eci:08X}"', str(act(core))]
        denied = n in (3, 5) and radio.stat == DENIED
        fields += ["0", str(radio.emm_cause)] if denied else ["", ""]
        mode, tau, active = core.settings["psm"]
        if n >= 4 and radio.registered and mode == 1:
            fields += [f'"{active}"', f'"{tau}"']
    return ",".join(fields).rstrip(",")


def cesq(core):
    """+CESQ answer."""
    cell = core.radio.cell if core.radio.registered else None
    rsrq, rsrp = (cell.rsrq, cell.rsrp) if cell else (255, 255)
    return f"+CESQ: 99,99,255,255,{max(rsrq, 0)},{max(rsrp, 0)}"


def csq(core):
    """+CSQ answer: RSSI in steps of 2 dB from -113 dBm."""
    if not core.radio.registered:
        return "+CSQ: 99,99"
    return f"+CSQ: {min(max((rssi_dbm(rsrp_dbm(core.radio.cell.rsrp)) + 113) // 2, 0), 31)},99"


def local_time(now_ms):
    """Network time as +CCLK shows it."""
    local = local_datetime(now_ms)
    return f'+CCLK: "{local:%y/%m/%d,%H:%M:%S}{TZ_QUARTERS:+03d}"'


def local_datetime(now_ms):
    """The network's local time, as a datetime that says UTC."""
    shift = datetime.timedelta(minutes=15 * TZ_QUARTERS)
    return datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC) + shift


def parse_local_time(text):
    """Unix seconds of a +CCLK string. Raises ValueError."""
    local = datetime.datetime.strptime(text[:17], "%y/%m/%d,%H:%M:%S").replace(tzinfo=datetime.UTC)
    return local.timestamp() - int(text[17:] or 0) * 900
