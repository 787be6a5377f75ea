"""nRF91: GNSS receiver and its assistance from the host (modems.md 2A.8, 3.2).

Called by modem.nrf91.Modem only. RAM: three small records; the assistance itself is the caller's.
"""

from errno import EINVAL, ETIMEDOUT

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from gnss.date import received
from modem.convert import scaled
from modem.nrf91.receiver import Receiver

_BURST = const(4096)  # more without a pause overflows the modem's ring
_MAX_BLOB = const(8192)
_INJECT_MS = const(15000)
_STOP_MS = const(5000)
_TIME = const(0x08)  # flags of a need (modems.md 3.2)
_POSITION = const(0x10)


def parse_position(line):
    """`#XGNSSPOS: lat,lon,alt,acc,speed,heading,"YYYY-MM-DD HH:MM:SS"` -> fix record, or None when malformed."""
    fields = split(line)
    try:
        lat, lon, alt, accuracy, speed, heading, when = fields
        numbers = [int(when[a:b]) for a, b in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))]
        return {
            "lat": scaled(lat, 7),
            "lon": scaled(lon, 7),
            "alt_mm": scaled(alt, 3),
            "acc_mm": scaled(accuracy, 3),
            "speed_mm_s": scaled(speed, 3),
            "heading_mdeg": scaled(heading, 3),
            "time": received(*numbers),
        }
    except ValueError:
        return None


def parse_need(line):
    """`#XAGNSS: flags,n[,system,eph mask,alm mask]*n` -> need record, or None when malformed."""
    numbers = [scan_int(x) for x in split(line)]
    if None in numbers or len(numbers) < 2 or len(numbers) < 2 + 3 * numbers[1]:
        return None
    systems = {}
    for i in range(2, 2 + 3 * numbers[1], 3):
        systems[numbers[i]] = (numbers[i + 1], numbers[i + 2])
    return {"flags": numbers[0], "systems": systems}


async def gnss_start(modem, interval_s=0, timeout_s=120, forward=True):
    """Start the receiver: interval 0 one fix, 1 continuous, 10..65535 periodic; timeout per fix, 0 none.

    `forward`: have it tell what assistance it needs (gnss_need), where the modem can.
    """
    mode = 2 if forward and "AGNSS" in modem.caps else 0
    cmd = "AT#XGNSS=1,%d,%d" % (mode, interval_s)
    if interval_s != 1:
        cmd += ",%d" % timeout_s
    for attempt in (0, 1):
        if modem.gnss is None:
            modem.gnss = Receiver(modem.at)
        state = modem.gnss
        state.need.clear()
        state.fix.clear()
        try:
            await modem.at.command(cmd, timeout_ms=_STOP_MS)
            state.began()
            return
        except ATError:
            if attempt:
                raise
            await gnss_stop(modem)  # it may have been running


async def _take(modem, kind, timeout_ms):
    """-> the line of `kind` ("need", "fix") that came, or None: it will not come, or did not in time."""
    if modem.gnss is None:
        return None
    waiter = getattr(modem.gnss, kind)
    try:
        line = await waiter.wait(timeout_ms)
    except OSError as error:
        if error.errno != ETIMEDOUT:
            raise
        return None
    waiter.clear()
    return line


async def gnss_need(modem, timeout_ms):
    """-> need record of this start, or None: it needs nothing, or did not say so in time."""
    line = await _take(modem, "need", timeout_ms)
    found = parse_need(line) if line else None
    if found and (found["flags"] or any([eph or alm for eph, alm in found["systems"].values()])):
        return found
    return None


async def agnss_inject(modem, blob):
    """Hand over an nRF Cloud A-GNSS answer verbatim: bytes-like, or a list of its chunks; at most 8192 bytes.

    It goes out in bursts of at most 4096 with silence between them (modems.md 3.2).
    """
    chunks = blob if isinstance(blob, (list, tuple)) else (blob,)
    total = sum([len(chunk) for chunk in chunks])
    if not 0 < total <= _MAX_BLOB:
        raise OSError(EINVAL, "%d bytes of assistance" % total)
    bursts = []
    room = _BURST
    for chunk in chunks:
        view = memoryview(chunk)
        while len(view) > room:
            if room:
                bursts.append(view[:room])
                view = view[room:]
            bursts.append(None)  # silence
            room = _BURST
        bursts.append(view)
        room -= len(view)
    try:
        await _push(modem, "AT#XAGNSSP=%d" % total, bursts)
    except ATError as refusal:
        if refusal.text != "ERROR":
            raise
        from modem.nrf91.agnss import push  # a build without the bulk command, which says so at once

        await push(modem, chunks, _push)


async def _push(modem, cmd, bursts):
    await modem.at.command(
        cmd,
        timeout_ms=_INJECT_MS,
        data=bursts,
        pause_ms=modem.burst_pause_ms,
        prompt=b"OK",
        done=b"#XDATAMODE:",
    )


async def gnss_hint(modem, unix_s, place=None):
    """Give it the time and a rough position (modem.base), for want of anything better."""
    from gnss.offline import elements

    if unix_s is None:
        return  # it wants the time with any place
    room = memoryview(bytearray(64))
    need = {"flags": _TIME | _POSITION, "systems": {}}
    first, end = elements(room, None, need, unix_s * 1000, place)
    await agnss_inject(modem, room[first:end])


async def gnss_fix(modem, timeout_ms):
    """-> fix record, or None when the receiver gave up or `timeout_ms` passed."""
    line = await _take(modem, "fix", timeout_ms)
    return parse_position(line) if line else None


async def gnss_stop(modem):
    """Stop the receiver; fine when it is not running."""
    try:
        await modem.at.command("AT#XGNSS=0", timeout_ms=_STOP_MS)
    except ATError:
        pass  # it was not running
    finally:
        if modem.gnss:
            modem.gnss.close()
            modem.gnss = None
