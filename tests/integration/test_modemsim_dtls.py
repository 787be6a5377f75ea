"""DTLS in the simulated modem against OpenSSL's own server, and the golden transcript of modems.md 2A.12."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
from cryptography import x509
from modemsim_support import running_modem

from godwit import pki
from godwit.modem.dtls import matches
from godwit.places import BUILD

TAG = 16842753
HOST = pki.HOST


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return pki.make_pki(tmp_path_factory.mktemp("pki"), variants=("wrong-ca", "wrong-host", "expired", "not-yet-valid"))


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def bound(port):
    rows = Path("/proc/net/udp").read_text().splitlines()
    return any(row.split()[1].endswith(f":{port:04X}") for row in rows[1:])


@contextlib.contextmanager
def server(folder, name="server", *options):
    """openssl s_server with more `options`; yields (process, port). Its input goes to the client."""
    port, program = free_port(), BUILD / "bin/openssl"
    program = str(program) if program.exists() else shutil.which("openssl")
    process = subprocess.Popen(
        [program, "s_server", "-dtls1_2", "-quiet", "-accept", f"127.0.0.1:{port}", "-cert", folder / f"{name}.pem",
         "-key", folder / f"{name}.key", *options],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 5
        while not bound(port):
            assert time.monotonic() < end and process.poll() is None, "openssl does not listen"
            time.sleep(0.01)
        yield process, port
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def modem_for(tmp_path, certificates, port, *args):
    with running_modem(tmp_path, "--speed", "50", "--place", "harbour", "--resolve", f"{HOST}:5684=127.0.0.1:{port}",
                       "--credential", f"{TAG}:0={certificates / 'ca.pem'}", *args) as modem:
        yield modem


def opened(modem, verify=2, hostname=HOST):
    terminal = modem.terminal
    terminal.ok("AT#XDATACTRL=1000")
    assert terminal.ok(f"AT#XSSOCKET=1,2,0,{TAG},{verify}") == ["#XSSOCKET: 0,2,273"]
    if hostname:
        terminal.ok(f'AT#XSSOCKETOPT=0,1,2,"{hostname}"')
    return terminal.at(f'AT#XCONNECT=0,"{HOST}",5684', timeout_s=10)


def test_golden_transcript(tmp_path, certificates):
    with server(certificates) as (process, port), modem_for(tmp_path, certificates, port) as modem:
        terminal = modem.terminal  # `Ready` has been seen
        dialogue = (
            ("AT", "\r\nOK\r\n"),
            ("AT+CMEE=1", "\r\nOK\r\n"),
            ("AT%XSYSTEMMODE=1,0,1,0", "\r\nOK\r\n"),
            ("AT+CEREG=5", "\r\nOK\r\n"),
            ("AT+CFUN=1", "\r\nOK\r\n\r\n+CEREG: 2,\"5A10\",\"01A2B3C4\",7\r\n"
                          "\r\n+CEREG: 1,\"5A10\",\"01A2B3C4\",7,,,\"00000101\",\"00100001\"\r\n"),
            ("AT#XDATACTRL=1000", "\r\nOK\r\n"),
            (f"AT#XSSOCKET=1,2,0,{TAG},2", "\r\n#XSSOCKET: 0,2,273\r\n\r\nOK\r\n"),
            (f'AT#XSSOCKETOPT=0,1,2,"{HOST}"', "\r\nOK\r\n"),
            ("AT#XSSOCKETOPT=0,1,14,1", "\r\nOK\r\n"),
            (f'AT#XCONNECT=0,"{HOST}",5684', "\r\n#XCONNECT: 0,1\r\n\r\nOK\r\n"),
            ("AT#XRECVCFG=0,1", "\r\nOK\r\n"),
            ("AT#XSEND=0,2,0,6", "\r\nOK\r\n"),
        )
        for command, answer in dialogue:
            if "XCONNECT" in command:
                modem.event("pdn_up")
            terminal.write(command.encode() + b"\r")
            terminal.exactly(answer.encode(), timeout_s=10)
        terminal.write(bytes.fromhex("40011234B161"))
        terminal.exactly(b"\r\n#XDATAMODE: 0\r\n")
        assert os.read(process.stdout.fileno(), 100) == bytes.fromhex("40011234B161")
        process.stdin.write(bytes.fromhex("60451234FF0D0A4F4B"))
        process.stdin.flush()
        terminal.exactly(b"\r\n#XRECV: 0,0,9\r\n" + bytes.fromhex("60451234FF0D0A4F4B") + b"\r\n")
        terminal.write(b"AT#XCLOSE=0\r")
        terminal.exactly(b"\r\n#XCLOSE: 0,0\r\n\r\nOK\r\n")
        assert terminal.quiet() == b""


def test_options_and_sizes(tmp_path, certificates):
    with server(certificates) as (process, port), modem_for(tmp_path, certificates, port) as modem:
        modem.attach()
        terminal = modem.terminal
        assert opened(modem).endswith("OK\r\n")
        assert terminal.ok("AT#XSSOCKETOPT=0,0,4") == ["#XSSOCKETOPT: 0,0xc02b"]
        assert terminal.ok("AT#XSSOCKETOPT=0,0,15") == ["#XSSOCKETOPT: 0,0"]  # this server has no connection IDs
        for refused in ("0,1,14,1", "0,1,20,1", "0,1,18,5", "0,0,14", "0,1,99,1"):
            assert terminal.at("AT#XSSOCKETOPT=" + refused) == "\r\nERROR\r\n"
        for size in (1, 600, 1200):
            terminal.ok(f"AT#XSEND=0,2,0,{size}")
            terminal.write(b"z" * size)
            terminal.exactly(b"\r\n#XDATAMODE: 0\r\n")
            assert os.read(process.stdout.fileno(), 2000) == b"z" * size


@pytest.mark.parametrize(
    "name, verify, hostname, reason",
    [
        ("wrong-ca", 2, HOST, "certificate refused"),
        ("wrong-host", 2, HOST, "host name does not match"),
        ("expired", 2, HOST, "certificate refused"),
        ("not-yet-valid", 2, HOST, "certificate refused"),
        ("server", 2, None, "no HOSTNAME set"),
        ("wrong-ca", 0, None, None),
        ("wrong-host", 1, HOST, None),
        ("wrong-host", 2, "NULL", None),
    ],
)
def test_who_is_let_in(tmp_path, certificates, name, verify, hostname, reason):
    with server(certificates, name) as (_, port), modem_for(tmp_path, certificates, port) as modem:
        modem.attach()
        answer = opened(modem, verify, hostname)
        if reason is None:
            assert answer == "\r\n#XCONNECT: 0,1\r\n\r\nOK\r\n"
        else:
            assert answer == "\r\nERROR\r\n"
            assert reason in modem.event("connect_failed")["reason"]


def test_nobody_answers(tmp_path, certificates):
    with modem_for(tmp_path, certificates, free_port(), "--patience", "0.2") as modem:
        modem.attach()
        modem.terminal.ok(f"AT#XSSOCKET=1,2,0,{TAG}")
        modem.terminal.ok(f'AT#XSSOCKETOPT=0,1,2,"{HOST}"')
        modem.terminal.ok("AT#XSSOCKETOPT=0,1,18,15")
        before = modem.ask(get="state")["now_ms"]
        assert modem.terminal.at(f'AT#XCONNECT=0,"{HOST}",5684', timeout_s=10) == "\r\nERROR\r\n"
        assert 14_500 < modem.ask(get="state")["now_ms"] - before < 25_000  # world time, a few seconds for real
        assert modem.terminal.at("AT#XSSOCKETOPT=0,0,15") == "\r\n#XSSOCKETOPT: 0,0\r\n\r\nOK\r\n"


def test_no_credentials(tmp_path, certificates):
    with running_modem(tmp_path, "--speed", "50", "--resolve", f"{HOST}:5684=127.0.0.1:9") as modem:
        modem.attach()
        assert opened(modem) == "\r\nERROR\r\n"
        assert "no root CA" in modem.event("connect_failed")["reason"]


def test_server_says_goodbye(tmp_path, certificates):
    with server(certificates) as (process, port), modem_for(tmp_path, certificates, port) as modem:
        modem.attach()
        terminal = modem.terminal
        assert opened(modem).endswith("OK\r\n")
        terminal.ok("AT#XAPOLL=0,1,1")
        process.stdin.write(b"last words")
        process.stdin.flush()
        terminal.exactly(b"\r\n#XAPOLL: 0,1\r\n")
        process.stdin.close()
        process.stdin = None
        terminal.exactly(b"\r\n#XAPOLL: 0,16\r\n")
        assert terminal.ok("AT#XRECV=0,0,64,0") == ["#XRECV: 0,0,10", "last words"]
        assert terminal.at("AT#XRECV=0,0,0,5") == "\r\nOK\r\n"  # closed: no line, no error
        assert terminal.at('AT#XSEND=0,0,0,"x"').endswith("ERROR\r\n")


def test_handshake_survives_loss(tmp_path, certificates):
    with server(certificates) as (_, port), modem_for(tmp_path, certificates, port) as modem:
        modem.attach()
        modem.ask(fault="drop", arg=1.0, count=1)  # the first flight
        modem.ask(fault="dup", arg=1.0)  # and every other datagram comes twice
        assert opened(modem).endswith("OK\r\n")
        assert modem.ask(get="counters")["counters"]["datagrams_dropped"] == 1


def test_host_name_rules(certificates):
    cert = x509.load_pem_x509_certificate((certificates / "server.pem").read_bytes())
    assert matches(cert, HOST) and matches(cert, HOST.upper())
    assert not matches(cert, "nrfcloud.com") and not matches(cert, "x." + HOST) and not matches(cert, "127.0.0.1")
    wild, _ = pki.make_server(pki.make_ca(), "*.example.org")
    assert matches(wild, "a.example.org")
    assert not matches(wild, "example.org") and not matches(wild, "a.b.example.org")
