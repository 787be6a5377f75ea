"""MQTT team devices: an X.509 certificate for a client that may listen to the team's topics (facts 14.2).

The certificates are real: a CA of the twin (P-256, made once and kept in the database) signs them. The private key is
told when it is made and not kept.
Called by rest_team.py.
"""

import datetime
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .errors import not_found

_CA_NAME = "nRF Cloud twin, team devices"
_DAYS = 30 * 365


class TeamDevices:
    """The team_device table."""

    def __init__(self, store):
        self._store = store

    def create(self):
        """A new device: {"clientId", "caCert", "clientCert", "privateKey"} (PEM)."""
        device = str(uuid.uuid4())
        answer = self._issue(device)
        now = self._store.now_ms()
        self._store.insert("team_device", id=device, certificate=answer["clientCert"], created_at=now)
        return answer

    def get(self, device):
        """What create() answered, without the private key. Raises ApiError 404."""
        pem = self._store.value("SELECT certificate FROM team_device WHERE id = ?", device)
        if pem is None:
            raise not_found(f"team device {device} not found")
        return {"clientId": device, "caCert": self._ca()[1], "clientCert": pem}

    def rotate(self, device):
        """A new certificate and key instead of the old ones. Raises ApiError 404."""
        self.get(device)
        answer = self._issue(device)
        self._store.run("UPDATE team_device SET certificate = ? WHERE id = ?", answer["clientCert"], device)
        return answer

    def delete(self, device):
        """Forget a team device. Raises ApiError 404."""
        self.get(device)
        self._store.run("DELETE FROM team_device WHERE id = ?", device)

    def _issue(self, device):
        ca_key, ca_pem = self._ca()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._certificate(device, key.public_key(), _CA_NAME, ca_key, False)
        return {"clientId": device, "caCert": ca_pem, "clientCert": certificate, "privateKey": _key_pem(key)}

    def _ca(self):
        """(private key, certificate PEM) of the CA."""
        text = self._store.constant("team_ca_key", lambda: _key_pem(ec.generate_private_key(ec.SECP256R1())))
        key = serialization.load_pem_private_key(text.encode(), None)

        def make():
            return self._certificate(_CA_NAME, key.public_key(), _CA_NAME, key, True)

        return key, self._store.constant("team_ca", make)

    def _certificate(self, subject, public_key, issuer, issuer_key, is_ca):
        start = datetime.datetime.fromtimestamp(self._store.now_ms() // 1000 - 3600, datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name(issuer))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=_DAYS))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        )
        return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key):
    form = serialization.PrivateFormat.TraditionalOpenSSL  # "EC PRIVATE KEY", as the service's sample
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
