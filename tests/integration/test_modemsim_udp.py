"""Sockets of the simulated modem over real UDP (modems.md 2A.6): every way to send, receive, poll, and to lose."""

import random
import select
import socket

import pytest
from modemsim_support import running_modem

from godwit.modem.link import ResolveError, Resolver

NASTY = (b"", b"\r\nOK\r\n", b"+++", b"\r\n+CME ERROR: 3\r\n", b"> ",
         b"\x00\x11\x13\x1a\xff", b'"quoted",1', b"AT\r", b"\r\n#XRECV: 0,0,9\r\n")


class Peer:
    """UDP peer of the test."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.settimeout(3)
        self.port = self.sock.getsockname()[1]
        self.source = None

    def take(self):
        data, self.source = self.sock.recvfrom(65535)
        return data

    def give(self, data, source=None):
        self.sock.sendto(data, source or self.source)

    def quiet(self, seconds=0.1):
        return not select.select([self.sock], [], [], seconds)[0]


@pytest.fixture
def peer():
    made = Peer()
    yield made
    made.sock.close()


@pytest.fixture
def modem(tmp_path, peer):
    with running_modem(tmp_path, "--speed", "50", "--resolve", f"cloud.example:5683=127.0.0.1:{peer.port}") as running:
        running.attach()
        yield running


def connect(terminal, handle=0):
    terminal.ok("AT#XSOCKET=1,2,0")
    terminal.ok("AT#XDATACTRL=1000")
    assert terminal.ok(f'AT#XCONNECT={handle},"cloud.example",5683') == [f"#XCONNECT: {handle},1"]


def send(terminal, data, handle=0):
    terminal.ok(f"AT#XSEND={handle},2,0,{len(data)}")
    terminal.write(data)
    terminal.exactly(b"\r\n#XDATAMODE: 0\r\n")


def test_resolver():
    resolver = Resolver(["a.example:5684=127.0.0.1:4000", "a.example:80=127.0.0.1:4001", "b.example:*=127.0.0.2:*"])
    a, b = resolver.address("A.example"), resolver.address("b.example")
    assert (a, b) == ("192.0.2.10", "192.0.2.11")
    assert resolver.target(a, 80) == ("127.0.0.1", 4001)
    assert resolver.target(a, 81) is None
    assert resolver.target(b, 123) == ("127.0.0.2", 123)
    assert resolver.public(("127.0.0.1", 4000)) == (a, 5684)
    assert resolver.public(("127.0.0.2", 77)) == (b, 77)
    assert resolver.address("c.example") is None
    for bad in ("x", "a:1", "a:1=b", "a:x=b:1", ":1=b:2"):
        with pytest.raises(ResolveError):
            Resolver([bad])


def test_echo_of_all_sizes_by_auto_receive(modem, peer):
    terminal, rng = modem.terminal, random.Random(91)
    connect(terminal)
    terminal.ok("AT#XRECVCFG=0,1")
    payloads = [p for p in NASTY if p] + [rng.randbytes(n) for n in (1, 2, 31, 255, 256, 511, 1024, 1199, 1200)]
    payloads += [rng.randbytes(rng.randrange(1, 1200)) + rng.choice(NASTY) for _ in range(30)]
    for payload in payloads:
        send(terminal, payload)
        assert peer.take() == payload
        peer.give(payload)
        terminal.exactly(b"\r\n#XRECV: 0,0,%d\r\n%b\r\n" % (len(payload), payload))
    peer.give(b"")  # an empty datagram is one too
    terminal.exactly(b"\r\n#XRECV: 0,0,0\r\n\r\n")


def test_pull_peek_and_timeout(modem, peer):
    terminal = modem.terminal
    connect(terminal)
    assert terminal.ok('AT#XSEND=0,0,0,"hello"') == ["#XSEND: 0,0,5"]
    assert peer.take() == b"hello"
    assert terminal.ok('AT#XSEND=0,1,512,"00ff0d0a"') == ["#XSEND: 0,0,4"]
    assert peer.take() == b"\x00\xff\r\n"
    assert terminal.at("AT#XRECV=0,0,64,0") == "\r\nERROR\r\n"
    assert terminal.at("AT#XRECV=0,0,0,1") == "\r\nERROR\r\n"
    peer.give(b"\r\nOK\r\n")
    terminal.write(b"AT#XRECV=0,0,2,5\r")
    terminal.exactly(b"\r\n#XRECV: 0,0,6\r\n\r\nOK\r\n\r\nOK\r\n")
    assert terminal.ok("AT#XRECV=0,1,0,5") == ["#XRECV: 0,1,6", "0d0a4f4b0d0a"]
    peer.give(b"0123456789")
    assert terminal.ok("AT#XRECV=0,0,0,5,4") == ["#XRECV: 0,0,4", "0123"]
    assert terminal.at("AT#XRECV=0,0,64,0") == "\r\nERROR\r\n"  # the rest of the datagram is gone
    # A datagram that arrives while the modem waits.
    terminal.write(b"AT#XRECVFROM=0,0,0,5\r")
    peer.give(b"late")
    terminal.exactly(b'\r\n#XRECVFROM: 0,0,4,"192.0.2.10",5683\r\nlate\r\nOK\r\n')


def test_unconnected_socket(modem, peer):
    terminal = modem.terminal
    terminal.ok("AT#XSOCKET=1,2,0")
    terminal.ok("AT#XRECVCFG=0,1")
    assert terminal.at('AT#XSEND=0,0,0,"x"') == "\r\nERROR\r\n"
    assert terminal.ok('AT#XSENDTO=0,0,0,"cloud.example",5683,"hi"') == ["#XSENDTO: 0,0,2"]
    assert peer.take() == b"hi"
    terminal.ok('AT#XSENDTO=0,2,0,"192.0.2.10",5683,3')
    terminal.write(b"+++")
    terminal.exactly(b"\r\n#XDATAMODE: 0\r\n")
    assert peer.take() == b"+++"
    peer.give(b"back")
    terminal.exactly(b'\r\n#XRECVFROM: 0,0,4,"192.0.2.10",5683\r\nback\r\n')
    assert terminal.at('AT#XSENDTO=0,0,0,"unknown.example",1,"x"').endswith("ERROR\r\n")


def test_foreign_datagrams_do_not_reach_a_connected_socket(modem, peer):
    terminal = modem.terminal
    connect(terminal)
    terminal.ok("AT#XRECVCFG=0,1")
    send(terminal, b"x")
    peer.take()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"evil", peer.source)
    peer.give(b"good")
    terminal.exactly(b"\r\n#XRECV: 0,0,4\r\ngood\r\n")
    assert terminal.quiet() == b""


def test_names_and_black_holes(modem, peer):
    terminal = modem.terminal
    assert terminal.ok('AT#XGETADDRINFO="cloud.example"') == ['#XGETADDRINFO: "192.0.2.10"']
    assert terminal.at('AT#XGETADDRINFO="unknown.example"') == '\r\n#XGETADDRINFO: "host not found"\r\n\r\nERROR\r\n'
    terminal.ok("AT#XSOCKET=1,2,0")
    assert terminal.at('AT#XCONNECT=0,"unknown.example",5683') == "\r\nERROR\r\n"
    terminal.ok('AT#XCONNECT=0,"198.51.100.1",5683')
    assert terminal.ok('AT#XSEND=0,0,0,"x"') == ["#XSEND: 0,0,1"]
    assert peer.quiet()


def test_handles(modem):
    terminal = modem.terminal
    for handle in range(8):
        assert terminal.ok("AT#XSOCKET=1,2,0") == [f"#XSOCKET: {handle},2,17"]
    assert terminal.at("AT#XSOCKET=1,2,0") == "\r\nERROR\r\n"
    assert terminal.ok("AT#XCLOSE=3") == ["#XCLOSE: 3,0"]
    assert terminal.at("AT#XCLOSE=3") == "\r\nERROR\r\n"
    assert terminal.ok("AT#XSOCKET=1,2,0") == ["#XSOCKET: 3,2,17"]
    assert len(terminal.ok("AT#XSOCKET?")) == 8
    assert terminal.at("AT#XSOCKET=1,1,0") == "\r\nERROR\r\n"  # no streams here
    assert terminal.ok("AT#XSOCKETOPT=0,1,20,5") == []
    assert terminal.ok("AT#XSOCKETOPT=0,0,20") == ["#XSOCKETOPT: 0,5"]
    assert terminal.at("AT#XSOCKETOPT=0,0,99") == "\r\nERROR\r\n"


def test_poll_is_one_shot(modem, peer):
    terminal = modem.terminal
    connect(terminal)
    send(terminal, b"x")
    peer.take()
    terminal.ok("AT#XAPOLL=0,1,1")
    peer.give(b"one")
    terminal.exactly(b"\r\n#XAPOLL: 0,1\r\n")
    peer.give(b"two")
    assert terminal.quiet() == b""
    assert terminal.ok("AT#XRECV=0,0,64,0") == ["#XRECV: 0,0,3", "one"]
    terminal.exactly(b"\r\n#XAPOLL: 0,1\r\n")  # re-armed, and there is more
    assert terminal.ok("AT#XRECV=0,0,64,0") == ["#XRECV: 0,0,3", "two"]
    terminal.ok("AT#XAPOLL=0,0")
    peer.give(b"three")
    assert terminal.quiet() == b""
    terminal.ok("AT#XAPOLL=,1,5")
    terminal.exactly(b"\r\n#XAPOLL: 0,5\r\n")


def test_nat_rebinding_and_losses(modem, peer):
    terminal = modem.terminal
    connect(terminal)
    terminal.ok("AT#XRECVCFG=0,1")
    send(terminal, b"a")
    peer.take()
    old = peer.source
    modem.ask(do="nat_rebind")
    peer.give(b"to the old port", old)
    assert terminal.quiet() == b""
    send(terminal, b"b")
    assert peer.take() == b"b" and peer.source != old
    peer.give(b"c")
    terminal.exactly(b"\r\n#XRECV: 0,0,1\r\nc\r\n")
    modem.ask(fault="drop", arg=1.0)
    send(terminal, b"lost")
    assert peer.quiet()
    modem.ask(clear="drop")
    modem.ask(fault="dup", arg=1.0)
    send(terminal, b"twice")
    assert (peer.take(), peer.take()) == (b"twice", b"twice")


def test_loss_is_seeded(tmp_path, peer):
    def pattern(seed, folder):
        folder.mkdir()
        rule = f"cloud.example:5683=127.0.0.1:{peer.port}"
        with running_modem(folder, "--speed", "50", "--resolve", rule, "--seed", seed) as modem:
            modem.attach()
            connect(modem.terminal)
            modem.ask(fault="drop", arg=0.5)
            for i in range(24):
                modem.terminal.ok(f'AT#XSEND=0,1,0,"{i:02x}"')
            got = []
            while not peer.quiet(0.2):
                got.append(peer.take())
            return got

    first = pattern(5, tmp_path / "a")
    assert first == pattern(5, tmp_path / "b")
    assert first != pattern(6, tmp_path / "c")
    assert 4 < len(first) < 20
