"""Credentials and security profiles of SARA-R5 (modems.md 2D.4): +USECMNG, +USECPRF, +USOSEC.

Credentials are files of the modem; a profile names them. On a UDP socket a profile means DTLS 1.2, a real handshake
that fails when the server is not whom the profile wants.
"""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from godwit.dtls.trust import VERIFY_NONE, VERIFY_REQUIRED
from godwit.modem.agnss import GPS_EPOCH
from godwit.modem.grammar import CmeError, CommandError
from godwit.modem.registry import Registry
from godwit.modem.sockets import Tls

COMMANDS = Registry()
command = COMMANDS.command

_NOT_ALLOWED = 3
_ROOT, _CLIENT, _KEY, _SERVER = range(4)
_SHORT = ("CA", "CC", "PK", "SC")
_STORE, _DELETE, _LIST, _DIGEST = 0, 2, 3, 4
_SIZE_MAX, _WINDOW_S = 8192, 10.0
_PROFILES = 4
_HANDSHAKE_S = 60
# Operations of +USECPRF: number -> what its value is.
_VALIDATION, _VERSION, _CIPHER, _CA, _HOST, _CERT, _PRIVATE, _SNI = 0, 1, 2, 3, 4, 5, 6, 10
_NUMBERS = {_VALIDATION: 3, _VERSION: 3, _CIPHER: 100, 11: 1, 12: 1, 13: 12, 14: 1}
_TEXTS = (_CA, _HOST, _CERT, _PRIVATE, 7, 8, 9, _SNI)
_NO_CHECK, _CHAIN, _CHAIN_AND_HOST, _ALL = range(4)


def file_name(kind, name):
    """Name in the modem's file system; every kind has names of its own."""
    return f"sec/{_SHORT[kind]}/{name}"


@command("+USECMNG", "set")
async def _manage(dev, params):
    operation = {_STORE: _store, _DELETE: _delete, _LIST: _list, _DIGEST: _digest}.get(params.number(0, 0, 4))
    if operation is None:
        raise CmeError(_NOT_ALLOWED)
    return await operation(dev, params)


async def _store(dev, params):
    kind, name, size = params.number(1, 0, 3), params.text(2), params.number(3, 1, _SIZE_MAX)
    if not 0 < len(name) <= 200:
        raise CommandError
    data = await dev.prompt("\r\n>", size, _WINDOW_S)
    if not _credible(kind, data):
        dev.core.log.event("credential_refused", file=name, size=size)
        raise CmeError(_NOT_ALLOWED)
    await dev.core.clock.sleep(dev.core.timing["flash"])
    dev.core.nvs.write_file(file_name(kind, name), data)
    dev.core.log.event("credential", kind=_SHORT[kind], file=name, size=size)
    return f'+USECMNG: 0,{kind},"{name}","{_md5(data)}"'


def _credible(kind, data):
    """Does it parse, as PEM or DER?"""
    is_pem = b"-----BEGIN" in data
    try:
        if kind == _KEY:
            (load_pem_private_key if is_pem else load_der_private_key)(data, None)
        else:
            (x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate)(data)
    except (ValueError, TypeError):
        return False
    return True


def _md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


async def _delete(dev, params):
    if not dev.core.nvs.delete_file(file_name(params.number(1, 0, 3), params.text(2))):
        raise CmeError(_NOT_ALLOWED)


async def _digest(dev, params):
    kind, name = params.number(1, 0, 3), params.text(2)
    data = dev.core.nvs.read_file(file_name(kind, name))
    if data is None:
        raise CmeError(_NOT_ALLOWED)
    return f'+USECMNG: 4,{kind},"{name}","{_md5(data)}"'


async def _list(dev, params):
    wanted = params.number(1, 0, 3) if params.given(1) else None
    lines = []
    for kind, short in enumerate(_SHORT):
        if wanted not in (None, kind):
            continue
        start = file_name(kind, "")
        for path in dev.core.nvs.file_names():
            if path.startswith(start):
                lines.append(f'"{short}","{path[len(start):]}"' + _described(kind, dev.core.nvs.read_file(path)))
    return lines


def _described(kind, data):
    if kind == _KEY:
        return ""
    is_pem = b"-----BEGIN" in data
    cert = (x509.load_pem_x509_certificate if is_pem else x509.load_der_x509_certificate)(data)
    names = cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return f',"{names[0].value if names else ""}","{cert.not_valid_after_utc:%Y/%m/%d}"'


# profiles


@command("+USECPRF", "set")
def _profile(dev, params):
    number = params.number(0, 0, _PROFILES)
    profile = dev.profiles.setdefault(number, {})
    if len(params) == 1:
        profile.clear()
        return None
    operation = params.number(1, 0, 14)
    if len(params) == 2:
        value = profile.get(operation, "" if operation in _TEXTS else 0)
        return f"+USECPRF: {number},{operation}," + (f'"{value}"' if isinstance(value, str) else str(value))
    if operation in _TEXTS:
        profile[operation] = params.text(2, default="")
    elif operation == _CIPHER and params.number(2) == 100:
        profile[operation] = 100
        profile["suite"] = (params.text(3), params.text(4))
    else:
        profile[operation] = params.number(2, 0, _NUMBERS[operation])
    return None


@command("+USOSEC", "set")
def _secure(dev, params):
    try:
        sock = dev.core.net.get(params.number(0, 0, 6))
    except KeyError as err:
        raise CmeError(_NOT_ALLOWED) from err
    if len(params) == 1:
        on = sock.handle in dev.secured
        return f"+USOSEC: {sock.handle},{int(on)}" + (f",{dev.secured[sock.handle]}" if on else "")
    if sock.connected:
        raise CmeError(_NOT_ALLOWED)
    if params.number(1, 0, 1):
        dev.secured[sock.handle] = params.number(2, 0, _PROFILES, default=0)
    else:
        dev.secured.pop(sock.handle, None)
    return None


def arm(dev, sock):
    """Before the connection: give a socket what its profile says. Raises OSError when the profile cannot work."""
    profile = dev.profiles.get(dev.secured[sock.handle], {})
    level = profile.get(_VALIDATION, _NO_CHECK)
    credentials = {key: _content(dev, kind, profile.get(operation)) for key, kind, operation in
                   (("ca", _ROOT, _CA), ("cert", _CLIENT, _CERT), ("key", _KEY, _PRIVATE))}
    hostname = profile.get(_HOST) or None
    if level >= _CHAIN_AND_HOST and hostname is None:
        raise OSError("no expected host name in the profile")
    if profile.get(_VERSION, 0) not in (0, 3):
        raise OSError("DTLS 1.2 is all there is")
    now_s = (dev.core.rtc_s() or GPS_EPOCH) if level >= _ALL else None
    sock.tls = Tls(**credentials, verify=VERIFY_REQUIRED if level else VERIFY_NONE, now_s=now_s,
                   hostname=hostname if level >= _CHAIN_AND_HOST else None, timeout_s=_HANDSHAKE_S,
                   sni=profile.get(_SNI) or None)


def _content(dev, kind, name):
    """A stored credential as PEM text, or None."""
    data = dev.core.nvs.read_file(file_name(kind, name)) if name else None
    if name and data is None:
        raise OSError(f"no such credential: {name}")
    return None if data is None else _as_pem(kind, data)


def _as_pem(kind, data):
    if b"-----BEGIN" in data:
        return data.decode("latin-1")
    if kind != _KEY:
        return x509.load_der_x509_certificate(data).public_bytes(Encoding.PEM).decode()
    return load_der_private_key(data, None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
