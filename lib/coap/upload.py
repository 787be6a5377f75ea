"""Block-wise bodies to the server: Block1 of RFC 7959, with a Request-Tag (RFC 9175), from bytes or from a source.

client.py, messages.py and settle.py import it when a payload does not fit a datagram. RAM: none for bytes; one block
for a source.
"""

import os

from micropython import const

from .codec import CodecError
from .errors import BadResponse, Refused
from .exchange import limit_at, new_token

_PUT = const(3)
_BLOCK1 = const(27)
_SIZE1 = const(60)
_REQUEST_TAG = const(292)
_INCOMPLETE = const(0x88)
_TOO_LARGE = const(0x8D)
_SERVER_ERROR = const(0xA0)
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


class _Progress:
    """Where an upload stands, and what each answer makes of it."""

    def __init__(self, client, total, szx):
        self.szx = szx
        self.offset = 0
        self.token = None  # of the last block
        self._one_token = False  # for all blocks
        self.tag = os.urandom(_TAG_SIZE)
        self._total = total
        self._token_length = max(client.token_length, 1)

    @property
    def num(self):
        return self.offset >> (self.szx + 4)

    @property
    def is_last(self):
        return self.offset + (16 << self.szx) >= self._total

    def next_token(self):
        if self.token is None or not self._one_token:
            self.token = new_token(self._token_length)
        return self.token

    def options(self):
        """Block1, Size1 and Request-Tag of the next block."""
        num = self.num
        if num > _LAST_NUM:
            raise ValueError("too many blocks")
        blocks = ((_BLOCK1, num << 4 | (0 if self.is_last else 8) | self.szx),)
        if num == 0:
            blocks += ((_SIZE1, self._total),)
        if num or not self.is_last:
            blocks += ((_REQUEST_TAG, self.tag),)
        return blocks

    def accept(self, answer):
        """Go on with the next block (False), or end with this answer (True)."""
        code = answer.code
        num = self.num
        echo = answer.option(_BLOCK1)
        if code == _TOO_LARGE:
            if echo is None or echo & 7 >= self.szx:
                raise Refused(answer)
            self.szx = echo & 7
            self.offset = 0
        elif (code == _INCOMPLETE or code == _SERVER_ERROR and num) and not self._one_token:
            self._one_token = True
            self.token = None  # a new one, which the server has not seen half a body with
            self.tag = os.urandom(_TAG_SIZE)
            self.offset = 0
        elif code >= 0x80 or self.is_last:
            return True
        elif echo is None or echo >> 4 != num:
            raise BadResponse("no word about block %d" % num)
        else:
            self.offset += 16 << self.szx
            self.szx = min(self.szx, echo & 7)
        return False


async def upload(client, head, payload, until, szx, source=None, size=None):
    """Send a payload with Block1; the 2.xx Response, with all of its body.

    Follows a server that wants smaller blocks (2.31, or 4.13 with a smaller size). Begins once again when the server
    lost its part (4.08) or stumbles over a later block (5.00): then with one token for all of them, because some
    servers know a transfer by its token (node's coap does). A Request-Tag keeps its blocks apart from those of an
    earlier try and of another client behind the same address; what is asked to complete the answer carries it too
    (RFC 9175 3.5). Raises as Client.request does, ValueError (over 2^20 blocks), and what the source raises.
    """
    from .settle import settle

    body = _Body(payload, source, len(payload) if size is None else size)
    progress = _Progress(client, body.size, szx)
    while True:
        part = body.part(progress.offset, 16 << progress.szx)
        try:
            answer = await client.exchange(head, part, until, progress.options(), progress.next_token())
        except CodecError:  # long options leave no room for a block of this size
            if progress.szx == 0:
                raise
            progress.szx -= 1
            continue
        if progress.accept(answer):
            break
    if progress.num:
        head = head[:5] + (tuple(head[5]) + ((_REQUEST_TAG, progress.tag),), head[6])
    return await settle(client, head, payload, until, answer, progress.token)


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
    if isinstance(query, str):
        query = (query,)
    head = (method, path, query, content_format, accept, options, True)
    return await upload(client, head, b"", limit_at(timeout_ms), min(szx, client.szx), source, size)
