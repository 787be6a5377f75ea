"""Device authentication: ES256 JSON Web Tokens (RFC 7519, 7515, 7518 section 3.4) against registered keys.

Identity is `sub`, or the part of `iss` after the first dot when there is no `sub`; `exp` must be there
and lie ahead of the world clock; `kid`, `aud`, `iat`, `jti` are not looked at. Every failure is one
AuthError with a short reason (the device sees 4.03).
Called by site.py for POST auth/jwt and auth/jwt-id.
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


class AuthError(Exception):
    """The token does not prove who sent it; str() says why. `device` is the claimed id, if it got that far."""

    def __init__(self, reason, device=None):
        super().__init__(reason)
        self.device = device


def verify(token, public_pem_of, now_s):
    """Check a compact JWS (bytes); returns the device id.

    `public_pem_of(device)` gives the registered public key as PEM text, or None. Raises AuthError.
    """
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
    device = _identity(claims)
    pem = public_pem_of(device)
    if pem is None:
        raise AuthError("device not known", device)
    _check_signature(pem, f"{parts[0]}.{parts[1]}".encode(), signature, device)
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


def _identity(claims):
    device = claims.get("sub")
    if device is None:
        issuer = claims.get("iss")
        if not isinstance(issuer, str) or "." not in issuer:
            raise AuthError("neither sub nor iss names a device")
        device = issuer.split(".", 1)[1]
    if not isinstance(device, str) or not DEVICE_ID.fullmatch(device):
        raise AuthError("sub is not a device id")
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
