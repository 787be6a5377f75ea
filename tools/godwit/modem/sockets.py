"""The modem's sockets: handles over real UDP links with the semantics of all families (death with the PDN, faults)."""

import asyncio

from godwit.modem.dtls import VERIFY_REQUIRED
from godwit.modem.handle import OPT_KEEPOPEN, Socket, Tls

__all__ = ["SocketTable", "Tls"]

POISON = b"\r\nOK\r\n\r\n+CME ERROR: 3\r\n> +++@\x1a\x00\xff\r\nERROR\r\n\x11\x13\"CONNECT\r\nRDY\r\n"


class SocketTable:
    """All handles of the modem."""

    def __init__(self, core, resolver, engine="auto"):
        self.core = core
        self.engine = engine  # of godwit.dtls, for DTLS sockets
        self.resolver = resolver
        self.poll_all = None  # mask for present and future sockets
        self._sockets = {}

    def open(self, family=1, cid=0, sec_tag=None, verify=VERIFY_REQUIRED, *, handle=None, tls=None):
        """A new Socket, with the first free handle or this one. Raises OSError when it is taken, or all are."""
        free = [h for h in range(self.core.profile.handles) if h not in self._sockets and handle in (None, h)]
        if not free:
            raise OSError("out of handles")
        sock = Socket(self, free[0], family, cid, sec_tag, verify, tls)
        self._sockets[sock.handle] = sock
        self.core.log.event("socket_open", handle=sock.handle, dtls=sock.secure)
        return sock

    def close_by_peer(self):
        """Fault: every connected peer says goodbye."""
        for sock in self.all():
            if sock.connected and not (sock.dead or sock.hup):
                sock.hang_up()
                sock.wake()

    def poison(self):
        """Fault: a datagram that looks like everything a parser must not take it for."""
        for sock in self.all():
            if not (sock.dead or sock.hup):
                sock.deliver(POISON, ("192.0.2.66", 6666))

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
        return [{"handle": s.handle, "dtls": s.secure, "connected": s.connected, "dead": s.dead,
                 "cid": s.cid_status, "saved": s.saved, "queued": len(s.queue)} for s in self.all()]
