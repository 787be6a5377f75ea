"""Content of Exosite, block by block from anywhere (platforms.md 2.5): the server cuts each block from the file as it
is asked for it, so a download goes on after any pause. Apart from jobs.py, because a download of hours wants the heap
for itself. RAM: none.
"""

from micropython import const

import coap
from cloud.base import CloudError

_WINDOW = const(2)  # blocks in flight, as for nRF Cloud's proxy; a server that minds gets one


def info(text):
    """-> (size, updated, meta) from "type,size,updated,meta", of which only meta may hold commas. ValueError."""
    parts = text.split(",", 3)
    if len(parts) < 3:
        raise ValueError("content info without a time")
    size = int(parts[1])
    if size < 0:
        raise ValueError("content info with a negative size")
    return size, parts[2].strip(), parts[3].strip() if len(parts) > 3 else ""


async def lookup(cloud, content_id):
    """-> (size, updated, meta) of a content, None when there is no such content."""
    try:
        answer = await cloud.request(coap.GET, cloud.content(content_id, "/info"), query=(cloud.cik,))
    except coap.Refused as refused:
        if refused.code == coap.NOT_FOUND:
            return None
        raise
    return info(bytes(answer.payload).decode())


async def update_read(cloud, job, offset, mv):
    """Verb of cloud.base. CloudError when the content is no longer the one of the job.

    Blocks carry no ETag, so that is asked where a download begins. One that finds a wrong block begins again."""
    n = max(0, min(len(mv), job["size"] - offset))
    if not n:
        return 0
    if not offset and (await lookup(cloud, job["content"]) or ())[:2] != (job["size"], job["updated"]):
        raise CloudError("the content is no longer the one of the job")

    def sink(at, data):
        at -= offset
        mv[at : at + len(data)] = data

    client = cloud.client
    if client is None:
        raise OSError(107)  # ENOTCONN: closed while the caller was waiting
    path, query = cloud.content(job["content"]), (cloud.cik,)
    try:
        result = await cloud.judged(
            client.get_blocks, path, sink, query=query, offset=offset, limit=n, window=_WINDOW
        )
    except coap.Refused as refused:
        if refused.code != coap.NOT_FOUND:
            raise
        raise CloudError("the content is no longer there")
    if result.total not in (None, job["size"]):  # where a server says it
        raise CloudError("the content has another size by now")
    return result.bytes
