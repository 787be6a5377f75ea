"""What the modem signs: %JWT (nrfcloud.md 3.2) and %KEYGEN's CSR or public key.

ES256 with the signature as raw r || s. Header and claims are those of the modem: typ, alg, kid; iss, jti, iat, sub,
aud, exp. Called by the personality's key commands.
"""

import base64
import hashlib
import json
import secrets

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

_KEYGEN_MESSAGE = 5  # public key message of the modem's COSE envelope


def b64url(data):
    """base64url without padding, as text."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign_raw(key, data):
    """ES256 signature, 64 bytes r || s."""
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def public_der(key):
    """DER SubjectPublicKeyInfo of a private key's other half; 91 bytes."""
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def jwt(key, issuer, firmware_uuid, subject="", audience="", issued=None, lifetime=0):
    """Compact JWS. `issued` is Unix seconds; without a lifetime neither iat nor exp appears."""
    header = {"typ": "JWT", "alg": "ES256", "kid": hashlib.sha256(public_der(key)).hexdigest()}
    hardware = issuer.partition(".")[0]
    claims = {"iss": issuer, "jti": f"{hardware}.{firmware_uuid}.{b64url(secrets.token_bytes(16))}"}
    if lifetime:
        claims["iat"] = issued
    if subject:
        claims["sub"] = subject
    if audience:
        claims["aud"] = audience
    if lifetime:
        claims["exp"] = issued + lifetime
    signed = ".".join(b64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return signed + "." + b64url(sign_raw(key, signed.encode()))


def keygen_answer(key, identity, device_uuid, tag, as_csr, common_name):
    """%KEYGEN's `<body>.<COSE>`: body is a DER CSR or SubjectPublicKeyInfo, the envelope attests its hash."""
    body = _csr(key, common_name) if as_csr else public_der(key)
    uuid_bytes = bytes.fromhex(device_uuid.replace("-", ""))
    payload = cbor2.dumps([_KEYGEN_MESSAGE, uuid_bytes, tag, hashlib.sha256(body).digest(), secrets.token_bytes(16)])
    protected = cbor2.dumps({1: -7})
    to_sign = cbor2.dumps(["Signature1", protected, b"", payload])
    envelope = cbor2.CBORTag(18, [protected, {4: b"\x00"}, payload, sign_raw(identity, to_sign)])
    return b64url(body) + "." + b64url(cbor2.dumps(envelope))


def _csr(key, common_name):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)
