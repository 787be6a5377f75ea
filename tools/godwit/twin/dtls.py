"""DTLS 1.2 server over one UDP socket, many sessions (RFC 6347, RFC 9146), on an engine of godwit.dtls.

Cookies are exchanged before a handshake costs anything; a new ClientHello from a known address runs beside the old
session, which it replaces only when its handshake is complete (RFC 6347 section 4.2.8). A client that offers a
connection ID is given one, and is then known by it, wherever its records come from; the address that answers go to
changes only with a record that is good and newer than any before (RFC 9146 section 6). Records of sessions that are
not known (a restarted twin) are dropped without an answer. No client certificate is asked for.
Called by coap_transport.py, which receives plaintext and session ends through callbacks.
"""

import asyncio
import os
import time

from ..dtls import EngineError, choose
from ..dtls.records import CCS, CID, DATA, SUITES, client_random, connection_id, number, split_records

_HANDSHAKE_LIFETIME_S = 60
_MAX_HANDSHAKES = 256
_MAX_SESSIONS = 1024
_CID_BYTES = 8
_DROPPED = ("repeated", "forged")


class Context:
    """Engine, certificate and key of a server. Raises EngineError, OSError when a file is missing, ValueError when
    certificate and key do not fit."""

    def __init__(self, cert_file, key_file, engine="auto"):
        module = choose(engine)
        self.engine = module.NAME
        self.cid = module.CID
        self._make = module.server(cert_file, key_file)

    def new(self, addr):
        """-> (engine, its connection ID or None) for a client at `addr`."""
        cid = os.urandom(_CID_BYTES) if self.cid else None
        return self._make(repr(addr).encode(), cid), cid


class Session:
    """One DTLS association. `traffic` counts datagrams and bytes as seen on the wire, both ways."""

    def __init__(self, server, addr, random):
        self.server = server
        self.addr = addr
        self.random = random
        self.id = None  # given when the handshake is complete
        self.established = False
        self.closed = False
        self.ccs_seen = False
        self.rebinds = 0
        self.started = time.monotonic()
        self.traffic = {"datagrams_up": 0, "datagrams_down": 0, "bytes_up": 0, "bytes_down": 0}
        self.handshake_datagrams = 0
        self.device = None  # who authenticated, and until when (world ms); site.py's
        self.expires_at = 0
        self._newest = -1  # number of the newest good record with a connection ID
        self._timer = None
        self._engine, self.offered = server.context.new(addr)
        self.cid = None  # the connection ID, when the client took the one that was offered

    @property
    def cipher(self):
        """OpenSSL's name of the negotiated cipher suite."""
        return SUITES.get(self._engine.suite)

    def feed(self, data, records):
        """Give a datagram to the engine; returns the plaintexts that came out."""
        # ChangeCipherSpec before any key exchange would make a later encrypted alert look like ours.
        self.ccs_seen = self.ccs_seen or any(kind == CCS and not epoch for kind, epoch, _ in records)
        messages = self._engine.receive(data)
        self._advance()
        return messages

    def verdict(self, record):
        """On a record with our connection ID: "newest" or "good" (older, but not seen before), "repeated", "forged"."""
        verdict = self._engine.verdict(record)
        if verdict == "good" and number(record) > self._newest:
            self._newest = number(record)
            return "newest"
        return verdict

    def send(self, payload):
        """Encrypt and send one message."""
        if self.closed:
            return
        try:
            self._engine.send(payload)
        except EngineError:
            self.server.drop(self, "send failed")
            return
        self._flush()

    def shutdown(self):
        """Send close_notify; errors do not matter any more."""
        self._engine.close()
        self._flush()

    def discard(self):
        """Stop timers; the session must not be used afterwards."""
        self.closed = True
        self._cancel_timer()
        self._engine.free()

    def _advance(self):
        """After each turn of the engine: its datagrams, its state, its timer."""
        self._flush()
        if self._engine.established and not self.established:
            self.established = True
            self.cid = self._engine.own_cid or None
            self.handshake_datagrams = self.traffic["datagrams_up"] + self.traffic["datagrams_down"]
            self.server.handshake_done(self)
        reason = self._engine.ended
        if reason and self.established:
            self.shutdown()
            self.server.drop(self, reason)
        elif reason:
            self.server.handshake_failed(self, reason)
        if not self.closed:
            self._arm_timer()

    def _flush(self):
        for datagram in self._engine.outgoing():
            self.server.transmit(datagram, self)

    def _arm_timer(self):
        self._cancel_timer()
        timeout = self._engine.timeout()
        if timeout is not None:
            self._timer = asyncio.get_running_loop().call_later(max(timeout, 0.01), self._on_timer)

    def _on_timer(self):
        self._timer = None
        self._engine.expired()
        self._advance()

    def _cancel_timer(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(asyncio.DatagramProtocol):
    """The UDP socket and its sessions.

    on_open(session), on_message(session, bytes), on_close(session, reason), on_failure(addr, reason) and
    on_rebind(session, old addr) are called from the event loop. `link` decides the fate of each datagram
    (faults.Link). `counters`: datagrams with a connection ID that were dropped, because nobody knows the session, or
    their first record is not well formed, seen before, or not authentic.
    """

    def __init__(self, context, link, on_open, on_message, on_close, on_failure, on_rebind):
        self.context = context
        self.link = link
        self.on_open, self.on_message = on_open, on_message
        self.on_close, self.on_failure = on_close, on_failure
        self.on_rebind = on_rebind
        self.sessions = {}  # id(session) -> established Session
        self.handshakes = {}  # address -> Session whose handshake is under way
        self.counters = dict.fromkeys(("cid_unknown", "cid_malformed", "cid_repeated", "cid_forged"), 0)
        self._by_addr = {}  # address -> the session that was there last
        self._by_cid = {}  # connection ID -> Session, also of those whose handshake is under way
        self._transport = None

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, addr):
        self.link.deliver("up", len(data), lambda: self._received(data, addr))

    def error_received(self, exc):
        """ICMP errors are ignored: the client's own timers decide."""

    def transmit(self, datagram, session):
        """Send one datagram of a session."""
        session.traffic["datagrams_down"] += 1
        session.traffic["bytes_down"] += len(datagram)
        self.link.deliver("down", len(datagram), lambda: self._sendto(datagram, session.addr))

    def handshake_done(self, session):
        """A handshake is complete: the session takes the place of an older one of the same address."""
        self.handshakes.pop(session.addr, None)
        if session.cid is None:
            self._by_cid.pop(session.offered, None)
        while len(self.sessions) >= _MAX_SESSIONS:
            self.drop(next(iter(self.sessions.values())), "too many sessions")
        self._take_address(session)
        self.sessions[id(session)] = session
        self.on_open(session)

    def handshake_failed(self, session, reason):
        """A handshake died: forget it and say why."""
        if self.handshakes.get(session.addr) is session:
            del self.handshakes[session.addr]
        self._discard(session)
        self.on_failure(session.addr, reason)

    def drop(self, session, reason):
        """Forget an established session."""
        if session.closed:
            return
        self.sessions.pop(id(session), None)
        if self._by_addr.get(session.addr) is session:
            del self._by_addr[session.addr]
        self._discard(session)
        self.on_close(session, reason)

    def close(self):
        """Say good-bye to every session and close the socket."""
        for session in list(self.sessions.values()):
            session.shutdown()
            self.drop(session, "server closed")
        for session in list(self.handshakes.values()):
            self._discard(session)
        self.handshakes.clear()
        if self._transport is not None:
            self._transport.close()

    def _discard(self, session):
        self._by_cid.pop(session.offered, None)
        session.discard()

    def _take_address(self, session):
        """The address is this session's now. A session without connection ID that had it cannot be reached any more."""
        old = self._by_addr.get(session.addr)
        if old is not None and old is not session and old.cid is None:
            self.drop(old, "replaced")
        self._by_addr[session.addr] = session

    def _sendto(self, datagram, addr):
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, addr)

    def _received(self, data, addr):
        if data[:1] == bytes([CID]) and self.context.cid:
            records, session = self._route_by_cid(data, addr)
        else:
            records = split_records(data, _CID_BYTES if self.context.cid else 0)
            session = self._route(records, addr) if records else None
        if session is None:
            return
        session.traffic["datagrams_up"] += 1
        session.traffic["bytes_up"] += len(data)
        for message in session.feed(data, records):
            if not session.closed:
                self.on_message(session, message)

    def _route_by_cid(self, data, addr):
        """-> (records, session or None); a session's address changes here."""
        records = split_records(data, _CID_BYTES)
        session = self._by_cid.get(connection_id(records[0][2], _CID_BYTES)) if records else None
        if session is None:
            self.counters["cid_unknown" if records else "cid_malformed"] += 1
            return records, None
        if not session.established:  # the last flight; its keys may not be there yet
            return records, session if addr == session.addr else None
        verdict = session.verdict(records[0][2])
        if verdict in _DROPPED:
            self.counters["cid_" + verdict] += 1
            return records, None
        if verdict == "newest" and addr != session.addr:
            self._rebind(session, addr)
        return records, session

    def _rebind(self, session, addr):
        old, session.addr = session.addr, addr
        if self._by_addr.get(old) is session:
            del self._by_addr[old]
        self._take_address(session)
        session.rebinds += 1
        self.on_rebind(session, old)

    def _route(self, records, addr):
        """The session that a datagram without connection ID belongs to; None when nobody knows it."""
        kind, epoch, _ = records[0]
        established = self._by_addr.get(addr)
        pending = self.handshakes.get(addr)
        random = client_random(records[0])
        if random is not None:
            if established is not None and established.random == random:
                return None  # a late copy of the ClientHello that made this session
            if pending is None or pending.random != random:
                pending = self._new_handshake(addr, random)
            return pending
        if pending is not None and (not epoch or (kind != DATA and pending.ccs_seen)):
            return pending
        return established

    def _new_handshake(self, addr, random):
        now = time.monotonic()
        stale = [s for s in self.handshakes.values() if now - s.started > _HANDSHAKE_LIFETIME_S or s.addr == addr]
        for session in stale:
            self._discard(session)
            del self.handshakes[session.addr]
        if len(self.handshakes) >= _MAX_HANDSHAKES:
            oldest = next(iter(self.handshakes.values()))
            self._discard(oldest)
            del self.handshakes[oldest.addr]
        session = self.handshakes[addr] = Session(self, addr, random)
        if session.offered is not None:
            self._by_cid[session.offered] = session
        return session
