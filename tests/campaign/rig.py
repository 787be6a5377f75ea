"""The modem simulator in this process: its UART, its clock, its network and its DTLS replaced by ones in memory.

What is replaced is below and beside the simulator, never its behaviour: bytes go through a queue at the pace of a UART,
timers are the loop's, datagrams go straight to the peer, and a handshake is two datagrams without cryptography.
"""

import asyncio
import contextvars
import random

from campaign.peer import ALERT, DATA, DONE, HELLO
from campaign.vtime import World
from godwit.modem import clock as sim_clock
from godwit.modem import dtls, handle
from godwit.modem.core import Core
from godwit.modem.events import EventLog
from godwit.modem.faults import FaultBoard
from godwit.modem.keystore import Nvs
from godwit.modem.link import Resolver
from godwit.modem.profile import personality

HOST, PORT = "coap.nrfcloud.com", 5684
PLAIN = ("peer.example", 5683)
_BYTE_S = 10 / 115200
_CHUNK = 64
_FLIGHTS_S = (1, 2, 4, 8, 16, 32)  # retransmissions of a handshake (RFC 6347 4.2.4)
_LATENCY_S = 0.15


class Clock(sim_clock.SimClock):
    """World time is the loop's."""

    def __init__(self):
        super().__init__(World())

    def later(self, seconds, fn, *args, drives=True):
        timer = sim_clock.Timer(self.now_ms() + round(seconds * 1000), fn, args, drives)
        asyncio.get_running_loop().call_later(max(seconds, 0), self._fire, timer)
        return timer

    @staticmethod
    def _fire(timer):
        if timer.live:
            timer.live = False
            timer.fn(*timer.args)

    async def sleep(self, seconds, drives=True):
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def network_wait(self, event, seconds, turns=1):
        try:
            await asyncio.wait_for(event.wait(), seconds)
            return True
        except TimeoutError:
            return False

    def skip(self, seconds):
        pass


class Uart:
    """Both ends of the line: the simulator's channel, and the stream of the device's at.Client."""

    path = "memory"
    baud = 115200

    def __init__(self, rng):
        self.on_bytes = lambda data: None
        self._rng = rng
        self._out = bytearray()
        self._rx = bytearray()
        self._busy = False
        self.faults = None
        self._event = asyncio.Event()

    # the simulator's end

    def write(self, data):
        self._out += data
        if not self._busy:
            self._busy = True
            self._pace()

    def pending(self):
        return False

    def poll(self):
        return False

    def _pace(self):
        if not self._out:
            self._busy = False
            return
        slow = "split" in self.faults.state()
        n = min(len(self._out), 1 if slow else 1 + self._rng.randrange(_CHUNK))
        pause = n * _BYTE_S + (self._rng.choice((0, 0, 0, 0, 0, 0.003)) if slow else 0)
        asyncio.get_running_loop().call_later(pause, self._arrive, bytes(self._out[:n]))
        del self._out[:n]

    def _arrive(self, data):
        self._rx += data
        del self._rx[:-8192]
        self._event.set()
        self._pace()

    # the device's end

    def reader(self):
        """A new device takes the line over; what came for the one before is lost."""
        self._rx.clear()
        self._event = asyncio.Event()
        return self

    async def readinto(self, buf):
        while not self._rx:
            self._event.clear()
            await self._event.wait()
        n = min(len(buf), len(self._rx))
        buf[:n] = self._rx[:n]
        del self._rx[:n]
        return n

    def heard(self, data):
        self.on_bytes(data)


class Stream:
    """What the board gives the modem's driver, until the board restarts."""

    def __init__(self, rig):
        self._rig = rig
        self._uart = rig.uart.reader()
        self.out_buf = b""

    async def readinto(self, buf):
        return await self._uart.readinto(buf)

    def write(self, buf):
        self.out_buf += bytes(buf)

    async def drain(self):
        data, self.out_buf = self.out_buf, b""
        await asyncio.sleep(len(data) * _BYTE_S)
        self._rig.soon(self._uart.heard, data)


class Network:
    """The way from the modem's sockets to the peer. Every socket has a port; a rebind gives it another."""

    def __init__(self, peer, faults, rng):
        self.peer = peer
        self._faults = faults
        self._rng = rng
        self._next_port = 20000
        self._last = 0.0
        self.open = set()

    def port(self):
        self._next_port += 1
        return self._next_port

    def up(self, link, port, data, target):
        self._later(self.peer.feed, data, port, lambda back: self._later(link.arrive, port, back, target))

    def _later(self, function, *args):
        """In order: the loop does not keep that of timers that fall due together."""
        loop = asyncio.get_running_loop()
        self._last = max(self._last + 1e-5, loop.time() + _LATENCY_S)
        loop.call_at(self._last, function, *args)


class MemoryLink(handle.UdpLink):
    """A UDP link without a socket. `network` is set for each run."""

    network = None

    def _open(self):
        self._socket = self
        self._port = self.network.port()
        self.network.open.add(self)

    def close(self):
        self._socket = None
        self.network.open.discard(self)

    def rebind(self):
        if self._socket is not None:
            self._port = self.network.port()

    @property
    def port(self):
        return self._port

    def _transmit(self, data, target):
        if self._socket is not None:
            self.network.up(self, self._port, data, target)

    def arrive(self, port, data, source):
        if self._socket is not None and port == self._port:
            self._with_faults(self._downlink, data, source)


class StandIn:
    """DTLS as the campaign needs it: a handshake of one flight, records with a number, alerts, a connection ID.

    The interface of godwit.modem.dtls.DtlsSession.
    """

    rng = random.Random(1)

    def __init__(self, credentials, verify, hostname, now_s, transmit, on_data, on_closed, *, cid=0, **how):
        self.settled = asyncio.Event()
        self.open = self.saved = False
        self.error = None
        self.suite = 0
        self._number = b""
        self._cid = cid
        self._nonce = bytes((1 if cid else 0,)) + self.rng.randbytes(8)
        self._transmit, self._on_data, self._on_closed = transmit, on_data, on_closed
        self._timer = None

    @property
    def cid_status(self):
        return 2 if self.open and self._cid else 0

    def start(self, flight=0):
        if self.open or self.error:
            return
        self._transmit(bytes((HELLO, 0, 0)) + self._nonce)
        if flight < len(_FLIGHTS_S):
            self._timer = asyncio.get_running_loop().call_later(_FLIGHTS_S[flight], self.start, flight + 1)

    def refuse(self, reason):
        self._end(reason)

    def feed(self, datagram):
        if self.error or self.saved or len(datagram) < 3:
            return
        kind, number, body = datagram[0], datagram[1:3], datagram[3:]
        if kind == DONE and not self.open and body == self._nonce:
            self._number, self.open, self.suite = number, True, 0xC02B
            self._timer.cancel()
            self.settled.set()
        elif self.open and number == self._number and kind == DATA:
            self._on_data(body)
        elif self.open and number == self._number and kind == ALERT:
            self._end("alert")

    def send(self, data):
        if not self.open or self.saved:
            raise OSError("association closed")
        self._transmit(bytes((DATA,)) + self._number + bytes(data))

    def save(self):
        if not self.open or self.saved:
            raise OSError("no association to save")
        self.saved = True

    def load(self):
        if not self.saved:
            raise OSError("nothing saved")
        self.saved = False

    def close(self):
        if self.open and not self.saved:
            self._transmit(bytes((ALERT,)) + self._number)
        self.open = False
        self.error = self.error or "closed"
        if self._timer:
            self._timer.cancel()
        self.settled.set()

    def _end(self, error):
        was_open, self.open = self.open, False
        self.error = error
        if self._timer:
            self._timer.cancel()
        self.settled.set()
        if was_open:
            self._on_closed()


class Log(EventLog):
    """Counts; keeps the events of the run for who asks."""

    def __init__(self, clock):
        super().__init__(clock, quiet=True)
        self.bugs = []

    def event(self, name, **fields):
        super().event(name, **fields)
        if name == "bug":
            self.bugs.append(fields)


class Power:
    """The board's lines to a modem without a power key: reset, and the supply."""

    def __init__(self, rig):
        self._rig = rig
        self.used = {"reset": 0, "cycle": 0}

    async def reset(self):
        self.used["reset"] += 1
        await asyncio.sleep(0.3)
        self._rig.soon(self._rig.session.power, "reboot")

    async def cycle(self):
        self.used["cycle"] += 1
        await asyncio.sleep(5)
        self._rig.soon(self._rig.session.power, "reboot")


class PowerKey(Power):
    """... to one that has a power key, which toggles."""

    async def on(self):
        await asyncio.sleep(1)
        self._rig.soon(self._rig.core.on_key, "pwrkey", None)


def patch():
    """Once per process."""
    handle.UdpLink = MemoryLink
    handle.DtlsSession = StandIn
    dtls.DtlsSession = StandIn


class Rig:
    """One modem and its world. `uart` is the device's end."""

    _identity = None

    def __init__(self, family, peer, seed):
        self.family = family
        self.rng = random.Random(seed)
        StandIn.rng = random.Random(seed + 1)
        self.clock = Clock()
        self.log = Log(self.clock)
        self.faults = FaultBoard(seed)
        self.uart = Uart(self.rng)
        self.uart.faults = self.faults
        self.network = MemoryLink.network = Network(peer, self.faults, self.rng)
        package = personality(family)
        resolver = Resolver([f"{host}:{port}=127.0.0.1:{port}" for host, port in ((HOST, PORT), PLAIN)])
        self.core = Core(self.clock, self.log, self.faults, self._nvs(), resolver, profile=package.PROFILE,
                         imei="352656100000001", fixed_place=True)
        self.session = package.Session(self.core, self.uart, agnss=True)
        self.power = Power(self) if family == "nrf91" else PowerKey(self)

    @classmethod
    def _nvs(cls):
        """A factory-new NVM; the identity key is made once, that costs time."""
        if cls._identity is None:
            cls._identity = Nvs()._data["identity"]
        nvs = Nvs.__new__(Nvs)
        nvs._path = None
        nvs._data = {"credentials": {}, "settings": {}, "identity": cls._identity, "files": {}, "values": {}}
        return nvs

    def soon(self, function, *args):
        """Call into the simulator from outside: in its own context, so that its tasks are not the device's."""
        asyncio.get_running_loop().call_soon(function, *args, context=self._context)

    def start(self):
        """Power on."""
        self._context = contextvars.copy_context()
        self.session.boot(first=True)

    def stream(self):
        """The UART for a device that starts."""
        return Stream(self)

    def cures(self, kind):
        """How often that has been done which ends a fault: "cfun", "restart" (of the modem, in any way), "cycle"."""
        if kind == "cycle":
            return self.power.used["cycle"]
        counters = self.log.counters
        return counters["cfun"] if kind == "cfun" else counters["reboot"] + counters["modem_reset"]

    def sockets(self):
        """How many sockets the modem has open."""
        return len(self.core.net.all())
