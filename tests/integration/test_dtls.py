"""lib/net/dtls.py under MicroPython against libcoap's DTLS server and openssl s_server, good and bad."""

import hashlib
import threading

import pytest
from net_support import HOST, coap_server, device, dtls_server, fill, free_port, make_pki

from harness.impair import Impairment

BITS = pytest.mark.parametrize("bits", [64, 32])


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return make_pki(tmp_path_factory.mktemp("pki"))


def secure(pki, ca="ca.pem", host=HOST, **how):
    return {"host": host, "ca": str(pki / ca), **how}


def coaps_server(pki):
    return coap_server("-c", pki / "good.pem", "-j", pki / "good.key", "-n")


@BITS
@pytest.mark.parametrize("ca", ["ca.pem", "ca.der"])
def test_coap_over_dtls(pki, bits, ca):
    put = {"do": "request", "method": "PUT", "path": "fw", "fill": 5000}
    steps = [put, {"do": "request", "path": "fw"}, {"do": "blocks", "path": "fw", "offset": 1500}]
    with coaps_server(pki) as port:
        hello, made, whole, rest, _ = device(bits, port + 1, steps, dtls=secure(pki, ca))
    assert hello["version"] == "DTLSv1.2"
    assert made["code"] == 0x41
    assert whole["sha256"] == hashlib.sha256(fill(5000)).hexdigest()
    assert rest["sha256"] == hashlib.sha256(fill(5000)[1500:]).hexdigest()


@BITS
@pytest.mark.parametrize(
    ("certificate", "ca", "host", "text"),
    [
        ("good", "other.pem", HOST, "DTLS: untrusted CA"),
        ("stranger", "ca.pem", HOST, "DTLS: untrusted CA"),
        ("good", "ca.pem", "other.test", "DTLS: host name mismatch"),
        ("expired", "ca.pem", HOST, "DTLS: certificate expired"),
        ("future", "ca.pem", HOST, "DTLS: certificate not yet valid"),
    ],
)
def test_refused(pki, bits, certificate, ca, host, text):
    """The reason is said, in a moment, and no application data has gone to the server."""
    with dtls_server(pki, certificate) as (port, server):
        (hello,) = device(bits, port, [{"do": "raw", "text": "secret"}], dtls=secure(pki, ca, host))
        server.kill()
        received, _ = server.communicate()
    assert (hello["error"], hello["text"], hello["code"]) == ("DTLSError", text, 103)
    assert hello["ms"] < 3000
    assert received == b""


def test_server_refuses(pki):
    """A server that insists on a client certificate ends the handshake with an alert."""
    with dtls_server(pki, "good", "-Verify", "1") as (port, _):
        (hello,) = device(64, port, [], dtls=secure(pki))
    assert hello["text"] == "DTLS: alert 40 from the server"


@pytest.mark.parametrize("suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256"])
def test_suites_that_nrf91_modems_offer(pki, suite):
    with dtls_server(pki, "good", "-cipher", suite) as (port, server):
        threading.Timer(0.5, lambda: (server.stdin.write(b"down\n"), server.stdin.flush())).start()
        hello, raw, _ = device(64, port, [{"do": "raw", "text": "up\n"}], dtls=secure(pki))
        server.kill()
        received, _ = server.communicate()
    assert "AES-128" in hello["cipher"]
    assert (raw.get("text"), received) == ("down\n", b"up\n")


@BITS
def test_server_closes(pki, bits):
    """close_notify from the server ends the session with ECONNRESET; who waits is told, and so is who comes later."""
    with dtls_server(pki, "good") as (port, server):

        def close():
            stdin, server.stdin = server.stdin, None
            stdin.close()  # at the end of its input s_server shuts the session down

        threading.Timer(0.5, close).start()
        steps = [{"do": "raw", "text": "up\n"}, {"do": "raw", "text": "more"}]
        hello, raw, again, _ = device(bits, port, steps, dtls=secure(pki))
    assert "error" not in hello
    assert raw.get("code") == again.get("code") == 104, (raw, again)


def test_nobody_there(pki):
    (hello,) = device(64, free_port(), [], dtls=secure(pki, timeout_ms=1500))
    assert (hello["error"], hello["text"], hello["code"]) == ("DTLSError", "DTLS: timeout", 110)
    assert 1400 < hello["ms"] < 20000  # not the 30 s of the default


@pytest.mark.parametrize(("bits", "loss", "seed"), [(64, 0.05, 1), (32, 0.05, 2), (64, 0.2, 5)])
def test_bad_link(pki, bits, loss, seed):
    """Handshake flights are repeated, records may be lost, doubled and late; the body is right."""
    put = {"do": "request", "method": "PUT", "path": "fw", "fill": 4000}
    steps = [{"do": "blocks", "path": "fw", "szx": 4}]
    tuning = {"ack_timeout_ms": 100, "max_retransmit": 7}
    with coaps_server(pki) as port:
        device(bits, port, [put])  # past the bad link: see test_coap_peers.py
        with Impairment(("127.0.0.1", port + 1), loss=loss, double=0.05, late=0.05, seed=seed) as link:
            secured = secure(pki, timeout_ms=25000)
            hello, got, _ = device(bits, link.port, steps, dtls=secured, tuning=tuning)
    assert "error" not in hello, hello
    assert got["sha256"] == hashlib.sha256(fill(4000)).hexdigest()
    assert link.counts["lost"] > 0


@BITS
def test_both_client_flights_lost_once(pki, bits):
    """The first ClientHello and the first key exchange are lost for certain; a timer brings both back."""
    with coaps_server(pki) as port:
        with Impairment(("127.0.0.1", port + 1), dropped=(1, 4)) as link:
            hello, time_of_day, _ = device(
                bits, link.port, [{"do": "request", "path": "time"}], dtls=secure(pki)
            )
    assert "error" not in hello and hello["ms"] >= 1800
    assert time_of_day["code"] == 0x45
