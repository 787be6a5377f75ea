"""The Mbed TLS engine: DTLS 1.2 with connection IDs (RFC 9146) and associations that can be put away.

See godwit.dtls for the interface. Cookies, retransmission, replay window and the packing of records into datagrams
are the library's; this file moves datagrams in and out, and judges certificates by the simulated clock.
Called by twin/dtls.py and modem/dtls.py.
"""

import ctypes as c
import functools
import time
from collections import deque
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from godwit.dtls import EngineError, mbedtls_library
from godwit.dtls.mbedtls_library import GET_TIMER, SET_TIMER, TRANSFER, VERIFY
from godwit.dtls.records import MODEM_SUITES, SERVER_SUITES
from godwit.dtls.trust import VERIFY_NONE, CredentialError, certificates

NAME = "mbedtls"
CID = True
_MTU = 1280
_CLIENT, _SERVER = 0, 1
_DATAGRAM = 1
_WANT = (-0x6900, -0x6880)  # read, write
_HELLO_VERIFY_REQUIRED, _PEER_CLOSE_NOTIFY = -0x6A80, -0x7880
_BUFFER_TOO_SMALL = -0x6A00
_REASONS = {-0x6800: "handshake timeout", _PEER_CLOSE_NOTIFY: "closed by peer"}
_VERDICTS = {0: "good", -0x6700: "repeated"}
_OWN_CHECKS = 0x01 | 0x04 | 0x0200  # expired, other name, future: Trust says
_BAD_OTHER = 0x0100
_PLAINTEXT = 16384
_CID_MAX = 32


@functools.cache
def check():
    """-> the loaded library; EngineError when it cannot be."""
    return mbedtls_library.load()


def server(cert_file, key_file):
    """See godwit.dtls. Raises OSError when a file is missing, ValueError when the two do not fit."""
    cert, key = Path(cert_file).read_bytes(), Path(key_file).read_bytes()
    try:
        public = x509.load_pem_x509_certificates(cert)[0].public_key()
        private = serialization.load_pem_private_key(key, None).public_key()
        if public != private:
            raise ValueError("they are of two key pairs")
        configs = {}

        def make(peer, cid=None):
            # The length of a connection ID is a property of the configuration, so there is one for each.
            size = len(cid or b"")
            if size not in configs:
                configs[size] = _Config(_SERVER, SERVER_SUITES, cert, key, size)
            return Engine(configs[size], cid, peer=peer)

        make(b"probe", None).free()
    except (ValueError, TypeError, EngineError) as err:
        raise ValueError(f"certificate {cert_file} and key {key_file} do not fit: {err}") from err
    return make


def client(trust, cert_pem=None, key_pem=None, cid=None):
    """See godwit.dtls."""
    try:
        if cert_pem and key_pem:
            certificates(cert_pem)
            own = (cert_pem.encode(), key_pem.encode())
        else:
            own = (None, None)
        return Engine(_Config(_CLIENT, MODEM_SUITES, *own, len(cid or b""), trust), cid, sni=trust.sni)
    except EngineError as err:
        raise CredentialError(str(err)) from err


class _Config:
    """What associations of one kind share: suites, certificates, cookies, sessions to resume, the length of IDs."""

    def __init__(self, end, suites, cert, key, cid_length, trust=None):
        self.lib = lib = check()
        self._keep = [(c.c_int * (len(suites) + 1))(*suites, 0)]
        self.trust = trust
        self._parts = []
        chain = self._certificates(cert) if cert else None
        private = self._private_key(key) if key else None
        ca = self._certificates(trust.ca_pem.encode()) if trust and trust.verify != VERIFY_NONE else None
        cookies, cache = (self._cookies(), self._part("ssl_cache")) if end == _SERVER else (None, None)
        self.memory = conf = lib.opaque("ssl_config", *self._parts, self._keep)
        lib.must(lib.ssl_config_defaults(conf, end, _DATAGRAM, 0), "configuration")
        lib.ssl_conf_rng(conf, lib.random, None)
        lib.ssl_conf_ciphersuites(conf, self._keep[0])
        lib.must(lib.ssl_conf_cid(conf, cid_length, 0), "connection ID")
        if private:
            lib.must(lib.ssl_conf_own_cert(conf, chain, private), "certificate")
        if end == _SERVER:
            write, verify = lib.pointer("mbedtls_ssl_cookie_write"), lib.pointer("mbedtls_ssl_cookie_check")
            lib.ssl_conf_dtls_cookies(conf, write, verify, cookies)
            get, put = lib.pointer("mbedtls_ssl_cache_get"), lib.pointer("mbedtls_ssl_cache_set")
            lib.ssl_conf_session_cache(conf, cache, get, put)
        lib.ssl_conf_authmode(conf, trust.verify if trust else VERIFY_NONE)
        if ca:
            judge = VERIFY(functools.partial(_judge, trust))
            self._keep.append(judge)
            lib.ssl_conf_ca_chain(conf, ca, None)
            lib.ssl_conf_verify(conf, judge, None)

    def _part(self, kind):
        part = self.lib.opaque(kind)
        self._parts.append(part)
        return part

    def _certificates(self, pem):
        chain = self._part("x509_crt")
        self.lib.must(self.lib.x509_crt_parse(chain, pem + b"\0", len(pem) + 1), "certificate")
        return chain

    def _private_key(self, pem):
        key, lib = self._part("pk"), self.lib
        lib.must(lib.pk_parse_key(key, pem + b"\0", len(pem) + 1, None, 0, lib.random, None), "private key")
        return key

    def _cookies(self):
        cookies, lib = self._part("ssl_cookie"), self.lib
        lib.must(lib.ssl_cookie_setup(cookies, lib.random, None), "cookies")
        return cookies


def _judge(trust, _, certificate, depth, flags):
    """Called for each certificate of a chain, the root first; our clock and rules for names replace the library's."""
    found = flags[0] & ~_OWN_CHECKS
    try:
        if found:
            trust.refuse(f"certificate refused (0x{found:x})")
        elif not trust.accepts(x509.load_der_x509_certificate(mbedtls_library.der_of(certificate)), depth):
            found |= _BAD_OTHER
    except ValueError as err:
        trust.refuse(f"certificate refused ({err})")
        found |= _BAD_OTHER
    flags[0] = found
    return 0


class _Wire:
    """The library's way to the world: datagrams in and out, and the one timer of a handshake."""

    def __init__(self):
        self.incoming = deque()
        self.outgoing = []
        self._started = self._times = None

    def callbacks(self):
        """-> send, receive, set and get timer, for the library; not kept here, which would be a cycle."""
        return TRANSFER(self._send), TRANSFER(self._receive), SET_TIMER(self._set), GET_TIMER(self._get)

    def left(self):
        """s until the final delay is over, None without a timer."""
        return None if self._times is None else max(0.0, self._started + self._times[1] / 1000 - time.monotonic())

    def _send(self, _, data, size):
        self.outgoing.append(c.string_at(data, size))
        return size

    def _receive(self, _, buffer, room):
        if not self.incoming:
            return _WANT[0]
        datagram = self.incoming.popleft()[:room]
        c.memmove(buffer, datagram, len(datagram))
        return len(datagram)

    def _set(self, _, intermediate_ms, final_ms):
        self._started = time.monotonic()
        self._times = (intermediate_ms, final_ms) if final_ms else None

    def _get(self, _):
        if self._times is None:
            return -1
        passed_ms = (time.monotonic() - self._started) * 1000
        return sum(passed_ms >= limit for limit in self._times)


class Engine:
    """One association; see godwit.dtls."""

    def __init__(self, config, cid, peer=None, sni=None, saved=None):
        self._config = config
        self._lib = lib = config.lib
        self._arguments = (cid, peer, sni)
        self._peer = peer
        self._wire = _Wire()
        self._room = c.create_string_buffer(_PLAINTEXT)
        self.established = False
        self.ended = None
        self.suite = 0
        self.own_cid = self.peer_cid = b""
        self._cid = cid
        send, receive, set_timer, get_timer = callbacks = self._wire.callbacks()
        self._ssl = ssl = lib.opaque("ssl", config.memory, config, callbacks)
        lib.must(lib.ssl_setup(ssl, config.memory), "set-up")
        lib.ssl_set_bio(ssl, None, send, receive, None)
        lib.ssl_set_timer_cb(ssl, None, set_timer, get_timer)
        lib.ssl_set_mtu(ssl, _MTU)
        if peer is None:
            lib.must(lib.ssl_set_hostname(ssl, sni.encode() if sni else None), "host name")
        if saved is not None:
            lib.must(lib.ssl_context_load(ssl, saved, len(saved)), "load")
            self._settle()
            return
        if cid is not None:
            lib.must(lib.ssl_set_cid(ssl, 1, cid, len(cid)), "connection ID")
        self._name_peer()

    def start(self):
        """Client: make the first flight."""
        self._pump()

    def receive(self, datagram):
        """-> plaintexts."""
        if self.ended:
            return []
        self._wire.incoming.append(bytes(datagram))
        return self._pump()

    def expired(self):
        """The flight is due again."""
        if not self.ended:
            self._pump()

    def timeout(self):
        """s until then, or None."""
        return None if self.ended else self._wire.left()

    def outgoing(self):
        """-> datagrams made since the last call."""
        made, self._wire.outgoing[:] = list(self._wire.outgoing), []
        return made

    def send(self, plaintext):
        """Encrypt one datagram."""
        if self.ended or not self.established:
            raise EngineError("no association")
        code = self._lib.ssl_write(self._ssl, bytes(plaintext), len(plaintext))
        if code != len(plaintext):
            raise EngineError(self._lib.text(code) if code < 0 else "too long for one record")

    def close(self):
        """Make a close_notify, if there is an association to end."""
        if self.established and self._ssl.free.alive:
            self._lib.ssl_close_notify(self._ssl)

    @property
    def pointer(self):
        """The `mbedtls_ssl_context`, for functions that are not of this interface."""
        return self._ssl

    def free(self):
        """Give the memory back."""
        self.ended = self.ended or "freed"
        self._ssl.free()

    def verdict(self, datagram):
        """On its first record: "good", "repeated" (seen, or too old to know) or "forged". Changes nothing."""
        copy = c.create_string_buffer(bytes(datagram), len(datagram))
        code = self._lib.ssl_check_record(self._ssl, copy, len(datagram))
        return _VERDICTS.get(code, "forged")

    def save(self):
        """-> the association as bytes; the engine is freed. Raises EngineError when it is not one that can rest."""
        lib, size = self._lib, c.c_size_t()
        if self.ended or not self.established:
            raise EngineError("no association")
        code = lib.ssl_context_save(self._ssl, None, 0, c.byref(size))
        if code != _BUFFER_TOO_SMALL:
            lib.must(code or -1, "save")
        saved = c.create_string_buffer(size.value)
        lib.must(lib.ssl_context_save(self._ssl, saved, size.value, c.byref(size)), "save")
        self.free()
        return saved.raw[: size.value]

    def restored(self, saved):
        """-> an engine that goes on with what this one saved. Raises EngineError."""
        cid, peer, sni = self._arguments
        return Engine(self._config, cid, peer, sni, saved)

    def _name_peer(self):
        if self._peer is not None:
            code = self._lib.ssl_set_client_transport_id(self._ssl, self._peer, len(self._peer))
            self._lib.must(code, "transport id")

    def _pump(self):
        """Let the library work until it wants more than there is."""
        messages, lib = [], self._lib
        while self.ended is None:
            if not self.established:
                code = lib.ssl_handshake(self._ssl)
                if code == 0:
                    self._settle()
                    continue
            else:
                code = lib.ssl_read(self._ssl, self._room, _PLAINTEXT)
                if code > 0:
                    messages.append(c.string_at(self._room, code))
                    continue
            if code == _HELLO_VERIFY_REQUIRED:  # the cookie is on its way; the next ClientHello starts afresh
                lib.must(lib.ssl_session_reset(self._ssl), "reset")
                self._name_peer()
            elif code not in _WANT:
                trust = self._config.trust
                self.ended = (trust and trust.reason) or _REASONS.get(code) or lib.text(code)
            if not self._wire.incoming:
                break
        return messages

    def _settle(self):
        """The handshake is done: what was agreed?"""
        self.established = True
        lib, used, size = self._lib, c.c_int(), c.c_size_t()
        self.suite = lib.ssl_get_ciphersuite_id_from_ssl(self._ssl)
        peer = c.create_string_buffer(_CID_MAX)
        lib.must(lib.ssl_get_peer_cid(self._ssl, c.byref(used), peer, c.byref(size)), "connection ID")
        if used.value:
            self.own_cid, self.peer_cid = self._cid or b"", peer.raw[: size.value]
