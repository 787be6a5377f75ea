"""Throw-away PKI of the desk: a CA like nRF Cloud's, server certificates (good and bad), a device key.

All keys are EC P-256, all certificates ECDSA with SHA-256, as the real CoAP root is (facts: the
CoAP CA has CN "nRF Cloud", pathlen 0). Made anew at run time, never committed.
Called by the twin's command line when it has no certificate, by the day's factory and by tests.
"""

import datetime
import hashlib
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HOST = "coap.nrfcloud.com"
CA_NAME = "nRF Cloud"

# variant of the server certificate: (host name, days from now valid from, valid to, signed by)
_VARIANTS = {
    "server": (HOST, -30, 3650, "ca"),
    "wrong-host": ("coap.example.org", -30, 3650, "ca"),
    "expired": (HOST, -60, -30, "ca"),
    "not-yet-valid": (HOST, 3650, 7300, "ca"),
    "wrong-ca": (HOST, -30, 3650, "other-ca"),
}


def new_key():
    """A fresh P-256 private key."""
    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key):
    """PKCS #8 PEM (bytes) of a private key, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem(key):
    """SubjectPublicKeyInfo PEM (bytes) of the public half of `key`."""
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def private_hex(key):
    """The 32-byte secret scalar of `key` as 64 hex digits."""
    return f"{key.private_numbers().private_value:064x}"


def key_id(key):
    """`kid` of a key as nRF tools write it: hex SHA-256 of the DER SubjectPublicKeyInfo."""
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def make_ca(name=CA_NAME, now=None):
    """A self-signed CA. Returns (certificate, private key). `now`: aware datetime, default the real one."""
    now = now or datetime.datetime.now(datetime.timezone.utc)
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key, now, -365, 9125)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(sign_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256()), key


def make_server(ca, host=HOST, days=(-30, 3650), now=None):
    """A server certificate. `ca` is (certificate, key); `days` = (valid from, valid to) relative to now.

    Returns (certificate, private key).
    """
    now = now or datetime.datetime.now(datetime.timezone.utc)
    ca_cert, ca_key = ca
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    builder = _builder(subject, ca_cert.subject, key, now, *days)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    builder = builder.add_extension(_usage(sign_certificates=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(ca_key, hashes.SHA256()), key


def make_device(directory, name="device"):
    """Write `name`.key (PKCS #8 PEM), `name`.pub (PEM) and `name`.hex (raw secret); returns the key."""
    directory = Path(directory)
    key = new_key()
    _write(directory / f"{name}.key", private_pem(key), secret=True)
    _write(directory / f"{name}.pub", public_pem(key))
    _write(directory / f"{name}.hex", private_hex(key).encode(), secret=True)
    return key


def make_pki(directory, host=HOST, variants=(), now=None):
    """Make a PKI in `directory` (created when absent); existing files are replaced.

    Files: ca.pem, ca.key, server.pem, server.key, device.key/.pub/.hex and, for each name in
    `variants` ("wrong-host", "expired", "not-yet-valid", "wrong-ca"), NAME.pem and NAME.key.
    Returns the directory as a Path. `now` (aware datetime) shifts every validity.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    authorities = {"ca": make_ca(now=now)}
    _write(directory / "ca.pem", _cert_pem(authorities["ca"][0]))
    _write(directory / "ca.key", private_pem(authorities["ca"][1]), secret=True)
    for variant in ("server", *variants):
        name, first, last, signer = _VARIANTS[variant]
        if signer not in authorities:
            authorities[signer] = make_ca("Somebody Else", now=now)
        cert, key = make_server(authorities[signer], host if name == HOST else name, (first, last), now)
        _write(directory / f"{variant}.pem", _cert_pem(cert))
        _write(directory / f"{variant}.key", private_pem(key), secret=True)
    make_device(directory)
    return directory


def variants():
    """Names of the bad server certificates that `make_pki` can add."""
    return tuple(name for name in _VARIANTS if name != "server")


def _builder(subject, issuer, key, now, first_day, last_day):
    day = datetime.timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + first_day * day)
        .not_valid_after(now + last_day * day)
    )


def _usage(sign_certificates):
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _cert_pem(cert):
    return cert.public_bytes(serialization.Encoding.PEM)


def _write(path, data, secret=False):
    # Written beside and renamed, so that a reader in another process never sees half a key.
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600 if secret else 0o644)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
