"""Whatever the host writes, the simulated modem answers every command and goes on living. Seeds are printed."""

import asyncio
import random

import pytest
from modemsim_bench import Bench

from godwit.modem.faults import CATALOGUE
from godwit.modem.sm import COMMANDS

QUIET = {"#XSHUTDOWN", "#XSLEEP"}  # they end the dialogue by design
ALPHABET = b'ATat+%#XCFUN=?,"0123456789;\r\n \x00\x08\x7f\xffEe'


class FuzzBench(Bench):
    """The modem that is fuzzed."""

    async def command(self, data, timeout_s=3):
        if data.startswith((b"AT#XRECV=", b"AT#XRECVFROM=")):
            data = b"AT#XRECV=0,0,64,0\r"  # others may wait for ever, as documented
        return await super().command(data, timeout_s)

    async def online(self):
        """On the network, with one connected socket."""
        await self.command(b"AT+CFUN=1\r")
        async with asyncio.timeout(3):
            while not self.core.radio.pdn_up:
                await asyncio.sleep(0.001)
        for command in (b"AT#XCLOSE\r", b"AT#XSOCKET=1,2,0\r", b'AT#XCONNECT=0,"a.example",5683\r'):
            await self.command(command)
            assert b"OK\r\n" in self.wire.out

    async def alive(self):
        """Out of whatever state it is in, back to OK."""
        if self.session.off == "off":  # faults press the power key, or take the power
            self.faults.apply("pwrkey")
        for _ in range(200):
            self.write(b'"\r+++\r')
            await asyncio.sleep(0.002)
            self.wire.on_bytes(b"AT\r")
            try:
                async with asyncio.timeout(0.1):
                    while not self.wire.out.endswith(b"\r\nOK\r\n"):
                        assert not self.bugs, self.bugs
                        await asyncio.sleep(0.001)
                return
            except TimeoutError:
                self.wire.on_bytes(b"\r" * 4000)  # data mode with a length: fill it up
        raise AssertionError("mute for ever")


NUMBERS = (0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 5, 10, 61, 600, 5683, 16842753, -1, 99999999999999)
TEXTS = ("a.example", "127.0.0.1", "00ff", "", "é\xff", "x" * 200, "00100001", "26/01/02,05:04:05+08")
VALID = (
    "AT+CFUN=1", "AT#XSOCKET=1,2,0", "AT#XSSOCKET=1,2,0,16842753", 'AT#XCONNECT=0,"a.example",5683', "AT#XCLOSE",
    'AT#XSEND=0,0,0,"x"', "AT#XSEND=0,2,0,9", "AT#XSEND=0,2,0", "AT#XRECV=0,0,64,0", "AT#XRECVCFG=0,1",
    "AT#XAPOLL=,1,5", "AT#XGNSS=1,2,0,60", "AT#XGNSS=0", "AT#XAGNSSP=40", "AT%NCELLMEAS", "AT%NCELLMEAS=3,4",
    "AT+CEREG=5", "AT+CFUN=4", "AT%XMONITOR",
)  # fmt: skip


def parameter(rng):
    kind = rng.randrange(8)
    if kind < 5:
        return str(rng.choice(NUMBERS))
    return ("", '"%s"' % rng.choice(TEXTS), "5A10")[kind - 5]


def line(rng, keys):
    if rng.random() < 0.4:
        return rng.choice(VALID).encode() + b"\r"
    name, operation = rng.choice(keys)
    tail = {"exec": "", "read": "?", "test": "=?"}.get(operation)
    if tail is None:
        tail = "=" + ",".join(parameter(rng) for _ in range(rng.randrange(1, 7)))
    return f"AT{name}{tail}\r".encode("latin-1")


@pytest.mark.parametrize("seed", [1, 2])
def test_random_parameters(seed):
    print("seed", seed)
    rng = random.Random(seed)
    keys = sorted(key for key in COMMANDS if key[0] not in QUIET)

    async def scenario():
        async with FuzzBench() as bench:
            for i in range(600):
                if i % 20 == 0:
                    await bench.online()
                await bench.command(line(rng, keys))
                if rng.random() < 0.1:
                    await asyncio.sleep(0.01)  # 20 s of the modem's life
                if bench.session.in_data_mode or not bench.session._up:
                    await bench.alive()
            await bench.alive()
            done = bench.core.log.counters
            for event in ("attach", "connect", "gnss_start", "jwt", "ncellmeas", "agnss", "datagrams_up"):
                assert done[event], f"the fuzz never got as far as {event}"

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", [3, 4])
def test_random_bytes_and_random_faults(seed):
    print("seed", seed)
    rng = random.Random(seed)
    actions = [name for name, (kind, _, _) in CATALOGUE.items() if kind == "action"]

    async def scenario():
        async with FuzzBench() as bench:
            for _ in range(300):
                bench.wire.on_bytes(bytes(rng.choice(ALPHABET) for _ in range(rng.randrange(1, 80))))
                if rng.random() < 0.1:
                    bench.faults.apply(rng.choice(actions))
                if rng.random() < 0.3:
                    await asyncio.sleep(0.002)
                bench.wire.out.clear()
            await bench.alive()

    asyncio.run(scenario())
