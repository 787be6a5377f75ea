"""One socket of the modem: a real UDP link, plain or with DTLS on top.

A received datagram waits in a bounded queue until it is pulled or auto-received. How a socket is spelled in AT is the
personality's. Owned by SocketTable.
"""

import asyncio
import collections
import dataclasses

from godwit.dtls import EngineError
from godwit.modem.dtls import CID_OFF, VERIFY_REQUIRED, CredentialError, DtlsSession
from godwit.modem.keystore import CLIENT_CERT, CLIENT_KEY, ROOT_CA
from godwit.modem.link import UdpLink

POLL_IN, POLL_OUT, POLL_ERR, POLL_HUP, POLL_NVAL = 1, 4, 8, 16, 32
OPT_KEEPOPEN, OPT_RAI = 34, 61
RAI_NO_DATA, RAI_LAST = 1, 2  # nothing follows; what is sent next is the last
_SAVED_MAX = 4
_HANDSHAKE_TURNS = 4  # the engines repeat a flight after 1, 2, 4 s of real time
SEC_HOSTNAME, SEC_VERIFY, SEC_CID, SEC_HANDSHAKE_TIMEOUT = 2, 5, 14, 18


@dataclasses.dataclass
class Tls:
    """How a DTLS client is to behave: PEM texts, verification (godwit.dtls.trust), host name or None for any.

    `now_s` is the Unix time that certificates are checked against, None does not check; `cid` as in godwit.modem.dtls.
    """

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    verify: int = VERIFY_REQUIRED
    hostname: str | None = None
    now_s: float | None = None
    timeout_s: float = 63
    cid: int = CID_OFF
    sni: str | None = None  # where it is sent, but not compared with the certificate


class Socket:
    """One handle. Plain attributes are read and set by the personality."""

    def __init__(self, table, handle, family, cid, sec_tag=None, verify=VERIFY_REQUIRED, tls=None):
        self._table = table
        self._core = table.core
        self.handle = handle
        self.family = family
        self.cid = cid
        self.sec_tag = sec_tag
        self.tls = tls  # a Tls, where credentials are not a security tag's
        self.options = {SEC_VERIFY: verify, SEC_HANDSHAKE_TIMEOUT: 63} if sec_tag is not None else {}
        self.auto = (0, False)  # #XRECVCFG: flags, hex
        self.poll_mask = table.poll_all
        self._armed = POLL_IN | POLL_OUT
        self._told = 0  # ERR/HUP/NVAL already reported
        self.dead = False  # killed by the loss of its PDN
        self.hup = False  # closed by the peer
        self.connected = False
        self.queue = collections.deque()
        self._queued = 0
        self._arrived = asyncio.Event()
        self._peer = None
        self._dtls = None
        self._link = UdpLink(self._core, self._datagram)

    # opening and closing

    async def connect(self, host, port):
        """DNS, then for DTLS the handshake. Raises OSError with the reason in words."""
        address = await self._table.resolve(host)
        if self.dead or self.connected:
            raise OSError("socket cannot connect")
        self._peer = self._table.resolver.target(address, port)
        if self.secure:
            await self._handshake()
        self.connected = True
        self._table.poll_soon(self)

    @property
    def secure(self):
        """Is it a DTLS socket?"""
        return self.sec_tag is not None or self.tls is not None

    def _by_tag(self):
        """What a security tag and the options of the socket say about the handshake."""
        hostname = self.options.get(SEC_HOSTNAME)
        if hostname is None and self.options[SEC_VERIFY] == VERIFY_REQUIRED:
            raise OSError("no HOSTNAME set")
        nvs, tag = self._core.nvs, self.sec_tag
        return Tls(nvs.get(tag, ROOT_CA), nvs.get(tag, CLIENT_CERT), nvs.get(tag, CLIENT_KEY),
                   self.options[SEC_VERIFY], None if hostname == "NULL" else hostname, self._core.rtc_s(),
                   self.options[SEC_HANDSHAKE_TIMEOUT], self.options.get(SEC_CID, CID_OFF))

    async def _handshake(self):
        tls = self.tls or self._by_tag()
        faults, peer = self._core.faults, self._peer
        self._core.log.event("dtls_start", handle=self.handle)

        def transmit(datagram):
            if "dtls_silent" not in faults.state():
                self._link.send(datagram, peer)

        try:
            session = DtlsSession({"ca": tls.ca, "cert": tls.cert, "key": tls.key}, tls.verify, tls.hostname, tls.now_s,
                                  transmit, self._enqueue_plain, self._peer_closed, cid=tls.cid,
                                  engine=self._table.engine, sni=tls.sni)
        except (CredentialError, EngineError) as err:
            raise OSError(str(err)) from err
        self._dtls = session
        if faults.on("dtls_alert"):
            session.refuse("fatal alert (fault)")
        else:
            session.start()
        await self._core.clock.network_wait(session.settled, tls.timeout_s, _HANDSHAKE_TURNS)
        if not session.open:
            reason = session.error or "handshake timeout"
            session.close()
            self._dtls = None
            self._core.log.event("dtls_failed", handle=self.handle, reason=reason)
            raise OSError(reason)
        self._core.log.event("dtls_open", handle=self.handle, suite=f"0x{session.suite:04x}", host=tls.hostname,
                             cid=session.cid_status)

    def close(self):
        """Close for good."""
        if self._dtls:
            self._dtls.close()
        self._link.close()
        self._arrived.set()

    def kill(self):
        """The PDN is gone; the handle stays until it is closed."""
        self.dead = True
        self._core.notify("closed", self)
        self._link.close()
        self._arrived.set()
        self._table.poll_soon(self)

    def rebind(self):
        """New source port."""
        self._link.rebind()

    @property
    def suite(self):
        """Cipher suite of the association."""
        return self._dtls.suite if self._dtls else 0

    @property
    def cid_status(self):
        """Whose records carry a connection ID: 0 nobody's, 1 the server's, 2 ours, 3 both."""
        return self._dtls.cid_status if self._dtls else 0

    # an association that rests

    @property
    def saved(self):
        """True between save() and load(): nothing may be sent or received."""
        return self._dtls is not None and self._dtls.saved

    def save(self):
        """#XSSOCKETOPT 19. Raises OSError: no association, no AEAD, busy, too many saved."""
        if self.dead or self._dtls is None:
            raise OSError("no association to save")
        if self.queue:
            raise OSError("busy: data waits to be read")
        if sum(sock.saved for sock in self._table.all()) >= _SAVED_MAX:
            raise OSError("too many saved")
        self._dtls.save()
        self._core.log.event("dtls_saved", handle=self.handle)

    def load(self):
        """#XSSOCKETOPT 20. Raises OSError when nothing was saved."""
        if self.dead or self._dtls is None:
            raise OSError("nothing saved")
        self._dtls.load()
        self._core.log.event("dtls_loaded", handle=self.handle)

    # data

    def send(self, data):
        """To the connected peer; returns the number of bytes. Raises OSError."""
        self._check_alive()
        if not self.connected or self.hup:
            raise OSError("not connected")
        self._armed |= POLL_OUT
        if self._dtls:
            self._dtls.send(data)
        else:
            self._link.send(data, self._peer)
        if self.options.get(OPT_RAI) == RAI_LAST:
            self._core.radio.release_soon()
        self._table.poll_soon(self)
        return len(data)

    async def send_to(self, data, host, port):
        """To any peer. Raises OSError."""
        address = await self._table.resolve(host)
        self._check_alive()
        if self.secure:
            raise OSError("DTLS sockets only send to their peer")
        self._armed |= POLL_OUT
        self._link.send(data, self._table.resolver.target(address, port))
        return len(data)

    async def wait(self, seconds):
        """Wait for data or the end; True when there is data. `seconds` None waits for ever."""
        while not self.queue and not self.dead and not self.hup:
            self._arrived.clear()
            if not await self._core.clock.network_wait(self._arrived, seconds):
                return False
        return bool(self.queue)

    def take(self, limit=65535, peek=False):
        """First datagram cut to `limit` (UDP: the rest is lost) and its public source: (bytes, (ip, port))."""
        self._armed |= POLL_IN
        data, source = self.queue[0]
        if not peek:
            self.queue.popleft()
            self._queued -= len(data)
            self._table.poll_soon(self)
        return data[:limit], source

    def _check_alive(self):
        if self.dead or not self._core.radio.pdn_up:
            raise OSError("no PDN")

    def _datagram(self, data, address):
        if self.connected and address != self._peer:
            self._core.log.count("datagrams_foreign")
        elif self._dtls:
            self._dtls.feed(data)
        elif not self.secure:
            self._enqueue(data, self._table.resolver.public(address))

    def _enqueue_plain(self, data):
        self._enqueue(data, self._table.resolver.public(self._peer))

    def _enqueue(self, data, source):
        if self._queued + len(data) > self._core.profile.queue_bytes or self._core.faults.on("rx_full"):
            self._core.log.count("datagrams_overflow")
            self._core.notify("rx_full", self)
            return
        self.queue.append((data, source))
        self._queued += len(data)
        self._arrived.set()
        self._core.notify("rx", self)
        self._table.poll_soon(self)

    def _peer_closed(self):
        self._core.log.event("dtls_closed", handle=self.handle, reason=self._dtls.error)
        self.hang_up()

    def hang_up(self):
        """The peer has closed."""
        self.hup = True
        self._core.notify("closed", self)
        self._arrived.set()
        self._table.poll_soon(self)

    def deliver(self, data, source):
        """A datagram, past the network."""
        self._enqueue(data, source)

    def wake(self):
        """Whoever waits for data looks again."""
        self._arrived.set()
        self._table.poll_soon(self)

    # readiness

    def set_poll(self, mask):
        """#XAPOLL: event mask, None switches off."""
        self.poll_mask = mask
        self._armed = POLL_IN | POLL_OUT
        self._table.poll_soon(self)

    def take_events(self):
        """Events to report now; IN and OUT are one-shot until re-armed, the others come once."""
        if self.poll_mask is None:
            return 0
        ready = (POLL_IN if self.queue else 0) | (POLL_OUT if self.connected and not (self.dead or self.hup) else 0)
        ready &= self._armed & self.poll_mask
        self._armed &= ~ready
        bad = (POLL_HUP if self.dead or self.hup else 0) & ~self._told
        self._told |= bad
        return ready | bad


