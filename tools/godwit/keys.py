"""The update signing key: RSA-3072, kept as PEM by whoever releases firmware; nodes hold its modulus only, one to
three of them in a file `update.pub`, 384 bytes each. On the command line: keys_command.py.

`sign()` is RSA-PSS (RFC 8017 8.1.1) with SHA-256, MGF1-SHA-256 and a 32-byte salt that is derived from the key and
the message, so that building the same bundle twice gives the same bytes. The exponentiation is blinded; the result
is checked with the cryptography package before anybody sees it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

KEY_BITS = 3072
KEY_BYTES = KEY_BITS // 8
MODULI_MAX = 3  # that a node keeps
PASSPHRASE = "GODWIT_KEY_PASSPHRASE"  # the variable that opens an encrypted key without a question
_EXPONENT = 65537
_HASH = 32
_FILE_MAX = 65536


class KeyFileError(ValueError):
    """A key file that cannot be used; the text is one line for a terminal."""


class LockedError(KeyFileError):
    """A key file that wants a passphrase."""


def make_key(path: str | Path | None = None, password: bytes | None = None) -> rsa.RSAPrivateKey:
    """Make a signing key; with `path` also write it there as PKCS8 PEM, readable by its owner only, encrypted when
    there is a `password`. An existing file is never overwritten: FileExistsError."""
    key = rsa.generate_private_key(public_exponent=_EXPONENT, key_size=KEY_BITS)
    if path is not None:
        lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
        write_new(path, pem, 0o600)
    return key


def write_new(path: str | Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file that is not there yet, durably; FileExistsError when it is, OSError for the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def load_key(path: str | Path, password: bytes | None = None) -> rsa.RSAPrivateKey:
    """Read a signing key from PEM; KeyFileError when it is not an RSA key of 3072 bits with exponent 65537. Without a
    `password`, the variable GODWIT_KEY_PASSPHRASE opens an encrypted one."""
    if password is None:
        password = os.environ.get(PASSPHRASE, "").encode() or None
    pem = _read(path)
    try:
        if b"ENCRYPTED" in pem and password is None:
            raise LockedError(f"{path}: encrypted; {PASSPHRASE} holds no passphrase")
        key = serialization.load_pem_private_key(pem, password if b"ENCRYPTED" in pem else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if isinstance(error, KeyFileError):
            raise
        if b"ENCRYPTED" in pem:
            raise KeyFileError(f"{path}: wrong passphrase, or damaged") from error
        raise KeyFileError(f"{path}: not a private key in PEM") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise KeyFileError(f"{path}: not an RSA key of {KEY_BITS} bits")
    _check_public(path, key.public_key())
    return key


def load_moduli(path: str | Path) -> list[bytes]:
    """The moduli in a file: an `update.pub`, a public key in PEM, or the public half of a private one. KeyFileError."""
    raw = _read(path)
    if b"PRIVATE KEY-----" in raw:
        return [modulus(load_key(path))]
    if raw.lstrip().startswith(b"-----BEGIN"):
        try:
            public = serialization.load_pem_public_key(raw)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise KeyFileError(f"{path}: not a public key in PEM") from error
        if not isinstance(public, rsa.RSAPublicKey):
            raise KeyFileError(f"{path}: not an RSA key of {KEY_BITS} bits")
        _check_public(path, public)
        return [modulus(public)]
    if not raw or len(raw) % KEY_BYTES or len(raw) > MODULI_MAX * KEY_BYTES:
        raise KeyFileError(f"{path}: neither PEM nor 1 to {MODULI_MAX} moduli of {KEY_BYTES} bytes")
    found = [raw[at : at + KEY_BYTES] for at in range(0, len(raw), KEY_BYTES)]
    for one in found:
        if not one[0] & 0x80 or not one[-1] & 1:
            raise KeyFileError(f"{path}: no modulus of {KEY_BITS} bits in it")
    return found


def trust_list(paths: Iterable[str | Path]) -> bytes:
    """The content of an `update.pub` that trusts the keys in these files, each once, in this order. KeyFileError."""
    found = list(dict.fromkeys(one for path in paths for one in load_moduli(path)))
    if not 0 < len(found) <= MODULI_MAX:
        raise KeyFileError(f"{len(found)} keys: a node keeps 1 to {MODULI_MAX}")
    return b"".join(found)


def public_key(key_modulus: bytes) -> rsa.RSAPublicKey:
    """The key whose modulus this is."""
    return rsa.RSAPublicNumbers(_EXPONENT, int.from_bytes(key_modulus, "big")).public_key()


def public_pem(public: rsa.RSAPublicKey) -> bytes:
    """A public key for other programs."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return public.public_bytes(serialization.Encoding.PEM, form)


def _read(path: str | Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_FILE_MAX)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error


def _check_public(path: str | Path, public: rsa.RSAPublicKey) -> None:
    if public.key_size != KEY_BITS:
        raise KeyFileError(f"{path}: not an RSA key of {KEY_BITS} bits")
    if public.public_numbers().e != _EXPONENT:
        raise KeyFileError(f"{path}: public exponent is not {_EXPONENT}")


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
