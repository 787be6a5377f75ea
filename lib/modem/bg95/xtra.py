"""BG95: gpsOneXTRA, Qualcomm's file of predicted orbits (modems.md 2C.6). RAM: none; the file is the caller's."""

from errno import EALREADY, EOPNOTSUPP

from micropython import const

import clock
from at.errors import ATError
from at.fields import scan_int, split
from gnss.date import received
from modem.bg95 import files
from modem.bg95.gnss import set_time
from modem.ladder import reset

_NAME = "xtra2.bin"
_INJECT_MS = const(20000)
_NOT_ENABLED = const(509)
_SOFT = const(4)


async def _enable(modem):
    """Switched on for good, which takes one restart in the modem's life: the bearer is lost by it."""
    await modem.at.command("AT+QGPSXTRA=1", timeout_ms=5000)
    await reset(modem, _SOFT)
    modem.lost("restarted for XTRA")


async def _inject(modem, source):
    now = await modem.time() or clock.now()
    if now is not None:
        await set_time(modem, now)
    await files.store(modem, _NAME, source)
    try:
        await modem.at.command('AT+QGPSXTRADATA="UFS:%s"' % _NAME, timeout_ms=_INJECT_MS)
    finally:
        await files.remove(modem, _NAME)


async def xtra(modem, source):
    """Load the file `source` (xtra2.bin or xtra3grc.bin: bytes-like, or list of chunks) while the receiver is off.

    The first time it restarts the modem: attach() is due after on_lost. Raises OSError(EOPNOTSUPP) for a URL, which it
    cannot fetch itself, OSError(EALREADY) while the receiver runs, ATError when it does not like the file.
    """
    if isinstance(source, str):
        raise OSError(EOPNOTSUPP, "XTRA wants the file, not its URL")
    if modem.gnss:
        raise OSError(EALREADY, "GNSS is on")
    lines = await modem.at.command("AT+QGPSXTRA?", b"+QGPSXTRA:")
    if not lines or scan_int(split(lines[0])[0]) != 1:
        await _enable(modem)
    try:
        await _inject(modem, source)
    except ATError as refused:
        if refused.code != _NOT_ENABLED:  # switched on, and not restarted since: power failed in between
            raise
        await _enable(modem)
        await _inject(modem, source)


def parse_validity(line, now):
    """`+QGPSXTRADATA: minutes,"yyyy/mm/dd,hh:mm:ss"` and Unix time -> seconds for which it is still good, 0 none."""
    fields = split(line)
    minutes = scan_int(fields[0])
    if not minutes or len(fields) < 2 or now is None:
        return 0
    numbers = [scan_int(fields[1][a:b]) for a, b in ((0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19))]
    start = None if None in numbers else received(*numbers)
    return 0 if start is None else max(0, start + minutes * 60 - now)


async def xtra_valid_s(modem):
    """-> seconds for which what was loaded is still good; 0 when there is none, or nobody knows the time."""
    now = await modem.time() or clock.now()
    try:
        lines = await modem.at.command("AT+QGPSXTRADATA?", b"+QGPSXTRADATA:")
    except ATError:
        return 0
    return parse_validity(lines[0], now) if lines else 0
