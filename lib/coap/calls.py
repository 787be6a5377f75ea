"""Two calls that want no answer from the application's side of the peer: tell (RFC 7967) and ping (RFC 7252 4.3).

client.py loads it for either; an application may drop it in between. No RAM of its own.
"""

import time

from micropython import const

from .errors import Reset
from .exchange import limit_at

_NO_RESPONSE = const(258)
_NOTHING = const(26)  # RFC 7967 2.1: not interested in 2.xx, 4.xx, 5.xx


async def tell(
    client,
    method,
    path,
    *,
    query=(),
    payload=b"",
    content_format=None,
    options=(),
    confirmable=False,
    timeout_ms=None,
):
    """A request whose answer nobody wants (No-Response): ends when it is sent, a confirmable one when acknowledged.

    Raises Timeout and Reset (confirmable only), CodecError, OSError.
    """
    if isinstance(query, str):
        query = (query,)
    head = (method, path, query, content_format, None, options, confirmable)
    await client.exchange(head, payload, limit_at(timeout_ms), ((_NO_RESPONSE, _NOTHING),), None, True)


async def ping(client, timeout_ms=None):
    """Is the peer there? The round trip in ms. Raises Timeout, OSError."""
    started = time.ticks_ms()
    try:
        await client.exchange((0, "", (), None, None, (), True), b"", limit_at(timeout_ms), (), b"", True)
    except Reset:
        pass  # as it should; but some answer 4.04 (node's coap), or ACK (Golioth's): they are there as well
    return time.ticks_diff(time.ticks_ms(), started)
