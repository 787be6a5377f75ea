"""A bad radio link between UDP peers: a seeded proxy for tests, for the bench, and as `godwit impair`.

    with Impairment(("127.0.0.1", server_port), loss=0.05, delay_s=0.1, seed=1) as link:
        ... talk to link.port; link.counts tells what happened ...

`Direction` decides what becomes of a datagram and knows neither sockets nor the clock; `Relay` is one thread that moves
the datagrams of any number of links; `Impairment` is one link. Each client address has an upstream socket of its own,
so that the server sees its clients apart.

The k-th datagram of a direction meets the same fate whoever sends it and whatever goes the other way: each direction
has its own random numbers, and takes as many for every datagram. With the same seed, what is lost at 2 % is also lost
at 5 %.
"""

from __future__ import annotations

import heapq
import json
import random
import select
import selectors
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import click

_SIZE = 65536
_IP_UDP = 28  # bytes of IPv4 and UDP headers
_BURST = 64  # datagrams taken from one socket before the others have their turn
_SOCKET_BUFFER = 1 << 20
_BUCKETS = 100  # of 1 ms, for the relay's own lateness


@dataclass(frozen=True)
class Settings:
    """One direction of a link. Probabilities are per datagram, times in seconds."""

    loss: float = 0.0
    double: float = 0.0  # a second copy, 5 ms behind the first
    late: float = 0.0  # held back by late_s, so that others overtake it
    late_s: float = 0.3
    delay_s: float = 0.0  # one way: half the round trip
    jitter_s: float = 0.0  # up to that much more, evenly spread
    rate_bit_s: float | None = None  # of the link; None for no limit
    queue_bytes: int = 16384  # what waits for the link; a datagram that does not fit is dropped (drop-tail)
    headers: int = _IP_UDP  # bytes that a datagram takes on the link beyond its payload


class Direction:
    """Decides what becomes of each datagram of one direction. Pure: time comes in, times come out."""

    def __init__(self, settings: Settings, seed: int | str):
        self.settings = settings
        self.counts = dict.fromkeys(
            ("datagrams", "bytes", "passed", "passed_bytes", "lost", "overflow", "doubled", "late"), 0
        )
        self._random = random.Random(seed)
        self._free_at = 0.0  # when the link has sent all that it took

    def fate(self, now: float, size: int, *, certain: bool = False) -> list[float]:
        """-> when copies of a datagram of `size` bytes arrive; none when it is lost (for `certain`: in any case)."""
        how, counts = self.settings, self.counts
        counts["datagrams"] += 1
        counts["bytes"] += size
        loss, double, late, jitter = (self._random.random() for _ in range(4))  # always four: see the module's head
        sent = self._through_link(now, size + how.headers)
        if sent is None:
            counts["overflow"] += 1
            return []
        if certain or loss < how.loss:  # on the air: it has had its time on the link
            counts["lost"] += 1
            return []
        counts["passed"] += 1
        counts["passed_bytes"] += size
        due = sent + how.delay_s + jitter * how.jitter_s
        if late < how.late:
            counts["late"] += 1
            due += how.late_s
        if double < how.double:
            counts["doubled"] += 1
            return [due, due + 0.005]
        return [due]

    def _through_link(self, now, size):
        """Time at which the last bit has left, None when the queue is full."""
        rate = self.settings.rate_bit_s
        if not rate:
            return now
        start = max(now, self._free_at)
        if start > now and (start - now) * rate / 8 + size > self.settings.queue_bytes:
            return None  # while an idle link takes any datagram
        self._free_at = start + size * 8 / rate
        return self._free_at


class Relay:
    """One thread that receives for links and delivers when things are due, to some 0.1 ms on an idle machine."""

    def __init__(self):
        self._lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._heap = []  # (due, tie, function, arguments)
        self._tie = 0
        self._lateness = [0] * _BUCKETS
        self._ear, self._mouth = socket.socketpair()
        self._selector.register(self._ear, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._mouth.send(b"x")
        self._thread.join()
        self._selector.close()
        self._ear.close()
        self._mouth.close()

    def add(self, sock, take):
        """Call take(sock, now) whenever the non-blocking `sock` can be read."""
        with self._lock:
            self.watch(sock, take)

    def watch(self, sock, take):
        """The same, from within take()."""
        self._selector.register(sock, selectors.EVENT_READ, take)

    def remove(self, socks):
        """Forget and close sockets; what was on its way to them is lost."""
        with self._lock:
            for sock in socks:
                self._selector.unregister(sock)
                sock.close()

    def at(self, due, function, *arguments):
        """Call function(*arguments) at `due`; from within take()."""
        self._tie += 1
        heapq.heappush(self._heap, (due, self._tie, function, arguments))

    def lateness_ms(self, share: float) -> int:
        """-> ms (rounded up) within which that share of all deliveries was made: whether the machine kept up."""
        wanted, seen = share * sum(self._lateness), 0
        for ms, count in enumerate(self._lateness):
            seen += count
            if seen >= wanted:
                return ms + 1
        return _BUCKETS

    def _run(self):
        # A selector's own timeout is in whole milliseconds; select() on the selector has a finer one.
        handle = [self._selector.fileno()]
        while True:
            pause = max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else 60.0
            select.select(handle, [], [], pause)
            with self._lock:
                for key, _ in self._selector.select(0):
                    if key.data is None:
                        return
                    key.data(key.fileobj, time.monotonic())
                self._deliver()

    def _deliver(self):
        while self._heap and self._heap[0][0] <= time.monotonic():
            due, _, function, arguments = heapq.heappop(self._heap)
            self._lateness[min(int((time.monotonic() - due) * 1000), _BUCKETS - 1)] += 1
            function(*arguments)


class Impairment:
    """A proxy in front of `server`; use it in a with statement. `port` is what clients talk to.

    What follows `seed` are the fields of Settings for both directions; `up` (towards the server) and `down` are dicts
    that differ for one. `dropped`: numbers of client datagrams (from 1) that are lost for certain. While `blackout` is
    true, nothing passes. A test that fails inside the with statement has its seed and settings printed.
    """

    def __init__(self, server, *, seed=0, up=None, down=None, dropped=(), listen=("127.0.0.1", 0), relay=None, **both):
        settings = Settings(**both)
        self.up = Direction(replace(settings, **(up or {})), f"{seed}/up")
        self.down = Direction(replace(settings, **(down or {})), f"{seed}/down")
        self.seed = seed
        self.blackout = False
        self.blacked_out = self.stray = 0  # lost in a blackout; come to an address that is no client's any more
        self._server = server
        self._dropped = frozenset(dropped)
        self._own_relay = relay is None
        self._relay = relay or Relay()
        self._front = _socket()
        try:
            self._front.bind(listen)
        except OSError:
            self._front.close()
            raise
        self.port = self._front.getsockname()[1]
        self._upstream = {}  # client address -> socket
        self._clients = {}  # that socket, or one from before a rebinding -> client address

    def __enter__(self):
        if self._own_relay:
            self._relay.__enter__()
        self._relay.add(self._front, self._from_client)
        return self

    def __exit__(self, kind, *_):
        self._relay.remove([self._front, *self._clients])
        if self._own_relay:
            self._relay.__exit__(None, None, None)
        if kind is not None:
            print(f"impairment: seed {self.seed}, {self.up.settings}, {self.counts}", file=sys.stderr)

    @property
    def counts(self) -> dict[str, int]:
        """Datagrams and bytes so far: up, down, up_bytes, down_bytes; of both: lost, doubled, late, overflow, ..."""
        up, down = self.up.counts, self.down.counts
        found = {"up": up["datagrams"], "down": down["datagrams"], "up_bytes": up["bytes"], "down_bytes": down["bytes"]}
        for key in ("passed", "passed_bytes"):
            found |= {f"up_{key}": up[key], f"down_{key}": down[key]}
        found |= {key: up[key] + down[key] for key in ("lost", "overflow", "doubled", "late")}
        return found | {"blackout": self.blacked_out, "stray": self.stray}

    def rebind(self):
        """Give every client a new upstream port, as a NAT does that forgot its binding: old ones lead nowhere."""
        self._upstream = {}

    def _from_client(self, front, now):
        for data, address in _datagrams(front):
            out = self._upstream.get(address) or self._new_upstream(address)
            certain = self.up.counts["datagrams"] + 1 in self._dropped
            self._pass(self.up, now, data, certain, out.send)

    def _from_server(self, sock, now):
        client = self._clients[sock]
        for data, _ in _datagrams(sock):
            if self._upstream.get(client) is sock:
                self._pass(self.down, now, data, False, self._front.sendto, client)
            else:
                self.stray += 1

    def _new_upstream(self, address):
        out = _socket()
        out.connect(self._server)
        self._upstream[address] = out
        self._clients[out] = address
        self._relay.watch(out, self._from_server)
        return out

    def _pass(self, direction, now, data, certain, send, *to):
        if self.blackout:
            self.blacked_out += 1
            return
        for due in direction.fate(now, len(data), certain=certain):
            self._relay.at(due, _give, send, data, *to)


def _socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
    return sock


def _datagrams(sock):
    """(bytes, address) of what is there, no more than one turn's worth."""
    for _ in range(_BURST):
        try:
            yield sock.recvfrom(_SIZE)
        except BlockingIOError:
            return
        except OSError:
            pass  # an ICMP error about something sent earlier: the server is away


def _give(send, *arguments):
    with suppress(OSError):  # the peer is away, or the socket is closed: it is lost, as on any link
        send(*arguments)


def _address(_ctx, _param, text):
    host, _, port = text.rpartition(":")
    try:
        return socket.getaddrinfo(host or "127.0.0.1", int(port), socket.AF_INET, socket.SOCK_DGRAM)[0][4]
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{text}: not HOST:PORT ({error})") from error


def _span(_ctx, _param, texts):
    try:
        return [tuple(map(float, text.split(":"))) if ":" in text else (float(text), 1e9) for text in texts]
    except ValueError as error:
        raise click.BadParameter("AT:SECONDS") from error


_CHANCE = click.FloatRange(0, 1)


@click.command()
@click.option("--listen", default="127.0.0.1:0", show_default=True, callback=_address, help="Where clients come to.")
@click.option("--server", required=True, callback=_address, help="HOST:PORT they are passed on to.")
@click.option("--loss", default=0.0, type=_CHANCE, help="Probability per datagram and direction.")
@click.option("--double", default=0.0, type=_CHANCE, help="Probability of a second copy.")
@click.option("--late", default=0.0, type=_CHANCE, help="Probability of being held back (reordering).")
@click.option("--late-ms", default=300.0, show_default=True, help="For how long.")
@click.option("--rtt", default=0.0, help="Round trip time, ms.")
@click.option("--jitter", default=0.0, help="Up to that much more each way, ms.")
@click.option("--rate", type=float, help="Of the link in each direction, bit/s, IP and UDP headers included.")
@click.option("--queue", default=16384, show_default=True, help="Bytes that may wait for the link.")
@click.option("--blackout", multiple=True, metavar="AT:SECONDS", callback=_span, help="Nothing passes; repeatable.")
@click.option("--rebind", multiple=True, type=float, metavar="AT", help="New port towards the server; repeatable.")
@click.option("--seconds", type=float, help="End after that long (else with Ctrl-C or SIGTERM).")
@click.option("--seed", type=int, help="Of all chances; without one a random one is taken and printed.")
def impair(listen, server, seed, rtt, jitter, late_ms, rate, queue, blackout, rebind, seconds, **chances):
    """A bad UDP link in front of a server. Prints its address and seed, and its counters at the end, as JSON lines."""
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    times = {"delay_s": rtt / 2000, "jitter_s": jitter / 1000, "late_s": late_ms / 1000}
    try:
        link = Impairment(server, listen=listen, seed=seed, rate_bit_s=rate, queue_bytes=queue, **times, **chances)
    except OSError as error:
        raise click.ClickException(f"{listen[0]}:{listen[1]}: {error}") from error
    events = [(at, "dark") for at, _ in blackout] + [(at + span, "light") for at, span in blackout]
    events += [(at, "rebind") for at in rebind] + ([(seconds, "end")] if seconds is not None else [])
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with link:
        print(json.dumps({"listen": f"{listen[0]}:{link.port}", "seed": seed, **asdict(link.up.settings)}), flush=True)
        _play(link, sorted(events), stopped)
    print(json.dumps(link.counts), flush=True)


def _play(link, events, stopped):
    """Do what is due in `events` ((seconds from now, what), ..) until told to end."""
    start = time.monotonic()
    for at, what in events:
        if stopped.wait(max(0.0, start + at - time.monotonic())) or what == "end":
            return
        if what == "rebind":
            link.rebind()
        else:
            link.blackout = what == "dark"
    stopped.wait()
