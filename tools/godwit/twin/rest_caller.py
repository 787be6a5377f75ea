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
    """Tells callers by their bearer token. `tokens` is {token: kind} of tokens that the twin gave out itself."""

    def __init__(self, api_key, devices, world):
        self._devices = devices
        self._world = world
        self.tokens = {api_key: API}

    def identify(self, request, kinds=OPERATOR):
        """The Caller of a request. Raises ApiError 401 unless it is one of `kinds`."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        token = token.strip()
        caller = self._known(token) if scheme.lower() == "bearer" else None
        if caller is None and token.count(".") == 2 and DEVICE in kinds:
            caller = self._device(token)
        if caller is None or caller.kind not in kinds:
            raise ApiError(401, ACCESS_DENIED, "access denied: a valid token is needed")
        return caller

    def _known(self, token):
        """Compared in constant time: the twin may be reached from elsewhere."""
        for text, kind in self.tokens.items():
            if hmac.compare_digest(token.encode(), text.encode()):
                return Caller(kind)
        return None

    def _device(self, token):
        try:
            return Caller(DEVICE, auth.verify(token.encode(), self._devices.public_key, self._world.now_s()))
        except auth.AuthError as exc:
            raise ApiError(401, ACCESS_DENIED, f"access denied: {exc}") from exc
