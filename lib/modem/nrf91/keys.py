"""nRF91: credentials and keys that never leave the modem, and tokens signed with them (modems.md 2A.11).

Called by modem.nrf91.Modem and by provisioning tools. Writing needs the radio off (detach first). RAM: none.
"""

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split

_KEY_MS = const(10000)
_CLIENT_KEY = const(2)


def _checked(text):
    if '"' in text:
        raise ValueError("quote in a value")
    return text


async def jwt(modem, subject, lifetime_s, sec_tag, audience=""):
    """-> compact JWS (str) signed in the modem with the private key at `sec_tag`. Needs network time."""
    cmd = 'AT%%JWT=0,%d,"%s","%s",%d,%d'
    cmd = cmd % (lifetime_s, _checked(subject), _checked(audience), sec_tag, _CLIENT_KEY)
    lines = await modem.at.command(cmd, b"%JWT:", timeout_ms=_KEY_MS)
    if not lines:
        raise ATError(b"AT%JWT", b"no token")
    token = split(lines[0])[0].decode()
    return token.replace("+", "-").replace("/", "_").replace("=", "")


async def write(modem, sec_tag, kind, content):
    """Store a credential: kind 0 CA (PEM), 1 certificate, 2 private key, 3 PSK (hex), 4 PSK identity."""
    await modem.at.command('AT%%CMNG=0,%d,%d,"%s"' % (sec_tag, kind, _checked(content)), timeout_ms=_KEY_MS)


async def delete(modem, sec_tag, kind):
    """Remove a credential; ATError with code 513 when there is none."""
    await modem.at.command("AT%%CMNG=3,%d,%d" % (sec_tag, kind), timeout_ms=_KEY_MS)


async def stored(modem, sec_tag):
    """-> {kind: SHA-256 as hex str} of what is stored at `sec_tag`."""
    lines = await modem.at.command("AT%%CMNG=1,%d" % sec_tag, b"%CMNG:", timeout_ms=_KEY_MS)
    found = {}
    for line in lines:
        fields = split(line)
        if len(fields) > 2:
            found[scan_int(fields[1])] = fields[2].decode()
    return found


async def keygen(modem, sec_tag):
    """Make a P-256 key at `sec_tag`; -> certificate request as str. ATError 519 when a key is there already."""
    lines = await modem.at.command("AT%%KEYGEN=%d,2,0" % sec_tag, b"%KEYGEN:", timeout_ms=_KEY_MS)
    if not lines:
        raise ATError(b"AT%KEYGEN", b"no request")
    return split(lines[0])[0].decode()
