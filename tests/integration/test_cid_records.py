"""Records with a connection ID at the twin: hostile ones are counted and dropped, addresses change as RFC 9146 says.

The last class makes and reads such records without Mbed TLS, from the text of RFC 9146 and RFC 5288 and the keys of a
handshake, so that twin and simulator do not only agree with each other.
"""

import ctypes
import hmac
import os
import random

import pytest
from cid_support import CidClient, needs_cid
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twin_support import GET, POST, Answer, Client, connected, encode, running, token

from godwit.dtls import mbedtls_library

pytestmark = needs_cid
CID_AT, LENGTH_AT, BODY_AT = 11, 19, 21  # in a record with an ID of 8 bytes


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with running(tmp_path_factory.mktemp("twin")) as made:
        yield made


@pytest.fixture
def client(twin):
    with CidClient(twin.coap_port) as made:
        assert made.authenticate(token(twin)) == "2.01"
        yield made


@pytest.fixture
def elsewhere():
    made = CidClient.new_socket()
    yield made
    made.close()


def counted(twin, before=None):
    """The counters of dropped datagrams, or what they have grown by."""
    totals = twin.records()["totals"]
    now = {name: totals[name] for name in ("cid_unknown", "cid_malformed", "cid_repeated", "cid_forged", "rebinds")}
    return {name: now[name] - before[name] for name in now if now[name] != before[name]} if before else now


def changed(datagram, at, mask=1):
    """The datagram with one byte changed."""
    made = bytearray(datagram)
    made[at] ^= mask
    return bytes(made)


HOSTILE = {
    "wrong ID": (lambda good: changed(good, CID_AT + 3), "cid_unknown"),
    "forged tag": (lambda good: changed(good, -1), "cid_forged"),
    "forged body": (lambda good: changed(good, BODY_AT + 9), "cid_forged"),
    "forged sequence number": (lambda good: changed(good, 9), "cid_forged"),
    "another epoch": (lambda good: changed(good, 4, 2), "cid_repeated"),  # the library does not say it apart
    "cut": (lambda good: good[:-5], "cid_malformed"),
    "header only": (lambda good: good[:BODY_AT], "cid_malformed"),
    "cut in the ID": (lambda good: good[: CID_AT + 4], "cid_malformed"),
    "length of nothing": (lambda good: good[:LENGTH_AT] + b"\0\0", "cid_forged"),
    "length beyond the end": (lambda good: good[:LENGTH_AT] + b"\xff\xff" + good[BODY_AT:], "cid_malformed"),
    "one byte": (lambda good: good[:1], "cid_malformed"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_records_are_dropped(twin, client, elsewhere, name):
    """From the right address and from another: no answer, no new address, counted; the good one is then served."""
    spoil, counter = HOSTILE[name]
    good, wanted = client.seal(GET, "state")
    before = counted(twin)
    for sock in (elsewhere, client.socket):
        client.send(spoil(good), sock)
    client.send(good)
    assert client.answer(wanted).dotted == "2.05"
    assert counted(twin, before) == {counter: 2}
    elsewhere.setblocking(False)
    with pytest.raises(BlockingIOError):
        elsewhere.recv(2048)


def test_a_replay_from_elsewhere_moves_nothing(twin, client, elsewhere):
    """Somebody who heard a record sends it again from an address of his: he hears nothing, and we go on."""
    good, wanted = client.seal(GET, "state")
    client.send(good)
    assert client.answer(wanted).dotted == "2.05"
    before = counted(twin)
    client.send(good, elsewhere)
    assert client.request(GET, "state") == "2.05"
    assert counted(twin, before) == {"cid_repeated": 1}


def test_an_old_record_from_elsewhere_moves_nothing(twin, client, elsewhere):
    """RFC 9146 section 6: only a record newer than the newest changes the address; an older one is still answered."""
    late, first = client.seal(GET, "state")
    newer, second = client.seal(GET, "state")
    client.send(newer)
    assert client.answer(second).dotted == "2.05"
    before = counted(twin)
    client.send(late, elsewhere)
    assert client.answer(first).dotted == "2.05"  # at the address of the newest record
    assert counted(twin, before) == {}


def test_answers_follow_the_client(twin, client, elsewhere):
    before = counted(twin)
    assert client.request(GET, "state", sock=elsewhere) == "2.05"
    assert client.request(GET, "state") == "2.05"  # and back
    assert counted(twin, before) == {"rebinds": 2}
    assert twin.records()["sessions"][-1]["rebinds"] == 2


def test_a_record_without_the_id_is_dropped(twin, client):
    """RFC 9146 section 3: once negotiated, application data comes in records of type 25 only."""
    good, _ = client.seal(GET, "state")
    plain = b"\x17" + good[1:CID_AT] + good[LENGTH_AT:]
    requests = twin.records()["totals"]["requests"]
    client.send(plain)
    assert client.request(GET, "state") == "2.05"
    assert twin.records()["totals"]["requests"] == requests + 1


def test_two_clients_change_places(twin, client):
    """Each gets the address of the other, as NATs do; both sessions go on."""
    with CidClient(twin.coap_port) as other:
        before = counted(twin)
        assert client.request(GET, "state", sock=other.socket) == "2.05"
        assert other.request(GET, "state", sock=client.socket) == "4.01"
        assert client.request(GET, "state", sock=other.socket) == "2.05"
    assert counted(twin, before)["rebinds"] == 2


def test_a_client_without_id_loses_an_address_that_is_taken(twin, client):
    """A session that is known by its address alone cannot be told from the one that is there now."""
    with connected(twin) as plain:
        old = twin.records()["sessions"][-1]["id"]
        assert client.request(GET, "state", sock=plain.socket) == "2.05"
    rows = {row["id"]: row for row in twin.records()["sessions"]}
    assert (rows[old]["cid"], rows[old]["reason"]) == (None, "replaced")


def test_a_new_handshake_from_its_address_leaves_the_session(twin, client, elsewhere):
    """The address may be somebody else's by now. The one known by ID goes on from where it really is."""
    other = Client(twin.coap_port, local=client.socket)
    assert other.request(GET, "state").dotted == "4.01"
    assert client.request(GET, "state", sock=elsewhere) == "2.05"
    assert other.request(GET, "state").dotted == "4.01"


def test_garbage_of_type_25(twin, client, elsewhere):
    rng = random.Random(25)
    before = counted(twin)
    for _ in range(200):
        client.send(b"\x19\xfe\xfd" + rng.randbytes(rng.randrange(60)), elsewhere)
    assert client.request(GET, "state") == "2.05"
    grown = counted(twin, before)
    assert sum(grown.values()) == 200 and set(grown) <= {"cid_unknown", "cid_malformed"}
    assert twin.records()["errors"] == []


class Plain:
    """AES-128-GCM records with connection ID by RFC 9146 section 5 and RFC 5288, from the secrets of a handshake."""

    def __init__(self, client):
        self.cid = client.engine.peer_cid
        master, client_random, server_random = client.secrets
        block = self.expand(master, b"key expansion" + server_random + client_random, 40)
        self.write_key, self.read_key = AESGCM(block[:16]), AESGCM(block[16:32])
        self.write_iv, self.read_iv = block[32:36], block[36:40]

    @staticmethod
    def expand(secret, seed, size):
        """P_SHA256 of RFC 5246 section 5."""
        out, a = b"", seed
        while len(out) < size:
            a = hmac.digest(secret, a, "sha256")
            out += hmac.digest(secret, a + seed, "sha256")
        return out[:size]

    def additional_data(self, number, cid, size):
        """RFC 9146 section 5.3: placeholder, tls12_cid, length of the ID, tls12_cid, version, number, ID, length."""
        return b"\xff" * 8 + b"\x19" + bytes([len(cid)]) + b"\x19\xfe\xfd" + number + cid + size.to_bytes(2, "big")

    def open(self, record):
        """-> (inner plaintext, true type, number of zeros) of a record of ours. Raises InvalidTag."""
        number, cid, body = record[3:11], record[CID_AT : CID_AT + len(self.cid)], record[BODY_AT:]
        assert (record[0], record[1:3], cid) == (25, b"\xfe\xfd", self.cid)
        assert int.from_bytes(record[LENGTH_AT:BODY_AT], "big") == len(body)
        inner = self.write_key.decrypt(
            self.write_iv + body[:8], body[8:], self.additional_data(number, cid, len(body) - 24)
        )
        text = inner.rstrip(b"\0")
        return text[:-1], text[-1], len(inner) - len(text)

    def seal(self, plaintext, sequence, padding=0):
        """-> a record of ours of application data."""
        number = b"\0\1" + sequence.to_bytes(6, "big")
        inner = plaintext + b"\x17" + bytes(padding)
        explicit = os.urandom(8)
        sealed = explicit + self.write_key.encrypt(
            self.write_iv + explicit, inner, self.additional_data(number, self.cid, len(inner))
        )
        return b"\x19\xfe\xfd" + number + self.cid + len(sealed).to_bytes(2, "big") + sealed

    def open_answer(self, record):
        """-> plaintext of a record of the server, which carries no ID: ours is of no bytes (RFC 5288, RFC 6347)."""
        body = record[13:]
        known = record[3:11] + record[:3] + (len(body) - 24).to_bytes(2, "big")
        return self.read_key.decrypt(self.read_iv + body[:8], body[8:], known)


@pytest.fixture
def keyed(twin, monkeypatch):
    """-> (a client, its Plain): the secrets are what Mbed TLS exports on request."""
    secrets = []
    kind = ctypes.CFUNCTYPE(
        None, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p,
        ctypes.c_int,
    )  # fmt: skip

    def export(_, what, secret, size, client_random, server_random, prf):
        secrets[:] = [ctypes.string_at(*pair) for pair in ((secret, size), (client_random, 32), (server_random, 32))]

    callback = kind(export)
    library = mbedtls_library.load()
    ask = library.function("mbedtls_ssl_set_export_keys_cb")
    original = CidClient._handshake

    def handshake(self):
        ask(self.engine.pointer, callback, None)
        original(self)

    monkeypatch.setattr(CidClient, "_handshake", handshake)
    with CidClient(twin.coap_port) as made:
        made.secrets = secrets
        yield made, Plain(made)


def test_our_records_are_those_of_the_rfc(keyed):
    client, plain = keyed
    for n in range(1, 40):
        client.engine.send(bytes(range(n)))
        (record,) = client.engine.outgoing()
        text, kind, zeros = plain.open(record)
        assert (text, kind) == (bytes(range(n)), 23) and zeros < 16
        with pytest.raises(InvalidTag):
            plain.open(changed(record, -1))


def test_the_twin_takes_records_of_the_rfc(twin, keyed, elsewhere):
    """Without padding and with much; from a new address each time; and its answers are plain DTLS 1.2 records."""
    client, plain = keyed
    for sequence, padding in ((1000, 0), (1001, 1), (5000, 300)):
        with CidClient.new_socket() as sock:
            client.send(plain.seal(encode(GET, ["state"], mid=sequence, token=b"abc"), sequence, padding), sock)
            answer = sock.recv(2048)
        assert answer[0] == 23
        assert Answer(plain.open_answer(answer)).dotted == "4.01"
    assert twin.records()["sessions"][-1]["rebinds"] == 3


def test_a_record_of_padding_only(twin, keyed):
    """RFC 9146 section 4: zeros only, so it has no type. Whatever becomes of its session, the twin serves the next."""
    client, plain = keyed
    inner = bytes(32)
    number = b"\0\1" + (9).to_bytes(6, "big")
    explicit = bytes(8)
    sealed = explicit + plain.write_key.encrypt(
        plain.write_iv + explicit, inner, plain.additional_data(number, plain.cid, len(inner))
    )
    client.send(b"\x19\xfe\xfd" + number + plain.cid + len(sealed).to_bytes(2, "big") + sealed)
    with CidClient(twin.coap_port) as other:
        assert other.request(POST, "auth/jwt", token(twin)) == "2.01"
    assert twin.records()["errors"] == []
