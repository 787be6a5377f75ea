"""Whatever the host writes, the other simulated families answer every command and go on living. Seeds are printed."""

import asyncio
import os
import random

import pytest
from modemsim_bench import Bench

from godwit.modem.faults import CATALOGUE
from godwit.modem.profile import personality

ALPHABET = b'ATat+%#XCFUN=?,"0123456789;\r\n \x00\x08\x7f\xffEe'
QUIET = {"+CPWROFF", "+QPOWD", "+CPOWD"}  # they end the dialogue by design
NUMBERS = (0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 8, 9, 10, 17, 64, 100, 5683, -1, 99999999999999)
TEXTS = ("a.example", "127.0.0.1", "00ff", "", "é\xff", "x" * 200, "00100001", "26/01/02,05:04:05+08", "UDP", "*",
         "servingcell", "neighbourcell", "dtls", "cacert", "priority", "UFS:a.bin", "a.bin", "root", "B5620A0400000E34",
         "B5621340180010000080EA07010203040500000000000200000000000000FD07")
START = {
    "sara_r5": ("AT+CFUN=1", "AT+UPSD=0,100,1", "AT+UPSDA=0,3", "AT+USOCR=17", 'AT+USOCO=0,"a.example",5683',
                "AT+UGPS=1,1,67"),
    "bg95": ("AT+CFUN=1", "AT+QIDEACT=1", "AT+QIACT=1", 'AT+QIOPEN=1,0,"UDP","a.example",5683,0,0',
             'AT+QSSLCFG="dtls",1,1', 'AT+QSSLOPEN=1,1,3,"a.example",5683,0'),
    "sim7080": ("AT+CFUN=1", "AT+CNACT=0,1", 'AT+CAOPEN=0,0,"UDP","a.example",5683,0', 'AT+CSSLCFG="SSLVERSION",0,5',
                'AT+CASSLCFG=3,"SSL",1', 'AT+CAOPEN=3,0,"UDP","a.example",5683', "AT+CFSINIT"),
}
VALID = {
    "sara_r5": (
        *START["sara_r5"], "AT+UPSDA=0,4", "AT+USOST=0,\"192.0.2.10\",5683,6", 'AT+USOWR=0,4', "AT+USORF=0,1024",
        "AT+USOCL=0", "AT+UGPS=0", 'AT+UGUBX="B5620A0400000E34"', 'AT+USECMNG=0,0,"root",20',
        'AT+UGUBX="B5621340140001000000A036DD23C08ADD0EC4090000E0930400B709"', "AT+ULOC=2,1,1,60,50", "AT+UCGED=2",
        "AT+UCGED?", "AT+USECPRF=1", "AT+USECPRF=1,0,2", 'AT+USECPRF=1,3,"root"', "AT+USOSEC=0,1,1", "AT+UGIND=1",
        "AT+CFUN=16", "AT+UGRMC=1", "AT+UGRMC?", 'AT+CPSMS=1,,,"00100001","00000000"',
    ),
    "bg95": (
        *START["bg95"], "AT+QISEND=0,6", "AT+QISEND=0", "AT+QIRD=0,1500", "AT+QICLOSE=0", 'AT+QFUPL="a.bin",40,60',
        'AT+QFDEL="a.bin"', 'AT+QFDWL="a.bin"', "AT+QGPS=1", "AT+QGPSEND", "AT+QGPSLOC=2", "AT+QGPSXTRA=1",
        'AT+QGPSXTRADATA="a.bin"', 'AT+QSSLCFG="cacert",1,"a.bin"', "AT+QISTATE?", "AT+QSSLCLOSE=3",
        'AT+QENG="servingcell"', 'AT+QENG="neighbourcell"', "AT+CFUN=1,1", 'AT+QISENDEX=0,"00ff"',
        'AT+QCFG="psm/urc",1', 'AT+QIDNSGIP=1,"a.example"', 'AT+CPSMS=1,,,"00100001","00000000"',
    ),
    "sim7080": (
        *START["sim7080"], "AT+CASEND=0,6", "AT+CASEND=0", "AT+CARECV=0,1460", "AT+CACLOSE=0", "AT+CACLOSE=3",
        "AT+CNACT=0,0", "AT+CNACT?", 'AT+CFSWFILE=3,"a.bin",0,40,1000', 'AT+CFSRFILE=3,"a.bin",1,20,5', "AT+CFSTERM",
        'AT+CFSGFIS=3,"a.bin"', 'AT+CFSDFILE=3,"a.bin"', 'AT+CSSLCFG="CONVERT",2,"a.bin"', "AT+CENG=1,1", "AT+CENG?",
        'AT+CASSLCFG=0,"CACERT","a.bin"', "AT+CGNSPWR=1", "AT+CGNSPWR=0", "AT+CGNSINF", "AT+SGNSCMD=1,0",
        "AT+SGNSCMD=2,1000,0,0", "AT+SGNSCMD=0", "AT+CGNSXTRA=1", "AT+CGNSXTRA", "AT+CGNSCPY", "AT+CGNSCOLD",
        'AT+HTTPTOFS="http://a.example/x","/customer/Xtra3.bin"', "AT+CFUN=1,1", "AT+CFUN=0", "AT+CREBOOT",
        "AT+IPR=115200", 'AT+CPSMS=1,,,"00100001","00000000"', "AT+CPSMSTATUS=1", "AT+CLTS=1", "AT+CPSI?",
    ),
}  # fmt: skip
SEEN = {
    "sara_r5": ("attach", "connect", "gnss_start", "ubx_frames", "agnss", "credential_refused", "datagrams_up", "psm"),
    "bg95": ("attach", "socket_open", "gnss_start", "file", "datagrams_up", "connect_failed", "psm"),
    "sim7080": ("attach", "connect", "gnss_start", "file", "datagrams_up", "dtls_start", "psm"),
}


class FamilyBench(Bench):
    """A whole modem of a family in this process, at 2000 times the speed of life."""

    def __init__(self, family):
        super().__init__(family, timing={"rrc_inactivity": 0.0})  # idle at once, so that PSM comes soon

    async def awake(self):
        """Out of PSM, reboots and prompts."""
        async with asyncio.timeout(5):
            while not self.session._up or self.session.in_data_mode:
                if self.session._off in ("psm", "off"):
                    self.session.key("pwrkey", None)
                elif self.session.in_data_mode:
                    self.wire.on_bytes(b"x" * 4096 + b"\x1a")
                assert not self.bugs, self.bugs
                await asyncio.sleep(0.0005)

    async def command(self, data, timeout_s=5):
        """Send one line; there must be a final result, or a prompt that takes what it asks for and gives one."""
        await self.awake()
        self.write(data)
        async with asyncio.timeout(timeout_s):
            while not any(end in self.wire.out for end in (b"OK\r\n", b"ERROR", b"SEND FAIL")):
                assert not self.bugs, (data, self.bugs)
                if self.session.in_data_mode:
                    self.wire.on_bytes(b"x" * 4096 + b"\x1a")
                if not self.session._up:
                    return
                await asyncio.sleep(0)
        assert not self.bugs, (data, self.bugs)

    async def connected(self):
        """As far on the way to a connected socket as the state allows."""
        for text in START[self.family]:
            await self.command(text.encode() + b"\r")
            await asyncio.sleep(0.008)

    async def alive(self):
        """From whatever state, back to OK."""
        for _ in range(100):
            await self.awake()
            self.write(b'"\r\rAT\r')
            try:
                async with asyncio.timeout(0.1):
                    while not self.wire.out.endswith(b"\r\nOK\r\n"):
                        assert not self.bugs, self.bugs
                        await asyncio.sleep(0.001)
                return
            except TimeoutError:
                pass
        raise AssertionError("mute for ever")


def parameter(rng):
    kind = rng.randrange(8)
    if kind < 5:
        return str(rng.choice(NUMBERS))
    return ("", '"%s"' % rng.choice(TEXTS), "0xC02B")[kind - 5]


def line(rng, keys, valid):
    if rng.random() < 0.5:
        return rng.choice(valid).encode() + b"\r"
    name, operation = rng.choice(keys)
    tail = {"exec": "", "read": "?", "test": "=?"}.get(operation)
    if tail is None:
        tail = "=" + ",".join(parameter(rng) for _ in range(rng.randrange(1, 7)))
    return f"AT{name}{tail}\r".encode("latin-1")


@pytest.mark.parametrize("family", list(START))
def test_random_parameters(family):
    seed = int(os.environ.get("GODWIT_SEED", 11))
    print("seed", seed)
    rng = random.Random(seed)
    keys = sorted(key for key in personality(family).Session.commands if key[0] not in QUIET)

    async def scenario():
        async with FamilyBench(family) as bench:
            for i in range(500):
                if i % 25 == 0:
                    await bench.connected()
                await bench.command(line(rng, keys, VALID[family]))
                if rng.random() < 0.1:
                    await asyncio.sleep(0.005)  # 10 s of the modem's life
            await bench.alive()
            done = bench.core.log.counters
            for event in SEEN[family]:
                assert done[event], f"the fuzz never got as far as {event}"

    asyncio.run(scenario())


@pytest.mark.parametrize("family", list(START))
def test_random_bytes_and_random_faults(family):
    seed = int(os.environ.get("GODWIT_SEED", 12))
    print("seed", seed)
    rng = random.Random(seed)
    actions = [name for name, (kind, _, _) in CATALOGUE.items() if kind == "action"]

    async def scenario():
        async with FamilyBench(family) as bench:
            for i in range(200):
                if i % 25 == 0:
                    await bench.connected()
                # An unterminated prompt now and then, filled or cut by whatever comes next.
                text = rng.choice(VALID[family]).encode() + b"\r" if rng.random() < 0.3 else b""
                bench.wire.on_bytes(text + bytes(rng.choice(ALPHABET) for _ in range(rng.randrange(1, 80))))
                if rng.random() < 0.02:
                    bench.wire.on_bytes(b"AT+" + b"X" * 70000 + b"\r")
                if rng.random() < 0.1:
                    bench.faults.apply(rng.choice(actions))
                if rng.random() < 0.3:
                    await asyncio.sleep(0.001)
                bench.wire.out.clear()
            await bench.alive()

    asyncio.run(scenario())
