"""DTLS 1.2 client over any datagram endpoint, itself one: MicroPython's `tls` (mbedTLS), RFC 6347.

The server is always verified: certificate chain, host name, validity. For hosts whose modem has no DTLS, or
whose keys should stay on the host. Here is what an established session needs; handshake.py makes it one.
RAM on the GC heap: one 1.4 KB buffer, 0.3 KB for a first flight; the CA only until the handshake is over.
"""

import asyncio
import io
import time
from errno import ECONNABORTED, ECONNRESET, ENOTCONN

from micropython import const

_RX_SIZE = const(1400)  # PDN links carry 1358 to 1430 bytes
_OVERHEAD = const(37)  # record header 13, and up to 24 for nonce and tag (AES-GCM)
_MAX_FLIGHT = const(8)  # datagrams that may wait to be sent; more are lost ones

_APPLICATION = const(23)
_HEADER = const(13)
_MP_STREAM_POLL = const(3)


class DTLSError(OSError):
    """The handshake failed; `reason` is a text for people, errno is ECONNABORTED or ETIMEDOUT."""

    def __init__(self, reason, code=ECONNABORTED):
        super().__init__(code, reason)
        self.reason = reason

    def __str__(self):
        return "DTLS: " + self.reason


_spare = []  # buffer of a session that is over, for the next


class _Transport(io.IOBase):
    """What mbedTLS reads datagrams from and writes them to: one waiting datagram in, a short queue out.

    Records are handed over one per `armed`, because a read of the session would join the plaintext of two.
    """

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.buf = _spare.pop() if _spare else bytearray(_RX_SIZE)
        self.view = memoryview(self.buf)
        self.at = self.have = 0  # buf[at:have] waits to be read
        self.armed = False
        self.established = False
        self.dead = None  # why nothing can be sent or received any more
        self.out = []
        self._sending = asyncio.Lock()

    async def receive(self, timeout_ms):
        """Wait for a datagram, which then waits in `buf`. OSError(ETIMEDOUT) or of a dead endpoint."""
        self.have = await self.endpoint.recv_into(self.buf, timeout_ms)
        self.at = 0

    async def flush(self):
        """Send what mbedTLS wrote."""
        async with self._sending:  # bounded: each send of the endpoint ends
            while self.out:
                await self.endpoint.send(self.out.pop(0))

    def readinto(self, into):
        at = self.at
        n = self.have - at
        if not self.armed or n <= 0:
            return None  # would block
        self.armed = False
        if n > _HEADER:
            n = min(n, _HEADER + (self.buf[at + 11] << 8 | self.buf[at + 12]), len(into))
        into[:n] = self.view[at : at + n]
        self.at = at + n
        return n

    def write(self, data):
        # The byte that drives the handshake must not arrive at the server.
        if (self.established or data[0] != _APPLICATION) and len(self.out) < _MAX_FLIGHT:
            self.out.append(bytes(data))  # valid during this call only
        return len(data)

    def ioctl(self, request, argument):
        return argument if request == _MP_STREAM_POLL else 0


class DTLS:
    """A verified DTLS session as a datagram endpoint: handshake() first, then send, recv_into, close, mtu."""

    def __init__(self, endpoint, hostname, ca):
        """endpoint: becomes this object's own; hostname: str to verify and for SNI; ca: trusted PEM or DER."""
        if not hostname or not ca:
            raise ValueError("DTLS needs a host name and a CA certificate")
        self.mtu = endpoint.mtu - _OVERHEAD
        self.oversize = 0  # records longer than the reader's buffer
        self._transport = _Transport(endpoint)
        self._trust = (hostname, ca)
        self._tls = None

    async def handshake(self, timeout_ms=30000):
        """Establish the session; lost datagrams are repeated (RFC 6347 4.2.4). Raises DTLSError, OSError."""
        from .handshake import establish

        trust = self._trust
        if trust is None:
            raise DTLSError("handshake was done")
        self._trust = None
        self._tls = await establish(self._transport, trust, timeout_ms)

    async def send(self, buf):
        """Send one datagram."""
        self._check()
        try:
            self._tls.write(buf)
        except OSError:
            self._die()
        await self._transport.flush()

    async def recv_into(self, buf, timeout_ms):
        """Bytes of the next datagram, put into buf; OSError(ETIMEDOUT), or OSError(ECONNRESET) when closed."""
        transport = self._transport
        deadline = time.ticks_add(time.ticks_ms(), timeout_ms)
        while True:
            self._check()
            n = self._read(buf)
            if transport.out:
                await transport.flush()  # mbedTLS repeats its last flight for a server that missed it
            if n:
                return n
            if transport.at >= transport.have:
                await transport.receive(max(0, time.ticks_diff(deadline, time.ticks_ms())))

    async def release(self):
        """Nothing follows for a while, see the endpoint's; nothing happens where it has no such thing."""
        if hasattr(self._transport.endpoint, "release"):
            await self._transport.endpoint.release()

    async def close(self):
        """Close the session and the endpoint; a second call does nothing.

        MicroPython 1.25 frees a session without sending close_notify and has no call for it, so the server
        finds out by its own time limit.
        """
        session = self._tls
        self._tls = None
        if self._transport.dead is None:
            self._transport.dead = OSError(ENOTCONN)
        if session is not None:
            session.close()
            if not _spare:
                _spare.append(self._transport.buf)
        await self._transport.endpoint.close()

    def cipher(self):
        """(suite, version) of the established session."""
        self._check()
        return self._tls.cipher()

    def _read(self, buf):
        """Length of the plaintext now in buf; 0 when there is none."""
        transport = self._transport
        transport.armed = True
        try:
            n = self._tls.recv_into(buf)
            over = False
            while n == len(buf) and self._tls.recv_into(transport.view[: transport.at]):
                over = True  # the rest of a record that does not fit, read over its own ciphertext
        except OSError:
            self._die()  # a fatal alert
        transport.armed = False
        if n == 0:
            self._die()  # close_notify
        if over:
            self.oversize += 1
        return 0 if n is None or over else n

    def _die(self):
        self._transport.dead = OSError(ECONNRESET)
        raise self._transport.dead

    def _check(self):
        if self._transport.dead is not None:
            raise self._transport.dead
        if self._tls is None:
            raise OSError(ENOTCONN)
