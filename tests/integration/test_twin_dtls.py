"""The twin's DTLS: real clients accepted, bad servers refused by them, loss, garbage, restarts."""

import json
import os
import random
import socket
import subprocess
import time

import pytest
from cid_support import needs_cid
from twin_support import GET, HOST, Client, Process, connected, load_key, running, token

from godwit import pki
from godwit.places import BUILD

# what nrfcloud.md 2 wants of a twin: 0xC02B, 0xC023, and CCM for other people's clients
_SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-ECDSA-AES128-CCM",
    "ECDHE-ECDSA-AES128-CCM8",
)
_MICROPYTHON_CLIENT = """
import socket, sys, time, tls
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(socket.getaddrinfo("127.0.0.1", int(sys.argv[1]))[0][-1])
s.setblocking(False)
context = tls.SSLContext(tls.PROTOCOL_DTLS_CLIENT)
with open(sys.argv[2], "rb") as f:
    context.load_verify_locations(f.read())
context.verify_mode = tls.CERT_REQUIRED
sent = False
buffer = bytearray(1500)
end = time.ticks_add(time.ticks_ms(), 5000)
try:
    w = context.wrap_socket(s, server_hostname=sys.argv[3], do_handshake_on_connect=False)
    while time.ticks_diff(end, time.ticks_ms()) > 0:
        if not sent:
            sent = bool(w.write(bytes.fromhex("40010001b57374617465")))
        elif w.readinto(buffer):
            print("answer", hex(buffer[1]))
            break
        time.sleep_ms(5)
except (OSError, ValueError) as exc:
    print("refused", " ".join(str(exc).split()))
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return pki.make_pki(tmp_path_factory.mktemp("pki"), variants=pki.variants())


def micropython(bits, tmp_path, port, ca, host=HOST):
    """Last line of a MicroPython DTLS client."""
    script = tmp_path / "client.py"
    script.write_text(_MICROPYTHON_CLIENT)
    command = [BUILD / f"bin/micropython{bits}", script, str(port), ca, host]
    return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.strip()


@pytest.mark.parametrize("bits", [64, 32])
def test_micropython_client_is_served(twin, tmp_path, bits):
    assert micropython(bits, tmp_path, twin.coap_port, twin.pki / "ca.pem") == "answer 0x81"  # 4.01
    session = twin.records()["sessions"][-1]
    assert session["cipher"] == "ECDHE-ECDSA-AES128-GCM-SHA256"
    # ClientHello, HelloVerifyRequest, ClientHello with cookie, and one flight each way twice
    assert session["handshake_datagrams"] >= 6


@pytest.mark.parametrize(
    ("ca", "host", "words"),
    [("wrong-ca.pem", HOST, "not correctly signed"), ("ca.pem", "coap.example.org", "Common Name")],
)
def test_micropython_client_refuses(certificates, tmp_path, ca, host, words):
    with Process(certificates) as twin:
        assert words in micropython(64, tmp_path, twin.coap_port, certificates / ca, host)
        assert twin.records()["totals"]["handshake_failures"] == 1


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("expired", "expired"),
        ("not-yet-valid", "future"),
        ("wrong-ca", "not correctly signed"),
        ("wrong-host", "Common Name"),
    ],
)
def test_micropython_client_refuses_bad_server(certificates, tmp_path, variant, words):
    files = ("--cert", str(certificates / f"{variant}.pem"), "--key", str(certificates / f"{variant}.key"))
    with Process(certificates, *files) as twin:
        assert words in micropython(64, tmp_path, twin.coap_port, certificates / "ca.pem")


def test_libcoap_client_is_served(twin):
    command = [BUILD / "bin/coap-client", "-C", twin.pki / "ca.pem", "-m", "get", "-B", "5", "-v", "3"]
    done = subprocess.run(
        [*command, f"coaps://127.0.0.1:{twin.coap_port}/state"], capture_output=True, text=True, timeout=20
    )
    assert "4.01" in done.stderr and "not authenticated" in done.stderr


def test_new_hello_from_the_same_port_replaces_the_session(twin):
    """A device that restarted keeps its port (the modem's NAT) and must get a fresh, unauthenticated session."""
    endpoint = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    endpoint.bind(("127.0.0.1", 0))
    first = Client(twin.coap_port, local=endpoint)
    assert first.authenticate(token(twin)).dotted == "2.01"
    with Client(twin.coap_port, local=endpoint) as second:
        assert second.request(GET, "state").dotted == "4.01"
    old, new = twin.records()["sessions"][-2:]
    assert (old["addr"], old["reason"]) == (new["addr"], "replaced")


def test_late_copy_of_the_hello_is_dropped(twin):
    """A duplicated datagram of the handshake that made the session starts nothing."""
    with connected(twin) as client:
        client.socket.sendto(client.hello, ("127.0.0.1", twin.coap_port))
        with pytest.raises(TimeoutError):
            client.socket.recv(2048)
        assert client.request(GET, "state").dotted == "2.05"


def test_lost_flight_is_repeated_without_being_asked(twin):
    """RFC 6347 4.2.4: the server's own timer repeats its flight, here after the initial second."""
    client = Client(twin.coap_port, handshake=False)
    client.start_handshake()
    client.socket.settimeout(2.5)
    first, second = client.socket.recv(2048), client.socket.recv(2048)
    client.socket.close()
    # the same handshake messages, in records of a later sequence number
    assert first[13:25] == second[13:25] and first[5:11] < second[5:11]


def test_half_a_handshake_does_not_hurt_the_session(twin):
    """RFC 6347 4.2.8: a ClientHello alone (anyone can forge one) must not end an association."""
    with connected(twin) as client:
        hello = bytes.fromhex("16fefd0000000000000000") + (50).to_bytes(2, "big")
        hello += b"\x01" + (38).to_bytes(3, "big") + bytes(5) + (38).to_bytes(3, "big") + b"\xfe\xfd" + os.urandom(36)
        client.socket.sendto(hello, ("127.0.0.1", twin.coap_port))
        assert client.request(GET, "state").dotted == "2.05"


def test_garbage_is_ignored(twin):
    rng = random.Random(7)
    with connected(twin) as client:
        stray = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for n in range(200):
            data = bytearray(rng.randbytes(rng.randrange(0, 80)))
            if n % 2 and len(data) > 13:  # looks like a record of a session that nobody knows
                data[:3] = bytes([rng.randrange(20, 26)]) + b"\xfe\xfd"
                data[11:13] = (len(data) - 13).to_bytes(2, "big")
            for endpoint in (stray, client.socket):
                endpoint.sendto(data, ("127.0.0.1", twin.coap_port))
        assert client.request(GET, "state").dotted == "2.05"
        stray.settimeout(0.1)
        answers = []
        try:
            while True:
                answers.append(stray.recv(2048))
        except TimeoutError:
            pass
        stray.close()
    # An alert to a nonsense handshake is fine; anything else would be an answer to an unknown session.
    assert all(answer[0] == 21 for answer in answers)
    assert twin.records()["errors"] == []


def test_records_of_a_lost_session_are_not_answered(twin):
    with connected(twin) as client:
        twin.faults(drop_sessions=True)
        client.send(bytes.fromhex("40010001b57374617465"))
        assert client.receive(0.5) is None
    assert twin.records()["sessions"][-1]["reason"] == "fault"


def test_concurrent_sessions_of_one_device(twin):
    with connected(twin) as one, connected(twin) as other:
        assert [c.request(GET, "state").dotted for c in (one, other, one)] == ["2.05"] * 3


def s_client(twin, *options):
    """What `openssl s_client` tells of one handshake with the twin."""
    command = [BUILD / "bin/openssl", "s_client", "-dtls1_2", *options, "-connect", f"127.0.0.1:{twin.coap_port}"]
    return subprocess.run(command, input="Q\n", capture_output=True, text=True, timeout=20).stdout


@needs_cid
def test_a_resumed_session_is_a_new_one(twin, tmp_path):
    """By session id: a shorter handshake, and a session of its own, which nobody authenticated."""
    kept = tmp_path / "session"
    assert "New, TLSv1.2" in s_client(twin, "-sess_out", kept)
    assert "Reused, TLSv1.2" in s_client(twin, "-sess_in", kept)
    old, new = twin.records()["sessions"][-2:]
    assert new["handshake_datagrams"] < old["handshake_datagrams"] and new["device"] is None


@needs_cid
@pytest.mark.parametrize("suite", _SUITES)
def test_suites_of_other_peoples_clients(twin, suite):
    assert f"Cipher is {suite}" in s_client(twin, "-cipher", suite + ":@SECLEVEL=0")
    assert twin.records()["sessions"][-1]["cipher"] == suite


def test_openssl_serves_where_mbed_tls_is_missing(certificates, tmp_path):
    with Process(certificates, "--dtls-engine", "openssl") as twin:
        assert twin.ready["cid"] is False
        assert micropython(64, tmp_path, twin.coap_port, certificates / "ca.pem") == "answer 0x81"
        assert "Cipher is ECDHE-ECDSA-AES128-SHA256" in s_client(twin, "-cipher", "ECDHE-ECDSA-AES128-SHA256")
        assert len(twin.records()["sessions"]) == 2


def test_handshake_and_requests_survive_loss(tmp_path):
    with running(tmp_path, "--drop", "0.2", "--seed", "6") as twin:
        with connected(twin) as client:
            assert [client.request(GET, "state").dotted for _ in range(10)] == ["2.05"] * 10
        totals = twin.records()["totals"]
    assert totals["dropped_up"] and totals["dropped_down"] and totals["repeats"]
    assert totals["requests"] == 11  # repeats were answered by the message layer


def test_restart_continues(tmp_path):
    database, world = tmp_path / "twin.db", tmp_path / "world"
    options = ("--db", str(database), "--world", str(world))
    with running(tmp_path / "pki", *options) as twin:
        bundle, _ = twin.upload(b"x" * 3000)
        job = twin.rest.post("/v1/fota-jobs", json={"bundleId": bundle, "deviceIds": [twin.device]}).json()["jobId"]
        client = Client(twin.coap_port, twin.pki / "ca.pem")
        assert client.authenticate(token(twin)).dotted == "2.01"
        port = twin.coap_port
        twin.process.kill()  # no close_notify: the device finds out by itself
        twin.process.wait()
    with Process(tmp_path / "pki", *options, "--coap-port", str(port)) as twin:
        client.send(bytes.fromhex("40010001b57374617465"))
        assert client.receive(0.3) is None
        client.close()
        twin.pki, twin.device, twin.key = tmp_path / "pki", "nrf-351358811124484", load_key(tmp_path / "pki")
        with connected(twin) as again:
            assert again.request(GET, "fota/exec/current").json()["jobId"] == job
        records = twin.records()
    assert records["totals"]["handshakes"] == 2
    assert records["sessions"][0]["reason"] == "twin stopped"


def test_port_taken_is_one_line(twin, tmp_path):
    """A second twin on the same port ends with one clear line."""
    for option, port in (("--coap-port", twin.coap_port), ("--rest-port", twin.url.rsplit(":", 1)[1])):
        with pytest.raises(RuntimeError) as caught:
            Process(twin.pki, option, str(port))
        lines = str(caught.value).strip().splitlines()
        assert len(lines) == 1 and "cannot be used" in lines[0] and str(port) in lines[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--db", "{dir}/not-a-db"), "not-a-db: file is not a database"),
        (("--db", "{dir}/no/such/folder.db"), "unable to open"),
        (("--world", "{dir}/no/such/world"), "No such file"),
        (("--cert", "{dir}/server.pem", "--key", "{dir}/ca.key"), "do not fit"),
        (("--cert", "{dir}/not-a-db", "--key", "{dir}/ca.key"), "do not fit"),
        (("--host", "192.0.2.1"), "cannot be used"),
    ],
)
def test_bad_options_are_one_line(certificates, options, words):
    (certificates / "not-a-db").write_bytes(b"x" * 4096)
    with pytest.raises(RuntimeError) as caught:
        Process(certificates, *(option.format(dir=certificates) for option in options))
    lines = str(caught.value).strip().splitlines()
    assert len(lines) == 1 and words in lines[0]


def test_sigterm_ends_cleanly_with_event_lines(tmp_path):
    with running(tmp_path) as twin:
        with connected(twin) as client:
            client.request(GET, "state")
        end = time.monotonic() + 2
        while not twin.records()["sessions"][-1]["closed_at"] and time.monotonic() < end:
            time.sleep(0.02)
        status, output, errors = twin.stop()
    assert (status, errors) == (0, "")
    events = [json.loads(line) for line in output.splitlines()]
    assert events.pop(0)["event"] == "ready"
    assert {"handshake", "auth", "request", "rest", "session_end"} <= {event["event"] for event in events}
    assert all("t" in event for event in events)
