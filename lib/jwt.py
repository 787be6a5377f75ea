"""JSON Web Tokens in the compact form, ES256 only (RFC 7515, 7518 3.4, 7519): what a device needs to log in.

Called by the cloud backends. A signer is any callable(digest32) -> 64 bytes r || s: KeySigner for a key in our own
memory, or a driver's for a key in a secure element. Modems that make whole tokens (AT%JWT) go through normalise.
Owns no RAM: KeySigner loads es256 for one signature and lets it go again.
"""

import binascii
import hashlib
import json

from micropython import const

_HEADER = b"eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9"  # {"alg":"ES256","typ":"JWT"}
_MAX_LIFETIME_S = const(604800)  # nrfcloud.md 3.1
_MAX_TOKEN = const(2048)  # longest seen from a modem: 820
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class JWTError(ValueError):
    """A token that cannot be made (no time, bad claim, bad signer) or is none."""


class KeySigner:
    """A signer that holds the 32-byte secret `key` (es256.load_private_key), and es256 only while it signs."""

    def __init__(self, key):
        self._key = key

    def __call__(self, digest):
        """-> 64 bytes r || s over the 32-byte `digest`. Takes 0.2 to 0.7 s on a board, without yielding."""
        import sys

        borrowed = "es256" not in sys.modules
        import es256

        try:
            return es256.sign(self._key, digest)
        finally:
            if borrowed:  # several KB; a token is made once per session
                del sys.modules["es256"]


def device_token(signer, device_id, now_s, lifetime_s=600):
    """-> the smallest token that a device cloud accepts, as bytes: claims `sub` and `exp`.

    `now_s` is Unix time in whole seconds. Raises JWTError when it is None (unknown) or the lifetime is over 7 days.
    """
    if not isinstance(now_s, int):
        raise JWTError("no time, so no expiry can be set")
    if not 0 < lifetime_s <= _MAX_LIFETIME_S:
        raise JWTError("lifetime outside 1 s to 7 days")
    return sign(signer, (("sub", device_id), ("exp", now_s + int(lifetime_s))))


def sign(signer, claims, header=None):
    """-> the compact token of `claims` as bytes.

    `claims` and `header` are dicts or, to fix their order, sequences of (name, value). Raises JWTError for float
    values: single-precision boards would write a wrong time.
    """
    token = (_encode(_json(header).encode()) if header else _HEADER) + b"." + _encode(_json(claims).encode())
    signature = signer(hashlib.sha256(token).digest())
    if len(signature) != 64:
        raise JWTError("signer gave %d bytes, not 64" % len(signature))
    return token + b"." + _encode(signature)


def normalise(token):
    """-> `token` (str or bytes, in plain or URL-safe base64 with or without padding) as a compact token in bytes.

    Raises JWTError when it has not three parts or other characters.
    """
    if isinstance(token, str):
        token = token.encode()
    if len(token) > _MAX_TOKEN:
        raise JWTError("token too long")
    parts = [part.rstrip(b"=") for part in token.replace(b"+", b"-").replace(b"/", b"_").split(b".")]
    if len(parts) != 3:
        raise JWTError("a token has three parts")
    for part in parts:
        if not part or len(part) % 4 == 1:
            raise JWTError("part of impossible length")
        for char in part:
            if char not in _ALPHABET:
                raise JWTError("not base64")
    return b".".join(parts)


def claims(token):
    """-> the claims of `token` as a dict, signature NOT checked: to read one's own `exp`, or the id in `iss`."""
    part = normalise(token).split(b".")[1].replace(b"-", b"+").replace(b"_", b"/")
    try:
        found = json.loads(str(binascii.a2b_base64(part + b"=" * (-len(part) % 4)), "utf-8"))
    except ValueError:  # UnicodeError, binascii.Error and JSON's own error are kinds of it
        raise JWTError("claims are not JSON")
    if not isinstance(found, dict):
        raise JWTError("claims are not an object")
    return found


def _encode(data):
    return binascii.b2a_base64(data).rstrip(b"=\n").replace(b"+", b"-").replace(b"/", b"_")


def _json(members):
    """-> compact JSON; json.dumps alone puts blanks in and, on MicroPython, members in any order."""
    out = []
    for name, value in members.items() if isinstance(members, dict) else members:
        if isinstance(value, float):
            raise JWTError("%s is a float" % name)
        out.append(json.dumps(name) + ":" + json.dumps(value))
    return "{" + ",".join(out) + "}"
