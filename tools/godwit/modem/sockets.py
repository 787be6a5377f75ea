"""The modem's sockets: eight handles over real UDP links, plain or with DTLS on top.

Only the semantics live here (handles, queues, readiness, death with the PDN); how they are spelled in AT is the
personality's. A received datagram waits in a bounded queue until it is pulled or auto-received.
"""

import asyncio
import collections

from godwit.dtls import EngineError
from godwit.modem.dtls import CID_OFF, VERIFY_REQUIRED, CredentialError, DtlsSession
from godwit.modem.keystore import CLIENT_CERT, CLIENT_KEY, ROOT_CA
from godwit.modem.link import UdpLink

HANDLES = 8
QUEUE_BYTES = 32768
POLL_IN, POLL_OUT, POLL_ERR, POLL_HUP, POLL_NVAL = 1, 4, 8, 16, 32
OPT_KEEPOPEN, OPT_RAI = 34, 61
RAI_LAST = (1, 2)  # no more data; this was the last
_SAVED_MAX = 4
_HANDSHAKE_TURNS = 4  # the engines repeat a flight after 1, 2, 4 s of real time
SEC_HOSTNAME, SEC_VERIFY, SEC_CID, SEC_HANDSHAKE_TIMEOUT = 2, 5, 14, 18


class Socket:
    """One handle. Plain attributes are read and set by the personality."""

    def __init__(self, table, handle, family, cid, sec_tag=None, verify=VERIFY_REQUIRED):
        self._table = table
        self._core = table.core
        self.handle = handle
        self.family = family
        self.cid = cid
        self.sec_tag = sec_tag
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
        if self.sec_tag is not None:
            await self._handshake()
        self.connected = True
        self._table.poll_soon(self)

    async def _handshake(self):
        hostname = self.options.get(SEC_HOSTNAME)
        if hostname is None and self.options[SEC_VERIFY] == VERIFY_REQUIRED:
            raise OSError("no HOSTNAME set")
        nvs, tag = self._core.nvs, self.sec_tag
        credentials = {"ca": nvs.get(tag, ROOT_CA), "cert": nvs.get(tag, CLIENT_CERT), "key": nvs.get(tag, CLIENT_KEY)}
        now_s = self._core.clock.now_ms() / 1000 if self._core.time_known else None
        peer = self._peer
        try:
            session = DtlsSession(credentials, self.options[SEC_VERIFY], None if hostname == "NULL" else hostname,
                                  now_s, lambda datagram: self._link.send(datagram, peer), self._enqueue_plain,
                                  self._peer_closed, cid=self.options.get(SEC_CID, CID_OFF),
                                  engine=self._table.engine)
        except (CredentialError, EngineError) as err:
            raise OSError(str(err)) from err
        self._dtls = session
        session.start()
        await self._core.clock.network_wait(session.settled, self.options[SEC_HANDSHAKE_TIMEOUT], _HANDSHAKE_TURNS)
        if not session.open:
            reason = session.error or "handshake timeout"
            session.close()
            self._dtls = None
            self._core.log.event("dtls_failed", handle=self.handle, reason=reason)
            raise OSError(reason)
        self._core.log.event("dtls_open", handle=self.handle, suite=f"0x{session.suite:04x}", host=hostname,
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
        if self.options.get(OPT_RAI) in RAI_LAST:
            self._core.radio.release_soon()
        self._table.poll_soon(self)
        return len(data)

    async def send_to(self, data, host, port):
        """To any peer. Raises OSError."""
        address = await self._table.resolve(host)
        self._check_alive()
        if self.sec_tag is not None:
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
        elif self.sec_tag is None:
            self._enqueue(data, self._table.resolver.public(address))

    def _enqueue_plain(self, data):
        self._enqueue(data, self._table.resolver.public(self._peer))

    def _enqueue(self, data, source):
        if self._queued + len(data) > QUEUE_BYTES:
            self._core.log.count("datagrams_overflow")
            return
        self.queue.append((data, source))
        self._queued += len(data)
        self._arrived.set()
        self._core.notify("rx")
        self._table.poll_soon(self)

    def _peer_closed(self):
        self._core.log.event("dtls_closed", handle=self.handle, reason=self._dtls.error)
        self.hup = True
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


class SocketTable:
    """All handles of the modem."""

    def __init__(self, core, resolver, engine="auto"):
        self.core = core
        self.engine = engine  # of godwit.dtls, for DTLS sockets
        self.resolver = resolver
        self.poll_all = None  # mask for present and future sockets
        self._sockets = {}

    def open(self, family, cid=0, sec_tag=None, verify=VERIFY_REQUIRED):
        """A new Socket. Raises OSError when all handles are taken."""
        free = [h for h in range(HANDLES) if h not in self._sockets]
        if not free:
            raise OSError("out of handles")
        sock = Socket(self, free[0], family, cid, sec_tag, verify)
        self._sockets[sock.handle] = sock
        self.core.log.event("socket_open", handle=sock.handle, dtls=sec_tag is not None)
        return sock

    def get(self, handle):
        """The Socket of a handle. Raises KeyError."""
        return self._sockets[handle]

    def all(self):
        """All Sockets by handle."""
        return [self._sockets[h] for h in sorted(self._sockets)]

    def close(self, handle):
        """Close one. Raises KeyError."""
        self._sockets.pop(handle).close()
        self.core.log.event("socket_close", handle=handle)

    def close_all(self):
        """Close all and forget the poll setting."""
        for sock in self.all():
            self.close(sock.handle)
        self.poll_all = None

    def pdn_lost(self, keep_open):
        """Sockets die with the PDN."""
        for sock in self.all():
            if keep_open and sock.options.get(OPT_KEEPOPEN):
                sock.rebind()  # it lives on, but the next PDN has another address
            else:
                sock.kill()

    def rebind(self):
        """A new NAT mapping for every socket."""
        for sock in self.all():
            if not sock.dead:
                sock.rebind()

    async def resolve(self, host):
        """Public address of a host. Raises OSError."""
        if not self.core.radio.pdn_up:
            raise OSError("no PDN")
        if not host[:1].isdigit():
            await self.core.clock.sleep(self.core.timing["dns"])
        address = self.resolver.address(host)
        if address is None:
            raise OSError("host not found")
        return address

    def poll_soon(self, sock):
        """Report readiness at the end of this turn, so that data and close come as one event."""
        if sock.poll_mask is not None:
            asyncio.get_running_loop().call_soon(self._report, sock)

    def _report(self, sock):
        if self._sockets.get(sock.handle) is not sock:
            return
        events = sock.take_events()
        if events:
            self.core.notify("xapoll", sock.handle, events)

    def describe(self):
        """For the control socket."""
        return [{"handle": s.handle, "dtls": s.sec_tag is not None, "connected": s.connected, "dead": s.dead,
                 "cid": s.cid_status, "saved": s.saved, "queued": len(s.queue)} for s in self.all()]
