"""DTLS 1.2 server over one UDP socket, many sessions, pyOpenSSL with memory BIOs (RFC 6347).

A memory BIO is a byte stream, so records are split from and packed into datagrams here. Cookies are
exchanged before a handshake costs anything; a new ClientHello from a known address runs beside the old
session, which it replaces only when its handshake is complete (RFC 6347 section 4.2.8). Records of
sessions that are not known (a restarted twin) are dropped without an answer. No client certificate is
asked for; RFC 9146 connection ids are not offered (OpenSSL has none).
Called by coap_transport.py, which receives plaintext and session ends through two callbacks.
"""

import asyncio
import hmac
import os
import time
from pathlib import Path

from OpenSSL import SSL

_HEADER = 13  # type, version (2), epoch (2), sequence (6), length (2)
_CCS, _ALERT, _HANDSHAKE, _DATA = 20, 21, 22, 23
_CLIENT_HELLO = 1
_RANDOM_AT = _HEADER + 12 + 2  # record header, handshake header, client_version
_HANDSHAKE_LIFETIME_S = 60
_MAX_HANDSHAKES = 256
_MAX_SESSIONS = 1024
_MTU = 1280
_DTLS_1_2 = 0xFEFD
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-SHA256:"
    b"ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES128-CCM8:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA"
)


def make_context(cert_file, key_file):
    """OpenSSL context of the server. Raises OSError when a file is missing, ValueError when it does not fit."""
    for name in (cert_file, key_file):
        Path(name).read_bytes()
    context = SSL.Context(SSL.DTLS_SERVER_METHOD)
    context.set_min_proto_version(_DTLS_1_2)
    context.set_max_proto_version(_DTLS_1_2)
    context.set_options(SSL.OP_NO_QUERY_MTU | SSL.OP_COOKIE_EXCHANGE | SSL.OP_NO_RENEGOTIATION)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)  # AES-128-GCM first: cheapest for a small node
    context.set_verify(SSL.VERIFY_NONE)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_cipher_list(_CIPHERS)
    try:
        context.use_certificate_chain_file(str(cert_file))
        context.use_privatekey_file(str(key_file))
        context.check_privatekey()
    except SSL.Error as exc:
        raise ValueError(f"certificate {cert_file} and key {key_file} do not fit: {exc}") from exc
    secret = os.urandom(32)
    context.set_cookie_generate_callback(lambda conn: _cookie(secret, conn))
    context.set_cookie_verify_callback(lambda conn, cookie: hmac.compare_digest(_cookie(secret, conn), cookie))
    return context


def _cookie(secret, conn):
    return hmac.digest(secret, repr(conn.get_app_data()).encode(), "sha256")


def split_records(data):
    """The well-formed DTLS records of a datagram, as (type, epoch, bytes). Stops at the first malformed one."""
    records = []
    while len(data) >= _HEADER:
        size = _HEADER + int.from_bytes(data[11:13], "big")
        if not _CCS <= data[0] <= _DATA or data[1] != 0xFE or size > len(data):
            break
        records.append((data[0], int.from_bytes(data[3:5], "big"), bytes(data[:size])))
        data = data[size:]
    return records


def client_random(record):
    """The 32 random bytes of a ClientHello in a plaintext record (type, epoch, bytes), else None."""
    kind, epoch, raw = record
    if kind != _HANDSHAKE or epoch or len(raw) < _RANDOM_AT + 32 or raw[_HEADER] != _CLIENT_HELLO:
        return None
    if any(raw[_HEADER + 6 : _HEADER + 9]):  # a later fragment carries no random
        return None
    return raw[_RANDOM_AT : _RANDOM_AT + 32]


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
        self.started = time.monotonic()
        self.traffic = {"datagrams_up": 0, "datagrams_down": 0, "bytes_up": 0, "bytes_down": 0}
        self.handshake_datagrams = 0
        self.device = None  # who authenticated, and until when (world ms); site.py's
        self.expires_at = 0
        self._timer = None
        self._conn = SSL.Connection(server.context, None)
        self._conn.set_app_data(addr)
        self._conn.set_ciphertext_mtu(_MTU)
        self._conn.set_accept_state()

    @property
    def cipher(self):
        """OpenSSL's name of the negotiated cipher suite."""
        return self._conn.get_cipher_name()

    def feed(self, records):
        """Give the records of one datagram to OpenSSL; returns the plaintexts that came out."""
        messages = []
        for kind, epoch, raw in records:
            # ChangeCipherSpec before any key exchange would make a later encrypted alert look like ours.
            self.ccs_seen = self.ccs_seen or (kind == _CCS and not epoch)
            self._conn.bio_write(raw)
            if not self.established:
                self._advance_handshake()
            if self.established:
                self._read(messages)
            if self.closed:
                break
        return messages

    def send(self, payload):
        """Encrypt and send one message."""
        if self.closed:
            return
        try:
            self._conn.send(payload)
        except SSL.Error:
            self.server.drop(self, "send failed")
            return
        self._flush()

    def shutdown(self):
        """Send close_notify; errors do not matter any more."""
        try:
            self._conn.shutdown()
            self._flush()
        except SSL.Error:
            pass

    def discard(self):
        """Stop timers; the session must not be used afterwards."""
        self.closed = True
        self._cancel_timer()

    def _advance_handshake(self):
        try:
            self._conn.do_handshake()
        except SSL.WantReadError:
            self._flush()
            self._arm_timer()
            return
        except SSL.Error as exc:
            self._flush()  # the alert
            self.server.handshake_failed(self, _reason(exc))
            return
        self._flush()
        self._cancel_timer()
        self.established = True
        self.handshake_datagrams = self.traffic["datagrams_up"] + self.traffic["datagrams_down"]
        self.server.handshake_done(self)

    def _read(self, messages):
        while True:
            try:
                messages.append(self._conn.recv(16384))
            except SSL.WantReadError:
                self._flush()  # a retransmitted Finished makes OpenSSL repeat its last flight
                return
            except SSL.ZeroReturnError:
                self.shutdown()
                self.server.drop(self, "closed by peer")
                return
            except SSL.Error as exc:
                self._flush()
                self.server.drop(self, _reason(exc))
                return

    def _flush(self):
        """Pack what OpenSSL wrote into datagrams of whole records, none longer than the MTU if it can be."""
        output = bytearray()
        while True:
            try:
                output += self._conn.bio_read(65536)
            except SSL.WantReadError:
                break
        datagram = b""
        for _, _, raw in split_records(memoryview(output)):
            if datagram and len(datagram) + len(raw) > _MTU:
                self.server.transmit(datagram, self)
                datagram = b""
            datagram += raw
        if datagram:
            self.server.transmit(datagram, self)

    def _arm_timer(self):
        self._cancel_timer()
        timeout = self._conn.DTLSv1_get_timeout()
        if timeout is not None:
            self._timer = asyncio.get_running_loop().call_later(max(timeout, 0.01), self._on_timer)

    def _on_timer(self):
        self._timer = None
        try:
            self._conn.DTLSv1_handle_timeout()
        except SSL.Error as exc:
            self.server.handshake_failed(self, _reason(exc))
            return
        self._flush()
        self._arm_timer()

    def _cancel_timer(self):
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _reason(exc):
    """One short text out of an OpenSSL error."""
    details = exc.args[0] if exc.args else ()
    return details[0][-1] if details and isinstance(details, list) else type(exc).__name__


class Server(asyncio.DatagramProtocol):
    """The UDP socket and its sessions.

    on_open(session), on_message(session, bytes), on_close(session, reason) and on_failure(addr, reason)
    are called from the event loop. `link` decides the fate of each datagram (faults.Link).
    """

    def __init__(self, context, link, on_open, on_message, on_close, on_failure):
        self.context = context
        self.link = link
        self.on_open, self.on_message = on_open, on_message
        self.on_close, self.on_failure = on_close, on_failure
        self.sessions = {}  # address -> established Session
        self.handshakes = {}  # address -> Session whose handshake is under way
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
        old = self.sessions.pop(session.addr, None)
        if old is not None:
            self.drop(old, "replaced")
        while len(self.sessions) >= _MAX_SESSIONS:
            self.drop(next(iter(self.sessions.values())), "too many sessions")
        self.sessions[session.addr] = session
        self.on_open(session)

    def handshake_failed(self, session, reason):
        """A handshake died: forget it and say why."""
        if self.handshakes.get(session.addr) is session:
            del self.handshakes[session.addr]
        session.discard()
        self.on_failure(session.addr, reason)

    def drop(self, session, reason):
        """Forget an established session."""
        if session.closed:
            return
        if self.sessions.get(session.addr) is session:
            del self.sessions[session.addr]
        session.discard()
        self.on_close(session, reason)

    def close(self):
        """Say good-bye to every session and close the socket."""
        for session in list(self.sessions.values()):
            session.shutdown()
            self.drop(session, "server closed")
        for session in list(self.handshakes.values()):
            session.discard()
        self.handshakes.clear()
        if self._transport is not None:
            self._transport.close()

    def _sendto(self, datagram, addr):
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram, addr)

    def _received(self, data, addr):
        records = split_records(data)
        session = self._route(records, addr) if records else None
        if session is None:
            return
        session.traffic["datagrams_up"] += 1
        session.traffic["bytes_up"] += len(data)
        for message in session.feed(records):
            if not session.closed:
                self.on_message(session, message)

    def _route(self, records, addr):
        """The session that a datagram belongs to; None when nobody knows it."""
        kind, epoch, _ = records[0]
        established = self.sessions.get(addr)
        pending = self.handshakes.get(addr)
        random = client_random(records[0])
        if random is not None:
            if established is not None and established.random == random:
                return None  # a late copy of the ClientHello that made this session
            if pending is None or pending.random != random:
                pending = self._new_handshake(addr, random)
            return pending
        if pending is not None and (not epoch or (kind != _DATA and pending.ccs_seen)):
            return pending
        return established

    def _new_handshake(self, addr, random):
        now = time.monotonic()
        stale = [s for s in self.handshakes.values() if now - s.started > _HANDSHAKE_LIFETIME_S or s.addr == addr]
        for session in stale:
            session.discard()
            del self.handshakes[session.addr]
        if len(self.handshakes) >= _MAX_HANDSHAKES:
            oldest = next(iter(self.handshakes.values()))
            oldest.discard()
            del self.handshakes[oldest.addr]
        session = self.handshakes[addr] = Session(self, addr, random)
        return session
