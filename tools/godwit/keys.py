"""The update signing key: RSA-3072, kept as PEM by whoever releases firmware; nodes hold its modulus only.

`sign()` is RSA-PSS (RFC 8017 8.1.1) with SHA-256, MGF1-SHA-256 and a 32-byte salt that is derived from the key and
the message, so that building the same bundle twice gives the same bytes. The exponentiation is blinded; the result
is checked with the cryptography package before anybody sees it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = 3072
KEY_BYTES = KEY_BITS // 8
_EXPONENT = 65537
_HASH = 32


class KeyFileError(ValueError):
    """A key file that cannot be used; the text is one line for a terminal."""


def make_key(path: str | Path | None = None) -> rsa.RSAPrivateKey:
    """Make a signing key; with `path` also write it there as PKCS8 PEM, readable by its owner only.

    An existing file is never overwritten: FileExistsError.
    """
    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=KEY_BITS)
    if path is not None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
    return key


def load_key(path: str | Path, password: bytes | None = None) -> rsa.RSAPrivateKey:
    """Read a signing key from PEM; KeyFileError when it is not an RSA key of 3072 bits with exponent 65537."""
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"{path}: not a private key in PEM: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != KEY_BITS:
        raise KeyFileError(f"{path}: not an RSA key of {KEY_BITS} bits")
    if key.private_numbers().public_numbers.e != _EXPONENT:
        raise KeyFileError(f"{path}: public exponent is not {_EXPONENT}")
    return key


def modulus(key: rsa.RSAPrivateKey | rsa.RSAPublicKey) -> bytes:
    """What a node keeps as its update key: n, 384 bytes, big-endian."""
    public = key.public_key() if isinstance(key, rsa.RSAPrivateKey) else key
    return public.public_numbers().n.to_bytes(KEY_BYTES, "big")


def key_id(key_modulus: bytes) -> bytes:
    """How a bundle names its key: the first 8 bytes of the SHA-256 of the modulus."""
    return hashlib.sha256(key_modulus).digest()[:8]


def sign(key: rsa.RSAPrivateKey, message: bytes) -> bytes:
    """RSA-PSS signature of `message`, 384 bytes, the same each time."""
    numbers = key.private_numbers()
    n, e = numbers.public_numbers.n, numbers.public_numbers.e
    secret = numbers.d.to_bytes(KEY_BYTES, "big")
    salt = hmac.new(secret, b"godwit pss salt" + message, hashlib.sha256).digest()
    encoded = int.from_bytes(_pss_encode(hashlib.sha256(message).digest(), salt), "big")
    mask = 2 + secrets.randbelow(n - 3)
    signature = pow(encoded * pow(mask, e, n) % n, numbers.d, n) * pow(mask, -1, n) % n
    result = signature.to_bytes(KEY_BYTES, "big")
    # A bit error in the arithmetic above would leak the key: nothing leaves this function that does not verify.
    verify(key.public_key(), message, result)
    return result


def verify(public: rsa.RSAPublicKey, message: bytes, signature: bytes) -> None:
    """Raise cryptography's InvalidSignature unless `signature` is good."""
    public.verify(signature, message, padding.PSS(padding.MGF1(hashes.SHA256()), _HASH), hashes.SHA256())


def _pss_encode(digest: bytes, salt: bytes) -> bytes:
    """EMSA-PSS-ENCODE (RFC 8017 9.1.1) for a modulus of KEY_BITS bits."""
    size = KEY_BYTES - _HASH - 1
    h = hashlib.sha256(bytes(8) + digest + salt).digest()
    block = b"\x01" + salt
    db = int.from_bytes(block.rjust(size, b"\0"), "big")
    blocks = (hashlib.sha256(h + i.to_bytes(4, "big")).digest() for i in range(-(-size // _HASH)))
    mask = int.from_bytes(b"".join(blocks)[:size], "big")
    # The top bit goes, because the encoded number has one bit less than the modulus.
    masked = (db ^ mask) & ((1 << (8 * size - 1)) - 1)
    return masked.to_bytes(size, "big") + h + b"\xbc"
