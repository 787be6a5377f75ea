"""`godwit cloud` and the network as it is: TLS of an unknown or a known CA, wrong names, silence, nobody there."""

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from godwit import pki
from godwit.cli import godwit
from godwit.cloud.errors import CloudError

TEAM = {"team": {"name": "Waders"}}


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with TEAM."""

    def do_GET(self):
        body = json.dumps(TEAM).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(certificate):
    """An HTTPS server on loopback; yields its port."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """ca.pem, good.pem (for 127.0.0.1) and other.pem (for another name), each with its key."""
    folder = tmp_path_factory.mktemp("tls")
    authority, key = pki.make_ca()
    (folder / "ca.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    here = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    for name, alternative in (("good", here), ("other", x509.DNSName("x"))):
        own = pki.new_key()
        now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = x509.CertificateBuilder(authority.subject, subject, own.public_key(), 7, now - day, now + day)
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        data = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(data + pki.private_pem(own))
    return folder


def account(url, *options, **env):
    """`godwit cloud account` -> (its output, CloudError or None)."""
    runner = CliRunner(env={"GODWIT_CLOUD_URL": url, "GODWIT_CLOUD_KEY": "k", "SSL_CERT_FILE": None, **env})
    done = runner.invoke(godwit, ["cloud", *options, "account", "--json"], standalone_mode=False)
    assert done.exception is None or isinstance(done.exception, CloudError), repr(done.exception)
    return done.stdout, done.exception


def test_an_unknown_authority_is_refused_and_a_known_one_is_not(files):
    with served(files / "good.pem") as port:
        url = f"https://127.0.0.1:{port}"
        _, error = account(url)
        assert "not trusted" in error.message and "SSL_CERT_FILE" in error.message
        out, error = account(url, SSL_CERT_FILE=str(files / "ca.pem"))
        assert error is None and json.loads(out) == TEAM


@pytest.mark.parametrize("name", ["nowhere.pem", "empty.pem"])
def test_a_file_of_authorities_that_is_none(files, name):
    (files / "empty.pem").write_text("")
    _, error = account("https://127.0.0.1:1", SSL_CERT_FILE=str(files / name))
    assert "SSL_CERT_FILE" in error.message


def test_a_wrong_name_is_refused(files):
    with served(files / "other.pem") as port:
        _, error = account(f"https://127.0.0.1:{port}", SSL_CERT_FILE=str(files / "ca.pem"))
        assert "not trusted" in error.message


def test_plain_http_where_tls_is_expected(files, monkeypatch):
    monkeypatch.setattr("godwit.cloud.api.ATTEMPTS", 1)
    with served(files / "good.pem") as port:
        _, error = account(f"http://127.0.0.1:{port}")
        assert error.message.startswith("GET /account: ")


def test_silence_ends(monkeypatch):
    monkeypatch.setattr("godwit.cloud.api.ATTEMPTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, error = account(f"http://127.0.0.1:{silent.getsockname()[1]}", "--timeout", "1")
    assert "no answer in time" in error.message


def test_nobody_there(monkeypatch):
    monkeypatch.setattr("godwit.cloud.api.ATTEMPTS", 2)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    _, error = account(f"http://127.0.0.1:{port}")
    assert "nobody listens" in error.message
    _, error = account("https://no-such-host.invalid")
    assert error.message.startswith("GET /account: ") and "no-such-host.invalid" in error.message
