"""SIM7080: DTLS ended in the modem (modems.md 2B.5). RAM: none."""

from errno import ECONNABORTED, EIO

from modem.convert import quotable
from modem.handles import claim, give_up
from modem.link import attempt
from modem.pem import name
from modem.rtc import in_time
from modem.sim7080 import files
from modem.sim7080.sockets import connect
from modem.sim7080.steps import DTLS

# Of an SSL context: DTLS 1.2, and the suites of ECDHE-ECDSA with AES-128: GCM, CCM-8.
_CONTEXT = ('"SSLVERSION",%d,5', '"PROTOCOL",%d,2', '"CIPHERSUITE",%d,0,0xC02B', '"CIPHERSUITE",%d,1,0xC0AE')


async def _certificate(modem, sec_tag, ca):
    """-> name of the file with the CA, which is put there if need be, and is made ready for use."""
    current = name(sec_tag, ca)
    if ca is not None:
        await files.begin(modem)
        try:
            if await files.size_of(modem, current) != len(ca):
                await files.store(modem, current, ca)
                if await files.size_of(modem, current) != len(ca):
                    raise OSError(EIO, "file not taken: " + current)
        finally:
            await files.end(modem)
    if await attempt(modem, 'AT+CSSLCFG="CONVERT",2,"%s"' % current, timeout_ms=5000) is None:
        raise OSError(ECONNABORTED, "no certificate: " + current)
    return current


async def _context(modem, context, hostname):
    at = modem.at
    for option in _CONTEXT:
        await at.command("AT+CSSLCFG=" + option % context)
    known = await in_time(modem)
    if not known:
        modem.note("nobody knows the time: a certificate may be out of date")
    await at.command('AT+CSSLCFG="IGNORERTCTIME",%d,%d' % (context, not known))
    await at.command('AT+CSSLCFG="SNI",%d,"%s"' % (context, hostname))


async def _bind(modem, number, context, certificate):
    at = modem.at
    await at.command("AT+CACID=%d" % number)
    await at.command('AT+CASSLCFG=%d,"SSL",1' % number)
    await at.command('AT+CASSLCFG=%d,"CRINDEX",%d' % (number, context))
    await at.command('AT+CASSLCFG=%d,"CACERT","%s"' % (number, certificate))


async def dtls_open(modem, host, port, sec_tag, hostname, rx_bytes=None, timeout_ms=75000, ca=None):
    """-> Endpoint over DTLS ended in the modem. The server's certificate is verified by `ca` (PEM, bytes: stored in the
    modem under a name made of `sec_tag`), or by what is there already. `hostname` is told to the server and, for all
    that is documented, not compared with the certificate: see the README. OSError as udp_open, ATError."""
    quotable(hostname)
    quotable(host, 64)
    number = await claim(modem, DTLS)
    context = number - DTLS[0]
    try:
        certificate = await _certificate(modem, sec_tag, ca)
        await _context(modem, context, hostname)
        await _bind(modem, number, context, certificate)
    except BaseException:
        await give_up(modem, number)
        raise
    return await connect(modem, number, host, port, timeout_ms, ECONNABORTED)
