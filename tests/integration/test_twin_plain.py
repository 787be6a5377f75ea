"""The emulated ThingsBoard and Exosite, datagram by datagram: the sequences of platforms.md 1.14 and the rules of 1.4,
1.5, 1.10 and 2.2, 2.5 as far as updates need them. Written from the facts; the requests are made here.
"""

import contextlib
import hashlib
import json
import socket
import zlib

import cbor2
import pytest
from net_support import LoopThread

from godwit.twin.exosite.server import Exosite
from godwit.twin.thingsboard.devices import Package
from godwit.twin.thingsboard.server import ThingsBoard
from godwit.world import World
from harness.fakenet import Seen, block, message, opts

TOKEN = "A1B2C3D4E5F6G7H8I9J0"
CIK = bytes(range(20))
CON, NON, ACK, RST = 0, 1, 2, 3
GET, POST, PUT = 1, 2, 3
DATA = bytes((i * 7 + (i >> 8)) & 255 for i in range(5000))
V4 = (
    "42011237abd0b266770d074131423243334434453546364737483849394a30497469746c653d6170700b76657273696f6e3d312e320873697a65"
    "3d353132076368756e6b3d33"
)
V5 = "42021238abd1b231610474656d704d07000102030405060708090a0b0c0d0e0f10111213ff3337"
V6 = "42021239abd2b231614d07000102030405060708090a0b0c0d0e0f1011121303636d64ffa161746432362e31"
V10 = "4201123dabd6b66566656e746f0174"


class Line:
    """A client that is only a socket. `say` sends a request and gives the datagrams that come within `wait_s`."""

    def __init__(self, port):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self._mid = 1000

    def heard(self, count, wait_s=5.0):
        """`count` datagrams, fewer when nothing comes for wait_s."""
        self.sock.settimeout(wait_s)
        found = []
        with contextlib.suppress(TimeoutError):
            while len(found) < count:
                found.append(Seen(self.sock.recv(4096)))
        return found

    def say(self, data, count=1):
        self.sock.send(data)
        return self.heard(count)

    def ask(self, method, path, *query, payload=b"", pairs=(), kind=CON, count=1):
        self._mid += 1
        options = [(11, part.encode()) for part in path.split("/")]
        options += [(15, item if isinstance(item, bytes) else item.encode()) for item in query]
        options += pairs
        options.sort(key=lambda pair: pair[0])
        return self.say(message(kind, method, self._mid, b"tk%d" % (self._mid % 10), opts(*options), payload), count)

    def ack(self, seen):
        self.sock.send(seen.empty(ACK))

    @property
    def mid(self):
        return self._mid


@contextlib.contextmanager
def line(make):
    thread = LoopThread(lambda: make(World(), ack_timeout_s=0.2).start())
    client = Line(thread.server.port)
    try:
        yield client, thread.server
    finally:
        client.sock.close()
        thread.close()


@pytest.fixture
def board():
    with line(ThingsBoard) as (client, server):
        server.add_device(TOKEN)
        server.assign(TOKEN, Package("app", "1.2", DATA))
        yield client, server


@pytest.fixture
def exosite():
    with line(Exosite) as (client, server):
        server.add_device(CIK.hex(), "acme", "node", "temp", "t", "cmd")
        server.upload("acme", "node", "fw.bin", DATA, "1.2, beta")
        yield client, server


def shape(*seen):
    return [(one.type, one.code) for one in seen]


# --- ThingsBoard


def test_a_fast_success_is_a_message_of_its_own_and_no_ack(board):
    """Sequence A: CON 2.01 with a fresh MID and the same token."""
    client, server = board
    [answer] = client.ask(POST, f"api/v1/{TOKEN}/telemetry", payload=b'{"t":21.5,"n":"007"}')
    assert shape(answer) == [(CON, 0x41)] and answer.mid != client.mid and not answer.payload
    client.ack(answer)
    assert server.devices[TOKEN].told("t") == [21.5] and server.devices[TOKEN].told("n") == [7]
    assert client.heard(1, 0.5) == []


def test_what_is_not_acknowledged_comes_again_and_a_repeated_request_is_not_run_twice(board):
    client, server = board
    path = [(11, part.encode()) for part in ("api", "v1", TOKEN, "telemetry")]
    data = message(CON, POST, 77, b"ab", opts(*path), b'{"t":1}')
    first, again = client.say(data, 2)
    assert first.data == again.data
    client.ack(first)
    [empty] = client.say(data)
    assert shape(empty) == [(ACK, 0)] and empty.mid == 77
    assert server.devices[TOKEN].told("t") == [1]


def test_a_slow_success_is_separate(board):
    """Sequence B: an empty ACK after the piggyback time-out, then the answer."""
    client, server = board
    server.switches.delay_s = 0.6
    ack, answer = client.ask(POST, f"api/v1/{TOKEN}/telemetry", payload=b'{"t":1}', count=2)
    assert shape(ack, answer) == [(ACK, 0), (CON, 0x41)] and ack.mid == client.mid


@pytest.mark.parametrize(
    ("path", "method", "payload", "code"),
    [
        ("api/v1/nobody/telemetry", POST, b'{"t":1}', 0x81),
        ("api/v1/nobody/attributes", GET, b"", 0x81),
        (f"api/v1/{TOKEN}/telemetry", POST, b"{", 0x80),
        (f"api/v1/{TOKEN}/telemetry", POST, b"", 0x80),
        (f"api/v1/{TOKEN}/telemetry", POST, b"[1]", 0x80),
        (f"api/v1/{TOKEN}/telemetry", POST, b'{"ts":"x","values":{}}', 0xA0),
        (f"api/v1/{TOKEN}/attributes", POST, b"[]", 0x80),
        (f"api/v1/{TOKEN}/telemetry", GET, b"", 0x80),
        (f"api/v1/{TOKEN}/firmware", GET, b"", 0x80),
        (f"api/v1/{TOKEN}/telemetry", PUT, b"{}", 0x85),
        ("nowhere", GET, b"", 0x84),
    ],
)
def test_errors_are_piggybacked_and_empty(board, path, method, payload, code):
    client, _ = board
    [answer] = client.ask(method, path, payload=payload)
    assert (answer.type, answer.code, answer.mid, answer.payload) == (ACK, code, client.mid, b"")


def test_an_empty_list_of_telemetry_is_never_answered(board):
    client, _ = board
    assert shape(*client.ask(POST, f"api/v1/{TOKEN}/telemetry", payload=b"[]", count=1)) == [(ACK, 0)]
    assert client.heard(1, 0.5) == []


def test_telemetry_shapes(board):
    client, server = board
    body = [{"a": 1}, {"ts": 5, "values": {"a": 2}}, {"ts": 5, "values": {"a": 3, "b": None}}, {"ts": 9}]
    client.ask(POST, f"api/v1/{TOKEN}/telemetry", payload=json.dumps(body).encode())
    device = server.devices[TOKEN]
    assert device.told("a") == [1, 2, 3] and device.rows["a", 5] == 3 and device.told("b") == []
    assert device.told("ts") == [9]


def attributes(client, *query, path=f"api/v1/{TOKEN}/attributes"):
    [answer] = client.ask(GET, path, *query)
    client.ack(answer)
    return (answer.code, json.loads(answer.payload)) if answer.payload else (answer.code, None)


def test_attributes(board):
    client, server = board
    shared = {
        "fw_title": "app",
        "fw_version": "1.2",
        "fw_size": 5000,
        "fw_checksum_algorithm": "SHA256",
        "fw_checksum": hashlib.sha256(DATA).hexdigest(),
    }
    assert attributes(client) == (0x45, {"shared": shared})
    client.ack(client.ask(POST, f"api/v1/{TOKEN}/attributes", payload=b'{"x":"y"}')[0])
    assert attributes(client, "clientKeys=x,z", "sharedKeys=fw_size") == (
        0x45, {"client": {"x": "y"}, "shared": {"fw_size": 5000}}
    )  # fmt: skip
    assert attributes(client, "clientKeys=x") == (0x45, {"client": {"x": "y"}})
    assert attributes(client, "clientKeys=nothing") == (0x84, None)
    assert attributes(client, "clientKeys=x&sharedKeys=fw_size") == (0x45, {"client": {"x": "y"}, "shared": shared})
    assert attributes(client, path=f"api/v1/{TOKEN}/attributes/updates")[0] == 0x45
    server.assign(TOKEN, None)
    assert attributes(client, "sharedKeys=fw_title") == (0x84, None)


def test_the_whole_path_as_one_option(board):
    client, _ = board
    options = opts((11, f"api/v1/{TOKEN}/attributes".encode()), (15, b"sharedKeys=fw_size"))
    [answer] = client.say(message(CON, GET, 9, b"a", options))
    assert json.loads(answer.payload) == {"shared": {"fw_size": 5000}}


def test_what_an_assignment_tells(board):
    client, server = board
    server.assign(TOKEN, Package("app", "1.3", DATA, tag="x", algorithm="CRC32"))
    shared = attributes(client)[1]["shared"]
    assert shared["fw_tag"] == "x" and shared["fw_checksum"] == zlib.crc32(DATA).to_bytes(4, "little").hex()
    assert Package("a", "b", b"123456789", algorithm="CRC32").checksum == "2639f4cb"
    server.assign(TOKEN, Package("app", "1.4", url="https://example.com/a"))
    assert attributes(client) == (
        0x45, {"shared": {"fw_title": "app", "fw_version": "1.4", "fw_url": "https://example.com/a"}}
    )  # fmt: skip
    assert server.fw_states(TOKEN) == ["QUEUED", "INITIATED"] * 3
    assert server.devices[TOKEN].told("target_fw_version") == ["1.2", "1.3", "1.4"]


def test_a_chunk(board):
    """Sequence F with the vector V4: an empty ACK, then CON 2.05 without any option."""
    client, _ = board
    ack, answer = client.say(bytes.fromhex(V4), 2)
    assert shape(ack, answer) == [(ACK, 0), (CON, 0x45)]
    assert (ack.mid, answer.token, answer.options) == (0x1237, b"\xab\xd0", [])
    assert answer.payload == DATA[1536:2048]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (("size=512", "chunk=9"), 0x45),
        (("title=app", "version=1.3", "size=512", "chunk=0"), 0x80),
        (("title=App", "size=512", "chunk=0"), 0x80),
        (("size=many",), 0xA0),
        (("size=512", "chunk=1.5"), 0xA0),
    ],
)
def test_what_else_a_chunk_can_be(board, query, code):
    client, _ = board
    _, answer = client.ask(GET, f"fw/{TOKEN}", *query, count=2)
    assert (answer.type, answer.code) == (CON, code)
    assert answer.payload == (DATA[4608:] if code == 0x45 else b"")


def test_behind_the_end_there_is_silence(board):
    """Sequence K, also where the length is a multiple of the chunk."""
    client, server = board
    server.assign(TOKEN, Package("app", "1.2", DATA[:4096]))
    assert client.ask(GET, f"fw/{TOKEN}", "size=1024", "chunk=3", count=2)[1].payload == DATA[3072:4096]
    client.heard(5, 0.3)
    assert shape(*client.ask(GET, f"fw/{TOKEN}", "size=1024", "chunk=4")) == [(ACK, 0)]
    assert [one for one in client.heard(1, 0.5) if one.token == b"tk%d" % (client.mid % 10)] == []
    assert server.site.violations == ["chunk 4 of 1024 is past the end"]


def test_no_package_no_device_no_number(board):
    client, server = board
    for path, code in ((f"sw/{TOKEN}", 0x84), ("fw/nobody", 0x81), (f"fw/{TOKEN}/x", 0x81)):
        assert client.ask(GET, path, "size=512", "chunk=0", count=2)[1].code == code
    server.assign(TOKEN, Package("app", "1.2", url="https://example.com/a"))
    assert client.ask(GET, f"fw/{TOKEN}", count=2)[1].code == 0x84


def test_block2_of_a_body_lives_with_the_port(board):
    """Block 0 separate with Size2; the others piggybacked from the saved body; without state silence."""
    client, server = board
    _, first = client.ask(GET, f"fw/{TOKEN}", count=2)
    client.ack(first)
    assert first.block(23) == (0, True, 6) and first.values(28) == [b"\x13\x88"] and first.payload == DATA[:1024]
    [second] = client.ask(GET, f"fw/{TOKEN}", pairs=[(23, block(1, False, 6))])
    assert (second.type, second.block(23), second.payload) == (ACK, (1, True, 6), DATA[1024:2048])
    [small] = client.ask(GET, f"fw/{TOKEN}", pairs=[(23, block(9, False, 4))])
    assert small.payload == DATA[9 * 256 : 10 * 256]
    other = Line(server.port)
    assert shape(*other.ask(GET, f"fw/{TOKEN}", pairs=[(23, block(1, False, 6))])) == [(ACK, 0)]
    assert other.heard(1, 0.5) == []
    other.sock.close()


def test_block2_on_top_of_chunks(board):
    client, _ = board
    _, large = client.ask(GET, f"fw/{TOKEN}", "size=512", "chunk=0", pairs=[(23, block(0, False, 4))], count=2)
    assert large.block(23) == (0, True, 4) and large.values(28) == [b"\x02\x00"]
    client.ack(large)
    _, small = client.ask(GET, f"fw/{TOKEN}", "size=256", "chunk=0", pairs=[(23, block(0, False, 5))], count=2)
    assert small.block(23) == (0, False, 5) and small.values(28) == []


def test_the_message_layer(board):
    client, _ = board
    assert shape(*client.say(b"\x40\x00\x12\x34")) == [(RST, 0)]
    [answer] = client.ask(POST, f"api/v1/{TOKEN}/telemetry", payload=b'{"t":1}', kind=NON)
    assert shape(answer) == [(NON, 0x41)]
    [unknown] = client.ask(GET, f"api/v1/{TOKEN}/attributes", pairs=[(2049, b"")])
    assert shape(unknown) == [(ACK, 0x82)]
    [clock] = client.say(bytes.fromhex(V10))
    assert len(clock.payload) == 4
    client.ack(clock)
    client.sock.send(bytes(2100))
    assert client.heard(1, 0.3) == []


# --- Exosite


def test_vectors(exosite):
    client, server = exosite
    assert shape(*client.say(bytes.fromhex(V5))) == [(ACK, 0x44)]
    assert server.devices[CIK.hex()].texts("temp") == ["37"]
    server.write(CIK.hex(), "cmd", "17:reboot")
    [answer] = client.say(bytes.fromhex(V6))
    assert answer.code == 0x45 and cbor2.loads(answer.payload) == {"cmd": "17:reboot"}
    assert server.devices[CIK.hex()].texts("t") == ["26.1"]


def test_a_cik_in_either_form_and_only_in_the_first_place(exosite):
    client, _ = exosite
    for first, code in (
        (CIK, 0x44), (CIK.hex(), 0x44), (CIK[:19], 0x81), (bytes(20), 0x81), ("x", 0x81), (CIK.hex()[:39], 0x81),
    ):  # fmt: skip
        assert client.ask(GET, "1a/temp", first)[0].code == code
    assert client.ask(GET, "1a/temp")[0].code == 0x81
    assert client.ask(GET, "1a/temp", "x", CIK)[0].code == 0x81


def test_dataports(exosite):
    client, server = exosite
    assert client.ask(POST, "1a/nowhere", CIK, payload=b"1")[0].code == 0x83
    assert client.ask(POST, "1a", CIK, "temp", "nowhere")[0].code == 0x83
    assert cbor2.loads(client.ask(POST, "1a", CIK, "temp")[0].payload) == {}
    server.devices[CIK.hex()].dataports["temp"].format = "float"
    assert client.ask(POST, "1a/temp", CIK, payload=b"warm")[0].code == 0x80
    assert client.ask(POST, "1a/temp", CIK, payload=b"26.5")[0].code == 0x44
    assert client.ask(GET, "1a/temp", CIK)[0].payload == b"26.5"
    client.ask(POST, "1a/temp", CIK, payload=b"26.6")
    client.ask(POST, "1a/temp", CIK, payload=b"26.7")
    assert server.devices[CIK.hex()].dataports["temp"].hasty >= 1


def test_content(exosite):
    client, server = exosite
    there = "provision/download/acme/node"
    [info] = client.ask(GET, there + "/fw.bin/info", CIK)
    kind, size, updated, meta = info.payload.decode().split(",", 3)
    assert (kind, size, meta) == ("application/octet-stream", "5000", "1.2, beta") and int(updated) > 1700000000
    assert client.ask(GET, there, CIK)[0].payload == b"fw.bin"
    for number, exponent in ((0, 3), (4, 6), (38, 3), (0, 6)):
        [part] = client.ask(GET, there + "/fw.bin", CIK, pairs=[(23, block(number, False, exponent))])
        size = 16 << exponent
        assert (part.type, part.payload) == (ACK, DATA[number * size :][:size])
        assert part.block(23) == (number, (number + 1) * size < 5000, exponent)
    for path, first, code in (
        (there + "/fw.bin", bytes(20), 0x81), (there + "/other", CIK, 0x84), (there + "/fw.bin/x", CIK, 0x84),
        ("provision/download/acme/other", CIK, 0x84), ("provision/download/acme", CIK, 0x84),
    ):  # fmt: skip
        assert client.ask(GET, path, first)[0].code == code
    server.upload("acme", "node", "fw.bin", None)
    assert client.ask(GET, there + "/fw.bin/info", CIK)[0].code == 0x84


def test_time(exosite):
    client, _ = exosite
    now = int(client.ask(GET, "ts")[0].payload)
    raw = client.ask(GET, "ts", pairs=[(12, b"\x2a")])[0].payload
    assert len(raw) == 4 and int.from_bytes(raw, "big", signed=True) - now in (0, 1)
