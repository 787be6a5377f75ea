"""Calls that want no answer from the application's side of the peer: tell (RFC 7967), ping (RFC 7252 4.3); and what
to do about silence: narrow, again. client.py and download.py load it; an application may drop it in between. No RAM.
"""

import time

from micropython import const

from .errors import Reset
from .exchange import limit_at

_NO_RESPONSE = const(258)
_NOTHING = const(26)  # RFC 7967 2.1: not interested in 2.xx, 4.xx, 5.xx
_NARROWEST = const(2)  # szx: blocks of 64 bytes


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


async def narrow(client, szx):
    """Nothing of 16 << `szx` bytes has come through: is it that size? Some paths drop what is large and say nothing
    (the black hole of RFC 8899 1.1). When the peer still answers what is small, client.szx becomes smaller than `szx`,
    for all that follows; else it is the link: raises Timeout or OSError. -> False when nothing smaller can be tried."""
    if szx <= _NARROWEST:
        return False
    await ping(client)
    client.szx = min(client.szx, szx - 1)
    return True


async def again(client, transfer):
    """A Transfer ended with a Timeout: -> whether to fetch() on, because the peer is there. Blocks of a size that has
    not come in this session are too large for the path, it seems, and smaller from now on; others are asked for once
    more, and then smaller in this transfer. Raises as narrow() does."""
    window = transfer.window
    got = transfer.result.bytes
    known = client.szx
    if client.carried > 8 << window.szx and got != transfer.stuck:
        await ping(client)
    elif not await narrow(client, window.szx):
        return False
    else:
        window.szx -= 1
        if client.carried > 16 << window.szx:
            client.szx = known
    transfer.stuck = got
    transfer.error = None
    window.resume()
    return True
