"""The device side of test_modem_contract.py: `contract_device.py PTY SCENARIO FAMILY ARG..`, the same for each family.

Nothing here knows a family: verbs and records are those of modem.base. One JSON line per finding.
"""

import asyncio
import json
import sys

import modem
from at.errors import ATError
from modem.base import Denied, SimError

_DUE_MS = 8000
_VERBS = {  # capability: the verbs that it promises
    "": "start attach detach registered identity time signal cells udp_open reset",
    "DTLS": "dtls_open",
    "GCI": "search",
    "GNSS": "gnss_start gnss_fix gnss_stop",
    "AGNSS": "gnss_need agnss_inject",
    "TIMEHINT": "gnss_hint",
    "POSHINT": "gnss_hint",
    "XTRA": "xtra xtra_valid_s",
    "JWT": "jwt",
    "KEYGEN": "attestation execute",
    "PSM": "power_save",
    "SLEEP": "sleep wake",
}


def tell(name, value=True):
    print(json.dumps([name, value]))


def made(family, stream, power=None):
    m = modem.load(family)(stream, power=power, log=lambda text: tell("log", text))
    m.on_lost = lambda why: tell("lost", why)
    return m


async def up(m):
    """Start and attach, as an application does: what takes a moment is tried again."""
    for left in (2, 1, 0):
        try:
            await m.start()
            return await m.attach(apn="iot.example")
        except OSError:
            if not left:
                raise
            await asyncio.sleep_ms(500)


async def code_of(coro):
    """-> errno of the OSError that it raises, or what else it was."""
    try:
        return await coro
    except OSError as error:
        return error.args[0]
    except ATError as error:
        return "ATError: %s" % error


def has(m, verb):
    try:
        return callable(getattr(m, verb))
    except AttributeError:
        return False


async def life(m, host, port):
    """7.5: 1, 2, 3, 5, 6, 11, 12, and that capabilities are true."""
    tell("restarted", m.restarted)
    await m.start()
    await m.start()  # twice is once
    caps = m.caps
    missing = []
    for cap, verbs in _VERBS.items():
        missing += [verb for verb in verbs.split() if (not cap or cap in caps) and not has(m, verb)]
    tell("caps", sorted(caps))
    tell("missing", missing)
    tell("final", isinstance(caps, frozenset) and not m.restarted)
    stats = []
    tell("attached", await m.attach(apn="iot.example", progress=stats.append))
    tell("stats", stats)
    tell("again", await m.attach(apn="iot.example"))
    await m.start()
    tell("kept", await m.registered())
    await m.attach(apn="iot.example")
    tell("identity", await m.identity())
    tell("time", await m.time())
    tell("signal", await m.signal())
    tell("cell", await m.cells(True))
    tell("serving", await m.cells(False))
    await _datagrams(m, host, port)
    await _receiver(m)
    await m.detach()
    tell("detached", not await m.registered())


async def _datagrams(m, host, port):
    endpoint = await m.udp_open(host, int(port))
    tell("mtu", endpoint.mtu)
    buf = bytearray(1300)
    good = bad = 0
    for payload in _payloads(endpoint.mtu):
        await endpoint.send(payload)
        n = await code_of(endpoint.recv_into(buf, _DUE_MS))
        good, bad = (good + 1, bad) if bytes(buf[:n]) == payload else (good, bad + 1)
    tell("echoed", [good, bad])
    tell("empty", await code_of(endpoint.send(b"")))
    tell("long", await code_of(endpoint.send(bytes(endpoint.mtu + 1))))
    tell("silence", await code_of(endpoint.recv_into(buf, 50)))
    await endpoint.send(b"burst")
    got = 0
    while got < 20 and isinstance(await code_of(endpoint.recv_into(buf, 2000)), int) and buf[0] == got:
        got += 1
    tell("burst", got)
    second = await m.udp_open(host, int(port))
    await second.send(b"second")
    n = await code_of(second.recv_into(buf, _DUE_MS))
    tell("second", str(bytes(buf[:n])))
    tell("open", len(m.endpoints))
    await second.close()
    await endpoint.close()
    await endpoint.close()
    tell("closed", [await code_of(endpoint.send(b"x")), await code_of(endpoint.recv_into(buf, 10))])
    tell("left", [len(m.endpoints), len(m.orphans)])
    tell("nowhere", await code_of(m.udp_open("nowhere.example", 5683)))


def _payloads(mtu):
    """What looks like dialogue of any family, and lengths up to the largest."""
    yield b"\r\nOK\r\n+CME ERROR: 3\r\n> @+++\r\nSEND OK\r\nReady\r\nRDY\r\nNO CARRIER\r\n"
    yield b'+QIURC: "recv",0,9\r\n+CARECV: 3,+USORF: 0,"1.2.3.4",5683,4,"#XRECV: 0,0,9\r\n'
    yield b"\x1a\x1b\x00\xff\x11\x13\x7f\x08" * 9
    x = 12345
    for n in (1, 2, 255, 256, 257, 1000, mtu):
        body = bytearray(n)
        for i in range(n):
            x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
            body[i] = x >> 24
        yield bytes(body)


async def _receiver(m):
    """Start, stop, start, fix, stop; with the radio off where the receiver is alone."""
    if "GNSS_ALONE" in m.caps:
        tell("busy", await code_of(m.gnss_start()))
        await m.detach()
    await m.gnss_start(timeout_s=60)
    await m.gnss_stop()
    tell("no_fix", await m.gnss_fix(10))
    await m.gnss_start(timeout_s=60)
    tell("need", "AGNSS" not in m.caps or await m.gnss_need(5000))
    if "TIMEHINT" in m.caps:
        await m.gnss_hint(await m.time(), None)
    tell("fix", await m.gnss_fix(60000))
    await m.gnss_stop()
    await m.gnss_stop()


async def denied(m):
    """7.5: 4."""
    await m.start()
    try:
        await m.attach(apn="iot.example", timeout_ms=20000)
    except Denied as error:
        tell("denied", [error.cause, error.for_long])


async def sim(m, pin):
    """A SIM that wants a PIN, or is not there; the PIN is tried once."""
    m.pin = pin if pin != "-" else None
    for name in ("first", "second"):
        try:
            await m.start()
            await m.attach(apn="iot.example", timeout_ms=60000)
            tell(name, "in")
        except SimError as error:
            tell(name, error.kind)


async def accidents(m, host, port, count):
    """7.5: 7, 9: what is done to the modem when "ready" is told ends in an errno, and then all works again."""
    for number in range(int(count)):
        await up(m)
        endpoint = await m.udp_open(host, int(port))
        buf = bytearray(1300)
        await endpoint.send(b"before")
        await endpoint.recv_into(buf, _DUE_MS)
        waiting = asyncio.create_task(code_of(endpoint.recv_into(buf, _DUE_MS)))
        await asyncio.sleep_ms(0)
        tell("ready%d" % number)
        tell("ended", await waiting)
        tell("send", await code_of(endpoint.send(b"x")))
        await endpoint.close()
    await up(m)
    endpoint = await m.udp_open(host, int(port))
    await endpoint.send(b"after")
    n = await endpoint.recv_into(buf, _DUE_MS)
    tell("after", bytes(buf[:n]).decode())
    await endpoint.close()


async def woken(m):
    """7.5: 14: a UART that sleeps whenever it can, and loses what wakes it."""
    await up(m)
    answers = []
    for _ in range(3):
        await asyncio.sleep_ms(2000)
        await m.reset(0)
        answers.append(await m.registered())
    tell("answers", answers)


async def ladder(m, host, port):
    """Every rung that needs no switch, and what works after it."""
    worked = []
    for level in (0, 1, 2, 3, 4):
        await up(m)
        endpoint = await m.udp_open(host, int(port))
        await m.reset(level)
        ended = await code_of(endpoint.send(b"x"))
        await up(m)
        endpoint = await m.udp_open(host, int(port))
        await endpoint.send(b"rung")
        n = await code_of(endpoint.recv_into(bytearray(100), _DUE_MS))
        await endpoint.close()
        worked.append([level, ended, n])
    tell("rungs", worked)


async def main(pty, scenario, family, *args):
    await globals()[scenario](made(family, open(pty, "r+b")), *args)
    tell("end")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
