"""Firmware bytes from ThingsBoard (platforms.md 1.10): GET /fw/{token} with title, version, size and chunk.

A chunk is a request of its own, so that it may be asked for after any pause and from any port; Block2 would need state
at the server that dies with both. One at a time: the server answers each in two messages. Apart from jobs.py, because
a download of hours wants the heap for itself. RAM: none.
"""

from micropython import const

import coap
from cloud.base import CloudError

_SMALLEST = const(16)
_CONTENT = const(0x45)
_BAD_REQUEST = const(0x80)
_BLOCK2 = const(23)


async def update_read(cloud, job, offset, mv):
    """Verb of cloud.base. CloudError: another package, or none, is assigned by now; ask for the job again."""
    n = max(0, min(len(mv), job["size"] - offset))  # a chunk behind the end would never be answered
    done = 0
    while done < n:
        done += await _chunk(cloud, job, offset + done, mv[done:n])
    return done


def chunk_of(offset, length, largest):
    """-> (size, index, skip) of the chunk to ask for: the smallest that holds all of it, else one of `largest` bytes,
    a power of two; the bytes wanted begin `skip` bytes into it."""
    size = largest
    while size > _SMALLEST and offset % (size >> 1) + length <= size >> 1:
        size >>= 1
    return size, offset // size, offset % size


async def _chunk(cloud, job, offset, mv):
    """Fill `mv` from one chunk; -> bytes of it, 0 when it has to be a smaller one."""
    client = cloud.client
    if client is None:
        raise OSError(107)  # ENOTCONN: closed while the caller was waiting
    size, index, skip = chunk_of(offset, len(mv), 16 << client.szx)
    query = ("title=" + job["title"], "version=" + job["version"], "size=%d" % size, "chunk=%d" % index)
    try:
        data = await cloud.judged(_get, cloud, "fw/" + cloud.token, query)
    except coap.Timeout:
        # Perhaps the path drops what is so large; but not if a chunk of more than half of it has come in this session.
        if client.carried > size >> 1 or not await client.narrow(_szx(size)):
            raise
        return 0
    client.carried = max(client.carried, len(data))
    if len(data) != min(size, job["size"] - index * size):
        raise coap.BadResponse("%d bytes in chunk %d of %d" % (len(data), index, size))
    part = data[skip : skip + len(mv)]
    mv[: len(part)] = part
    return len(part)


def _szx(size):
    szx = 0
    while 16 << szx < size:
        szx += 1
    return szx


async def _get(cloud, path, query):
    """-> the payload. Not by request(): that asks for Block2 on a path with a small MTU, and chunks want none."""
    answer = await cloud.client.exchange((coap.GET, path, query, None, None, (), True), b"")
    if answer.code == _CONTENT and answer.option(_BLOCK2) is None:
        return answer.payload
    if answer.code in (_BAD_REQUEST, coap.NOT_FOUND):
        raise CloudError("the package is no longer the one that was assigned")
    if answer.code >= _BAD_REQUEST:
        raise coap.Refused(answer)
    raise coap.BadResponse("not a chunk")
