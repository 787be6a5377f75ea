"""sara_r5: DTLS ended in the modem, and the certificate that it verifies the server with (modems.md 2D.4).

Called through modem.family.Family. RAM: none.
"""

from binascii import hexlify
from errno import ECONNABORTED
from hashlib import sha256

from micropython import const

from modem.convert import quotable
from modem.link import attempt
from modem.sara_r5.sockets import connect

_PROFILE = const(0)
_STORE_MS = const(10000)
# Operations of +USECPRF: validation 2 is certificate and host name; version 3 is 1.2.
_FIXED = ((0, 2), (1, 3))
_CA = const(3)
_NAMES = (4, 10)  # the name that the certificate must have, and SNI


async def dtls_open(modem, host, port, sec_tag, hostname, rx_bytes=0, timeout_ms=130000, ca=None):
    """-> Endpoint over DTLS 1.2; the server's certificate is verified for `hostname`, by `ca` (one certificate, PEM),
    which is stored in the modem the first time, or, without `ca`, by what was stored under `sec_tag` before.

    OSError(ECONNABORTED) when there is neither, or the handshake failed."""
    quotable(hostname)
    name = await _certificate(modem, sec_tag, ca)
    at = modem.at
    await at.command("AT+USECPRF=%d" % _PROFILE, timeout_ms=5000)
    for operation, value in _FIXED:
        await at.command("AT+USECPRF=%d,%d,%d" % (_PROFILE, operation, value), timeout_ms=5000)
    for operation, value in [(_CA, name)] + [(operation, hostname) for operation in _NAMES]:
        await at.command('AT+USECPRF=%d,%d,"%s"' % (_PROFILE, operation, value), timeout_ms=5000)
    return await connect(modem, host, port, _PROFILE, timeout_ms)


def certificate_name(sec_tag, ca):
    """-> the name that `ca` (bytes) is stored under: from the tag and its content, so that the list of names tells
    whether it is there. What the modem's own hash is made of differs between firmwares."""
    return "%d-%s" % (sec_tag, hexlify(sha256(ca).digest()[:6]).decode())


async def _certificate(modem, sec_tag, ca):
    """-> the name of the stored certificate; others of the same tag are deleted when `ca` is new."""
    stored = await _stored(modem, sec_tag)
    if ca is None:
        if not stored:
            raise OSError(ECONNABORTED, "no certificate of tag %d in the modem" % sec_tag)
        return stored[-1]
    name = certificate_name(sec_tag, ca)
    if name not in stored:
        for old in stored:
            await attempt(modem, 'AT+USECMNG=2,0,"%s"' % old, b"+USECMNG:", timeout_ms=_STORE_MS)
        cmd = 'AT+USECMNG=0,0,"%s",%d' % (name, len(ca))
        await modem.at.command(cmd, b"+USECMNG:", timeout_ms=_STORE_MS, data=(None, ca), pause_ms=60, prompt=b">")
    return name


async def _stored(modem, sec_tag):
    """-> names of the CA certificates of a tag. The lines of the list are `"CA","name","subject","until"`; some
    firmware begins them with the command's name, and the type's number."""
    lines = await attempt(modem, "AT+USECMNG=3", b"+USECMNG:", timeout_ms=_STORE_MS, free=True) or ()
    begin = b'"%d-' % sec_tag
    names = []
    for line in lines:
        start = line.find(begin) + 1
        if start:
            names.append(line[start : line.find(b'"', start)].decode())
    return names
