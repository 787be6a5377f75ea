"""Block-wise transfers, client side: RFC 7959 on top of MessageLayer.exchange, one block in flight.

client.py imports it when a body does not fit a datagram; fota streams images through get_blocks.
Nothing here has a clock: a transfer may last for hours, and is resumed by byte offset. RAM: get_blocks owns
one 1.3 KB buffer while it runs; gather() the body it collects.
"""

from micropython import const

from .errors import BadResponse, ETagChanged, Refused
from .exchange import limit_at

_GET = const(1)
_FETCH = const(5)
_ETAG = const(4)
_BLOCK2 = const(23)
_BLOCK1 = const(27)
_SIZE2 = const(28)
_SIZE1 = const(60)
_CONTINUE = const(0x5F)
_INCOMPLETE = const(0x88)
_TOO_LARGE = const(0x8D)
_LAST_NUM = const(0xFFFFF)  # block numbers have 20 bits
_BUFFER = const(1280)


class Result:
    """What get_blocks did: `total` size or None, `etag` or None, `end` (reached), `bytes` (count delivered).

    etag is None when this server sent none: then only a hash of the whole body proves a resumed transfer.
    """

    def __init__(self, total, etag, end, count):
        self.total = total
        self.etag = etag
        self.end = end
        self.bytes = count


class _Download:
    """Where a Block2 transfer stands, and the checks that every block has to pass."""

    def __init__(self, szx, offset, etag):
        self.szx = szx
        self.offset = offset  # next byte wanted
        self.etag = None  # as this server said during this transfer
        self._expected = etag
        self.total = None
        self.end = False
        self._code = None

    def block(self):
        """Value of the Block2 option that asks for the block with the next byte."""
        num = self.offset >> (self.szx + 4)
        if num > _LAST_NUM:
            raise ValueError("offset beyond the last block number")
        return num << 4 | self.szx

    def accept(self, answer):
        """The new bytes in an answer (none: ask again). Raises Refused, BadResponse, ETagChanged."""
        if answer.code >= 0x80:
            raise Refused(answer)
        if answer.code >> 5 != 2 or answer.code == _CONTINUE or self._code not in (None, answer.code):
            raise BadResponse("code 0x%02x in mid-transfer" % answer.code)
        payload = answer.payload
        at, size, more = self._place(answer.option(_BLOCK2), len(payload))
        if at is None:
            return payload[:0]
        if more and len(payload) != size or len(payload) > size:
            raise BadResponse("%d bytes in a block of %d" % (len(payload), size))
        self._check_version(answer)
        self._code = answer.code
        self.end = not more
        fresh = payload[max(0, self.offset - at) :]
        self.offset += len(fresh)
        if self.end and self.total is None and len(payload):
            self.total = at + len(payload)
        return fresh

    def _place(self, block, length):
        """(byte offset, size, more) of a block; offset None when it has to be asked for again."""
        if block is None:  # the server did not use blocks: this is the whole body
            return 0, length, False
        szx = block & 7
        if szx == 7:
            raise BadResponse("block size 7")
        num = block >> 4
        at = num << (szx + 4)
        wanted = self.block()
        expected = (wanted >> 4) << (self.szx + 4)
        if at != expected:
            if szx < self.szx and num == wanted >> 4:
                self.szx = szx  # smaller blocks, but our number: that is another place in the body
                return None, 0, True
            raise BadResponse("block %d of size %d instead of byte %d" % (num, 16 << szx, expected))
        self.szx = min(szx, self.szx)
        return at, 16 << szx, bool(block & 8)

    def _check_version(self, answer):
        etag = answer.option(_ETAG)
        total = answer.option(_SIZE2)
        if etag is not None:  # servers may send it with the first block only
            if self._expected is not None and etag != self._expected:
                raise ETagChanged("body changed during the transfer")
            self._expected = self.etag = etag
        if total is not None:
            if self.total is not None and total != self.total:
                raise ETagChanged("body changed its size during the transfer")
            self.total = total


async def gather(client, head, payload, until, first):
    """Collect a body that began with the block in `first`; a Response with first's options and all of it.

    A body that changes under way is read once more from its beginning. BadResponse above client.max_body.
    """
    again = payload if head[0] == _FETCH else b""  # RFC 8132: the payload is part of what FETCH names
    restarted = False
    while True:
        download = _Download(6, 0, None)
        body = bytearray()
        answer = first
        try:
            while True:
                body.extend(download.accept(answer))
                if max(len(body), download.total or 0) > client.max_body:
                    raise BadResponse("body longer than %d bytes" % client.max_body)
                if download.end:
                    return first.with_body(memoryview(body))
                answer = await client.exchange(head, again, until, ((_BLOCK2, download.block()),))
        except ETagChanged:
            if restarted:
                raise
            restarted = True
        first = await client.exchange(head, again, until, ((_BLOCK2, download.szx),))


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
    etag=None,
    timeout_ms=None,
):
    """Stream a body from byte `offset` into sink(offset, memoryview), at most `limit` bytes; a Result.

    The memoryview is valid during the call only. After Timeout, Reset or OSError the caller resumes at the
    offset behind its last sink call; `etag` (bytes, of the earlier Result) then makes sure that it is still
    the same body. timeout_ms is per block. Raises ETagChanged, BadResponse, Refused, ValueError (window).
    """
    if window != 1:
        raise ValueError("window")
    head = (method, path, query, content_format, accept, options, True)
    download = _Download(min(szx, client.szx), offset, etag)
    into = client.block_buffer or bytearray(_BUFFER)  # made once: a small heap may not have such a piece again
    client.block_buffer = None  # two transfers at once need two
    try:
        return await _stream(client, head, payload, download, sink, limit, into, timeout_ms)
    finally:
        client.block_buffer = into


async def _stream(client, head, payload, download, sink, limit, into, timeout_ms):
    """The loop of get_blocks: one block after the other into `into`, and from there to the sink."""
    offset = download.offset
    blocks = ((_BLOCK2, download.block()), (_SIZE2, 0))  # ask for the size with the first block
    done = 0
    while limit is None or done < limit:
        until = limit_at(timeout_ms)
        body = payload if head[0] == _FETCH or not done else b""
        answer = await client.exchange(head, body, until, blocks, into)
        fresh = download.accept(answer)
        count = len(fresh)
        if limit is not None and done + count > limit:
            count = limit - done
            download.end = False
        if count:
            sink(offset + done, fresh[:count])
            done += count
        if download.end:
            break
        blocks = ((_BLOCK2, download.block()),)
    return Result(download.total, download.etag, download.end, done)


async def upload(client, head, payload, until, szx):
    """Send a payload with Block1; the final Response, whatever its code.

    Follows a server that wants smaller blocks (2.31, or 4.13 with a smaller size), and begins once again
    when it lost its part (4.08).
    """
    view = memoryview(payload)
    total = len(payload)
    offset = 0
    restarted = False
    while True:
        size = 16 << szx
        num = offset >> (szx + 4)
        last = offset + size >= total
        blocks = ((_BLOCK1, num << 4 | (0 if last else 8) | szx),)
        if num == 0:
            blocks += ((_SIZE1, total),)
        try:
            answer = await client.exchange(head, view[offset : offset + size], until, blocks)
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
        elif answer.code >= 0x80 or last:
            return answer
        elif echo is None or echo >> 4 != num:
            raise BadResponse("no word about block %d" % num)
        else:
            offset += size
            szx = min(szx, echo & 7)
