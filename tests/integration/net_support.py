"""What the coap and dtls integration tests share: device runs, servers of other people, throw-away certificates."""

import contextlib
import datetime
import hashlib
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

REPO = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("GODWIT_BUILD") or REPO / "build").resolve() / "bin"
HOST = "node.test"


def fill(n):
    """The bytes that net_device.py makes for {"fill": n}."""
    return bytes([(i * 31 + (i >> 8)) & 255 for i in range(n)])


def sha(data):
    """As net_device.py tells what it got."""
    return hashlib.sha256(data).hexdigest()


def seed(default):
    """GODWIT_SEED from the environment, else `default`; printed, so that a failure can be repeated."""
    value = int(os.environ.get("GODWIT_SEED") or default)
    print("seed", value)
    return value


def device(bits, port, steps, *, dtls=None, tuning=None, heap=None, timeout=60):
    """Run the device side (net_device.py); the list of its JSON lines."""
    job = {"port": port, "steps": steps, "tuning": tuning or {}}
    if dtls:
        job["dtls"] = dtls
    options = ["-X", f"heapsize={heap}"] if heap else []
    command = [BIN / f"micropython{bits}", *options, REPO / "tests/integration/net_device.py"]
    env = {**os.environ, "MICROPYPATH": f"{REPO / 'lib'}:.frozen"}
    text = json.dumps(job).encode()
    done = subprocess.run(
        list(map(str, command)), input=text, capture_output=True, env=env, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


def free_port():
    """A UDP port that is free, and whose successor is free too (coap-server takes both)."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second, contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                return port
    raise OSError("no two free ports in a row")


def wait_until(ready, seconds=10):
    """Poll ready() until it is true."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "not ready in time"
        time.sleep(0.02)


def answers_ping(port):
    """A CoAP ping is answered by RST: the server is up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.1)
        sock.connect(("127.0.0.1", port))
        try:
            sock.send(b"\x40\x00\x12\x34")
            return sock.recv(10) == b"\x70\x00\x12\x34"
        except OSError:
            return False


@contextlib.contextmanager
def process(*command, **how):
    """A subprocess that does not outlive the block."""
    running = subprocess.Popen([str(part) for part in command], **how)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


@contextlib.contextmanager
def coap_server(*options, ping=True):
    """libcoap's coap-server; gives its port (its DTLS port is the next one)."""
    port = free_port()
    command = [BIN / "coap-server", "-A", "127.0.0.1", "-p", port, "-d", "10", "-v", "1", *options]
    with process(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        if ping:
            wait_until(lambda: answers_ping(port))
        else:  # a ping would use up the datagrams that -l counts
            wait_until(lambda: _is_bound(port))
        yield port


def _is_bound(port):
    wanted = f":{port:04X} "
    return any(wanted in line for line in Path("/proc/net/udp").read_text().splitlines())


@contextlib.contextmanager
def dtls_server(pki, name, *options):
    """openssl s_server with DTLS 1.2; gives (port, process). Its stdin and stdout are pipes for plain text."""
    port = free_port()
    command = [BIN / "openssl", "s_server", "-dtls1_2", "-accept", f"127.0.0.1:{port}"]
    command += ["-cert", pki / f"{name}.pem", "-key", pki / f"{name}.key", "-quiet", *options]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with process(*command, **pipes) as running:
        wait_until(lambda: _is_bound(port))
        yield port, running


class LoopThread:
    """An asyncio loop in a thread, for servers that live beside the test."""

    def __init__(self, make):
        """make: coroutine function that starts the server; its result's shutdown() is awaited at the end."""
        import asyncio

        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._asyncio = asyncio
        self.server = self._call(make())

    def _call(self, coro):
        return self._asyncio.run_coroutine_threadsafe(coro, self._loop).result(10)

    def close(self):
        self._call(self.server.shutdown())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _certificate(name, issuer, *, days=(-1, 30), ca=False):
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca, None), True)
    )
    if not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def make_pki(folder):
    """CA, another CA, and server certificates good, expired, future, stranger (by the other CA) in `folder`."""
    ca = _certificate("Godwit Test CA", None, ca=True)
    other = _certificate("Other CA", None, ca=True)
    made = {
        "ca": ca,
        "other": other,
        "good": _certificate(HOST, ca),
        "expired": _certificate(HOST, ca, days=(-30, -1)),
        "future": _certificate(HOST, ca, days=(10, 30)),
        "stranger": _certificate(HOST, other),
    }
    for name, (certificate, key) in made.items():
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / f"{name}.der").write_bytes(certificate.public_bytes(serialization.Encoding.DER))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(private)
    return folder
