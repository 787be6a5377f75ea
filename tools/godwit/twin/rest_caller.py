"""Who calls the REST API: the operator by API key, or a device by its own token (facts 14, 3.1).

Operators send `Authorization: Bearer <API key>`. Location services also take a device's JSON Web Token, the one that
opens its CoAP sessions, and know by it which device they work for.
Called by rest_app.py for every /v1 request; what it found is `request.state.caller`.
"""

import hmac
from typing import NamedTuple

from . import auth
from .errors import ACCESS_DENIED, ApiError

API, DEVICE, EVALUATION, SERVICE = "key", "device", "evaluation", "service"
OPERATOR = (API,)
ANYBODY = (API, DEVICE, EVALUATION, SERVICE)  # may use location services


class Caller(NamedTuple):
    """`kind` is one of the four above; `device` the id that a device's token proved."""

    kind: str
    device: str | None = None


class Callers:
    """Tells callers by their bearer token. `tokens` (tokens.Tokens) knows those that the team made."""

    def __init__(self, api_key, devices, tokens, world):
        self._api_key = api_key
        self._devices = devices
        self._tokens = tokens
        self._world = world

    def identify(self, request, kinds=OPERATOR):
        """The Caller of a request. Raises ApiError 401 unless it is one of `kinds`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        caller = None
        if scheme.lower() == "bearer":
            # compared in constant time: the twin may be reached from elsewhere
            if hmac.compare_digest(token.encode(), self._api_key.encode()):
                caller = Caller(API)
            elif token.count(".") == 2 and {DEVICE, SERVICE, EVALUATION} & set(kinds):
                caller = self._token(token, kinds)
        if caller is None or caller.kind not in kinds:
            raise ApiError(401, ACCESS_DENIED, "access denied: a valid token is needed")
        return caller

    def _token(self, token, kinds):
        own = self._tokens.verify(token, self._world.now_s())
        if own is not None:
            return Caller(*own)
        return self._device(token) if DEVICE in kinds else None

    def _device(self, token):
        try:
            return Caller(DEVICE, auth.verify(token.encode(), self._devices.public_key, self._world.now_s()))
        except auth.AuthError as exc:
            raise ApiError(401, ACCESS_DENIED, f"access denied: {exc}") from exc
