"""nRF Cloud over CoAP: the `cloud.base` contract mapped to paths, formats and authentication of nrfcloud.md.

A session is a DTLS association plus one `POST auth/jwt`; its lifetime is the Max-Age of the answer. Requests
re-authenticate shortly before that runs out, and once on a 4.01. How the endpoint is made (host or modem DTLS) and
who signs the token are passed in. The verbs are functions in one file per topic. RAM: the CoAP client while open.
"""

import asyncio

from micropython import const

import clock
import coap

from .. import base

_TEXT = const(0)
_TOKEN_LIFETIME_S = const(600)
_REAUTH_MARGIN_MS = const(60000)
_DEFAULT_MAX_AGE_S = const(60)  # RFC 7252 5.10.5: what an absent Max-Age means

# Where each verb lives: needed now and then, and an application may drop these modules in between.
_VERBS = {
    "publish": "messages",
    "report": "state",
    "request_desired": "state",
    "fetch_config": "state",
    "locate": "ground_fix",
    "assistance_parts": "assist",
    "assistance": "assist",
    "predictions": "predict",
    "predicted": "predict",
    "update_check": "jobs",
    "update_read": "jobs",
    "update_report": "jobs",
}


class Cloud:
    """`connect()` is a coroutine -> datagram endpoint, already secured and verified; `token(device_id, now_s,
    lifetime_s)` is a coroutine -> compact JWS (bytes, or str from a modem); `versions` is a dict for the auth query
    (mver, cver); `tuning` is what coap.Client takes beside the endpoint."""

    caps = frozenset((base.CONFIG, base.PUBLISH, base.LOCATE, base.ASSIST, base.PREDICT, base.UPDATE))

    def __init__(self, device_id, connect, token, versions=None, tuning=None):
        self.device_id = device_id
        self._connect = connect
        self._token = token
        self._versions = versions or {}
        self._tuning = tuning or {}
        self._client = None
        self._expires_ms = 0  # clock.uptime_ms() at which the session's authentication ends
        self._auth_lock = asyncio.Lock()

    async def open(self):
        endpoint = await self._connect()
        self._client = coap.Client(endpoint, **self._tuning)
        try:
            return await self._authenticate()
        except BaseException:
            await self.close()
            raise

    async def close(self):
        client, self._client = self._client, None
        self._expires_ms = 0
        if client:
            await client.close()

    async def _authenticate(self):
        """POST auth/jwt; -> the session's lifetime in seconds. Raises base.AuthError when the service refuses."""
        now = clock.now()
        if now is None:
            raise base.AuthError("the time is unknown, so no token can be made")
        token = await self._token(self.device_id, now, _TOKEN_LIFETIME_S)
        if isinstance(token, str):
            token = token.encode()
        query = tuple("%s=%s" % pair for pair in sorted(self._versions.items()))
        try:
            answer = await self._client.request(
                coap.POST, "auth/jwt", query=query, payload=token, content_format=_TEXT
            )
        except coap.Refused as refused:
            if refused.code >= 0xA0:  # 5.xx: the service is unwell, which says nothing about who we are
                raise
            raise base.AuthError("not accepted: %s" % refused) from None
        max_age = answer.max_age
        max_age = _DEFAULT_MAX_AGE_S if max_age is None else max_age
        self._expires_ms = clock.uptime_ms() + max_age * 1000
        return max_age

    async def _ensure_authenticated(self, margin_ms):
        async with self._auth_lock:
            if self._client is None:
                raise OSError(107)  # ENOTCONN: closed while the caller was waiting
            if clock.uptime_ms() >= self._expires_ms - margin_ms:
                await self._authenticate()

    async def _authorised(self, call):
        """Run `call()` (-> coroutine) in an authenticated session; on 4.01 authenticate and run it once more."""
        await self._ensure_authenticated(_REAUTH_MARGIN_MS)
        try:
            return await call()
        except coap.Refused as refused:
            if refused.code != coap.UNAUTHORIZED:
                raise
        self._expires_ms = 0
        await self._ensure_authenticated(0)
        return await call()

    async def request(self, method, path, **kwargs):
        """One CoAP request in an authenticated session; -> coap.Response. Raises coap.CoapError, AuthError, OSError."""
        return await self._authorised(lambda: self._client.request(method, path, **kwargs))

    async def blocks(self, mv, path, offset=0, **how):
        """Fill `mv` with a body from byte `offset`, block by block, in an authenticated session; -> bytes read."""

        def sink(at, data):
            at -= offset
            mv[at : at + len(data)] = data

        result = await self._authorised(
            lambda: self._client.get_blocks(path, sink, offset=offset, limit=len(mv), **how)
        )
        return result.bytes

    def __getattr__(self, verb):
        """A verb of cloud.base: the function of that name in its file, with this cloud as first argument."""
        home = _VERBS.get(verb)
        if home is None:
            raise AttributeError(verb)
        function = getattr(__import__("cloud.nrfcloud." + home, None, None, (verb,)), verb)
        return lambda *args: function(self, *args)
