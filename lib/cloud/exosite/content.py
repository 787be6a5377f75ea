"""Content of Exosite, block by block from anywhere (platforms.md 2.5): the server cuts each block from the file as it
is asked for it, so a download goes on after any pause. Apart from jobs.py, because a download of hours wants the heap
for itself. RAM: none.
"""

from micropython import const

import coap
from cloud.base import CloudError

_WINDOW = const(2)  # blocks in flight, as for nRF Cloud's proxy; a server that minds gets one


async def update_read(cloud, job, offset, mv):
    """Verb of cloud.base. CloudError when the content is no longer there, or has another size."""
    n = max(0, min(len(mv), job["size"] - offset))
    if not n:
        return 0

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
    if result.total not in (None, job["size"]):
        raise CloudError("the content has another size by now")
    return result.bytes
