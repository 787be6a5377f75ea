"""Keys and certificates as files: read for onboarding, made for a new device. A private key is never sent or shown.

P-256 only: the service verifies ES256 tokens (nrfcloud.md 3). A new key is written as PKCS #8 PEM that only its
owner can read; nothing is ever overwritten.
"""

import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .errors import CloudError

_PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


def read_pem(path, kind):
    """PEM text of a file, checked to be a P-256 `kind` ("certificate", "public key"), with a line end. CloudError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CloudError(f"{path}: {error.strerror}") from error
    if b"PRIVATE KEY" in data:
        raise CloudError(f"{path}: a private key. It stays with the device; give its {kind}")
    try:
        if kind == "certificate":
            found = x509.load_pem_x509_certificate(data)
            key, text = found.public_key(), found.public_bytes(serialization.Encoding.PEM)
        else:
            key = serialization.load_pem_public_key(data)
            text = key.public_bytes(serialization.Encoding.PEM, _PUBLIC)
    except (ValueError, TypeError) as error:
        raise CloudError(f"{path}: not a {kind} in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CloudError(f"{path}: the key is not P-256, which ES256 tokens need")
    return text.decode()


def read_certificates(paths):
    """The PEM texts of CA files, one after the other, checked to be certificates. CloudError."""
    texts = []
    for path in paths:
        try:
            found = x509.load_pem_x509_certificates(Path(path).read_bytes())
        except OSError as error:
            raise CloudError(f"{path}: {error.strerror}") from error
        except ValueError as error:
            raise CloudError(f"{path}: no certificate in PEM") from error
        texts += [one.public_bytes(serialization.Encoding.PEM).decode() for one in found]
    return "".join(texts)


def generate(directory, name):
    """Write NAME.key (private, 0600) and NAME.pub; returns (public PEM, [paths]). CloudError when one exists."""
    directory = Path(directory)
    stem = name.replace(":", "_")
    secret, public = directory / f"{stem}.key", directory / f"{stem}.pub"
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, _PUBLIC)
    for path in (secret, public):
        if path.exists():
            raise CloudError(f"{path} exists already: use its .pub with --public-key, or another --directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(secret, private, 0o600)
        _write(public, pem, 0o644)
    except OSError as error:
        raise CloudError(f"{error.filename or directory}: {error.strerror}") from error
    return pem.decode(), [secret, public]


def _write(path, data, mode):
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
