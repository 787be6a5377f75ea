"""A modem made of cryptography and cbor2 for the tests of the provisioning service: what it attests, and its tokens.

Shares nothing with the simulator or the device. Used by test_twin_auth.py and test_twin_provisioning.py.
"""

import hashlib
import os
import time
import uuid

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from twin_support import b64url, make_jwt, public_pem

TAG = 16842753
SELF_DESCRIBED = b"\xd9\xd9\xf7"
KEYGEN = {"cloudAccessKeyGeneration": {"secTag": TAG}}


def raw_signature(key, data):
    """ES256 as r || s."""
    r, s = utils.decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sign1(key, outside, payload=None):
    """COSE_Sign1 bytes over a payload and what stands outside (external_aad)."""
    protected = b"\xa1\x01\x26"
    signature = raw_signature(key, cbor2.dumps(["Signature1", protected, outside, payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {4: b"\x21"}, payload, signature]))


class SoftModem:
    """One modem: `uuid`, `identity` (its factory key), `keys` {security tag: private key}."""

    def __init__(self):
        self.uuid = str(uuid.uuid4())
        self.identity = ec.generate_private_key(ec.SECP256R1())
        self.keys = {}

    def register(self, twin, imei="352656106118683"):
        """Tell the twin's factory of it; returns self."""
        body = {"publicKey": public_pem(self.identity), "imei": imei}
        twin.rest.put(f"/twin/identities/{self.uuid}", json=body).raise_for_status()
        return self

    def claimed(self, twin, *tags):
        """Register and claim; returns self."""
        self.register(twin)
        answer = twin.rest.post("/v1/claimed-devices", json={"claimToken": self.claim_token(), "tags": list(tags)})
        assert answer.status_code == 201, answer.text
        return self

    def claim_token(self, signer=None, items=None):
        """AT%ATTESTTOKEN."""
        items = items or [1, uuid.UUID(self.uuid).bytes, 3, os.urandom(16), os.urandom(16)]
        payload = SELF_DESCRIBED + cbor2.dumps(items)
        return b64url(payload) + "." + b64url(sign1(signer or self.identity, payload))

    def identity_token(self, **claims):
        """AT%JWT without a security tag."""
        claims = {"iss": f"nRF9151.{self.uuid}", "exp": int(time.time()) + 300, **claims}
        return make_jwt(self.identity, **{name: value for name, value in claims.items() if value is not None})

    def access_token(self, **claims):
        """AT%JWT with the key at TAG, the subject left empty."""
        claims = {"iss": f"nRF9151.{self.uuid}", "exp": int(time.time()) + 300, **claims}
        return make_jwt(self.keys[TAG], **claims)

    def keygen(self, tag=TAG, csr=True, **changes):
        """The raw answer to AT%KEYGEN. `changes` spoil it: device, tag_in_proof, digest, signer."""
        self.keys[tag] = key = ec.generate_private_key(ec.SECP256R1())
        if csr:
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.uuid)])
            request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
            body = request.public_bytes(serialization.Encoding.DER)
        else:
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            body = key.public_key().public_bytes(serialization.Encoding.DER, form)
        payload = SELF_DESCRIBED + cbor2.dumps(
            [
                9 if csr else 8,
                uuid.UUID(changes.get("device", self.uuid)).bytes,
                cbor2.dumps(changes.get("tag_in_proof", tag)),
                changes.get("digest", hashlib.sha256(body).digest()),
                os.urandom(16),
            ]
        )
        proof = sign1(changes.get("signer", self.identity), body, payload)
        return f'%KEYGEN: "{b64url(body)}.{b64url(proof)}"\r\nOK\r\n'

    def onboarded(self, twin):
        """Claim it and have it answer a cloud access key; returns self."""
        from twin_support import GET, POST, Client

        self.claimed(twin)
        twin.rest.post(f"/v1/claimed-devices/{self.uuid}/provisioning", json={"request": KEYGEN}).raise_for_status()
        with Client(twin.coap_port) as client:
            assert client.request(POST, "p/auth-jwt", payload=self.identity_token(), cf=0).dotted == "2.01"
            delete, keygen = cbor2.loads(client.request(GET, "p/cmd").payload)
            body = cbor2.dumps([[delete[0], 100, "OK\r\n"], [keygen[0], 100, self.keygen()]])
            assert client.request(POST, "p/rsp", payload=body, cf=60).dotted == "2.04"
        return self
