"""The device side of test_modem_nrf91.py: runs under MicroPython as `nrf91_device.py PTY SCENARIO ARG..`.

Drives lib/modem/nrf91 and prints one JSON line per finding; the pytest side looks at the simulator and the peers.
"""

import asyncio
import errno
import gc
import os
import sys
import time

from driver_kit import DUE_MS, answered, echoed, per_exchange, tell, up

import modem
from at.errors import ATError


def started(reason=None):
    made = modem.load("nrf91")(open(sys.argv[1], "r+b"), log=lambda text: tell("log", text))
    made.on_lost = lambda why: tell("lost", why)
    return made


async def start(m):
    began = time.ticks_ms()
    await m.start()
    tell("ms", time.ticks_diff(time.ticks_ms(), began))
    tell("version", m.version)
    tell("caps", sorted(m.caps))


async def link(m):
    await m.start()
    stats = []
    tell("attached", await m.attach(progress=stats.append))
    tell("stats", stats)
    tell("identity", await m.identity())
    tell("time", await m.time())
    tell("signal", await m.signal())
    tell("cell", await m.cells())
    tell("serving", await m.cells(False))
    tell("found", await m.search(3))
    await m.start()  # a second start keeps the registration
    tell("registered", await m.registered())
    await m.power_save(8 * 3600, 10, 20)
    tell("battery", await m.battery_mv())
    await m.detach()
    tell("detached", not await m.registered())


async def denied(m):
    await m.start()
    try:
        await m.attach(timeout_ms=5000)
    except modem.base.Denied as error:
        tell("cause", error.cause)


def payloads():
    """Lengths 1..1200, and contents that look like dialogue."""
    nasty = (
        b"+++",
        b"\r\nOK\r\n",
        b"AT#XRESET\r",
        b"\r\n+CME ERROR: 3\r\n> +++\r\nReady\r\n",
        b'#XRECV: 0,0,9\r\n"',
        b"\x00\x11\x13\x1a\x7f\x08\xff" * 9,
    )
    yield from nasty
    x = 12345
    for n in (1, 2, 3, 7, 64, 255, 256, 257, 511, 512, 1024, 1199, 1200):
        body = bytearray(n)
        for i in range(n):
            x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
            body[i] = x >> 24
        yield bytes(body)


async def echo(m, host, port):
    endpoint = await echoed(m, host, port, payloads())
    for size in (0, 1201):
        try:
            await endpoint.send(bytes(size))
        except OSError as error:
            tell("refused", error.errno)
    await endpoint.close()
    await endpoint.close()
    try:
        await endpoint.send(b"x")
    except OSError as error:
        tell("closed", error.errno)
    tell("lost_datagrams", endpoint.lost)


async def heap(m, host, port):
    await up(m)
    endpoint = await m.udp_open(host, int(port))
    await per_exchange(endpoint)
    await endpoint.close()


async def burst(m, host, port):
    """The peer answers one datagram with many; the ring keeps the newest."""
    await up(m)
    endpoint = await m.udp_open(host, int(port))
    await endpoint.send(b"burst")
    await asyncio.sleep_ms(700)
    buf = bytearray(1300)
    got = []
    try:
        while True:
            await endpoint.recv_into(buf, 300)
            got.append(buf[0])
    except OSError:
        tell("got", got)
    tell("dropped", endpoint.lost)


async def unknown_host(m):
    await up(m)
    for host in ("nowhere.example",):
        try:
            await m.udp_open(host, 5683)
        except OSError as error:
            tell("error", error.errno)
    tell("left", [len(m.endpoints), len(m.orphans)])


async def interrupted(m, host, port):
    """The modem restarts (or loses its bearer) while a datagram is awaited; afterwards all works again."""
    await up(m)
    endpoint = await m.udp_open(host, int(port))
    buf = bytearray(1300)
    await endpoint.send(b"hello")
    await endpoint.recv_into(buf, DUE_MS)
    tell("waiting")
    try:
        await endpoint.recv_into(buf, DUE_MS)
    except OSError as error:
        tell("recv", error.errno)
    try:
        await endpoint.send(b"x")
    except OSError as error:
        tell("send", error.errno)
    await up(m)
    await answered(m, host, port, b"again")


async def gnss(m, path):
    await up(m)
    await m.gnss_start()
    tell("need", await m.gnss_need(5000))
    with open(path, "rb") as f:
        blob = f.read()
    half = len(blob) // 2
    await m.agnss_inject([blob[:half], blob[half:]])
    tell("fix", await m.gnss_fix(20000))
    await m.gnss_stop()
    await m.gnss_start()
    tell("second_need", await m.gnss_need(1000))
    tell("second_fix", await m.gnss_fix(20000))
    await m.gnss_stop()


async def no_fix(m):
    await up(m)
    await m.gnss_start(timeout_s=60, forward=False)
    tell("fix", await m.gnss_fix(20000))
    await m.gnss_stop()


async def jwt(m, subject, tag):
    await up(m)
    tell("jwt", await m.jwt(subject, 600, int(tag)))
    try:
        await m.jwt(subject, 600, 7)
    except ATError as error:
        tell("no_key", error.code)


async def dtls(m, host, port, tag, name):
    await up(m)
    try:
        endpoint = await m.dtls_open(host, int(port), int(tag), name, timeout_ms=20000)
    except OSError as error:
        tell("error", error.errno)
        tell("left", [len(m.endpoints), len(m.orphans)])
        return
    await endpoint.send(b"ping from the device\n")
    tell("sent")
    buf = bytearray(1300)
    n = await endpoint.recv_into(buf, DUE_MS)
    tell("received", bytes(buf[:n]).decode())
    await endpoint.close()


async def request(endpoint, code, path, payload=b""):
    """One confirmable CoAP request (RFC 7252) over the endpoint; -> code of the answer as "c.dd", None without one."""
    mid = time.ticks_ms() & 0xFFFF
    head = bytes([0x44, code, mid >> 8, mid & 255]) + b"cid%c" % (mid & 255)
    number = 0
    for segment in path.split("/"):
        head += bytes([(11 - number) << 4 | len(segment)]) + segment.encode()
        number = 11
    buf = bytearray(1300)
    for _ in range(5):
        await endpoint.send(head + (b"\xff" + payload if payload else b""))
        try:
            while True:
                await endpoint.recv_into(buf, 2000)
                if bytes(buf[4:8]) == head[4:8]:
                    return "%d.%02d" % (buf[1] >> 5, buf[1] & 31)
        except OSError as error:
            if error.errno != errno.ETIMEDOUT:
                raise
    return None


async def passed(gate):
    """Wait until the host has made the file `gate`."""
    for _ in range(DUE_MS // 20):
        try:
            os.stat(gate)
            return
        except OSError:
            await asyncio.sleep_ms(20)
    raise OSError(errno.ETIMEDOUT, gate)


async def cid(m, host, port, tag, jwt, gates):
    await up(m)
    endpoint = await m.dtls_open(host, int(port), int(tag), host, timeout_ms=20000)
    tell("cid", [endpoint.cid, endpoint.keep])
    tell("auth", await request(endpoint, 2, "auth/jwt", jwt.encode()))
    tell("first", await request(endpoint, 1, "state"))
    await passed(gates + "1")
    tell("rebound", await request(endpoint, 1, "state"))
    tell("paused", await endpoint.pause())
    await passed(gates + "2")
    tell("resumed", await request(endpoint, 1, "state"))
    await m.detach()
    await m.attach()
    tell("attached", await request(endpoint, 1, "state"))
    await endpoint.close()
    tell("sockets", len(m.endpoints))


async def ladder(m):
    await up(m)
    for level in range(6):
        await m.reset(level)
        await m.attach()
        tell("level", level)


async def main():
    m = started()
    await globals()[sys.argv[2]](m, *sys.argv[3:])
    gc.collect()
    tell("heap", gc.mem_alloc())


asyncio.run(main())
