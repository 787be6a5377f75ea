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


def described(answer, step):
    """What a test wants to know of an answer."""
    data = bytes(answer.payload)
    try:
        text = data.decode() if len(data) < 64 else ""
    except UnicodeError:
        text = ""
    out = {
        "code": answer.code,
        "size": len(data),
        "sha256": binascii.hexlify(hashlib.sha256(data).digest()).decode(),
        "text": text,
        "format": answer.option(coap.CONTENT_FORMAT),
    }
    for number in step.get("want", ()):
        out[str(number)] = [binascii.hexlify(value).decode() for value in answer.options(number)]
    return out


def extra(step):
    """Options of a step: [[number, hex], ..]."""
    return tuple((number, binascii.unhexlify(value)) for number, value in step.get("options", ()))


async def request(client, step):
    answer = await client.request(
        getattr(coap, step.get("method", "GET")),
        step["path"],
        query=tuple(step.get("query", ())),
        payload=body(step),
        content_format=step.get("content_format"),
        accept=step.get("accept"),
        confirmable=step.get("confirmable", True),
        options=extra(step),
        timeout_ms=step.get("timeout_ms"),
    )
    return described(answer, step)


async def blocks(client, step):
    """Download from `offset`; after a Timeout it goes on as the firmware does. With `window`, into random access.

    `restarts`: so often it begins anew when the ETag changes, as a caller may who knows a hash of the whole.
    """
    start = step.get("offset", 0)
    window = "window" in step
    data = bytearray()
    digest = hashlib.sha256()
    done = [0, 0]  # bytes, pieces that came before their turn

    def sink(offset, view):
        offset -= start
        done[1] += offset != done[0]
        done[0] += len(view)
        if not window:
            if done[1]:
                raise ValueError("gap at %d" % offset)
            digest.update(view)
            return
        if offset + len(view) > len(data):
            data.extend(bytes(offset + len(view) - len(data)))
        data[offset : offset + len(view)] = view

    timeouts = restarts = 0
    while True:
        try:
            result = await client.get_blocks(
                step["path"],
                sink,
                query=tuple(step.get("query", ())),
                offset=client.transfer.offset if window and done[0] else start + done[0],
                limit=step.get("limit"),
                szx=step.get("szx", 6),
                window=step.get("window", 1),
                by_offset=step.get("by_offset", False),
            )
            break
        except coap.Timeout:
            timeouts += 1
            if timeouts > 20:
                raise
        except coap.ETagChanged:
            restarts += 1
            if restarts > step.get("restarts", 0):
                raise
            done[:] = [0, 0]
            digest = hashlib.sha256()
    if window:
        digest.update(data)
    return {
        "size": len(data) if window else done[0],
        "delivered": done[0],
        "sha256": binascii.hexlify(digest.digest()).decode(),
        "total": result.total,
        "end": result.end,
        "timeouts": timeouts,
        "restarts": restarts,
        "disorder": done[1],
    }


async def sleep(client, step):
    await asyncio.sleep_ms(step["ms"])
    return {}


STEPS = {"request": request, "blocks": blocks, "sleep": sleep}


def find(name):
    """The function of a step. What few tests need is loaded only then: some of them count the heap."""
    if name not in STEPS:
        import net_more_device

        net_more_device.share(described, extra, body, outcome, find)
        STEPS.update(net_more_device.STEPS)
    return STEPS[name]


async def outcome(function, *args):
    """What came back, or what went wrong."""
    try:
        return await function(*args)
    except (coap.CoapError, OSError) as exc:
        code = getattr(exc, "code", None) or getattr(exc, "errno", None)
        return {"error": type(exc).__name__, "text": str(exc), "code": code, "retry": getattr(exc, "retry_after", None)}


async def attempt(function, *args):
    started = time.ticks_ms()
    step = args[-1]
    for _ in range(step.get("tries", 1) if isinstance(step, dict) else 1):
        out = await outcome(function, *args)
        if out.get("error") != "Timeout":
            break
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
            await attempt(find(step["do"]), client, step)
    await client.close()
    counters = (client.sent, client.received, client.retransmitted, client.dropped)
    print(json.dumps({"counters": counters}))


asyncio.run(main(json.load(sys.stdin)))
