"""Further steps of net_device.py: observation, streamed uploads, several things at a time, No-Response, pings."""

import asyncio

import coap


def share(*functions):
    """Give this module what it shares with net_device.py, which is the main program and cannot be imported."""
    global described, extra, body, outcome, find
    described, extra, body, outcome, find = functions


async def put_blocks(client, step):
    """Upload `fill` bytes from a source that makes them."""

    def source(offset, view):
        for i in range(len(view)):
            view[i] = ((offset + i) * 31 + ((offset + i) >> 8)) & 255

    answer = await client.put_blocks(
        step["path"],
        source,
        step["fill"],
        method=getattr(coap, step.get("method", "PUT")),
        content_format=step.get("content_format"),
        szx=step.get("szx", 6),
    )
    return described(answer, step)


async def observe(client, step):
    """Collect notifications until there are `notes` of them, or one says `until`; behind the nth, the nth of `pokes`
    (a list of steps) is done. It ends with cancel() unless `cancel` is false."""
    observation = client.observe(
        step["path"],
        query=tuple(step.get("query", ())),
        accept=step.get("accept"),
        options=extra(step),
        confirmable=step.get("confirmable", True),
        renew_s=step.get("renew_s"),
        depth=step.get("depth", 4),
    )
    notes = []
    out = {"notes": notes, "poked": [], "ended": None}

    async def collect():
        async for note in observation:
            seen = described(note, step)
            seen["sequence"] = note.sequence
            notes.append(seen)
            if len(notes) <= len(step.get("pokes", ())):
                for poke in step["pokes"][len(notes) - 1]:
                    out["poked"].append(await outcome(find(poke["do"]), client, poke))
            if len(notes) == step.get("notes") or "until" in step and seen["text"] == step["until"]:
                break

    try:
        await asyncio.wait_for(collect(), step.get("timeout_ms", 20000) / 1000)
    except asyncio.TimeoutError:  # noqa: UP041  MicroPython's is a class of its own
        out["ended"] = "time"
    except coap.Refused as exc:
        out["ended"] = exc.code
    if step.get("cancel", True):
        await observation.cancel(step.get("cancel_ms", 5000))
    out["observed"] = observation.observed
    out["stale"] = observation.stale
    return out


async def together(client, step):
    """Several steps at the same time."""
    return {"results": await asyncio.gather(*[outcome(find(one["do"]), client, one) for one in step["steps"]])}


async def sequence(client, step):
    """Several steps one after the other."""
    results = []
    for one in step["steps"]:
        results.append(await outcome(find(one["do"]), client, one))
    return {"results": results}


async def tell(client, step):
    await client.tell(
        getattr(coap, step["method"]), step["path"], payload=body(step), confirmable=step.get("confirmable", False)
    )
    return {}


async def ping(client, step):
    return {"round_trip": await client.ping(step.get("timeout_ms", 5000))}


STEPS = {
    "put_blocks": put_blocks,
    "observe": observe,
    "together": together,
    "sequence": sequence,
    "tell": tell,
    "ping": ping,
}
