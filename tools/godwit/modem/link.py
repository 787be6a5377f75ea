"""The way out of the modem: names, addresses, and UDP on the loopback with the faults of a radio link.

Every mapped host name gets a public-looking address (192.0.2.x), which is what the AT side sees; behind it stands a
real peer on this machine. Loopback addresses are reachable as they are; anything else is a black hole.
A link is one NAT mapping: `rebind` gives it a new source port, which is how a lost mapping looks to the peer.
"""

import asyncio
import ipaddress
import socket

_FIRST = ipaddress.IPv4Address("192.0.2.10")
_OVERTAKEN_S = 0.1  # real seconds that the fault `reorder` holds a datagram back


class ResolveError(ValueError):
    """A --resolve that cannot be read."""


class Resolver:
    """HOST:PORT=ADDR:PORT rules; PORT `*` keeps every port as it is."""

    def __init__(self, rules=()):
        self._names = {}
        self._targets = {}
        self._publics = {}
        for rule in rules:
            self.add(rule)

    def add(self, rule):
        """Add one rule. Raises ResolveError."""
        left, equals, right = rule.partition("=")
        host, colon, port = left.rpartition(":")
        address, colon2, real_port = right.rpartition(":")
        if not (equals and colon and colon2 and host and address):
            raise ResolveError(f"not HOST:PORT=ADDR:PORT: {rule}")
        try:
            pair = ("*", None) if port == "*" else (int(port), int(real_port))
        except ValueError as err:
            raise ResolveError(f"bad port: {rule}") from err
        public = self._names.setdefault(host.lower(), str(_FIRST + len(self._names)))
        self._targets[public, pair[0]] = (address, pair[1])
        self._publics[address, pair[1]] = (public, pair[0])

    def address(self, host):
        """Public address of a name or literal; None when it does not exist."""
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            return self._names.get(host.lower())

    def target(self, address, port):
        """Real (address, port) behind a public one; None is a black hole."""
        if ipaddress.IPv4Address(address).is_loopback:
            return address, port
        for key in (port, "*"):
            real = self._targets.get((address, key))
            if real:
                return real[0], port if real[1] is None else real[1]
        return None

    def public(self, real):
        """What the AT side sees for a real peer."""
        found = self._publics.get(real) or self._publics.get((real[0], None))
        if not found:
            return real
        return found[0], real[1] if found[1] == "*" else found[1]


class UdpLink:
    """One UDP socket of the modem. `on_datagram(data, real_address)` gets what came down."""

    def __init__(self, core, on_datagram):
        self._core = core
        self._on_datagram = on_datagram
        self._socket = None
        self._heard_ms = core.clock.now_ms()
        self._open()

    def _open(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(("127.0.0.1", 0))
        asyncio.get_running_loop().add_reader(self._socket, self._readable, self._socket)

    def close(self):
        """No more traffic."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def rebind(self):
        """The NAT forgot us: same peer, new source port; what is under way to the old one is lost."""
        if self._socket is not None:
            self.close()
            self._open()

    def _forgotten(self):
        """Has the network's NAT dropped the mapping?"""
        limit_s = self._core.nat_timeout_s
        return bool(limit_s) and self._core.clock.now_ms() - self._heard_ms > limit_s * 1000

    @property
    def port(self):
        """Our source port as the peer sees it."""
        return self._socket.getsockname()[1]

    def send(self, data, target):
        """Send one datagram to a real address (None: into the void), once RRC is connected."""
        self._core.radio.activity(lambda: self._uplink(bytes(data), target))

    def _uplink(self, data, target):
        if self._forgotten():
            self._core.log.event("nat_expired")
            self.rebind()
        self._heard_ms = self._core.clock.now_ms()
        self._core.log.count("datagrams_up")
        self._core.log.count("bytes_up", len(data))
        if target is not None:
            self._with_faults(self._transmit, data, target)

    def _transmit(self, data, target):
        if self._socket is None:
            return
        try:
            self._socket.sendto(data, target)
        except OSError:
            self._core.log.count("udp_send_errors")

    def _readable(self, sock):
        for _ in range(64):
            try:
                data, address = sock.recvfrom(65535)
            except (BlockingIOError, OSError):
                return
            self._with_faults(self._downlink, data, address)
            if self._socket is not sock:
                return

    def _downlink(self, data, address):
        if self._socket is None or not self._core.radio.pdn_up or not self._core.radio.registered or self._forgotten():
            self._core.log.count("datagrams_lost_down")
            return
        self._heard_ms = self._core.clock.now_ms()
        self._core.log.count("datagrams_down")
        self._core.log.count("bytes_down", len(data))
        self._core.radio.activity()
        self._on_datagram(data, address)

    def _with_faults(self, deliver, data, address):
        faults = self._core.faults
        if faults.chance("drop"):
            self._core.log.count("datagrams_dropped")
            return
        if faults.chance("reorder"):
            asyncio.get_running_loop().call_later(_OVERTAKEN_S, deliver, data, address)
            return
        copies = 2 if faults.chance("dup") else 1
        delay_ms = faults.arg("delay", 100) or 0
        for _ in range(copies):
            if delay_ms:
                asyncio.get_running_loop().call_later(delay_ms / 1000, deliver, data, address)
            else:
                deliver(data, address)
