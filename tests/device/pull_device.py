"""The device side of test_modem_pull.py: runs under MicroPython as `pull_device.py PTY SCENARIO FAMILY CONTROL ARG..`.

Drives lib/modem/bg95 or lib/modem/sim7080 and prints one JSON line per finding; the pytest side looks at the simulator
and the peers. CONTROL: the simulator's control socket, which has the power key, or "-".
"""

import asyncio
import gc
import sys

from driver_kit import DUE_MS, answered, echoed, per_exchange, tell, up

import modem

_NASTY = (
    b"> ",
    b"\r\nOK\r\n",
    b'\r\n+QIURC: "closed",0\r\n+CASTATE: 0,0\r\n',
    b"\x00\x11\x13\x1a\x1b\xff" * 9,
    b"AT+CFUN=0\r",
)


async def trying(name, coro):
    """Tell what came of it: "ok", or the number of its OSError."""
    try:
        await coro
        tell(name, "ok")
    except OSError as error:
        tell(name, error.args[0])


async def start(m):
    await m.start()
    tell("caps", sorted(m.caps))


async def link(m):
    attached = await up(m)
    tell("caps", sorted(m.caps))
    tell("attached", attached)
    tell("identity", await m.identity())
    tell("time", await m.time())
    tell("signal", await m.signal())
    tell("cell", await m.cells())
    tell("battery", await m.battery_mv())
    await m.start()
    tell("registered", await m.registered())
    await m.attach()
    await m.power_save(8 * 3600, 10, 20)
    await m.detach()
    tell("detached", not await m.registered())


def payloads():
    yield from _NASTY
    for n in (1, 50, 255, 256, 511, 512, 1023, 1024, 1200):
        yield bytes([(i * 7 + n) & 0xFF for i in range(n)])


async def echo(m, host, port):
    endpoint = await echoed(m, host, port, payloads())
    await endpoint.close()
    tell("lost_datagrams", endpoint.lost)


async def two(m, host, port):
    """Two sockets that wait at the same time."""
    await up(m)
    ends = [await m.udp_open(host, int(port)), await m.udp_open(host, int(port))]
    for i in range(2):
        bufs = bytearray(100), bytearray(100)
        tasks = [asyncio.create_task(x.recv_into(b, DUE_MS)) for x, b in zip(ends, bufs)]
        for x, name in zip(ends, (b"one", b"two")):
            await x.send(name + bytes([i]))
        sizes = []
        for task in tasks:
            sizes.append(await task)
        tell("sizes", sizes == [4, 4] and bufs[0][:3] == b"one" and bufs[1][:3] == b"two")
    for x in ends:
        await x.close()


async def interrupted(m, host, port):
    """The modem restarts, or loses its bearer, while a datagram is awaited; afterwards all works again."""
    await up(m)
    endpoint = await m.udp_open(host, int(port))
    buf = bytearray(1300)
    await endpoint.send(b"hello")
    await endpoint.recv_into(buf, DUE_MS)
    tell("waiting")
    await trying("recv", endpoint.recv_into(buf, 60000))
    await trying("send", endpoint.send(b"x"))
    for _ in range(4):
        try:
            await up(m)
            await answered(m, host, port, b"again")
            return
        except OSError as error:
            tell("not_yet", error.args[0])
            await asyncio.sleep_ms(500)


async def ladder(m):
    await up(m)
    for level in range(7 if m.power else 6):
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
            tell("error", error.args[0])
            tell("left", [len(m.endpoints), len(m.orphans)])
            continue
        await endpoint.send(b"ping from the device\n")
        buf = bytearray(1300)
        n = await endpoint.recv_into(buf, DUE_MS)
        tell("received", bytes(buf[:n]).decode())
        await endpoint.close()


async def gnss(m, xtra="-"):
    """Cold; with XTRA, if a file is given, loaded before."""
    await up(m)
    unix_s = await m.time()
    if xtra != "-":
        chunks = []
        with open(xtra, "rb") as f:
            while chunks[-1:] != [b""]:
                chunks.append(f.read(1024))
        await m.xtra(chunks)
        chunks = None
        await m.attach()
        tell("valid_s", await m.xtra_valid_s())
    if "GNSS_ALONE" in m.caps:
        await trying("too_early", m.gnss_start())
        await m.detach()
    await m.gnss_start()
    if "TIMEHINT" in m.caps:
        await m.gnss_hint(unix_s, None)
    tell("fix", await m.gnss_fix(30000))
    await m.gnss_stop()
    tell("attached", await m.attach())


async def asleep(m, host, port):
    """PSM, then awake by the key."""
    await up(m)
    await m.power_save(3600, 6)
    endpoint = await m.udp_open(host, int(port))
    await endpoint.send(b"good night")
    buf = bytearray(99)
    await endpoint.recv_into(buf, DUE_MS)
    await trying("recv", endpoint.recv_into(buf, 25000))
    tell("restarted", m.restarted)
    for _ in range(3):
        try:
            await m.wake()
            await m.power_save(None, None)
            break
        except OSError as error:
            tell("not_yet", error.args[0])
    await m.attach()
    await answered(m, host, port, b"again")


async def heap(m, host, port):
    """What stays of the driver, one endpoint open, and what a datagram there and back leaves."""
    gc.collect()
    before = gc.mem_alloc()
    await up(m)
    endpoint = await m.udp_open(host, int(port))
    await per_exchange(endpoint)
    from cold import forget

    forget()
    gc.collect()
    tell("kept", gc.mem_alloc() - before)


async def main():
    power = None
    if sys.argv[4] != "-":
        from modempower import Keyed

        power = Keyed(sys.argv[4])
    stream = open(sys.argv[1], "r+b")
    made = modem.load(sys.argv[3])(stream, power=power, log=lambda text: tell("log", text))
    made.on_lost = lambda why: tell("lost", why)
    await globals()[sys.argv[2]](made, *sys.argv[5:])


asyncio.run(main())
