"""DTLS 1.2 as the modem terminates it for #XSSOCKET: OpenSSL through pyOpenSSL, over memory BIOs, never blocking.

Server certificates are checked against the root CA of the security tag, the HOSTNAME option and the modem's own
clock. The suites are those nRF91 offers. Connection IDs do not exist in OpenSSL, so none is ever negotiated and the
AT side reports CID status 0. Records go out packed into datagrams of at most MTU bytes.
"""

import asyncio
import datetime
import ipaddress

from cryptography import x509
from OpenSSL import SSL, crypto

MTU = 1280
_DTLS1_2 = 0xFEFD
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME
_HEADER = 13
_CIPHERS = (b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA:"
            b"ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-SHA256")
# OpenSSL name -> IANA number, for #XSSOCKETOPT 4.
_SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256": 0xC02B,
    "ECDHE-ECDSA-AES256-SHA384": 0xC024,
    "ECDHE-ECDSA-AES256-SHA": 0xC00A,
    "ECDHE-ECDSA-AES128-SHA256": 0xC023,
    "ECDHE-ECDSA-AES128-SHA": 0xC009,
    "ECDHE-RSA-AES128-GCM-SHA256": 0xC02F,
    "ECDHE-RSA-AES128-SHA256": 0xC027,
}
VERIFY_NONE, VERIFY_OPTIONAL, VERIFY_REQUIRED = 0, 1, 2


class CredentialError(ValueError):
    """The security tag does not hold what a connection needs."""


class DtlsSession:
    """One association. `transmit(datagram)` sends, `on_data(bytes)` delivers, `on_closed()` once after the end.

    `settled` is set when the handshake has come to an end; then `open` or `error` (a word for the log) tells which.
    """

    def __init__(self, credentials, verify, hostname, now_s, transmit, on_data, on_closed):
        self.settled = asyncio.Event()
        self.open = False
        self.error = None
        self._verify = verify
        self._hostname = hostname
        self._reason = None
        self._transmit = transmit
        self._on_data = on_data
        self._on_closed = on_closed
        self._timer = None
        self._conn = SSL.Connection(self._context(credentials, now_s), None)
        self._conn.set_connect_state()
        self._conn.set_ciphertext_mtu(MTU)
        if hostname:
            self._conn.set_tlsext_host_name(hostname.encode())

    @property
    def suite(self):
        """IANA number of the cipher suite, 0 before the handshake."""
        return _SUITES.get(self._conn.get_cipher_name() or "", 0)

    def start(self):
        """Send the first flight."""
        self._step()

    def feed(self, datagram):
        """One datagram from the peer; damaged and foreign ones are ignored, as DTLS wants."""
        if self.error:
            return
        self._conn.bio_write(datagram)
        self._step()

    def send(self, data):
        """Encrypt and send one datagram. Raises OSError when the association is gone."""
        if not self.open:
            raise OSError("association closed")
        try:
            self._conn.send(data)
        except SSL.Error as err:
            self._end("send failed")
            raise OSError("association broken") from err
        self._drain()

    def close(self):
        """Say goodbye if there is somebody to hear it."""
        if self.open:
            try:
                self._conn.shutdown()
            except SSL.Error:
                pass
            self._drain()
        self.open = False
        self.error = self.error or "closed"
        self._stop_timer()
        self.settled.set()

    def _context(self, credentials, now_s):
        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        context.set_min_proto_version(_DTLS1_2)
        context.set_max_proto_version(_DTLS1_2)
        context.set_cipher_list(_CIPHERS)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        if self._verify != VERIFY_NONE:
            store = context.get_cert_store()
            for cert in _certificates(credentials.get("ca")):
                store.add_cert(crypto.X509.from_cryptography(cert))
            if now_s is None:
                store.set_flags(_NO_CHECK_TIME)
            else:
                store.set_time(datetime.datetime.fromtimestamp(now_s, datetime.UTC))
        context.set_verify(SSL.VERIFY_NONE if self._verify == VERIFY_NONE else SSL.VERIFY_PEER, self._check)
        if credentials.get("cert") and credentials.get("key"):
            context.use_certificate(_certificates(credentials["cert"])[0])
            context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_PEM, credentials["key"].encode()))
        return context

    def _check(self, conn, cert, error, depth, ok):
        if not ok:
            self._reason = self._reason or f"certificate refused ({error})"
        elif depth == 0 and self._hostname and not matches(cert.to_cryptography(), self._hostname):
            self._reason = "host name does not match"
            ok = False
        return bool(ok) or self._verify != VERIFY_REQUIRED

    def _step(self):
        try:
            if not self.open:
                self._conn.do_handshake()
                self.open = True
                self.settled.set()
            while True:
                self._on_data(self._conn.recv(16384))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self._end("closed by peer")
        except SSL.Error as err:
            self._end(self._reason or _reason_of(err))
        self._drain()
        self._arm()

    def _end(self, error):
        was_open, self.open = self.open, False
        self.error = error
        self.settled.set()
        self._stop_timer()
        if was_open:
            self._on_closed()

    def _drain(self):
        try:
            pending = self._conn.bio_read(1 << 16)
        except SSL.WantReadError:
            return
        datagram = b""
        while pending:
            length = _HEADER + int.from_bytes(pending[11:13], "big")
            record, pending = pending[:length], pending[length:]
            if datagram and len(datagram) + len(record) > MTU:
                self._transmit(datagram)
                datagram = b""
            datagram += record
        self._transmit(datagram)

    def _arm(self):
        self._stop_timer()
        if self.error:
            return
        timeout = self._conn.DTLSv1_get_timeout()
        if timeout is not None:
            self._timer = asyncio.get_running_loop().call_later(timeout + 0.001, self._retransmit)

    def _retransmit(self):
        try:
            self._conn.DTLSv1_handle_timeout()
        except SSL.Error as err:
            self._end(_reason_of(err))
        self._drain()
        self._arm()

    def _stop_timer(self):
        if self._timer:
            self._timer.cancel()
            self._timer = None


def _certificates(pem):
    if not pem:
        raise CredentialError("no root CA in the security tag")
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError as err:
        raise CredentialError("certificate does not parse") from err


def _reason_of(err):
    return err.args[0][0][2] if err.args and err.args[0] else "protocol error"


def matches(cert, hostname):
    """RFC 6125 match of a host name or address against the subjectAltName, wildcard in the first label only."""
    try:
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = cert.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        return any(str(c.value).lower() == hostname.lower() for c in common)
    try:
        return ipaddress.ip_address(hostname) in names.get_values_for_type(x509.IPAddress)
    except ValueError:
        pass
    wanted = hostname.lower().rstrip(".")
    for name in names.get_values_for_type(x509.DNSName):
        name = name.lower()
        if name == wanted or (name.startswith("*.") and wanted.partition(".")[2] == name[2:]):
            return True
    return False
