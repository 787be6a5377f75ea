"""sara_r5: the receiver inside, or on the module's I2C bus: start, fix, stop (modems.md 2D.5).

A fix comes by +ULOC, which ends when it is good enough; where that fails, or its answer gets lost, the receiver itself
is asked. The parser is pure. Called through modem.family.Family. RAM: see modem.sara_r5.receiver.
"""

import asyncio
from errno import ETIMEDOUT
from time import ticks_add, ticks_diff, ticks_ms

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from gnss.date import received
from modem.convert import scaled
from modem.link import attempt
from modem.sara_r5.receiver import Receiver

_SWITCH_MS = const(15000)
_SYSTEMS = const(67)  # GPS, SBAS, GLONASS
_LOCAL_AIDING = const(1)  # what was injected outlives the stop
_ACCURACY_M = const(100)  # of a fix that +ULOC need not better
_LONGEST_S = const(999)
_TRIES = const(4)
_PAUSE_MS = const(1000)  # between two looks of ours
_NO_FIX_MM = const(100000000)  # +ULOC that ran out says "0,0 within thousands of km"
_GNSS = b"1"  # sensor


def parse_uuloc(line):
    """`+UULOC: dd/mm/yyyy,hh:mm:ss.sss,lat,lon,alt,acc[,speed,direction,vertical acc,sensor,..]` (degrees, m, m/s) ->
    fix record, or None: no fix, or malformed. A date that is long over gives "time" None."""
    fields = split(line)
    if len(fields) < 6 or len(fields) > 9 and fields[9] != _GNSS:
        return None
    day, clock = fields[:2]
    numbers = [scan_int(x) for x in (day[6:10], day[3:5], day[:2], clock[:2], clock[3:5], clock[6:8])]
    try:
        lat, lon = scaled(fields[2], 7), scaled(fields[3], 7)
        accuracy = scaled(fields[5], 3)
        alt = scaled(fields[4], 3)
        speed, heading = (scaled(fields[6], 3), scaled(fields[7], 3)) if len(fields) > 7 else (None, None)
    except ValueError:
        return None
    if not 0 < accuracy < _NO_FIX_MM or abs(lat) > 900000000 or abs(lon) > 1800000000:
        return None
    return {
        "lat": lat,
        "lon": lon,
        "alt_mm": alt,
        "acc_mm": accuracy,
        "speed_mm_s": speed,
        "heading_mdeg": heading,
        "time": None if None in numbers else received(*numbers),
    }


async def gnss_start(modem, interval_s=0, timeout_s=120, forward=True):
    """Start the receiver: interval 0 one fix, 1 continuous, larger ones periodic; timeout per fix, 0 none. `forward`
    is of no use: it always tells what it needs."""
    if modem.gnss:
        modem.gnss.close()
    modem.gnss = state = Receiver(modem.at)
    state.interval_s, state.timeout_s, state.due = interval_s, timeout_s or _LONGEST_S, ticks_ms()
    cmd = "AT+UGPS=1,%d,%d" % (_LOCAL_AIDING, _SYSTEMS)
    if await attempt(modem, cmd, timeout_ms=_SWITCH_MS) is None:  # it may have been running
        await attempt(modem, "AT+UGPS=0", timeout_ms=_SWITCH_MS)
        try:
            await modem.at.command(cmd, timeout_ms=_SWITCH_MS)
        except ATError:
            state.close()
            modem.gnss = None
            raise


async def gnss_stop(modem):
    """Stop the receiver; fine when it is not running. The modem keeps what the receiver knows."""
    try:
        await attempt(modem, "AT+UGPS=0", timeout_ms=_SWITCH_MS)
    finally:
        if modem.gnss:
            modem.gnss.close()
            modem.gnss = None


async def gnss_fix(modem, timeout_ms):
    """-> fix record, or None when `timeout_ms` passed, or the one fix was given, or the receiver was stopped."""
    end = ticks_add(ticks_ms(), timeout_ms)
    while modem.gnss is not None and not modem.gnss.over:
        state = modem.gnss
        left = ticks_diff(end, ticks_ms())
        early = ticks_diff(state.due, ticks_ms())
        if early > 0 and left > 0:
            await asyncio.sleep_ms(min(early, left, _PAUSE_MS))
            continue
        fix = await _ask(modem, state, left) if left > 0 else None
        if fix is None and not state.over:
            fix = await _look(modem)
        if fix:
            state.over = not state.interval_s
            if state.interval_s > 1:
                state.due = ticks_add(ticks_ms(), state.interval_s * 1000)
            return fix
        if left <= 0:
            break
        await asyncio.sleep_ms(min(left, _PAUSE_MS))
    return None


async def _ask(modem, state, left):
    """A fix by +ULOC within `left` ms, or None."""
    # Its own timeout ends before ours, and a word that got lost is not waited for much longer.
    seconds = max(1, min(state.timeout_s, left // 1000 - 1, _LONGEST_S))
    cmd = "AT+ULOC=2,1,1,%d,%d" % (seconds, _ACCURACY_M)
    tries = 0
    while not state.asked:
        state.fix.clear()
        state.asked = True  # before the command: its answer may come before the OK
        if await attempt(modem, cmd, timeout_ms=_SWITCH_MS) is not None:
            break
        state.asked = False
        tries += 1
        if tries == _TRIES:
            return None
        await asyncio.sleep_ms(modem.retry_ms << tries)
    try:
        line = await state.fix.wait(left)
    except OSError as error:
        if error.args[0] != ETIMEDOUT:
            raise
        state.asked = False
        return None
    state.fix.clear()
    return None if state.over else parse_uuloc(line)


async def _look(modem):
    """What the receiver itself says, or None."""
    from gnss.ubx import POLL_PVT, fix
    from modem.sara_r5.tunnel import exchange

    try:
        reply = await exchange(modem, POLL_PVT)
    except ATError:
        return None
    return fix(reply[2]) if reply and reply[:2] == (1, 7) else None
