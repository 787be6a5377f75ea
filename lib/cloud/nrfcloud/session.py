"""How a session with nRF Cloud begins, goes on and ends (nrfcloud.md 2, 3): verbs of cloud.base, loaded for that.

The endpoint is connected, a token posted; the answer says for how long. A session whose endpoint has a connection ID
can outlive its bearer: it is paused, and goes on if the service still answers in it.
"""

from micropython import const

import clock
import coap
from cloud.base import AuthError

_TEXT = const(0)
_SZX = const(6)
_TOKEN_LIFETIME_S = const(600)
_PING_MS = const(20000)
_DEFAULT_MAX_AGE_S = const(60)  # RFC 7252 5.10.5: what an absent Max-Age means


async def open(cloud):
    """Verb of cloud.base; -> seconds that the session is authenticated for. One that was kept goes on without a
    handshake and without a token."""
    if cloud.client and await _resumed(cloud):
        return max(0, cloud.expires_ms - clock.uptime_ms()) // 1000
    cloud.endpoint = await cloud.connect()
    try:
        cloud.client = coap.Client(cloud.endpoint, **cloud.tuning)  # which may find no room
        cloud.alone = 0
        return await authenticate(cloud)
    except BaseException:
        await close(cloud)
        raise


async def close(cloud, keep=False):
    """Verb of cloud.base. `keep`: the way to the service is gone, not the session: an endpoint with a connection ID is
    paused, so that open() can go on with it; any other is closed."""
    client, endpoint = cloud.client, cloud.endpoint
    if keep and client and getattr(cloud.endpoint, "cid", False) and clock.uptime_ms() < cloud.expires_ms:
        try:
            await cloud.endpoint.pause()
            return
        except OSError:
            pass  # the modem could not save it: it is gone then
    cloud.client = cloud.endpoint = None
    cloud.expires_ms = 0
    if client:
        cloud.tuning["szx"] = min(client.szx + 1, _SZX)  # what was too large for the path is not where the next begins
    if client or endpoint:
        await (client or endpoint).close()


async def _resumed(cloud):
    """-> whether the kept session goes on: its endpoint is there again, and the service answers in it."""
    try:
        await cloud.endpoint.resume()
        await cloud.client.ping(_PING_MS)
        return True
    except (OSError, coap.CoapError):
        await close(cloud)
        return False


async def authenticate(cloud):
    """POST auth/jwt or auth/jwt-id; -> the session's lifetime in seconds. Raises AuthError when the service refuses."""
    now = clock.now()
    if now is None:
        raise AuthError("the time is unknown, so no token can be made")
    token = await cloud.token(cloud.device_id, now, _TOKEN_LIFETIME_S)
    try:
        answer = await present(cloud, cloud.client, cloud.auth, token)
    except coap.Refused as refused:
        if refused.code >= coap.SERVER_ERROR:  # the service is unwell, which says nothing about who we are
            raise
        raise AuthError("not accepted: %s" % refused) from None
    max_age = answer.max_age
    max_age = _DEFAULT_MAX_AGE_S if max_age is None else max_age
    cloud.expires_ms = clock.uptime_ms() + max_age * 1000
    return max_age


async def present(cloud, client, path, token):
    """POST `token` (bytes or str) to `path`, and what runs here with it (3.4); -> the answer. Raises coap.CoapError."""
    if isinstance(token, str):
        token = token.encode()
    query = tuple(["%s=%s" % pair for pair in sorted(cloud.versions.items())])
    return await client.request(coap.POST, path, query=query, payload=token, content_format=_TEXT)
