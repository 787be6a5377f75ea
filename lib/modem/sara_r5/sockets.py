"""sara_r5: opening and closing sockets (modems.md 2D.3).

Called through modem.family.Family and by modem.sara_r5.secure; what stays is the endpoint. RAM: none.
"""

from errno import ECONNABORTED, ECONNREFUSED, EHOSTUNREACH

from micropython import const

from at.errors import ATError
from at.fields import readable, scan_int, split
from modem.convert import quotable
from modem.handles import keep
from modem.link import attempt
from modem.sara_r5.endpoint import Endpoint

_DNS_MS = const(70000)
_CONNECT_MS = const(30000)
_CLOSE_MS = const(10000)
_UDP = const(17)
SOCKETS = const(7)  # a modem's most


async def udp_open(modem, host, port, rx_bytes=0):
    """-> Endpoint connected to host:port (name or address); OSError when it cannot be. `rx_bytes` is of no use: the
    modem keeps what has not been fetched."""
    return await connect(modem, host, port, None, _CONNECT_MS)


async def connect(modem, host, port, profile, timeout_ms):
    """The same, over DTLS with the security profile `profile` unless that is None."""
    quotable(host)
    try:
        return await _open(modem, await _resolve(modem, host), port, profile, timeout_ms)
    except ATError as refusal:
        why = await attempt(modem, "AT+USOER", b"+USOER:", timeout_ms=3000) or (b"",)
        modem.note("%s, %s", refusal, why[0])
        await _close_orphans(modem)
        if profile is None:
            raise OSError(ECONNREFUSED, "not connected")
        raise OSError(ECONNABORTED, "DTLS handshake failed: CA, host name, or no answer")


async def _resolve(modem, host):
    """-> the address of `host` as text; older firmware takes nothing else for a datagram socket."""
    if _is_address(host):
        return host
    # SARA-R422 answers with the name of a URC.
    prefix = (b"+UDNSRN:", b"+UUDNSRN:")
    lines = await attempt(modem, 'AT+UDNSRN=0,"%s"' % host, prefix, timeout_ms=_DNS_MS)
    address = readable(split(lines[0])[0]) if lines else ""
    if not _is_address(address):
        raise OSError(EHOSTUNREACH, "name not resolved")
    return address


def _is_address(text):
    return text.replace(".", "").isdigit()


async def _open(modem, address, port, profile, timeout_ms):
    at = modem.at
    await _close_orphans(modem)
    handle = None
    try:
        lines = await at.command("AT+USOCR=%d" % _UDP, b"+USOCR:", timeout_ms=5000)
        handle = scan_int(split(lines[0])[0]) if lines else None
    finally:
        # Also when we are cancelled, here or below: the next open closes it, or, if its number was never heard, all.
        modem.orphans.extend([i for i in range(SOCKETS) if i not in modem.endpoints] if handle is None else [handle])
    if handle is None:
        raise OSError(ECONNREFUSED, "no socket handle")
    for lower in range(handle):  # taken by nobody that we know: once its closing was refused, or never answered
        if lower not in modem.endpoints:
            await close_handle(modem, lower)
    if profile is not None:
        await at.command("AT+USOSEC=%d,1,%d" % (handle, profile), b"+USOSEC:", timeout_ms=5000)
    await at.command('AT+USOCO=%d,"%s",%d' % (handle, address, port), timeout_ms=timeout_ms)
    return keep(modem, Endpoint(modem, handle))


async def _close_orphans(modem):
    while modem.orphans:
        handle = modem.orphans[-1]
        await close_handle(modem, handle)
        if handle in modem.orphans:  # it restarted meanwhile
            modem.orphans.remove(handle)


async def close_handle(modem, handle):
    """Close a socket; -> None when that is refused, as when there is none of that number."""
    return await attempt(modem, "AT+USOCL=%d" % handle, timeout_ms=_CLOSE_MS)
