"""sara_r5: DTLS ended in the modem, and the certificate that it verifies the server with (modems.md 2D.4).

Called through modem.family.Family. RAM: none.
"""

from errno import ECONNABORTED, ENODEV

from micropython import const

from at.errors import ATError
from at.fields import readable
from modem.convert import quotable
from modem.link import attempt
from modem.pem import is_older, name
from modem.sara_r5.sockets import connect

_PROFILE = const(0)
_STORE_MS = const(10000)
# Operations of +USECPRF: validation 2 is certificate and host name; version 3 is 1.2.
_FIXED = ((0, 2), (1, 3))
_CA = const(3)
_NAME = const(4)  # that the certificate must have
_SNI = const(10)


async def dtls_open(modem, host, port, sec_tag, hostname, rx_bytes=0, timeout_ms=130000, ca=None):
    """-> Endpoint over DTLS 1.2; the server's certificate is verified for `hostname`, by `ca` (one certificate, PEM),
    which is stored in the modem the first time, or, without `ca`, by what was stored under `sec_tag` before.

    OSError(ECONNABORTED) when there is neither, or it was refused, or the handshake failed; OSError(ENODEV) on a modem
    that would send datagrams in the clear all the same."""
    if "DTLS" not in modem.caps:
        raise OSError(ENODEV, "no DTLS in this modem")
    quotable(hostname)
    try:
        await _profile(modem, await _certificate(modem, sec_tag, ca), hostname)
    except ATError as refusal:
        modem.note("%s", refusal)
        raise OSError(ECONNABORTED, "certificate or profile refused")
    return await connect(modem, host, port, _PROFILE, timeout_ms)


async def _profile(modem, certificate, hostname):
    at = modem.at
    await at.command("AT+USECPRF=%d" % _PROFILE, timeout_ms=5000)  # as it was in the factory
    for operation, value in _FIXED:
        await at.command("AT+USECPRF=%d,%d,%d" % (_PROFILE, operation, value), timeout_ms=5000)
    for operation, value in ((_CA, certificate), (_NAME, hostname), (_SNI, hostname)):
        await at.command('AT+USECPRF=%d,%d,"%s"' % (_PROFILE, operation, value), timeout_ms=5000)


async def _certificate(modem, sec_tag, ca):
    """-> the name of the stored certificate; others of the same tag are deleted when `ca` is new. What the modem's own
    hash is made of differs between firmwares, so ours is part of the name (modem.pem)."""
    current = name(sec_tag, ca)
    stored = await _stored(modem)
    older = [other for other in stored if is_older(other, sec_tag, current)]
    if ca is None:
        for known in (current, older[-1] if older else None):
            if known in stored:
                return known
        raise OSError(ECONNABORTED, "no certificate of tag %d in the modem" % sec_tag)
    if current not in stored:
        for other in older:
            await attempt(modem, 'AT+USECMNG=2,0,"%s"' % other, b"+USECMNG:", timeout_ms=_STORE_MS)
        cmd = 'AT+USECMNG=0,0,"%s",%d' % (current, len(ca))
        await modem.at.command(cmd, b"+USECMNG:", timeout_ms=_STORE_MS, data=(None, ca), pause_ms=60, prompt=b">")
    return current


async def _stored(modem):
    """-> names of all CA certificates. The lines of the list are `"CA","name","subject","until"`; some firmware begins
    them with the command's name, and the type's number."""
    lines = await attempt(modem, "AT+USECMNG=3", b"+USECMNG:", timeout_ms=_STORE_MS, free=True) or ()
    names = []
    for line in lines:
        start = line.find(b'"ca') + 1
        if start:
            names.append(readable(line[start : line.find(b'"', start)]))
    return names
