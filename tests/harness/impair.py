"""A UDP proxy that loses, doubles, delays and reorders datagrams, seeded: the bad radio link of host-side tests.

    with Impairment(("127.0.0.1", server_port), loss=0.05, seed=1) as link:
        ... talk to link.port; link.counts tells what happened ...

One upstream socket per client address, so that the server sees its clients apart. CPython only.
"""

import heapq
import random
import select
import socket
import threading
import time

_SIZE = 65536


class Impairment:
    """The proxy; all probabilities are per datagram and direction, times in seconds."""

    def __init__(self, server, *, loss=0.0, double=0.0, late=0.0, late_s=0.3, delay_s=0.0, seed=0, dropped=()):
        """dropped: numbers of client datagrams (from 1) that are lost for certain, instead of by chance."""
        self._server = server
        self._loss = loss
        self._double = double
        self._late = late
        self._late_s = late_s
        self._delay_s = delay_s
        self._dropped = frozenset(dropped)
        self._random = random.Random(seed)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("127.0.0.1", 0))
        self.port = self._front.getsockname()[1]
        self._upstream = {}  # client address -> socket
        self._clients = {}  # that socket -> client address
        self._queue = []  # (due, tie, socket, address or None, data)
        self._tie = 0
        self._stop, self._stopper = socket.socketpair()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.blackout = False  # while true, nothing passes
        self.counts = {"up": 0, "down": 0, "lost": 0, "doubled": 0, "late": 0, "up_bytes": 0, "down_bytes": 0}

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopper.send(b"x")
        self._thread.join()
        for sock in (self._front, self._stop, self._stopper, *self._clients):
            sock.close()

    def rebind(self):
        """Give every client a new upstream port, as a NAT does that forgot its binding."""
        self._upstream.clear()

    def _run(self):
        while True:
            pause = max(0.0, self._queue[0][0] - time.monotonic()) if self._queue else 1.0
            ready, _, _ = select.select([self._front, self._stop, *self._clients], [], [], pause)
            if self._stop in ready:
                return
            for sock in ready:
                self._take(sock)
            now = time.monotonic()
            while self._queue and self._queue[0][0] <= now:
                _, _, sock, address, data = heapq.heappop(self._queue)
                self._give(sock, address, data)

    def _take(self, sock):
        try:
            data, address = sock.recvfrom(_SIZE)
        except OSError:
            return  # an ICMP error: the server is away
        if sock is self._front:
            self._count("up", data)
            out = self._upstream.get(address)
            if out is None:
                out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                out.connect(self._server)
                self._upstream[address] = out
                self._clients[out] = address
            certain = self.counts["up"] in self._dropped
            self._schedule(out, None, data, certain)
        else:
            self._count("down", data)
            self._schedule(self._front, self._clients[sock], data, False)

    def _count(self, direction, data):
        self.counts[direction] += 1
        self.counts[direction + "_bytes"] += len(data)

    def _chance(self, probability, name):
        hit = self._random.random() < probability
        self.counts[name] += hit
        return hit

    def _schedule(self, sock, address, data, certain):
        if certain or self.blackout or self._chance(self._loss, "lost"):
            return
        due = time.monotonic() + self._delay_s
        if self._chance(self._late, "late"):
            due += self._late_s
        for _ in range(2 if self._chance(self._double, "doubled") else 1):
            self._tie += 1
            heapq.heappush(self._queue, (due, self._tie, sock, address, data))
            due += 0.005

    def _give(self, sock, address, data):
        try:
            if address is None:
                sock.send(data)
            else:
                sock.sendto(data, address)
        except OSError:
            pass  # as a link does
