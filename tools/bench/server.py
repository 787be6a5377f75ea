"""The server of the downloads: aiocoap with a stateless Block2 resource, as its fileserver has. A process of its own.

    python -m bench.server PORT SIZE [NAME=FILE ..]        prints "ready"

/fw has an ETag on every block and keeps nothing between two of them; ?offset=N serves the body from byte N on, with
block numbers counted from there, as nRF Cloud's /proxy does. /tiny is one datagram, to learn how long a client starts.
/NAME is the content of FILE, served in the same way.
"""

import asyncio
import contextlib
import hashlib
import signal
import sys
from pathlib import Path

import aiocoap
from aiocoap import resource
from aiocoap.optiontypes import BlockOption

from .body import PATH, body


class Image(resource.Resource):
    """The body, block by block, out of nothing but the request."""

    def __init__(self, data):
        super().__init__()
        self._data = data
        self._etag = hashlib.sha256(data).digest()[:8]

    async def needs_blockwise_assembly(self, request):
        return False

    async def render_get(self, request):
        offset = 0
        for query in request.opt.uri_query:
            key, _, value = query.partition("=")
            if key == "offset":
                offset = int(value)
        wanted = request.opt.block2 or BlockOption.BlockwiseTuple(0, False, 6)
        start = offset + wanted.start
        piece = self._data[start : start + wanted.size]
        answer = aiocoap.Message(payload=piece, code=aiocoap.CONTENT)
        answer.opt.etag = self._etag
        more = start + len(piece) < len(self._data)
        answer.opt.block2 = BlockOption.BlockwiseTuple(wanted.block_number, more, wanted.size_exponent)
        return answer


class Tiny(resource.Resource):
    """One datagram."""

    async def render_get(self, request):
        return aiocoap.Message(payload=b"1", code=aiocoap.CONTENT)


async def _serve(port, size, files):
    site = resource.Site()
    site.add_resource([PATH], Image(body(size)))
    for name, _, path in (word.partition("=") for word in files):
        site.add_resource([name], Image(Path(path).read_bytes()))
    site.add_resource(["tiny"], Tiny())
    context = await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", port), transports=["udp6"])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    await context.shutdown()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
