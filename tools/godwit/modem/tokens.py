"""What the modem signs: %JWT (nrfcloud.md 3.2), %KEYGEN's CSR or public key, %ATTESTTOKEN (nrfcloud.md 13.3).

ES256 with the signature as raw r || s. Header and claims of a token are those of the modem: typ, alg, kid; iss, jti,
iat, sub, aud, exp. What attests something is a COSE_Sign1 (RFC 9052) by the factory's identity key, as public tokens
of real modems show it: tag 18, protected {1: -7}, unprotected {4: h'21'} (the key's name, -2 in CBOR), and a payload
that begins with the tag of self-described CBOR. What stands before the dot is its external_aad: both published
signatures of one real modem hold under one key only so. Called by the personality's key commands.
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

_IDENTITY_MESSAGE, _PUBLIC_KEY_MESSAGE, _CSR_MESSAGE = 1, 8, 9  # the first item of a payload
_DEVICE_TYPE = 6  # nRF9151 LACA
_SELF_DESCRIBED = 55799
_KEY_NAME = cbor2.dumps(-2)  # identity_key


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


def keygen_answer(key, identity, device_uuid, tag, as_csr, subject, usage=None):
    """%KEYGEN's `<body>.<COSE>`: body is a DER CSR or SubjectPublicKeyInfo, the envelope attests its hash.

    `subject` is the CSR's name in the form "CN=x,O=y"; `usage` nine binary digits in the order of X.509's KeyUsage.
    Raises ValueError when they are not.
    """
    body = _csr(key, subject, usage) if as_csr else public_der(key)
    message = _CSR_MESSAGE if as_csr else _PUBLIC_KEY_MESSAGE
    digest = hashlib.sha256(body).digest()
    payload = _payload(message, _uuid_bytes(device_uuid), cbor2.dumps(tag), digest, secrets.token_bytes(16))
    return b64url(body) + "." + b64url(_sign1(identity, body, payload))


def attestation(identity, device_uuid, firmware_uuid):
    """%ATTESTTOKEN's `<payload>.<COSE>`: who the device is; the envelope's own payload is nil."""
    payload = _payload(_IDENTITY_MESSAGE, _uuid_bytes(device_uuid), _DEVICE_TYPE, _uuid_bytes(firmware_uuid),
                       secrets.token_bytes(16))  # fmt: skip
    return b64url(payload) + "." + b64url(_sign1(identity, payload, None))


def _payload(*items):
    return cbor2.dumps(cbor2.CBORTag(_SELF_DESCRIBED, list(items)))


def _uuid_bytes(text):
    return bytes.fromhex(text.replace("-", ""))


def _sign1(key, outside, payload):
    protected = cbor2.dumps({1: -7})
    signature = sign_raw(key, cbor2.dumps(["Signature1", protected, outside, payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {4: _KEY_NAME}, payload, signature]))


def _csr(key, subject, usage):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name.from_rfc4514_string(subject))
    if usage is not None:
        builder = builder.add_extension(_key_usage(usage), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _key_usage(digits):
    if len(digits) != 9 or set(digits) - {"0", "1"}:
        raise ValueError("key usage is nine binary digits")
    return x509.KeyUsage(*[digit == "1" for digit in digits])
