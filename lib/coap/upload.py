"""Block-wise bodies to the server: Block1 of RFC 7959, with a Request-Tag (RFC 9175), from bytes or from a source.

request.py and client.py import it when a payload does not fit a datagram. RAM: none for bytes; one block for a source.
"""

import os

from micropython import const

from .errors import BadResponse

_PUT = const(3)
_BLOCK1 = const(27)
_SIZE1 = const(60)
_REQUEST_TAG = const(292)
_INCOMPLETE = const(0x88)
_TOO_LARGE = const(0x8D)
_TAG_SIZE = const(4)
_LAST_NUM = const(0xFFFFF)


class _Body:
    """A payload to be read in pieces: bytes, or source(offset, memoryview), which fills the view."""

    def __init__(self, payload, source, size):
        self.size = size
        self._view = None if source else memoryview(payload)
        self._source = source
        self._buf = None

    def part(self, offset, size):
        """A memoryview of the next `size` bytes, or what is left."""
        size = min(size, self.size - offset)
        if self._view:
            return self._view[offset : offset + size]
        if self._buf is None:
            self._buf = bytearray(size)  # the first block is the largest
        view = memoryview(self._buf)[:size]
        self._source(offset, view)
        return view


async def upload(client, head, payload, until, szx, source=None, size=None):
    """Send a payload with Block1; the final Response, whatever its code.

    Follows a server that wants smaller blocks (2.31, or 4.13 with a smaller size), and begins once again when it lost
    its part (4.08). A Request-Tag keeps its blocks apart from those of an earlier try and of another client behind the
    same address. Raises BadResponse, ValueError (over 2^20 blocks), and what client.exchange and the source raise.
    """
    body = _Body(payload, source, len(payload) if size is None else size)
    offset = 0
    restarted = False
    tag = os.urandom(_TAG_SIZE)
    while True:
        size = 16 << szx
        num = offset >> (szx + 4)
        if num > _LAST_NUM:
            raise ValueError("too many blocks")
        last = offset + size >= body.size
        blocks = ((_BLOCK1, num << 4 | (0 if last else 8) | szx),)
        if num == 0:
            blocks += ((_SIZE1, body.size),)
        if num or not last:
            blocks += ((_REQUEST_TAG, tag),)
        try:
            answer = await client.exchange(head, body.part(offset, size), until, blocks)
        except ValueError:  # CodecError: long options leave no room for a block of this size
            if szx == 0:
                raise
            szx -= 1
            continue
        echo = answer.option(_BLOCK1)
        if answer.code == _TOO_LARGE and echo is not None and echo & 7 < szx:
            szx = echo & 7
            offset = 0
        elif answer.code == _INCOMPLETE and not restarted:
            restarted = True
            offset = 0
            tag = os.urandom(_TAG_SIZE)
        elif answer.code >= 0x80 or last:
            return answer
        elif echo is None or echo >> 4 != num:
            raise BadResponse("no word about block %d" % num)
        else:
            offset += size
            szx = min(szx, echo & 7)


async def put_blocks(
    client,
    path,
    source,
    size,
    *,
    method=_PUT,
    query=(),
    content_format=None,
    accept=None,
    options=(),
    szx=6,
    timeout_ms=None,
):
    """Stream `size` bytes from source(offset, memoryview), which fills the view, to the server; a 2.xx Response.

    The source may be asked for an earlier offset again, when the server wants smaller blocks or lost its part.
    timeout_ms bounds the whole call. Raises as Client.request does, and what the source raises.
    """
    from .exchange import limit_at
    from .request import settle

    if isinstance(query, str):
        query = (query,)
    head = (method, path, query, content_format, accept, options, True)
    until = limit_at(timeout_ms)
    answer = await upload(client, head, b"", until, min(szx, client.szx), source, size)
    return await settle(client, head, b"", until, answer)
