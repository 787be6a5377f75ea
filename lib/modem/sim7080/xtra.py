"""SIM7080: XTRA, Qualcomm's file of predicted orbits (modems.md 2B.7). RAM: none; the file is the caller's."""

from errno import EALREADY, EIO, ETIMEDOUT

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from modem.convert import quotable
from modem.rtc import in_time
from modem.sim7080 import files

_FETCH_MS = const(120000)
_COPY_MS = const(10000)
_FOUND = const(200)


async def _fetch(modem, url):
    news = modem.at.expect(b"+HTTPTOFS:")
    try:
        await modem.at.command('AT+HTTPTOFS="%s","/customer/Xtra3.bin"' % quotable(url, 256), timeout_ms=_COPY_MS)
        status = scan_int(split(await news.wait(_FETCH_MS))[0])
    finally:
        news.close()
    if status != _FOUND:
        raise OSError(EIO, "XTRA: HTTP %s" % status)


async def _upload(modem, content):
    await files.begin(modem)
    try:
        await files.store(modem, "Xtra3.bin", content)
    finally:
        await files.end(modem)


async def xtra(modem, source):
    """Load the file of `source`: its URL (str), fetched by the modem while it is attached; or the file itself
    (bytes-like, or list of chunks). The receiver reads it at its next start. Raises OSError(EALREADY) while it runs,
    OSError(EIO) or ATError when there is no such file, or none that it can use, OSError(ETIMEDOUT) when nobody knows
    the time, without which it is of no use."""
    if modem.gnss:
        raise OSError(EALREADY, "GNSS is on")
    if not await in_time(modem):
        raise OSError(ETIMEDOUT, "XTRA needs the time")
    await (_fetch if isinstance(source, str) else _upload)(modem, source)
    lines = await modem.at.command("AT+CGNSCPY", b"+CGNSCPY:", timeout_ms=_COPY_MS)
    if not lines or scan_int(split(lines[0])[0]) != 0:
        raise OSError(EIO, "XTRA not taken")
    await modem.at.command("AT+CGNSXTRA=1", timeout_ms=_COPY_MS)
    modem.fresh = True


async def xtra_valid_s(modem):
    """-> seconds for which what was loaded is still good, in whole hours; 0 when there is none."""
    try:
        lines = await modem.at.command("AT+CGNSXTRA", b"+CGNSXTRA:", timeout_ms=_COPY_MS)
    except ATError:
        return 0
    hours = scan_int(split(lines[0])[0]) if lines else None
    return hours * 3600 if hours and hours > 0 else 0
