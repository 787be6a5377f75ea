"""BG95: files in the modem: certificates, predictions (modems.md 1.5, 2C.5). RAM: the contents are the caller's."""

from errno import EIO

from micropython import const

from at.errors import ATError
from at.fields import readable, scan_int, split
from modem.link import attempt

_UPLOAD_S = const(60)


def checksum(chunks):
    """XOR of the 16-bit big-endian words of what the chunks (bytes-like) are together; an odd byte is padded with 0."""
    odd = even = place = 0
    for chunk in chunks:
        for byte in chunk:
            if place & 1:
                odd ^= byte
            else:
                even ^= byte
            place += 1
    return even << 8 | odd


async def listing(modem):
    """-> {name: size} of all files."""
    lines = await attempt(modem, 'AT+QFLST="*"', b"+QFLST:", timeout_ms=5000) or ()
    found = {}
    for line in lines:
        fields = split(line)
        if len(fields) > 1:
            found[readable(fields[0]).split(":")[-1]] = scan_int(fields[1])
    return found


async def remove(modem, name):
    """Fine when there is no such file."""
    await attempt(modem, 'AT+QFDEL="%s"' % name, timeout_ms=5000)


async def store(modem, name, content):
    """Write a file: bytes-like, or a list of chunks. OSError(EIO) when what the modem got is not what was sent."""
    chunks = content if isinstance(content, (list, tuple)) else (content,)
    size = sum([len(chunk) for chunk in chunks])
    await remove(modem, name)
    cmd = 'AT+QFUPL="%s",%d,%d' % (name, size, _UPLOAD_S)
    for _ in (0, 1):
        try:
            lines = await modem.at.command(cmd, b"+QFUPL:", timeout_ms=_UPLOAD_S * 1000, data=chunks, prompt=b"CONNECT")
        except ATError as refused:
            modem.note("%s", refused)
            lines = ()
        fields = split(lines[0]) if lines else ()
        if len(fields) > 1 and scan_int(fields[0]) == size and scan_int(fields[1], 16) == checksum(chunks):
            return
        await remove(modem, name)
    raise OSError(EIO, "file not taken: " + name)
