"""GET proxy of nRF Cloud: files of its own hosts, block by block from anywhere (nrfcloud.md 12).

Apart from jobs.py, because a download of hours wants the heap for itself. What may be asked for is jobs.proxied().
"""

from micropython import const

_PROXY_URI = const(35)
# Blocks in flight: /proxy numbers the blocks of a file that it holds as a whole, so that any may be asked for at any
# time (nrfcloud.md 12). As many as session.py has room for beside what is being read; a server that minds gets one.
_WINDOW = const(2)


async def update_read(cloud, job, offset, mv):
    """Verb of cloud.base: GET proxy with the image's URL."""
    return await proxy_read(cloud, job["key"], offset, mv, _WINDOW)


async def proxy_read(cloud, uri, offset, mv, window=1, by_offset=False):
    """Fill `mv` with the file at `uri` (checked by proxied()) from byte `offset`; -> bytes read, fewer at its end.

    `cloud.total` is then its size, if the service said so (Size2, which get_blocks asks for). `by_offset`: count blocks
    from the query `offset` instead of from the beginning of the file (nrfcloud.md 12)."""
    options = ((_PROXY_URI, uri.encode()),)
    return await cloud.blocks(mv, "proxy", offset, options=options, window=window, by_offset=by_offset)
