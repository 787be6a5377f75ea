"""A whole simulated modem of any family inside the test's process, without a PTY, at 2000 times the speed of life."""

import asyncio

from godwit.modem.clock import SimClock
from godwit.modem.core import Core
from godwit.modem.events import EventLog
from godwit.modem.faults import FaultBoard
from godwit.modem.keystore import Nvs
from godwit.modem.link import Resolver
from godwit.modem.profile import personality
from godwit.world import World

FAMILIES = ("nrf91", "sara_r5", "bg95", "sim7080")
NAME = "a.example"

# family -> what brings it from registration to a connected socket 0
ONLINE = {
    "nrf91": ("AT#XSOCKET=1,2,0", f'AT#XCONNECT=0,"{NAME}",5683'),
    "sara_r5": ("AT+UPSD=0,100,1", "AT+UPSD=0,0,0", "AT+UPSDA=0,3", "AT+USOCR=17", 'AT+USOCO=0,"192.0.2.10",5683'),
    "bg95": ("AT+QIACT=1", f'AT+QIOPEN=1,0,"UDP","{NAME}",5683,0,0'),
    "sim7080": ("AT+CNACT=0,1", f'AT+CAOPEN=0,0,"UDP","{NAME}",5683'),
}


class Wire:
    """A channel without a PTY."""

    baud = 0

    def __init__(self):
        self.out = bytearray()
        self.writes = []
        self.on_bytes = None

    def write(self, data):
        self.out += data
        self.writes.append(bytes(data))

    def pending(self):
        return False


class Bench:
    """An asynchronous context. `wire.out` is what the modem has said since the last command()."""

    def __init__(self, family="nrf91", *, port=9, faults=(), nvs=None, speed=2000, **core):
        package = personality(family)
        self.family = family
        self.clock = SimClock(World(None), speed, patience_s=0.01)
        self.log = EventLog(self.clock, quiet=True)
        self.faults = FaultBoard(1)
        self.core = Core(self.clock, self.log, self.faults, nvs or Nvs(), Resolver([f"{NAME}:5683=127.0.0.1:{port}"]),
                         profile=package.PROFILE, imei="352656100000001", **{"fixed_place": True, **core})
        self.wire = Wire()
        self.session = package.Session(self.core, self.wire)
        self.bugs = []
        for text in faults:
            self.faults.apply_text(text)

    async def __aenter__(self):
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.bugs.append(context))
        self.timers = asyncio.create_task(self.clock.run())
        self.session.boot(first=True)
        await self.event("boot")
        return self

    async def __aexit__(self, *exc):
        self.core.power_cut()
        self.timers.cancel()
        await asyncio.sleep(0)
        assert not self.bugs, self.bugs

    async def until(self, *wanted, timeout_s=5):
        """Wait until one of these has been said."""
        await self._wait(lambda: any(w in self.wire.out for w in wanted), wanted, timeout_s)

    async def event(self, name, count=1):
        """Wait for the n-th event of a name."""
        await self._wait(lambda: self.log.counters[name] >= count, name, 5)

    async def _wait(self, happened, what, timeout_s):
        try:
            async with asyncio.timeout(timeout_s):
                while not happened():
                    assert not self.bugs, self.bugs
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise AssertionError(f"no {what}, only {bytes(self.wire.out)} {dict(self.log.counters)}") from None

    async def said(self, seconds=0.02):
        """What is said within a while."""
        await asyncio.sleep(seconds)
        return bytes(self.wire.out)

    def write(self, data):
        """Bytes of the host; forgets what was said before."""
        self.wire.out.clear()
        self.wire.writes.clear()
        self.wire.on_bytes(data)

    async def command(self, data, timeout_s=3):
        """Send one line; everything up to its final result (and what has come with it)."""
        self.write(data)
        async with asyncio.timeout(timeout_s):
            while not (b"OK\r\n" in self.wire.out or b"ERROR" in self.wire.out):
                await asyncio.sleep(0)
            assert not self.bugs, (data, self.bugs)
        return bytes(self.wire.out)

    async def at(self, text, timeout_s=3):
        """The same for text without its line end."""
        return await self.command(text.encode() + b"\r", timeout_s)

    async def plain(self):
        """Echo off, numeric errors; on the network."""
        await self.at("ATE0")
        await self.at("AT+CMEE=1")
        if not self.core.radio.active:
            await self.at("AT+CFUN=1")
        await self._wait(lambda: self.core.radio.ip, "address", 5)
        await self.said()

    async def connected(self):
        """On the network, with one connected socket 0."""
        await self.plain()
        for command in ONLINE[self.family]:
            await self.at(command)
            assert b"OK\r\n" in self.wire.out, (command, self.wire.out)
            if command.startswith(("AT+UPSDA", "AT+CNACT", "AT+QIOPEN")):
                await self.until(b"+UUPSDA: 0", b"ACTIVE", b"+QIOPEN: 0,0")
        await self._wait(lambda: self.core.net.get(0).connected, "connection", 5)
        await self.said(0.005)
