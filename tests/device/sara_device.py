"""The device side of test_modem_sara_r5.py: runs under MicroPython as `sara_device.py PTY SCENARIO ARG..`.

Drives lib/modem/sara_r5 and prints one JSON line per finding; the pytest side looks at the simulator and the peers.
"""

import asyncio
import sys

from driver_kit import DUE_MS, answered, echoed, per_exchange, tell, up

import modem
from at.errors import ATError

_NASTY = (b"@", b"\r\nOK\r\n", b'"\r\n+USORF: 0,"1.1.1.1",1,9,"', b"\x00\x11\x13\x1a\xff" * 9, b"AT+CFUN=16\r")


async def link(m):
    await m.start()
    tell("caps", sorted(m.caps))
    tell("attached", await m.attach())
    tell("identity", await m.identity())
    tell("time", await m.time())
    tell("signal", await m.signal())
    tell("cell", await m.cells())
    await m.start()
    tell("registered", await m.registered())
    await m.power_save(8 * 3600, 10, 20)
    await m.detach()
    tell("detached", not await m.registered())


def payloads():
    yield from _NASTY
    for n in (1, 50, 255, 256, 511, 512, 1023, 1024):
        yield bytes([(i * 7 + n) & 0xFF for i in range(n)])


async def echo(m, host, port):
    endpoint = await echoed(m, host, port, payloads())
    await endpoint.close()
    tell("lost_datagrams", endpoint.lost)


async def interrupted(m, host, port):
    """The modem restarts, or loses its bearer, while a datagram is awaited; afterwards all works again."""
    await up(m)
    endpoint = await m.udp_open(host, int(port))
    buf = bytearray(1300)
    await endpoint.send(b"hello")
    await endpoint.recv_into(buf, DUE_MS)
    tell("waiting")
    for name in ("recv", "recv", "send"):  # the first read may only find that the modem does not answer
        try:
            await (endpoint.send(b"x") if name == "send" else endpoint.recv_into(buf, 30000))
        except OSError as error:
            tell(name, error.errno)
    for _ in range(3):
        try:
            await m.start()
            break
        except OSError as error:
            tell("not_yet", error.errno)
    await m.attach()
    await answered(m, host, port, b"again")


async def ladder(m):
    await up(m)
    for level in range(6):
        await m.reset(level)
        await m.attach()
        tell("level", level)


async def dtls(m, host, port, tag, name, *files):
    """One round per file with a CA certificate; "-" is none."""
    await up(m)
    for path in files:
        ca = None
        if path != "-":
            with open(path, "rb") as f:
                ca = f.read()
        try:
            endpoint = await m.dtls_open(host, int(port), int(tag), name, timeout_ms=20000, ca=ca)
        except OSError as error:
            tell("error", error.errno)
            tell("left", [len(m.endpoints), len(m.orphans)])
            continue
        await endpoint.send(b"ping from the device\n")
        tell("sent")
        buf = bytearray(1300)
        n = await endpoint.recv_into(buf, DUE_MS)
        tell("received", bytes(buf[:n]).decode())
        await endpoint.close()


async def gnss(m, path):
    """With assistance; then again, with what the modem kept."""
    await up(m)
    await m.gnss_start()
    tell("need", await m.gnss_need(5000))
    with open(path, "rb") as f:
        blob = f.read()
    half = len(blob) // 2
    try:
        await m.agnss_inject([blob[:half], blob[half:]])
    except ATError as error:
        tell("refused", error.cmd)
    tell("fix", await m.gnss_fix(20000))
    await m.gnss_stop()
    await m.gnss_start()
    tell("second_need", await m.gnss_need(1000))
    tell("second_fix", await m.gnss_fix(20000))
    await m.gnss_stop()


async def no_fix(m):
    await m.start()
    await m.gnss_start(timeout_s=5)
    tell("fix", await m.gnss_fix(1500))
    await m.gnss_stop()


async def heap(m, host, port):
    await up(m)
    await per_exchange(await m.udp_open(host, int(port)))


async def main():
    made = modem.load("sara_r5")(open(sys.argv[1], "r+b"), log=lambda text: tell("log", text))
    made.retry_ms = 10  # the modem's time runs faster than ours
    made.on_lost = lambda why: tell("lost", why)
    await globals()[sys.argv[2]](made, *sys.argv[3:])


asyncio.run(main())
