"""nRF91: credentials and keys that never leave the modem, and tokens signed with them (modems.md 2A.11).

Called by modem.nrf91.Modem and by firmware/tasks/provision.py. Writing needs the radio off (detach first). RAM: none.
"""

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split

_KEY_MS = const(10000)
_CLIENT_KEY = const(2)
_GIVEN = ("%CMNG", "%KEYGEN")  # what a provisioning service may have run, and nothing else


def _checked(text):
    if '"' in text or "\x08" in text or "\x7f" in text:  # the modem takes the last two for a backspace
        raise ValueError("quote or backspace in a value")
    return text


async def jwt(modem, subject, lifetime_s, sec_tag, audience=""):
    """-> compact JWS (str) signed in the modem with the private key at `sec_tag`. Needs network time.

    `sec_tag` None: an Identity JWT, signed with the key that the modem got in the factory (nrfcloud.md 3.1)."""
    cmd = 'AT%%JWT=0,%d,"%s","%s"' % (lifetime_s, _checked(subject), _checked(audience))
    if sec_tag is not None:
        cmd += ",%d,%d" % (sec_tag, _CLIENT_KEY)
    lines = await modem.at.command(cmd, b"%JWT:", timeout_ms=_KEY_MS)
    if not lines:
        raise ATError(b"AT%JWT", b"no token")
    token = split(lines[0])[0].decode()
    return token.replace("+", "-").replace("/", "_").replace("=", "")


async def attestation(modem):
    """-> the token (str) by which the modem's owner claims it: `<base64url>.<base64url>`."""
    lines = await modem.at.command("AT%ATTESTTOKEN", b"%ATTESTTOKEN:", timeout_ms=_KEY_MS)
    if not lines:
        raise ATError(b"AT%ATTESTTOKEN", b"no token")
    return split(lines[0])[0].decode()


def _is_given(command, parameters):
    """Whether `AT<command>=<parameters>` is one command of _GIVEN: between quotes text, elsewhere digits and commas.
    So nothing can end the line and begin another, nor leave the command mode."""
    quoted = False
    for char in parameters:
        if char == '"':
            quoted = not quoted
        elif char not in ("0123456789," if not quoted else "\r\n") and not (quoted and " " <= char != "\x7f"):
            return False
    return command in _GIVEN and not quoted


async def execute(modem, command, parameters):
    """Run `AT<command>=<parameters>` for a provisioning service (nrfcloud.md 13.2), radio off; -> the reply as str.

    Raises ATError, and ValueError for anything but %CMNG and %KEYGEN."""
    if not _is_given(command, parameters):
        raise ValueError("%s is not run for anybody" % command)
    cmd = "AT%s=%s" % (command, parameters)
    parameters = None  # a certificate is large, and two copies at a time are enough
    cmd = cmd.encode()
    lines = await modem.at.command(cmd, command.encode() + b":", timeout_ms=_KEY_MS)
    return "".join([line.decode() + "\r\n" for line in lines]) + "OK\r\n"


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
