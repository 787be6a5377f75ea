"""Block-wise bodies from the server, as their callers want them: collected, or streamed into a sink.

settle.py and client.py import it when a body does not fit a datagram; fota streams images through get_blocks. How
the blocks are fetched is in transfer.py. RAM: gather() the body it collects.
"""

from micropython import const

from .errors import BadResponse, ETagChanged, Timeout
from .transfer import Transfer

_GET = const(1)
_FETCH = const(5)
_BLOCK2 = const(23)


class _Body:
    """A sink that collects at most `most` bytes."""

    def __init__(self, most):
        self._most = most
        self.data = bytearray()
        self.result = None

    def take(self, offset, view):
        if max(len(self.data) + len(view), self.result.total or 0) > self._most:
            raise BadResponse("body longer than %d bytes" % self._most)
        self.data.extend(view)


async def gather(client, head, payload, until, first, token=None):
    """Collect a body that began with the block in `first`; a Response with first's options and all of it.

    A body that changes under way is read once more from its beginning, unless it is the answer to an action, which is
    not to be repeated. The rest of such an answer is asked for with the `token` of the request, because some servers
    keep it by that (node's coap). BadResponse above client.max_body.
    """
    safe = head[0] in (_GET, _FETCH)
    # RFC 8132: the payload is part of what FETCH names. One that went up in blocks itself cannot be repeated.
    again = payload if head[0] == _FETCH and len(payload) <= 16 << client.szx else b""
    restarted = False
    while True:
        body = _Body(client.max_body)
        transfer = Transfer(client, head, again, body.take, 6).limits(until, None, False)
        body.result = transfer.result
        if not safe:
            transfer.keep(token)
        transfer.seed(first)
        try:
            await transfer.fetch()
            return first.with_body(memoryview(body.data))
        except ETagChanged:
            if restarted or not safe:
                raise
            restarted = True
        first = await client.exchange(head, again, until, ((_BLOCK2, transfer.window.szx),))


async def get_blocks(
    client,
    path,
    sink,
    *,
    method=_GET,
    query=(),
    payload=b"",
    content_format=None,
    accept=None,
    options=(),
    offset=0,
    limit=None,
    szx=6,
    window=1,
    by_offset=False,
    etag=None,
    timeout_ms=None,
):
    """Stream a body from byte `offset` into sink(offset, memoryview), at most `limit` bytes; a Result.

    With window=1 the sink gets the bytes in order. With more, up to so many blocks are in flight, and it gets each byte
    once but in any order. by_offset names a block by the query offset=<bytes> and Block2 number 0, as /proxy of nRF
    Cloud understands it (facts/nrfcloud.md 12). The memoryview is valid during the call only; the sink must not wait.
    After an exception client.transfer.offset says from where to go on; `etag` (bytes, of the earlier Result) then makes
    sure that it is still the same body. A body may be read in pieces, one call after the other: one that begins where
    this client's last one ended well, moments ago, has as many blocks in flight from its first on. It takes over no
    ETag and no size, so that it may as well be another body. timeout_ms is per block; without it one that does not come
    while the peer is there is asked for again, in the end in smaller pieces (calls.again). Raises Timeout, Reset,
    ETagChanged, BadResponse, Refused, OSError, ValueError (offset beyond 2^20 blocks), or what the sink raises.
    """
    if isinstance(query, str):
        query = (query,)
    head = (method, path, query, content_format, accept, options, True)
    transfer = Transfer(client, head, payload, sink, min(szx, client.szx), offset, limit, etag, window)
    transfer.limits(None, timeout_ms, by_offset)
    last = client.transfer
    if last is not None and 0 < offset == last.offset and method in (_GET, _FETCH):
        transfer.window.begin(last.window)
    client.transfer = transfer.result
    while True:
        try:
            return await transfer.fetch()
        except Timeout:
            if timeout_ms is not None:
                raise
            from .calls import again

            if not await again(client, transfer):
                raise
