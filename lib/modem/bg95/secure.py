"""BG95: DTLS ended in the modem, where its firmware has it (modems.md 2C.5). RAM: none."""

from errno import ENODEV

from micropython import const

from modem.bg95 import files
from modem.bg95.sockets import ERRORS, connect
from modem.bg95.steps import DTLS
from modem.convert import quotable
from modem.handles import claim, give_up
from modem.link import attempt
from modem.pem import is_older, name
from modem.rtc import in_time

# Of an SSL context: DTLS 1.2, ECDHE-ECDSA-AES128-GCM-SHA256, the server's certificate is required and checked.
_CONTEXT = ('"sslversion",%d,3', '"dtls",%d,1', '"dtlsversion",%d,1', '"ciphersuite",%d,0xC02B', '"seclevel",%d,1')
# Of +QSSLOPEN: a name that there is not is no matter of who the server is; 566 may be.
_ERRORS = {result: number for result, number in ERRORS.items() if result < 566}
_SHORTEST_S = const(10)  # of "negotiatetime"
_LONGEST_S = const(300)


async def _certificate(modem, sec_tag, ca):
    """-> name of the file with the CA, which is put there if need be."""
    current = name(sec_tag, ca)
    found = await files.listing(modem)
    if ca is None:
        if current not in found:  # not put there by hand: by us, in a life before
            for other in found:
                if is_older(other, sec_tag, current):
                    return other
    else:
        if found.get(current) != len(ca):
            await files.store(modem, current, ca)
        for other in found:
            if is_older(other, sec_tag, current):
                await files.remove(modem, other)
    return current


async def _set(modem, number, option):
    await modem.at.command("AT+QSSLCFG=" + option % number)


async def _context(modem, number, certificate, timeout_ms):
    for option in _CONTEXT:
        await _set(modem, number, option)
    await _set(modem, number, '"cacert",%%d,"UFS:%s"' % certificate)
    await _set(modem, number, '"sni",%d,1')
    seconds = min(max(timeout_ms // 1000, _SHORTEST_S), _LONGEST_S)
    await _set(modem, number, '"negotiatetime",%%d,%d' % seconds)
    known = await in_time(modem)
    if not known:
        modem.note("nobody knows the time: a certificate may be out of date")
    await _set(modem, number, '"ignorelocaltime",%%d,%d' % (not known))
    if await attempt(modem, 'AT+QSSLCFG="checkhost",%d,1' % number) is None:
        modem.note("this firmware does not compare the host name with the certificate")


async def dtls_open(modem, host, port, sec_tag, hostname, rx_bytes=None, timeout_ms=150000, ca=None):
    """-> Endpoint over DTLS ended in the modem. The server's certificate is verified by `ca` (PEM, bytes: stored in the
    modem under a name made of `sec_tag`), or by what is there already. Its name is verified where the firmware can, and
    then against `host`: see the README. OSError(ENODEV) without DTLS, else as udp_open."""
    if "DTLS" not in modem.caps:
        raise OSError(ENODEV, "no DTLS in this firmware")
    quotable(hostname)
    quotable(host)
    number = await claim(modem, DTLS)
    context = number - DTLS[0]
    try:
        await _context(modem, context, await _certificate(modem, sec_tag, ca), timeout_ms)
    except BaseException:
        await give_up(modem, number)
        raise
    cmd = 'AT+QSSLOPEN=1,%d,%d,"%s",%d,0' % (context, number, host, port)
    return await connect(modem, number, cmd, b"+QSSLOPEN:", timeout_ms, _ERRORS)
