"""aiocoap's client as a peer of the bench: downloads one resource and prints how long that took, as JSON.

    python -m bench.aiocoap_client URI
"""

import asyncio
import json
import sys
import time

import aiocoap

from .body import digest


async def _main(uri):
    context = await aiocoap.Context.create_client_context(transports=["udp6"])
    request = aiocoap.Message(code=aiocoap.GET, uri=uri)
    started = time.monotonic()
    answer = await context.request(request).response
    seconds = time.monotonic() - started
    print(json.dumps({"seconds": seconds, "sha256": digest(answer.payload), "size": len(answer.payload)}), flush=True)
    await context.shutdown()


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
