"""Helpers of the twin's tests: start the twin as its own process, and a small DTLS + CoAP client.

The client is pyOpenSSL over a UDP socket and a CoAP codec of a few lines, so that it shares nothing with
the twin's aiocoap nor with the device's code. Used by test_twin_*.py.
"""

import base64
import contextlib
import csv
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from OpenSSL import SSL

from godwit import pki

ROOT = Path(__file__).resolve().parents[2]
API_KEY = "test-key"
HOST = "coap.nrfcloud.com"
DEVICE = "nrf-351358811124484"
GET, POST, PUT, DELETE, FETCH, PATCH = 1, 2, 3, 4, 5, 6
CON, NON, ACK, RST = 0, 1, 2, 3
_DEADLINE_S = 15


class Process:
    """A twin in its own process. Use as a context manager."""

    def __init__(self, pki, *options):
        code = "from godwit.twin.command import twin; twin()"
        command = [sys.executable, "-c", code, "--json", "--api-key", API_KEY, "--pki", str(pki), *options]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
        # Into a file: nobody reads while a test runs, and a full pipe would stop the twin.
        self._output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdout=self._output, stderr=subprocess.PIPE, text=True, env=environment
        )
        self.ready = json.loads(self._first_line())
        self.coap_port, self.url = self.ready["coap"], self.ready["rest"]
        self.rest = httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {API_KEY}"}, timeout=10)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        """End the process (once is enough); returns (exit status, standard output, standard error)."""
        self.rest.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            errors = self.process.communicate(timeout=10)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            errors = self.process.communicate()[1]
        if not self._output.closed:
            self._output.seek(0)
            self.output = self._output.read()
            self._output.close()
        return self.process.returncode, self.output, errors

    def _first_line(self):
        end = time.monotonic() + _DEADLINE_S
        while time.monotonic() < end:
            line = os.pread(self._output.fileno(), 4096, 0)
            if b"\n" in line:
                return line.split(b"\n")[0]
            if self.process.poll() is not None:
                self._output.close()
                raise RuntimeError(self.process.communicate()[1])
            time.sleep(0.01)
        self.process.kill()
        self.process.communicate()
        raise RuntimeError("the twin did not become ready")

    def records(self):
        """GET /twin/records."""
        return self.rest.get("/twin/records").raise_for_status().json()

    def faults(self, **switches):
        """PUT /twin/faults."""
        return self.rest.put("/twin/faults", json=switches).raise_for_status().json()

    def onboard(self, device, key):
        """Register a device by the public keys CSV; returns the status of the bulk operation."""
        text = io.StringIO()
        csv.writer(text).writerow([device, public_pem(key)])
        answer = self.rest.post("/v1/devices/public-keys", content=text.getvalue().encode())
        bulk = answer.raise_for_status().json()["bulkOpsRequestId"]
        return self.rest.get(f"/v1/bulk-ops-requests/{bulk}").raise_for_status().json()["status"]

    def upload(self, data, version="1.1.0", name="app_update.bin"):
        """Upload a one-file bundle; returns (bundle id, URI)."""
        answer = self.rest.post(
            "/v1/firmwares",
            content=make_bundle({name: data}, version),
            headers={"Content-Type": "application/zip"},
        )
        uri = answer.raise_for_status().json()["uris"][0]
        return uri.split("/")[4], uri


def public_pem(key):
    """Public half of a key as PEM text."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def make_bundle(files, version="1.1.0", /, **overrides):
    """A firmware zip. `files` is {name: bytes}; `overrides` replace manifest keys (None removes one)."""
    manifest = {
        "name": "Test bundle",
        "fwversion": version,
        "format-version": 1,
        "files": [{"file": name, "type": "application", "size": len(data)} for name, data in files.items()],
        **overrides,
    }
    manifest = {key: value for key, value in manifest.items() if value is not None}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def b64url(data):
    """base64url without padding, as text."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make_jwt(key, header=None, der=False, **claims):
    """A compact JWS (bytes) with the given claims, signed with ES256 (`der`: with the wrong encoding)."""
    header = {"alg": "ES256", "typ": "JWT"} if header is None else header
    signed = f"{b64url(json.dumps(header).encode())}.{b64url(json.dumps(claims).encode())}"
    signature = key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
    if not der:
        r, s = utils.decode_dss_signature(signature)
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    return f"{signed}.{b64url(signature)}".encode()


@contextlib.contextmanager
def running(directory, *options):
    """A fresh PKI and a twin on it with one onboarded device; yields the Process (with .pki, .key, .device)."""
    directory = Path(directory)
    pki.make_pki(directory)
    with Process(directory, *options) as twin:
        twin.pki, twin.device = directory, DEVICE
        twin.key = load_key(directory)
        if twin.onboard(DEVICE, twin.key) != "SUCCEEDED":
            raise RuntimeError("onboarding failed")
        yield twin


def load_key(directory):
    """The device key that make_pki wrote."""
    return serialization.load_pem_private_key((Path(directory) / "device.key").read_bytes(), None)


def token(twin, lifetime_s=600, **claims):
    """A good JWT for the twin's device."""
    return make_jwt(twin.key, sub=twin.device, exp=int(time.time()) + lifetime_s, **claims)


@contextlib.contextmanager
def connected(twin):
    """A client with an authenticated session."""
    with Client(twin.coap_port, twin.pki / "ca.pem") as client:
        answer = client.authenticate(token(twin))
        if answer.dotted != "2.01":
            raise RuntimeError(f"authentication: {answer.dotted} {answer.payload!r}")
        yield client


class Answer:
    """A parsed CoAP message: type, code (int), mid, token, options [(number, bytes)], payload."""

    def __init__(self, data):
        self.raw = data
        self.type, length = data[0] >> 4 & 3, data[0] & 15
        self.code, self.mid = data[1], struct.unpack_from("!H", data, 2)[0]
        self.token = data[4 : 4 + length]
        self.options, self.payload = [], b""
        at, number = 4 + length, 0
        while at < len(data):
            if data[at] == 0xFF:
                self.payload = data[at + 1 :]
                break
            delta, size = data[at] >> 4, data[at] & 15
            at += 1
            for part in range(2):
                value = (delta, size)[part]
                if value >= 13:
                    width = value - 12
                    value = int.from_bytes(data[at : at + width], "big") + (13, 269)[width - 1]
                    at += width
                delta, size = (value, size) if part == 0 else (delta, value)
            number += delta
            self.options.append((number, data[at : at + size]))
            at += size

    @property
    def dotted(self):
        """The code as "c.dd"."""
        return f"{self.code >> 5}.{self.code & 31:02d}"

    def option(self, number):
        """First value of an option as bytes, or None."""
        return next((value for found, value in self.options if found == number), None)

    def uint(self, number):
        """First value of an option as a number, or None."""
        value = self.option(number)
        return None if value is None else int.from_bytes(value, "big")

    def json(self):
        """The payload as JSON."""
        return json.loads(self.payload)


def encode(method, path=(), query=(), payload=b"", options=(), mid=1, token=b"", kind=CON):
    """CoAP request bytes. `options` are (number, bytes | int)."""
    items = [(11, part.encode()) for part in path] + [(15, part.encode()) for part in query]
    for number, value in options:
        if isinstance(value, int):
            value = value.to_bytes((value.bit_length() + 7) // 8, "big")
        items.append((number, value))
    out = bytearray([0x40 | kind << 4 | len(token), method]) + struct.pack("!H", mid) + token
    last = 0
    for number, value in sorted(items, key=lambda item: item[0]):
        nibbles, extra = [], b""
        for field in (number - last, len(value)):
            width = 0 if field < 13 else 1 if field < 269 else 2
            nibbles.append(field if not width else 12 + width)
            extra += (field - (0, 13, 269)[width]).to_bytes(width, "big") if width else b""
        out += bytes([nibbles[0] << 4 | nibbles[1]]) + extra + value
        last = number
    return bytes(out + (b"\xff" + payload if payload else b""))


class Client:
    """A DTLS 1.2 client and CoAP requests over it. Verifies the server when `ca` is given."""

    def __init__(self, port, ca=None, local=None, handshake=True):
        context = SSL.Context(SSL.DTLS_CLIENT_METHOD)
        if ca:
            context.load_verify_locations(str(ca))
            context.set_verify(SSL.VERIFY_PEER)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        self.socket = local or socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(0.1)
        self._peer = ("127.0.0.1", port)
        self.connection = SSL.Connection(context, None)
        self.connection.set_connect_state()
        self.connection.set_tlsext_host_name(HOST.encode())
        self.connection.set_ciphertext_mtu(1200)
        self._mid = int.from_bytes(os.urandom(2), "big")
        self.hello = b""  # the first datagram sent
        if handshake:
            self.handshake()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        """close_notify and the socket."""
        with contextlib.suppress(SSL.Error, OSError):
            self.connection.shutdown()
            self._flush()
        self.socket.close()

    def send(self, data):
        """Send one CoAP datagram as it is."""
        self.connection.send(data)
        self._flush()

    def receive(self, timeout_s=2.0):
        """The next CoAP datagram as Answer; None when nothing comes."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                return Answer(self.connection.recv(16384))
            except SSL.WantReadError:
                if time.monotonic() > end:
                    return None
                self._feed()

    def request(self, method, path, query=(), payload=b"", cf=None, accept=None, options=(), **fields):
        """One exchange, retransmitting every 0.5 s; returns the Answer. `path` is "a/b"."""
        options = list(options)
        if cf is not None:
            options.append((12, cf))
        if accept is not None:
            options.append((17, accept))
        self._mid = self._mid + 1 & 0xFFFF
        token = os.urandom(4)
        data = encode(method, path.split("/"), query, payload, options, self._mid, token, **fields)
        for _ in range(20):
            self.send(data)
            answer = self.receive(0.5)
            while answer is not None and answer.token != token:
                answer = self.receive(0.5)
            if answer is not None:
                return answer
        raise TimeoutError(f"no answer to {path}")

    def exchange(self, data):
        """Send exact bytes, return the Answer (None when the twin stays silent for 0.4 s)."""
        self.send(data)
        return self.receive(0.4)

    def authenticate(self, token):
        """POST auth/jwt."""
        return self.request(POST, "auth/jwt", payload=token, cf=0)

    def start_handshake(self):
        """Send ClientHello, answer the HelloVerifyRequest, and leave it at that."""
        for feed in (False, True):
            if feed and not self._feed():
                raise TimeoutError("no HelloVerifyRequest")
            with contextlib.suppress(SSL.WantReadError):
                self.connection.do_handshake()
            self._flush()

    def handshake(self):
        """The whole handshake."""
        end = time.monotonic() + _DEADLINE_S
        while True:
            try:
                self.connection.do_handshake()
                self._flush()
                return
            except SSL.WantReadError:
                self._flush()
            if time.monotonic() > end:
                raise TimeoutError("no handshake")
            if not self._feed():
                self.connection.DTLSv1_handle_timeout()  # repeats the flight when its timer says so
                self._flush()

    def _feed(self):
        try:
            self.connection.bio_write(self.socket.recv(4096))
            return True
        except TimeoutError:
            return False

    def _flush(self):
        output = b""
        with contextlib.suppress(SSL.WantReadError):
            while True:
                output += self.connection.bio_read(65536)
        while len(output) >= 13:  # one record per datagram
            size = 13 + int.from_bytes(output[11:13], "big")
            self.hello = self.hello or output[:size]
            self.socket.sendto(output[:size], self._peer)
            output = output[size:]
