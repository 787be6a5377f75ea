"""nRF91: opening Serial Modem sockets, plain or with DTLS ended in the modem (modems.md 2A.6).

Called by modem.nrf91.Modem only, and needed only then: what stays is the endpoint. RAM: none.
"""

from errno import ECONNABORTED, ECONNREFUSED, ECONNRESET, EHOSTUNREACH, EINVAL

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from modem.convert import quotable
from modem.link import attempt
from modem.nrf91.endpoint import Endpoint

_RX = const(3072)  # a server's DTLS flight, or two CoAP blocks of 1024
_DNS_MS = const(65000)
_VERIFY = const(2)  # the peer's certificate is required and checked, always
_HOSTNAME = const(2)
_CID = const(14)
_CID_STATUS = const(15)
_DTLS_TIMEOUT = const(18)
_KEEPOPEN = const(34)


async def _open(modem, create, prefix, options, host, port, rx_bytes, timeout_ms):
    """Create a socket, set options ("%d" is the handle), connect, switch automatic receive on; -> Endpoint.

    Of `options`, [0] is what the socket must have and [1] what older modem firmware may refuse.
    """
    at = modem.at
    orphans = modem.orphans
    await _close_orphans(modem)
    orphans.append(None)  # if the answer is lost, there is a socket all the same
    lines = await at.command(create, prefix, timeout_ms=5000)
    handle = scan_int(split(lines[0])[0]) if lines else None
    if handle is None:
        raise OSError(EINVAL, "no socket handle")
    orphans[:] = (handle,)  # also when we are cancelled below: the next open closes it
    for option in options[0]:
        await at.command(option % handle)
    keep = False
    for option in options[1]:
        keep = await attempt(modem, option % handle) is not None
    await at.command('AT#XCONNECT=%d,"%s",%d' % (handle, host, port), b"#XCONNECT:", timeout_ms=timeout_ms)
    endpoint = Endpoint(modem, handle, rx_bytes)
    endpoint.keep = keep
    modem.endpoints[handle] = endpoint
    await at.command("AT#XRECVCFG=%d,1" % handle)
    endpoint.check()  # the bearer went just now
    if handle not in orphans:  # the modem restarted just now
        raise OSError(ECONNRESET, "lost while opening")
    orphans.remove(handle)
    return endpoint


async def _close_orphans(modem):
    """Close those that are in the books now; a refusal puts another one there, for the next time."""
    for handle in list(modem.orphans):
        await _close_orphan(modem, handle)
        if handle in modem.orphans:  # it restarted meanwhile
            modem.orphans.remove(handle)


async def _close_orphan(modem, handle):
    """Close a socket of an opening that failed; `handle` None: whatever the modem lists and we do not know."""
    if handle is not None:
        await close_handle(modem, handle)
        return
    for name in ("XSOCKET", "XSSOCKET"):
        for line in await attempt(modem, "AT#%s?" % name, ("#%s:" % name).encode()) or ():
            handle = scan_int(split(line)[0])
            if handle not in modem.endpoints:
                await close_handle(modem, handle)


async def _why(modem, host, secure):
    """XCONNECT answers a plain ERROR: was it the name, or the peer? -> OSError."""
    try:
        await modem.at.command('AT#XGETADDRINFO="%s"' % host, b"#XGETADDRINFO:", timeout_ms=_DNS_MS)
    except ATError:
        return OSError(EHOSTUNREACH, "name not resolved")
    if secure:
        return OSError(ECONNABORTED, "DTLS handshake failed: CA, host name, or no answer")
    return OSError(ECONNREFUSED, "not connected")


async def _connect(modem, create, prefix, options, host, port, rx_bytes, timeout_ms, secure):
    quotable(host)
    try:
        return await _open(modem, create, prefix, options, host, port, rx_bytes, timeout_ms)
    except ATError as refusal:
        modem.note("%s", refusal)
        for handle in modem.orphans:
            modem.endpoints.pop(handle, None)
        await _close_orphans(modem)
        raise await _why(modem, host, secure)


async def udp_open(modem, host, port, rx_bytes=_RX):
    """-> Endpoint connected to host:port (name or address). OSError when it cannot be."""
    create = "AT#XSOCKET=%d,2,0" % modem.ip
    return await _connect(modem, create, b"#XSOCKET:", ((), ()), host, port, rx_bytes, _DNS_MS, False)


async def dtls_open(modem, host, port, sec_tag, hostname, rx_bytes=_RX, timeout_ms=130000, ca=None):
    """-> Endpoint over DTLS ended in the modem; the server is verified by the CA at `sec_tag` for `hostname`. `ca` is
    not looked at: the key store takes credentials only while the radio is off."""
    quotable(hostname)
    needed = (
        'AT#XSSOCKETOPT=%%d,1,%d,"%s"' % (_HOSTNAME, hostname),
        "AT#XSSOCKETOPT=%%d,1,%d,%d" % (_DTLS_TIMEOUT, _handshake_s(timeout_ms)),
        "AT#XAPOLL=%d,1,0",  # tells when the peer closes
    )
    # KEEPOPEN comes last: _open() looks whether the modem took it.
    tried = ("AT#XSSOCKETOPT=%%d,1,%d,1" % _CID, "AT#XSOCKETOPT=%%d,1,%d,1" % _KEEPOPEN)
    create = "AT#XSSOCKET=%d,2,0,%d,%d" % (modem.ip, sec_tag, _VERIFY)
    endpoint = await _connect(
        modem, create, b"#XSSOCKET:", (needed, tried), host, port, rx_bytes, timeout_ms, True
    )
    endpoint.cid = await _known_by_cid(modem, endpoint)
    return endpoint


async def _known_by_cid(modem, endpoint):
    """Do our records carry a connection ID? Status 1 would be the server's records only, and of no help."""
    lines = await attempt(modem, "AT#XSSOCKETOPT=%d,0,%d" % (endpoint.handle, _CID_STATUS), b"#XSSOCKETOPT:")
    return bool(lines) and scan_int(split(lines[0])[-1]) in (2, 3)


async def close_handle(modem, handle):
    """Close a socket; fine when there is none of that number."""
    try:
        await modem.at.command("AT#XCLOSE=%d" % handle, b"#XCLOSE:", timeout_ms=5000)
    except ATError:
        modem.orphans.append(None)  # it was closed already, or is open still: the next opening looks
    return ()


def _handshake_s(timeout_ms):
    """The largest handshake timeout that the modem knows and that ends before ours."""
    best = 1
    for seconds in (3, 7, 15, 31, 63, 123):
        if seconds * 1000 < timeout_ms:
            best = seconds
    return best
