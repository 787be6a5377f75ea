"""The OpenSSL engine: DTLS 1.2 by pyOpenSSL over memory BIOs. No connection IDs: OpenSSL has no RFC 9146.

See godwit.dtls for the interface. A memory BIO is a byte stream, so records are split from and packed into datagrams
here. Called by twin/dtls.py and modem/dtls.py where Mbed TLS is not there, or --dtls-engine says so.
"""

import hmac
import os
from pathlib import Path

from OpenSSL import SSL, crypto

from godwit.dtls import EngineError
from godwit.dtls.records import MODEM_SUITES, SERVER_SUITES, SUITES, number_of, split_records
from godwit.dtls.trust import VERIFY_NONE, VERIFY_REQUIRED, CredentialError, certificates

NAME = "openssl"
CID = False
_MTU = 1280
_DTLS_1_2 = 0xFEFD
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME


def check():
    """pyOpenSSL is a requirement: it is there."""


def server(cert_file, key_file):
    """See godwit.dtls. Raises OSError when a file is missing, ValueError when the two do not fit."""
    for name in (cert_file, key_file):
        Path(name).read_bytes()
    context = _context(SSL.DTLS_SERVER_METHOD, SERVER_SUITES)
    context.set_options(SSL.OP_COOKIE_EXCHANGE | SSL.OP_NO_RENEGOTIATION)
    context.set_options(SSL.OP_CIPHER_SERVER_PREFERENCE)  # AES-128-GCM first: cheapest for a small node
    context.set_verify(SSL.VERIFY_NONE)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    try:
        context.use_certificate_chain_file(str(cert_file))
        context.use_privatekey_file(str(key_file))
        context.check_privatekey()
    except SSL.Error as exc:
        raise ValueError(f"certificate {cert_file} and key {key_file} do not fit: {exc}") from exc
    secret = os.urandom(32)
    context.set_cookie_generate_callback(lambda conn: _cookie(secret, conn))
    context.set_cookie_verify_callback(lambda conn, cookie: hmac.compare_digest(_cookie(secret, conn), cookie))

    def make(peer, cid=None):
        conn = SSL.Connection(context, None)
        conn.set_app_data(peer)
        conn.set_accept_state()
        return Engine(conn)

    return make


def client(trust, cert_pem=None, key_pem=None, cid=None):
    """See godwit.dtls."""
    context = _context(SSL.DTLS_CLIENT_METHOD, MODEM_SUITES)
    if trust.verify != VERIFY_NONE:
        store = context.get_cert_store()
        for cert in certificates(trust.ca_pem):
            store.add_cert(crypto.X509.from_cryptography(cert))
        if trust.now is None:
            store.set_flags(_NO_CHECK_TIME)
        else:
            store.set_time(trust.now)

    def verify(conn, cert, error, depth, ok):
        if not ok:
            trust.refuse(f"certificate refused ({error})")
        elif not trust.accepts(cert.to_cryptography(), depth):
            ok = False
        return bool(ok) or trust.verify != VERIFY_REQUIRED

    context.set_verify(SSL.VERIFY_NONE if trust.verify == VERIFY_NONE else SSL.VERIFY_PEER, verify)
    if cert_pem and key_pem:
        try:
            context.use_certificate(certificates(cert_pem)[0])
            context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, key_pem.encode()))
        except (SSL.Error, crypto.Error) as err:
            raise CredentialError("client certificate and key do not fit") from err
    conn = SSL.Connection(context, None)
    conn.set_connect_state()
    if trust.sni:
        conn.set_tlsext_host_name(trust.sni.encode())
    return Engine(conn, trust)


def _context(method, suites):
    context = SSL.Context(method)
    context.set_min_proto_version(_DTLS_1_2)
    context.set_max_proto_version(_DTLS_1_2)
    context.set_cipher_list(":".join(SUITES[number] for number in suites).encode())
    context.set_options(SSL.OP_NO_QUERY_MTU)
    return context


def _cookie(secret, conn):
    return hmac.digest(secret, conn.get_app_data(), "sha256")


def _reason(exc):
    """One short text out of an OpenSSL error."""
    details = exc.args[0] if exc.args else ()
    return details[0][-1] if details and isinstance(details, list) else type(exc).__name__


class Engine:
    """One association; see godwit.dtls."""

    own_cid = peer_cid = b""

    def __init__(self, conn, trust=None):
        self.established = False
        self.ended = None
        self._trust = trust
        self._conn = conn
        conn.set_ciphertext_mtu(_MTU)

    @property
    def suite(self):
        """IANA number."""
        return number_of(self._conn.get_cipher_name())

    def start(self):
        """Client: make the first flight."""
        self._step([])

    def receive(self, datagram):
        """-> plaintexts."""
        messages = []
        for _, _, raw in split_records(datagram):
            if self.ended:
                break
            self._conn.bio_write(raw)
            self._step(messages)
        return messages

    def expired(self):
        """The flight is due again."""
        try:
            self._conn.DTLSv1_handle_timeout()
        except SSL.Error as exc:
            self.ended = _reason(exc)

    def timeout(self):
        """s until then, or None."""
        return None if self.ended else self._conn.DTLSv1_get_timeout()

    def outgoing(self):
        """-> datagrams of whole records, none longer than the MTU if it can be."""
        output = bytearray()
        while True:
            try:
                output += self._conn.bio_read(65536)
            except SSL.WantReadError:
                break
        datagrams = []
        for _, _, raw in split_records(memoryview(output)):
            if datagrams and len(datagrams[-1]) + len(raw) <= _MTU:
                datagrams[-1] += raw
            else:
                datagrams.append(raw)
        return datagrams

    def send(self, plaintext):
        """Encrypt one datagram."""
        if self.ended or not self.established:
            raise EngineError("no association")
        try:
            self._conn.send(plaintext)
        except SSL.Error as exc:
            raise EngineError(_reason(exc)) from exc

    def close(self):
        """Make a close_notify, if there is an association to end."""
        try:
            self._conn.shutdown()
        except SSL.Error:
            pass

    def free(self):
        """Nothing to give back: pyOpenSSL counts references."""
        self.ended = self.ended or "freed"

    def save(self):
        """OpenSSL cannot put an association away."""
        raise EngineError("not with OpenSSL")

    def _step(self, messages):
        try:
            if not self.established:
                self._conn.do_handshake()
                self.established = True
            while True:
                messages.append(self._conn.recv(16384))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.ended = "closed by peer"
        except SSL.Error as exc:
            self.ended = (self._trust and self._trust.reason) or _reason(exc)
