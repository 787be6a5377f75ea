"""What the backends of platforms without sessions have in common: each request carries the credential, in its path or
its query, so that open() is an endpoint and one request that proves the credential good (platforms.md section 4).

cloud.thingsboard and cloud.exosite build on it. Whether the endpoint is secured is up to who makes it; over plain UDP
everybody on the way can read the credential, so neither paths nor queries are ever logged. RAM: the CoAP client while
open.
"""

from binascii import hexlify
from hashlib import sha256

from micropython import const

import clock
import coap

from . import base

_ID_MAX = const(64)  # of a job, cloud.base

_LIFETIME_S = 86400  # nothing runs out; but nobody should rely on one endpoint for longer
_PATIENCE = {"separate_timeout_ms": 15000}  # for what comes after an empty ACK: ThingsBoard is silent after 10 s


def job_id(text):
    """-> (id for a job, whether it is `text` itself): a text that is too long is named by its hash."""
    raw = text.encode()
    return (text, True) if len(raw) <= _ID_MAX else (hexlify(sha256(raw).digest()[:16]).decode(), False)


class PlainCloud:
    """`connect()` is a coroutine -> datagram endpoint; `token` the credential as a str; `versions` says what runs here
    ("cver"); `tuning` is what coap.Client takes beside the endpoint. A backend sets `package`, `verbs` (verb -> file of
    its package, each may be dropped in between) and `caps`, and has a verb `prove(cloud)`."""

    caps = frozenset((base.UPDATE,))
    package = ""
    verbs = {}
    confirmable = True  # send measurements as CON, or as NON first
    alone = 0  # so many records are still to be sent one by one, because a batch was refused

    def __init__(self, device_id, connect, token, versions=None, tuning=None):
        self.device_id = device_id
        self.connect = connect
        self.token = token
        self.versions = versions or {}
        self.tuning = dict(_PATIENCE)
        self.tuning.update(tuning or {})
        self.client = None
        self.endpoint = None
        self.heard = 0
        self.told = None  # the version that the cloud has been told to run here, since the start

    async def open(self):
        """Verb of cloud.base."""
        self.endpoint = await self.connect()
        try:
            self.client = coap.Client(self.endpoint, **self.tuning)
            await self.prove()
        except BaseException:
            await self.close()
            raise
        return _LIFETIME_S

    async def close(self, keep=False):
        """Verb of cloud.base. There is no session that could be kept."""
        client, endpoint = self.client, self.endpoint
        self.client = self.endpoint = None
        if client or endpoint:
            await (client or endpoint).close()

    async def release(self):
        """Verb of cloud.base: the endpoint's affair, where it wants to know."""
        if hasattr(self.endpoint, "release"):
            await self.endpoint.release()

    async def request(self, method, path, **how):
        """One CoAP request; -> coap.Response. Raises AuthError for a 4.01, else what coap.Client.request raises."""
        return await self.judged(self._client().request, method, path, **how)

    async def judged(self, call, *args, **how):
        """-> what the coroutine function `call` of the client gives; a 4.01 becomes an AuthError."""
        try:
            answer = await call(*args, **how)
        except coap.Refused as refused:
            if refused.code == coap.UNAUTHORIZED:
                raise base.AuthError("the credential is not accepted")
            self.heard = clock.uptime_ms()
            raise
        self.heard = clock.uptime_ms()
        return answer

    def _client(self):
        if self.client is None:
            raise OSError(107)  # ENOTCONN: closed while the caller was waiting
        return self.client

    def __getattr__(self, verb):
        """A verb of cloud.base: the function of that name in its file, with this cloud as first argument."""
        home = self.verbs.get(verb)
        if home is None:
            raise AttributeError(verb)
        function = getattr(__import__("cloud.%s.%s" % (self.package, home), None, None, (verb,)), verb)
        return lambda *args, **how: function(self, *args, **how)
