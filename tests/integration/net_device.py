"""The device side of the coap and dtls integration tests; runs under MicroPython, one JSON job from stdin
(MicroPython dies of an argument above 255 bytes).

A job is {"port", "dtls": {"host", "ca"} or absent, "tuning", "steps": [{"do": ..}, ..]}. One JSON line is
printed for the handshake and for every step: what came back, or {"error": class, "text": .., "code": ..}.
"""

import asyncio
import binascii
import hashlib
import json
import sys
import time

import coap
from net.dtls import DTLS
from net.udp import udp_open


def body(spec):
    """A payload: {"text": ..}, or {"fill": n} for n bytes that any position can be told from."""
    if "fill" in spec:
        data = bytearray(spec["fill"])
        for i in range(len(data)):
            data[i] = (i * 31 + (i >> 8)) & 255
        return data
    return spec.get("text", "").encode()


async def request(client, step):
    answer = await client.request(
        getattr(coap, step.get("method", "GET")),
        step["path"],
        query=tuple(step.get("query", ())),
        payload=body(step),
        content_format=step.get("content_format"),
        accept=step.get("accept"),
        confirmable=step.get("confirmable", True),
        timeout_ms=step.get("timeout_ms"),
    )
    data = bytes(answer.payload)
    return {
        "code": answer.code,
        "size": len(data),
        "sha256": binascii.hexlify(hashlib.sha256(data).digest()).decode(),
        "text": data[:64].decode() if len(data) < 64 else "",
        "format": answer.option(coap.CONTENT_FORMAT),
    }


async def blocks(client, step):
    """Download from `offset`; after a Timeout or a changed ETag it goes on as the firmware does."""
    digest = hashlib.sha256()
    done = [step.get("offset", 0)]

    def sink(offset, view):
        if offset != done[0]:
            raise ValueError("gap at %d" % offset)
        digest.update(view)
        done[0] += len(view)

    timeouts = 0
    while True:
        try:
            result = await client.get_blocks(
                step["path"], sink, offset=done[0], limit=step.get("limit"), szx=step.get("szx", 6)
            )
            break
        except coap.Timeout:
            timeouts += 1
            if timeouts > 20:
                raise
    return {
        "size": done[0] - step.get("offset", 0),
        "sha256": binascii.hexlify(digest.digest()).decode(),
        "total": result.total,
        "end": result.end,
        "timeouts": timeouts,
    }


async def sleep(client, step):
    await asyncio.sleep_ms(step["ms"])
    return {}


async def attempt(function, *args):
    started = time.ticks_ms()
    try:
        out = await function(*args)
    except (coap.CoapError, OSError) as exc:
        code = getattr(exc, "code", None) or getattr(exc, "errno", None)
        out = {"error": type(exc).__name__, "text": str(exc), "code": code}
    out["ms"] = time.ticks_diff(time.ticks_ms(), started)
    print(json.dumps(out))
    return "error" not in out


async def handshake(endpoint, limit_ms):
    await endpoint.handshake(limit_ms)
    return {"cipher": endpoint.cipher()[0], "version": endpoint.cipher()[1]}


async def raw(endpoint, step):
    """Send a text as one datagram and wait for one."""
    await endpoint.send(body(step))
    buf = bytearray(200)
    n = await endpoint.recv_into(buf, step.get("timeout_ms", 3000))
    return {"text": bytes(buf[:n]).decode()}


async def main(job):
    endpoint = await udp_open("127.0.0.1", job["port"])
    secure = job.get("dtls")
    if secure:
        with open(secure["ca"], "rb") as file:
            endpoint = DTLS(endpoint, secure["host"], file.read())
        if not await attempt(handshake, endpoint, secure.get("timeout_ms", 10000)):
            await endpoint.close()
            return
    client = coap.Client(endpoint, **job.get("tuning", {}))
    for step in job["steps"]:
        if step["do"] == "raw":
            await attempt(raw, endpoint, step)
        else:
            await attempt({"request": request, "blocks": blocks, "sleep": sleep}[step["do"]], client, step)
    await client.close()
    counters = (client.sent, client.received, client.retransmitted, client.dropped)
    print(json.dumps({"counters": counters}))


asyncio.run(main(json.load(sys.stdin)))
