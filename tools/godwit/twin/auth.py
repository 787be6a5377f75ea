"""Device authentication: ES256 JSON Web Tokens (RFC 7519, 7515, 7518 section 3.4) against known keys (facts 3.1).

An access token is signed with the registered key of an onboarded device: its identity is `sub`, or the part of `iss`
after the first dot when there is no `sub`; `exp` must be there and lie ahead of the world clock; an `iss` beside `sub`
must be `<hardware>.<device id>` or, as the modem writes it, `<hardware>.<its UUID>`. An identity token is signed with
the identity key of a claimed modem: its identity is the UUID in `iss`; `exp` counts when it is there. `kid`, `aud`,
`jti` are not looked at. Every failure is one AuthError with a short reason (the device sees 4.03).
Called by site.py for POST auth/jwt, auth/jwt-id and p/auth-jwt.
"""

import base64
import binascii
import json
import math
import re

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

DEVICE_ID = re.compile(r"[a-z0-9:_-]{1,128}", re.IGNORECASE)
_MAX_TOKEN = 2048
_SKEW_S = 10
_B64URL = re.compile(r"[A-Za-z0-9_-]+")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class AuthError(Exception):
    """The token does not prove who sent it; str() says why. `device` is the claimed id, if it got that far."""

    def __init__(self, reason, device=None):
        super().__init__(reason)
        self.device = device


def verify(token, public_pem_of, now_s):
    """Check an access token, a compact JWS (bytes); returns the device id.

    `public_pem_of(device)` gives the registered public key as PEM text, or None. Raises AuthError.
    """
    return _verify(token, _device, public_pem_of, now_s, "device not known", needs_expiry=True)


def verify_identity(token, public_pem_of, now_s):
    """Check an identity token (bytes); returns the device's UUID.

    `public_pem_of(uuid)` gives the public identity key of a claimed device as PEM text, or None. Raises AuthError.
    """
    return _verify(token, _uuid, public_pem_of, now_s, "device not claimed", needs_expiry=False)


def _verify(token, identity_of, public_pem_of, now_s, unknown, needs_expiry):
    if len(token) > _MAX_TOKEN:
        raise AuthError("token too long")
    try:
        text = token.decode("ascii")
    except UnicodeDecodeError as exc:
        raise AuthError("token is not ASCII") from exc
    parts = text.split(".")
    if len(parts) != 3:
        raise AuthError("token is not a compact JWS")
    header, claims = _json_object(parts[0], "header"), _json_object(parts[1], "claims")
    if header.get("alg") != "ES256" or "crit" in header:
        raise AuthError("alg is not ES256")
    signature = _b64url(parts[2], "signature")
    device = identity_of(claims)
    pem = public_pem_of(device)
    if pem is None:
        raise AuthError(unknown, device)
    _check_signature(pem, f"{parts[0]}.{parts[1]}".encode(), signature, device)
    if needs_expiry or "exp" in claims:
        _check_times(claims, now_s, device)
    return device


def load_public_key(pem):
    """Public key PEM (text) out of a public key or certificate PEM; ValueError unless it is P-256."""
    data = pem.strip().encode() + b"\n"
    try:
        if b"BEGIN CERTIFICATE" in data:
            key = x509.load_pem_x509_certificate(data).public_key()
        else:
            key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ValueError("not a PEM certificate or public key") from exc
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("public keys must be ES256 (P-256)")
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def _device(claims):
    """The device id of an access token."""
    device, issuer = claims.get("sub"), claims.get("iss")
    named = _issued_by(issuer) if device is None or issuer is not None else None
    if device is None:
        device = named
    elif named is not None and named != device and not _UUID.fullmatch(named):
        raise AuthError("iss names another device than sub")
    if not isinstance(device, str) or not DEVICE_ID.fullmatch(device):
        raise AuthError("sub is not a device id")
    return device


def _uuid(claims):
    """The UUID in the issuer of an identity token."""
    device = _issued_by(claims.get("iss"))
    if not _UUID.fullmatch(device):
        raise AuthError("iss is not <hardware>.<device uuid>")
    return device


def _issued_by(issuer):
    hardware, dot, device = issuer.partition(".") if isinstance(issuer, str) else ("", "", "")
    if not hardware or not dot or not device:
        raise AuthError("neither sub nor iss names a device")
    return device


def _check_signature(pem, signed, signature, device):
    if len(signature) != 64:
        raise AuthError("signature is not raw r||s of 64 bytes", device)
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        serialization.load_pem_public_key(pem.encode()).verify(der, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as exc:
        raise AuthError("signature does not match the registered key", device) from exc


def _check_times(claims, now_s, device):
    expiry = claims.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, (int, float)) or not math.isfinite(expiry):
        raise AuthError("exp is missing", device)
    if expiry + _SKEW_S <= now_s:
        raise AuthError("token expired", device)


def _json_object(part, what):
    try:
        value = json.loads(_b64url(part, what).decode())
    except (ValueError, RecursionError) as exc:
        raise AuthError(f"{what} is not JSON") from exc
    if not isinstance(value, dict):
        raise AuthError(f"{what} is not an object")
    return value


def _b64url(part, what):
    # RFC 7515 section 2: no padding, no other characters; the decoder alone would skip them.
    if not _B64URL.fullmatch(part) or len(part) % 4 == 1:
        raise AuthError(f"{what} is not base64url")
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as exc:
        raise AuthError(f"{what} is not base64url") from exc
