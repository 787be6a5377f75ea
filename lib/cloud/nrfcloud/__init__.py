"""nRF Cloud over CoAP: the `cloud.base` contract mapped to paths, formats and authentication of nrfcloud.md.

A session is a DTLS association plus one `POST auth/jwt` (or jwt-id); its lifetime is the Max-Age of the answer.
Requests re-authenticate shortly before that runs out, and once on a 4.01. How the endpoint is made (host or modem DTLS)
and who signs the token are passed in. The verbs are functions in one file per topic. RAM: the CoAP client while open.
"""

import asyncio

from micropython import const

import clock
import coap

from .. import base

_REAUTH_MARGIN_MS = const(60000)

# Where each verb lives: needed now and then, and an application may drop these modules in between.
_VERBS = {
    "open": "session",
    "close": "session",
    "publish": "messages",
    "logs": "messages",
    "send": "messages",
    "send_bin": "messages",
    "report": "state",
    "request_desired": "state",
    "fetch_config": "state",
    "read": "state",
    "select": "state",
    "locate": "ground_fix",
    "assistance_parts": "needs",
    "assistance": "assist",
    "predictions_due": "predict",
    "predictions": "shelf",
    "predicted": "predict",
    "provision": "provision",
    "update_check": "jobs",
    "update_read": "proxy",
    "proxy_read": "proxy",
    "update_report": "jobs",
}


class Cloud:
    """`connect()` is a coroutine -> datagram endpoint, already secured and verified; `token(device_id, now_s,
    lifetime_s)` is a coroutine -> compact JWS (bytes, or str from a modem) that `auth` takes: "auth/jwt" one of the
    device's cloud key, "auth/jwt-id" an Identity JWT (nrfcloud.md 3.1); `versions` is a dict for the auth query (mver,
    cver, dver); `tuning` is what coap.Client takes beside the endpoint. `confirmable`: send measurements as CON, or as
    NON first."""

    caps = frozenset(
        (base.CONFIG, base.PUBLISH, base.LOCATE, base.ASSIST, base.PREDICT, base.UPDATE, base.LOGS, base.PROVISION)
    )
    alone = 0  # so many records are still to be sent one by one, because a batch was refused (messages.publish)
    blamed = False  # ... and one of them was why
    total = None  # size of the last body that blocks() read from, when the service said it (Size2)

    def __init__(self, device_id, connect, token, versions=None, tuning=None, auth="auth/jwt", confirmable=True):
        self.device_id = device_id
        self.versions = versions or {}
        self.confirmable = confirmable
        self.auth = auth
        self.connect = connect
        self.token = token
        self.tuning = tuning or {}
        self.client = None
        self.endpoint = None
        self.heard = 0
        self.expires_ms = 0  # clock.uptime_ms() at which the session's authentication ends
        self._auth_lock = asyncio.Lock()

    @property
    def szx(self):
        """A message of 16 << szx bytes fits one datagram, as far as this session has seen."""
        return self.client.szx

    async def _ensure_authenticated(self, margin_ms):
        async with self._auth_lock:
            if self.client is None:
                raise OSError(107)  # ENOTCONN: closed while the caller was waiting
            if clock.uptime_ms() >= self.expires_ms - margin_ms:
                from .session import authenticate

                await authenticate(self)

    async def _authorised(self, call):
        """Run `call()` (-> coroutine) in an authenticated session; on 4.01 authenticate and run it once more."""
        await self._ensure_authenticated(_REAUTH_MARGIN_MS)
        try:
            answer = await call()
        except coap.Refused as refused:
            self.heard = clock.uptime_ms()
            if refused.code != coap.UNAUTHORIZED:
                raise
            self.expires_ms = 0
            await self._ensure_authenticated(0)
            answer = await call()
        self.heard = clock.uptime_ms()
        return answer

    async def request(self, method, path, **kwargs):
        """One CoAP request in an authenticated session; -> coap.Response. Raises coap.CoapError, AuthError, OSError."""
        return await self._authorised(lambda: self.client.request(method, path, **kwargs))

    async def release(self):
        """Nothing follows for a while: tell the endpoint, where it wants to know."""
        if hasattr(self.endpoint, "release"):
            await self.endpoint.release()

    async def blocks(self, mv, path, offset=0, **how):
        """Fill `mv` with a body from byte `offset`, block by block, in an authenticated session; -> bytes read."""

        def sink(at, data):
            at -= offset
            mv[at : at + len(data)] = data

        result = await self._authorised(
            lambda: self.client.get_blocks(path, sink, offset=offset, limit=len(mv), **how)
        )
        self.total = result.total
        return result.bytes

    def __getattr__(self, verb):
        """A verb of cloud.base: the function of that name in its file, with this cloud as first argument."""
        home = _VERBS.get(verb)
        if home is None:
            raise AttributeError(verb)
        function = getattr(__import__("cloud.nrfcloud." + home, None, None, (verb,)), verb)
        return lambda *args, **how: function(self, *args, **how)
