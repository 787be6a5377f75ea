"""lib/modem/nrf91 in a MicroPython process against the modem simulator: start, link, sockets, GNSS, keys, recovery.

The device side is tests/device/nrf91_device.py; what really happened is asked of the simulator and of the peers.
"""

import base64
import contextlib
import json
import socket
import struct
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from modemsim_support import running_modem
from nrf91_support import BUILD, device, run

from godwit import pki

TAG = 16842753
PEER = "peer.example"
FAST = ("--speed", "50")

both = pytest.mark.parametrize("bits", ["64", "32"])


@contextlib.contextmanager
def udp_peer(answer=None):
    """A UDP server on loopback; `answer(data)` -> list of datagrams (default: echo). Yields its port."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.1)
    stopping = threading.Event()

    def serve():
        while not stopping.is_set():
            try:
                data, peer = sock.recvfrom(4096)
            except TimeoutError:
                continue
            for datagram in answer(data) if answer else [data]:
                sock.sendto(datagram, peer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        stopping.set()
        thread.join()
        sock.close()


def resolve(port):
    return ("--resolve", f"{PEER}:5683=127.0.0.1:{port}")


# --- start ---------------------------------------------------------------------------------------------------------

DIRTY = {
    "boot": b"",
    "echo": b"ATE1\r",
    "half_a_command": b"AT+CER",
    "open_quote": b'AT%CMNG=0,1,0,"-----BEGIN',
    "data_mode": b'AT#XSOCKET=1,2,0\rAT#XCONNECT=0,"127.0.0.1",9\rAT#XSEND=0,2,0\r',
    "counted_payload": b'AT#XSOCKET=1,2,0\rAT#XCONNECT=0,"127.0.0.1",9\rAT#XSEND=0,2,0,900\rabc',
    "gnss_running": b"AT#XGNSS=1,0,0,60\r",
}


@pytest.mark.parametrize("state", DIRTY)
def test_start_from_any_state(tmp_path, state):
    with running_modem(tmp_path, *FAST) as modem:
        modem.attach()
        for command in DIRTY[state].splitlines(keepends=True):
            modem.terminal.write(command)
            time.sleep(0.1)
        found = run(modem, "start")
        assert found["version"] == "v2.0.0"
        assert {"DTLS", "GNSS", "AGNSS", "JWT", "NEIGHBOURS", "TA"} <= set(found["caps"])
        assert found["ms"] < 8000


def test_start_with_noise_and_split_output(tmp_path):
    with running_modem(tmp_path, *FAST, "--fault", "boot_garbage=40", "--fault", "split=2", ready=False) as modem:
        assert run(modem, "start")["version"] == "v2.0.0"


def test_stock_serial_modem_cannot_take_assistance(tmp_path):
    with running_modem(tmp_path, *FAST, "--stock") as modem:
        caps = run(modem, "start")["caps"]
        assert "GNSS" in caps
        assert "AGNSS" not in caps


# --- link ----------------------------------------------------------------------------------------------------------


@both
def test_link(tmp_path, bits):
    with running_modem(tmp_path, *FAST, "--place", "harbour") as modem:
        found = run(modem, "link", bits=bits)
    assert found["attached"]["stat"] == 1
    assert found["attached"]["rat"] == "ltem"
    assert found["stats"][-1] == 1
    assert found["identity"]["imei"] == "352656100000001"
    assert found["identity"]["model"].startswith("nRF9151")
    assert len(found["identity"]["uuid"]) == 36
    assert abs(found["time"] - time.time()) < 600
    cell, serving = found["cell"], found["serving"]
    for key in ("mcc", "mnc", "tac", "eci", "earfcn", "pci", "rsrp_dbm", "rat"):
        assert cell[key] == serving[key]
    assert (cell["tac"], cell["eci"]) == (found["attached"]["tac"], found["attached"]["eci"])
    assert cell["neighbours"]
    assert cell["ta"] is not None
    assert found["found"][0]["eci"] == cell["eci"]
    assert found["registered"] and found["detached"]
    assert 3000 < found["battery"] < 5500
    assert "log" not in found


def test_denied_has_its_cause(tmp_path):
    with running_modem(tmp_path, *FAST, "--fault", "denied=11") as modem:
        assert run(modem, "denied")["cause"] == 11


def test_cells_without_measurement(tmp_path):
    with running_modem(tmp_path, *FAST, "--fault", "ncell_fail") as modem:
        found = run(modem, "link")
        assert found["cell"]["eci"] == found["serving"]["eci"]
        assert found["cell"]["neighbours"] == []


def test_recovery_ladder(tmp_path):
    with running_modem(tmp_path, *FAST) as modem:
        found = run(modem, "ladder")
    assert found["all"]["level"] == [0, 1, 2, 3, 4, 5]
    assert "lost" not in found  # we did it ourselves


# --- sockets -------------------------------------------------------------------------------------------------------


@both
def test_udp_echo(tmp_path, bits):
    with udp_peer() as port, running_modem(tmp_path, *FAST, *resolve(port)) as modem:
        found = run(modem, "echo", PEER, 5683, bits=bits)
    assert "differs" not in found
    assert found["good"] == 19
    assert found["all"]["refused"] == [22, 22]
    assert found["silence"] == 110
    assert found["closed"] == 104
    assert found["lost_datagrams"] == 0
    assert "log" not in found


def test_udp_echo_over_split_output(tmp_path):
    with udp_peer() as port, running_modem(tmp_path, *FAST, *resolve(port), "--fault", "split=0") as modem:
        found = run(modem, "echo", PEER, 5683)
    assert "differs" not in found
    assert found["good"] == 19


def test_garbage_per_datagram(tmp_path):
    with udp_peer() as port, running_modem(tmp_path, *FAST, *resolve(port)) as modem:
        spent = run(modem, "heap", PEER, 5683)["per_exchange"]
    print("bytes of garbage per datagram there and back:", spent)
    assert spent < 6000


def test_burst_drops_the_oldest(tmp_path):
    def answer(_):
        return [bytes([i]) * 600 for i in range(12)]

    with udp_peer(answer) as port, running_modem(tmp_path, *FAST, *resolve(port)) as modem:
        found = run(modem, "burst", PEER, 5683)
    assert found["got"] == [7, 8, 9, 10, 11]  # 3072 bytes hold five
    assert found["dropped"] == 7


def test_unknown_host(tmp_path):
    with running_modem(tmp_path, *FAST) as modem:
        found = run(modem, "unknown_host")
    assert found["error"] == 113
    assert found["left"] == [0, 0]


@pytest.mark.parametrize("accident, bits", [("reboot", "32"), ("reboot", "64"), ("crash", "32"), ("pdn_deact", "32")])
def test_accident_while_receiving(tmp_path, accident, bits):
    with udp_peer() as port, running_modem(tmp_path, *FAST, *resolve(port)) as modem:
        with device(modem, "interrupted", PEER, 5683, bits=bits) as made:
            made.until("waiting")
            modem.ask(do=accident)
            found = made.finish()
    assert (found["recv"], found["send"]) == (104, 104)
    assert found["again"] == "again"
    assert len(found["all"]["lost"]) >= 1


def test_accident_in_the_middle_of_a_datagram(tmp_path):
    """The modem announces more bytes than ever come, because it restarts."""
    with udp_peer() as port, running_modem(tmp_path, *FAST, *resolve(port), "--baud", "9600") as modem:
        with device(modem, "interrupted", PEER, 5683) as made:
            made.until("waiting", 60)
            modem.ask(do="storm", arg=20)
            modem.ask(do="reboot")
            assert made.finish(60)["again"] == "again"


# --- GNSS ----------------------------------------------------------------------------------------------------------


def assistance(unix_s):
    """Everything a cold receiver asks for, in nRF Cloud's binary, valid at `unix_s`."""
    gps = int(unix_s) - 315964800 + 18
    day, tod = divmod(gps, 86400)
    toe = gps % 604800 // 16
    ephemeris = b"".join(
        struct.pack("<BBHHbhibBBHihiiIhIiihhhhhh", sv, 0, sv, toe, 0, 0, 0, 0, 0, 0, toe, *[sv] * 15)
        for sv in range(1, 33)
    )
    almanac = b"".join(
        struct.pack("<BBBBHhhBIiiihh", sv, gps // 604800 % 256, toe * 16 // 4096, 0, *[0] * 10) for sv in range(1, 33)
    )
    groups = (
        (1, 1, struct.pack("<iiBBbBbb", 0, 0, 0, 0, 18, 0, 0, 18)),
        (2, 32, ephemeris),
        (3, 32, almanac),
        (9, 1, bytes(4)),
        (4, 1, bytes(8)),
        (6, 1, struct.pack("<BHB", 1, 0x1234, 7)),
        (7, 1, struct.pack("<HIHI4x", day, tod, 0, 0)),
        (8, 1, struct.pack("<iihBBBBB", 5101856, 405281, 5, 30, 30, 0, 255, 68)),
    )
    return b"\x01" + b"".join(struct.pack("<BH", kind, count) + body for kind, count, body in groups)


def test_gnss_with_assistance(tmp_path):
    blob = tmp_path / "blob"
    blob.write_bytes(assistance(time.time()))
    with running_modem(tmp_path, *FAST) as modem:
        found = run(modem, "gnss", blob)
        injected = modem.ask(get="injected")
        ttff_s = modem.events("gnss_fix")[0]["ttff_s"]
    assert found["need"]["flags"] == 0x3B
    assert found["need"]["systems"]["1"] == [0xFFFFFFFF, 0xFFFFFFFF]
    assert found["second_need"] is None  # it has everything now
    for fix in (found["fix"], found["second_fix"]):
        assert 5_000_000_00 < fix["lat"] < 6_500_000_00
        assert abs(fix["time"] - time.time()) < 3600
        assert 0 < fix["acc_mm"] < 100_000
    accepted = injected["injected"][0]["accepted"]
    assert (accepted["ephemeris"], accepted["almanac"], accepted["clock"], accepted["location"]) == (32, 32, 1, 1)
    assert ttff_s < 20  # 35 s without


def test_gnss_gives_up(tmp_path):
    with running_modem(tmp_path, *FAST, "--fault", "no_fix") as modem:
        assert run(modem, "no_fix")["fix"] is None


# --- keys, DTLS ----------------------------------------------------------------------------------------------------


def base64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_jwt(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = tmp_path / "key.pem"
    pem.write_bytes(pki.private_pem(key))
    with running_modem(tmp_path, *FAST, "--credential", f"{TAG}:2={pem}") as modem:
        found = run(modem, "jwt", "nrf-352656100000001", TAG)
    header, claims, signature = found["jwt"].split(".")
    raw = base64url(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    key.public_key().verify(der, f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    assert json.loads(base64url(claims))["sub"] == "nrf-352656100000001"
    assert found["no_key"] == 513


@contextlib.contextmanager
def dtls_server(folder, name):
    """openssl s_server with the certificate NAME.pem of `folder`; yields (port, process)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            *(str(BUILD / "bin" / "openssl"), "s_server", "-dtls1_2", "-quiet", "-accept", f"127.0.0.1:{port}"),
            *("-cert", str(folder / f"{name}.pem"), "-key", str(folder / f"{name}.key")),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port, process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("certificate", ["server", "wrong-ca", "wrong-host"])
def test_dtls_in_the_modem(tmp_path, certificate):
    name = pki.HOST
    made_pki = pki.make_pki(tmp_path / "pki", variants=["wrong-ca", "wrong-host"])
    with dtls_server(made_pki, certificate) as (port, server):
        options = ("--credential", f"{TAG}:0={made_pki / 'ca.pem'}", "--resolve", f"{name}:5684=127.0.0.1:{port}")
        with running_modem(tmp_path, *FAST, *options) as modem:
            with device(modem, "dtls", name, 5684, TAG, name) as made:
                if certificate != "server":
                    found = made.finish()
                    assert found["error"] == 103
                    assert found["left"] == [0, 0]
                    return
                made.until("sent")
                assert server.stdout.readline() == b"ping from the device\n"
                server.stdin.write(b"pong\n")
                server.stdin.flush()
                assert made.finish()["received"] == "pong\n"
