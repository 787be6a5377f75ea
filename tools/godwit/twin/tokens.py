"""Service and evaluation tokens of the team: ES256 JSON Web Tokens for location services (facts 3.1, 14.2).

The service key pair is made on request; its public half stays here, its private half is told once, so that operators
can make tokens of their own with it (`aud` is the team, `sub` perhaps a device). The evaluation token is signed by a
key of the cloud and good for 30 days from the first one.
Called by rest_account.py and rest_caller.py.
"""

import base64
import json
import math

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from .errors import NOT_FOUND, not_found
from .store import iso

_YEAR_S, _EVALUATION_S = 365 * 86400, 30 * 86400
_EVALUATION_SUB = "nrfcloud-evaluation-device-"


class Tokens:
    """Keys and tokens of the team, in the store's meta table."""

    def __init__(self, store):
        self._store = store

    def new_service_token(self):
        """{"key": private PEM, "token"}; tokens of the key before are no longer good."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = self._store.now_ms()
        token = _sign(key, {"aud": self._store.tenant, "iat": now // 1000, "exp": now // 1000 + _YEAR_S})
        self._store.keep("service_key", _public_pem(key))
        self._store.keep("service_token", json.dumps({"createdAt": iso(now), "token": token}))
        return {"key": _private_pem(key), "token": token}

    def service_token(self):
        """{"createdAt", "token"}. Raises ApiError 404 when none was made."""
        return self._kept("service_token")

    def new_evaluation_token(self):
        """{"expires", "token"}: a fresh token, the end of the 30 days unchanged."""
        pem = self._store.constant("evaluation_key", lambda: _private_pem(ec.generate_private_key(ec.SECP256R1())))
        key = serialization.load_pem_private_key(pem.encode(), None)
        now_s = self._store.now_ms() // 1000
        end_s = int(self._store.constant("evaluation_end", lambda: str(now_s + _EVALUATION_S)))
        claims = {"exp": end_s, "iat": now_s, "sub": _EVALUATION_SUB + self._store.tenant}
        self._store.keep("evaluation_public", _public_pem(key))
        answer = {"expires": iso(end_s * 1000), "token": _sign(key, claims)}
        self._store.keep("evaluation_token", json.dumps(answer))
        return answer

    def evaluation_token(self):
        """{"expires", "token"}. Raises ApiError 404 when none was made."""
        return self._kept("evaluation_token")

    def verify(self, token, now_s):
        """("service" | "evaluation", device or None) of a good token of ours, None for anything else."""
        try:
            head, body, signature = token.split(".")
            claims, raw = json.loads(_decoded(body)), _decoded(signature)
            is_evaluation = str(claims.get("sub", "")).startswith(_EVALUATION_SUB)
            pem = self._store.kept("evaluation_public" if is_evaluation else "service_key")
            if pem is None or len(raw) != 64 or json.loads(_decoded(head)).get("alg") != "ES256":
                return None
            half = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            serialization.load_pem_public_key(pem.encode()).verify(
                half, f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256())
            )
            expiry = float(claims["exp"])
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, InvalidSignature):
            return None
        if not math.isfinite(expiry) or expiry <= now_s:
            return None
        if is_evaluation:
            return "evaluation", None
        if claims.get("aud") != self._store.tenant:
            return None
        return "service", claims["sub"] if isinstance(claims.get("sub"), str) else None

    def _kept(self, name):
        text = self._store.kept(name)
        if text is None:
            raise not_found("there is no such token; generate one first", NOT_FOUND)
        return json.loads(text)


def _sign(key, claims):
    signed = f"{_encoded(json.dumps({'alg': 'ES256', 'typ': 'JWT'}))}.{_encoded(json.dumps(claims))}"
    r, s = utils.decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{_encoded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _encoded(data):
    data = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _private_pem(key):
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def _public_pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
