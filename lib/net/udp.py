"""Datagram endpoint over the board's own UDP sockets (unix, Wi-Fi, PPP), for CoAP and DTLS.

Waits by polling: asyncio has no timeout for a queued read other than wait_for, which makes a task of 0.7 KB
for every datagram, and the ports look at their sockets once per tick anyway. It owns no buffer.
"""

import asyncio
import select
import socket
import time
from errno import ECONNREFUSED, ENOTCONN, ETIMEDOUT

from micropython import const

_MTU = const(1232)  # 1280, the smallest IPv6 link, without the IPv6 and UDP headers
_POLL_MAX_MS = const(16)
_POLL_BLOCK_MS = const(32)


async def udp_open(host, port):
    """A UDP endpoint connected to host:port. Resolving a name blocks. OSError when there is no such host."""
    error = None
    for entry in socket.getaddrinfo(host, port):
        sock = socket.socket(entry[0], socket.SOCK_DGRAM)
        try:
            sock.connect(entry[-1])  # (ip, port) or packed bytes: each port knows its own form
            return UDP(sock)
        except OSError as exc:
            sock.close()
            error = exc
    raise error or OSError(ENOTCONN)


class UDP:
    """The endpoint: `mtu`, send, recv_into, close. `oversize` counts datagrams longer than the buffer."""

    def __init__(self, sock):
        """sock: a connected datagram socket, which becomes this object's own."""
        self.mtu = _MTU
        self.oversize = 0
        sock.setblocking(False)
        self._sock = sock
        poller = select.poll()
        poller.register(sock, select.POLLIN)
        self._poll = getattr(poller, "ipoll", poller.poll)  # ipoll makes no list; CPython has none

    async def send(self, buf):
        """Send one datagram."""
        if self._sock is None:
            raise OSError(ENOTCONN)
        try:
            self._sock.send(buf)
        except OSError as exc:
            # An ICMP "port unreachable" for an earlier datagram is a hint that anyone can forge, and passes
            # when the server is back (RFC 8085 5.2): the datagram counts as lost.
            if exc.args[0] != ECONNREFUSED:
                raise

    async def recv_into(self, buf, timeout_ms):
        """Bytes of the next datagram, put into buf; OSError(ETIMEDOUT) when none came in time."""
        started = time.ticks_ms()
        waited = 0
        while True:
            if self._sock is None:
                raise OSError(ENOTCONN)
            if self._is_ready(waited < _POLL_BLOCK_MS):
                n = self._receive(buf)
                if n >= 0:
                    return n
            waited = time.ticks_diff(time.ticks_ms(), started)
            if waited >= timeout_ms:
                raise OSError(ETIMEDOUT)
            # The longer it takes the less often we look: an answer waits for us for 1/32 of its own time. At first the
            # poll itself waits, because it wakes at once: nobody else is held up for more than 1 ms.
            pause = min(waited >> 5, _POLL_MAX_MS)
            await asyncio.sleep_ms(min(pause, timeout_ms - waited))

    async def close(self):
        """Close the socket; whoever waits for a datagram gets OSError. A second call does nothing."""
        sock = self._sock
        self._sock = None
        if sock is not None:
            sock.close()

    def _is_ready(self, wait):
        ready = False
        for _ in self._poll(1 if wait else 0):
            ready = True
        return ready

    def _receive(self, buf):
        """Length of the datagram now in buf; -1 when it was none that can be used."""
        try:
            # Not readinto: it fills the buffer from several datagrams. One byte more tells a cut one.
            data = self._sock.recv(len(buf) + 1)
        except OSError as exc:
            if exc.args[0] != ECONNREFUSED:
                raise
            return -1
        n = len(data)
        if n > len(buf):
            self.oversize += 1
            return -1
        buf[:n] = data
        return n
