"""What a modem attests: claim tokens and new keys, as `<base64url>.<base64url COSE_Sign1>` (facts 13.3).

A claim token is a CBOR array [1, device uuid, device type, firmware uuid, nonce] and a COSE_Sign1 whose payload is nil;
an answer of %KEYGEN is a DER CSR or public key and a COSE_Sign1 whose payload is [8 or 9, device uuid, security tag,
SHA-256 of the first part, nonce]. Arrays carry the tag of self-described CBOR. The signature (RFC 9052 4.4) is ES256 by
the identity key of the factory, raw r || s, with the first part as external_aad: the signatures that Nordic published
of one modem's claim token and key hold under one and the same key only so. Called by provisioning.py; pure.
"""

import base64
import binascii
import hashlib
import io
import re
import uuid
from dataclasses import dataclass

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

_SELF_DESCRIBED = b"\xd9\xd9\xf7"
_COSE_SIGN1 = 18
_ES256 = -7
_IDENTITY, _PUBLIC_KEY, _CSR = 1, 8, 9
_MAX_PART = 4096
_WITHOUT_NULL = bytes.fromhex("300a06082a8648ce3d040302")  # AlgorithmIdentifier of ecdsa-with-SHA256
_WITH_NULL = bytes.fromhex("300c06082a8648ce3d0403020500")
_B64URL = re.compile(r"[A-Za-z0-9_-]+")


class ProofError(ValueError):
    """Not what a modem attests; the text says why."""


@dataclass
class ClaimToken:
    """What a claim token says; check() tells whether it is true."""

    uuid: str
    device_type: int
    firmware: str
    signed: bytes
    envelope: list

    def check(self, public_pem):
        """ProofError unless the identity key `public_pem` signed it."""
        _check(self.envelope, self.signed, public_pem)


def claim_token(text):
    """Take a claim token apart. Raises ProofError."""
    payload, envelope = _parts(text)
    if envelope[2] is not None:
        raise ProofError("the envelope of a claim token has a payload of its own")
    items = _items(payload)
    if len(items) != 5 or items[0] != _IDENTITY or isinstance(items[2], bool) or not isinstance(items[2], int):
        raise ProofError("not a device identity message")
    return ClaimToken(_uuid(items[1]), items[2], _uuid(items[3]), payload, envelope)


def public_key(text, public_pem, device, sec_tag):
    """Public key (PEM text) that %KEYGEN made at `sec_tag`, attested by `device`'s identity key. Raises ProofError."""
    body, envelope = _parts(text)
    if not isinstance(envelope[2], bytes):
        raise ProofError("the envelope of a key has a payload")
    _check(envelope, body, public_pem)
    items = _items(envelope[2])
    if len(items) != 5 or items[0] not in (_PUBLIC_KEY, _CSR):
        raise ProofError("not a key message")
    if _uuid(items[1]) != device:
        raise ProofError("the key of another device")
    if _sec_tag(items[2]) != sec_tag:
        raise ProofError("the key of another security tag")
    if items[3] != hashlib.sha256(body).digest():
        raise ProofError("the digest is of another key")
    key = _csr_key(body) if items[0] == _CSR else _load(serialization.load_der_public_key, body)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ProofError("not a P-256 key")
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(serialization.Encoding.PEM, form).decode()


def _csr_key(body):
    csr = _load(x509.load_der_x509_csr, _modern(body))
    if not csr.is_signature_valid:
        raise ProofError("the request is not signed with its key")
    return csr.public_key()


def _modern(body):
    """A request of older modem firmware has a NULL where ECDSA has no parameters (RFC 5758 3.2); without it."""
    if body[:2] != b"\x30\x82" or len(body) - 4 != int.from_bytes(body[2:4], "big") or body.count(_WITH_NULL) != 1:
        return body
    inner = body[4:].replace(_WITH_NULL, _WITHOUT_NULL)
    size = len(inner).to_bytes(2, "big") if len(inner) > 255 else bytes([len(inner)])
    return b"\x30" + bytes([0x80 | len(size)]) + size + inner


def _load(loader, data):
    try:
        return loader(data)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as exc:
        raise ProofError("neither a certificate request nor a public key in DER") from exc


def _check(envelope, outside, public_pem):
    protected, _, payload, signature = envelope
    der = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    signed = cbor2.dumps(["Signature1", protected, outside, payload])
    try:
        serialization.load_pem_public_key(public_pem.encode()).verify(der, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as exc:
        raise ProofError("not signed with the identity key of the device") from exc


def _parts(text):
    """(bytes of the first part, [protected, unprotected, payload, signature])."""
    parts = text.split(".")
    if len(parts) != 2:
        raise ProofError("two parts with a dot between them are needed")
    first, second = [_b64url(part) for part in parts]
    envelope = _decode(second)
    if not isinstance(envelope, cbor2.CBORTag) or envelope.tag != _COSE_SIGN1:
        raise ProofError("the second part is not a COSE_Sign1")
    items = envelope.value
    if not isinstance(items, (list, tuple)) or len(items) != 4:
        raise ProofError("a COSE_Sign1 has four items")
    if not isinstance(items[0], bytes) or not isinstance(items[3], bytes) or len(items[3]) != 64:
        raise ProofError("protected header or signature of a COSE_Sign1 missing")
    header = _decode(items[0])
    if not hasattr(header, "get") or header.get(1) != _ES256:
        raise ProofError("alg is not ES256")
    return first, list(items)


def _items(payload):
    value = _decode(payload.removeprefix(_SELF_DESCRIBED))
    if not isinstance(value, (list, tuple)) or not value:
        raise ProofError("the payload is not an array")
    return value


def _uuid(raw):
    if not isinstance(raw, bytes) or len(raw) != 16:
        raise ProofError("a UUID has 16 bytes")
    return str(uuid.UUID(bytes=raw))


def _sec_tag(raw):
    """The security tag is CBOR in a byte string; tags over 2^31 come as negative numbers."""
    value = _decode(raw) if isinstance(raw, bytes) else raw
    return value & 0xFFFFFFFF if isinstance(value, int) else None


def _decode(data):
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream, read_size=1, max_depth=8).decode()
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as exc:
        raise ProofError("not CBOR") from exc
    if stream.tell() != len(data):
        raise ProofError("bytes after the CBOR")
    return value


def _b64url(part):
    part = part.rstrip("=")
    if not _B64URL.fullmatch(part) or len(part) % 4 == 1 or len(part) > _MAX_PART:
        raise ProofError("not base64url")
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except binascii.Error as exc:
        raise ProofError("not base64url") from exc
