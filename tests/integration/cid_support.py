"""A DTLS client with a connection ID whose datagrams a test can hold, change and send from where it likes.

Used by test_cid*.py. `needs_cid` skips where Mbed TLS is not there, which CI does not accept.
"""

import os
import socket
import time

import pytest
from twin_support import HOST, POST, Answer, encode

from godwit.dtls import EngineError, choose
from godwit.dtls.trust import VERIFY_NONE, Trust

try:
    ENGINE = choose("mbedtls")
    _WHY = ""
except EngineError as err:
    ENGINE, _WHY = None, str(err)
needs_cid = pytest.mark.skipif(ENGINE is None and not os.environ.get("CI"), reason=_WHY)


class CidClient:
    """A handshake with the twin at `port`, from a socket of its own. `cid`: as godwit.dtls has it."""

    def __init__(self, port, cid=b""):
        self.peer = ("127.0.0.1", port)
        self.socket = self.new_socket()
        self.engine = ENGINE.client(Trust(None, VERIFY_NONE, HOST), cid=cid)
        self._mid = 0
        self._handshake()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.engine.free()
        self.socket.close()

    @staticmethod
    def new_socket():
        """A socket on another port: another place in the world."""
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("127.0.0.1", 0))
        made.settimeout(2)
        return made

    def seal(self, method, path, payload=b"", **fields):
        """-> (datagram of one CoAP request, its token), not sent."""
        self._mid += 1
        token = self._mid.to_bytes(4, "big")
        self.engine.send(encode(method, path.split("/"), payload=payload, mid=self._mid, token=token, **fields))
        return b"".join(self.engine.outgoing()), token

    def send(self, datagram, sock=None):
        """Send a datagram, from `sock` or our own socket."""
        (sock or self.socket).sendto(datagram, self.peer)

    def answer(self, token, sock=None, timeout_s=2.0):
        """The Answer with `token` that arrives at `sock`; None when none does in time."""
        sock = sock or self.socket
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                datagram = sock.recv(4096)
            except TimeoutError:
                break
            for plaintext in self.engine.receive(datagram):
                found = Answer(plaintext)
                if found.token == token:
                    return found
        return None

    def request(self, method, path, payload=b"", sock=None):
        """One exchange by way of `sock`; -> the code of the answer, None without one."""
        datagram, token = self.seal(method, path, payload)
        self.send(datagram, sock)
        answer = self.answer(token, sock)
        return answer and answer.dotted

    def authenticate(self, token):
        """POST auth/jwt."""
        return self.request(POST, "auth/jwt", token)

    def _handshake(self):
        self.engine.start()
        end = time.monotonic() + 10
        while True:
            for datagram in self.engine.outgoing():
                self.send(datagram)
            if self.engine.established:
                return
            if self.engine.ended or time.monotonic() > end:
                raise RuntimeError(self.engine.ended or "no handshake")
            timeout = self.engine.timeout()
            self.socket.settimeout(1 if timeout is None else timeout + 0.01)
            try:
                self.engine.receive(self.socket.recv(4096))
            except TimeoutError:
                self.engine.expired()
