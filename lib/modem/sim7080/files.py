"""SIM7080: files in the modem: certificates, predictions (modems.md 2B.5). RAM: the contents are the caller's."""

from micropython import const

from at.fields import scan_int, split
from modem.link import attempt

_PART = const(8192)  # less than 10240 go in one command
_WINDOW_MS = const(10000)


async def size_of(modem, name):
    """-> size of a file in the customer's directory, or None. Between begin() and end()."""
    lines = await attempt(modem, 'AT+CFSGFIS=3,"%s"' % name, b"+CFSGFIS:", timeout_ms=5000)
    return scan_int(split(lines[0])[-1]) if lines else None


async def begin(modem):
    """Open the file system. One that was left open is taken as it is."""
    if await attempt(modem, "AT+CFSINIT", timeout_ms=5000) is None:
        await end(modem)
        await modem.at.command("AT+CFSINIT", timeout_ms=5000)


async def end(modem):
    await attempt(modem, "AT+CFSTERM", timeout_ms=5000)


async def store(modem, name, content):
    """Write a file: bytes-like, or a list of chunks. Between begin() and end(). Raises ATError, OSError."""
    mode = 0  # a new file; then 1: appended
    for chunk in content if isinstance(content, (list, tuple)) else (content,):
        view = memoryview(chunk)
        for i in range(0, len(view), _PART):
            part = view[i : i + _PART]
            cmd = 'AT+CFSWFILE=3,"%s",%d,%d,%d' % (name, mode, len(part), _WINDOW_MS)
            await modem.at.command(cmd, timeout_ms=_WINDOW_MS, data=part, prompt=b"DOWNLOAD")
            mode = 1


async def remove(modem, name):
    """Fine when there is no such file."""
    await attempt(modem, 'AT+CFSDFILE=3,"%s"' % name, timeout_ms=5000)
