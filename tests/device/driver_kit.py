"""What the scripts of the modem drivers have in common: *_device.py beside this file, under MicroPython."""

import gc
import json

DUE_MS = 8000


def tell(name, value=True):
    """One finding for the pytest side."""
    print(json.dumps([name, value]))


async def up(m):
    """-> registration of the modem `m`, started and attached."""
    await m.start()
    return await m.attach()


async def echoed(m, host, port, payloads):
    """Send each payload to a peer that returns it, and tell how many came back as they were and in time, and that then
    nothing comes. -> the endpoint, open."""
    await up(m)
    endpoint = await m.udp_open(host, int(port))
    buf = bytearray(1300)
    good = 0
    for payload in payloads:
        await endpoint.send(payload)
        n = await endpoint.recv_into(buf, DUE_MS)
        if bytes(buf[:n]) == payload:
            good += 1
        else:
            tell("differs", [len(payload), n])
    tell("good", good)
    try:
        await endpoint.recv_into(buf, 50)
    except OSError as error:
        tell("silence", error.errno)
    return endpoint


async def answered(m, host, port, payload):
    """A new endpoint after an accident: tell what the peer returns to `payload`."""
    buf = bytearray(1300)
    endpoint = await m.udp_open(host, int(port))
    await endpoint.send(payload)
    tell("again", bytes(buf[: await endpoint.recv_into(buf, DUE_MS)]).decode())


async def per_exchange(endpoint):
    """Tell how many bytes a datagram of 1000 bytes there and back leaves as garbage."""
    buf = bytearray(1300)
    payload = bytes(1000)
    for rounds in (1, 8):  # the first loads what is loaded once
        gc.collect()
        gc.disable()
        before = gc.mem_alloc()
        for _ in range(rounds):
            await endpoint.send(payload)
            await endpoint.recv_into(buf, DUE_MS)
        spent = gc.mem_alloc() - before
        gc.enable()
    tell("per_exchange", spent // rounds)
