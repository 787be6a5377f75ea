"""The two DTLS engines of the host tools against each other, in memory: certificates, suites, loss, bad input."""

import gc
import random
import time

import pytest
from cid_support import ENGINE, needs_cid

from godwit import dtls, pki
from godwit.dtls import EngineError, mbedtls, mbedtls_library
from godwit.dtls.records import SUITES, split_records
from godwit.dtls.trust import VERIFY_NONE, VERIFY_OPTIONAL, VERIFY_REQUIRED, CredentialError, Trust

NAMES = [pytest.param("mbedtls", marks=needs_cid), "openssl"]
ID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
DAY = 86400


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return pki.make_pki(tmp_path_factory.mktemp("pki"), variants=("wrong-ca", "wrong-host"))


@pytest.fixture
def clock(monkeypatch):
    """-> [seconds]: the time of the Mbed TLS engine, which stands still until it is moved."""
    now = [1000.0]
    monkeypatch.setattr(mbedtls.time, "monotonic", lambda: now[0])
    return now


def pair(made, client="mbedtls", server="mbedtls", cid=b"", server_cid=ID, certificate="server", trust=None):
    """-> (client, server), nothing sent yet."""
    ca = (made / "ca.pem").read_text()
    trust = trust or Trust(ca, VERIFY_REQUIRED, pki.HOST, time.time())
    make = dtls.choose(server).server(made / f"{certificate}.pem", made / f"{certificate}.key")
    return dtls.choose(client).client(trust, cid=cid), make(b"192.0.2.1:5", server_cid)


def shake(one, other, turns=20):
    """Carry datagrams to and fro until nothing comes any more."""
    one.start()
    for _ in range(turns):
        moved = [(other, d) for d in one.outgoing()]
        for end, datagram in moved:
            end.receive(datagram)
        back = other.outgoing()
        for datagram in back:
            one.receive(datagram)
        if not moved and not back:
            break


def say(one, other, text):
    one.send(text)
    return [message for datagram in one.outgoing() for message in other.receive(datagram)]


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("server", NAMES)
def test_every_engine_with_every_other(made, client, server):
    one, other = pair(made, client, server)
    with pytest.raises(EngineError):
        one.send(b"too early")
    shake(one, other)
    assert one.established and other.established and one.suite == other.suite == 0xC02B
    both = client == server == "mbedtls"
    assert (one.peer_cid, other.own_cid) == ((ID, ID) if both else (b"", b""))
    for size in (1, 1100):
        assert say(one, other, b"u" * size) == [b"u" * size]
        assert say(other, one, b"d" * size) == [b"d" * size]
    assert say(one, other, b"last") == [b"last"]
    one.close()
    for datagram in one.outgoing():
        assert other.receive(datagram) == []
    assert other.ended == "closed by peer"
    for end in (one, other):
        end.free()
        with pytest.raises(EngineError):
            end.send(b"too late")


@needs_cid
@pytest.mark.parametrize("suite", [number for number in SUITES if SUITES[number].startswith("ECDHE-ECDSA")])
def test_every_suite_is_served(made, monkeypatch, suite):
    """By Mbed TLS to Mbed TLS with connection IDs; all of them are suites that nRF91 or a CoAP client may offer."""
    monkeypatch.setattr(mbedtls, "MODEM_SUITES", (suite,))
    one, other = pair(made)
    shake(one, other)
    assert one.suite == other.suite == suite
    one.send(b"up")
    (datagram,) = one.outgoing()
    assert datagram[0] == 25 and other.verdict(datagram) == "good"
    assert other.receive(datagram) == [b"up"] and other.verdict(datagram) == "repeated"
    if "SHA" in SUITES[suite] and "GCM" not in SUITES[suite]:
        with pytest.raises(EngineError):
            one.save()
        assert say(one, other, b"still here") == [b"still here"]
    else:
        again = one.restored(one.save())
        assert say(again, other, b"again") == [b"again"] and say(other, again, b"heard") == [b"heard"]


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize(
    ("certificate", "verify", "hostname", "days", "reason"),
    [
        ("server", VERIFY_REQUIRED, pki.HOST, 0, None),
        ("server", VERIFY_REQUIRED, None, 0, None),
        ("server", VERIFY_REQUIRED, pki.HOST, None, None),
        ("server", VERIFY_REQUIRED, pki.HOST, 40000, "certificate refused"),
        ("server", VERIFY_REQUIRED, pki.HOST, -4000, "certificate refused"),
        ("server", VERIFY_REQUIRED, "example.org", 0, "host name does not match"),
        ("wrong-ca", VERIFY_REQUIRED, pki.HOST, 0, "certificate refused"),
        ("wrong-host", VERIFY_REQUIRED, pki.HOST, 0, "host name does not match"),
        ("wrong-host", VERIFY_OPTIONAL, pki.HOST, 0, None),
        ("wrong-ca", VERIFY_NONE, pki.HOST, 0, None),
    ],
)
def test_whom_a_client_trusts(made, client, certificate, verify, hostname, days, reason):
    """`days`: how far the simulated clock is from the true one; None: it is not set."""
    now = None if days is None else time.time() + days * DAY
    trust = Trust((made / "ca.pem").read_text(), verify, hostname, now)
    one, other = pair(made, client, "openssl", certificate=certificate, trust=trust)
    shake(one, other)
    assert one.established is (reason is None)
    assert reason is None or one.ended.startswith(reason)


@pytest.mark.parametrize("name", NAMES)
def test_credentials_that_do_not_fit(made, tmp_path, name):
    engine = dtls.choose(name)
    (tmp_path / "junk").write_bytes(b"x" * 999)
    for cert, key in (("server.pem", "ca.key"), (tmp_path / "junk", "server.key"), ("server.pem", tmp_path / "junk")):
        with pytest.raises(ValueError, match="do not fit"):
            engine.server(made / cert, made / key)
    with pytest.raises(OSError):
        engine.server(made / "server.pem", made / "nothing")
    for text in (None, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(CredentialError):
            Trust(text)
    trust = Trust(None, VERIFY_NONE)
    with pytest.raises(CredentialError):
        engine.client(trust, "no PEM", "no PEM")
    with pytest.raises(CredentialError):
        engine.client(trust, (made / "server.pem").read_text(), "no PEM")


@needs_cid
def test_handshakes_through_loss(made, clock):
    """A fifth of all datagrams lost, a fifth doubled, in virtual time: every handshake ends well, and then works."""
    done = 0
    for seed in range(40):
        rng = random.Random(seed)
        one, other = pair(made)
        one.start()
        while not (one.established and other.established):
            assert not one.ended and not other.ended, (seed, one.ended, other.ended)
            moved = False
            for end, peer in ((one, other), (other, one)):
                for datagram in end.outgoing():
                    moved = True
                    for _ in range(rng.choice((0, 1, 1, 1, 2))):
                        peer.receive(datagram)
            if not moved:
                due = [left for left in (one.timeout(), other.timeout()) if left is not None]
                clock[0] += min(due) + 0.001
                for end in (one, other):
                    if end.timeout() == 0:
                        end.expired()
        other.outgoing(), one.outgoing()
        assert say(one, other, b"up") == [b"up"] and say(other, one, b"down") == [b"down"]
        done += 1
    assert done == 40


@needs_cid
def test_nobody_answers(made, clock):
    """The flight goes out again after 1, 2, 4 .. 60 s, and at last it is over."""
    one, _ = pair(made)
    one.start()
    began, flights = clock[0], 0
    while not one.ended:
        flights += len(one.outgoing())
        clock[0] += one.timeout() + 0.001
        one.expired()
    assert one.ended == "handshake timeout" and flights == 7
    assert 120 < clock[0] - began < 130
    assert one.timeout() is None and one.receive(b"\x16\xfe\xfd") == []


@needs_cid
def test_hostile_datagrams_in_a_handshake(made):
    """Every flight of the client, damaged at random places: the server's engine goes on, or says why it ended."""
    rng = random.Random(91)
    ends = set()
    for _ in range(300):
        one, other = pair(made)
        one.start()
        for _ in range(6):
            for datagram in one.outgoing():
                if rng.random() < 0.4:
                    bad = bytearray(datagram)
                    for _ in range(rng.randrange(1, 4)):
                        bad[rng.randrange(len(bad))] = rng.randrange(256)
                    datagram = bytes(bad[: rng.randrange(1, len(bad) + 1)])
                other.receive(datagram)
            for datagram in other.outgoing():
                one.receive(datagram)
        ends.add((bool(other.ended), other.established))
        assert not (one.established and other.established) or say(one, other, b"x") == [b"x"] or other.ended
    assert {(True, False), (False, True), (False, False)} <= ends


@needs_cid
def test_what_cannot_be_saved(made):
    one, other = pair(made)
    with pytest.raises(EngineError):
        one.save()
    shake(one, other)
    saved = one.save()
    with pytest.raises(EngineError):
        one.save()
    with pytest.raises(EngineError):
        one.restored(saved[:-1])
    with pytest.raises(EngineError):
        one.restored(b"")
    assert say(one.restored(saved), other, b"back") == [b"back"]


@needs_cid
def test_memory_is_given_back(made):
    """No structure of the library outlives its engine, without any help of the garbage collector."""

    def alive():
        return sum(isinstance(thing, mbedtls_library.Opaque) for thing in gc.get_objects())

    gc.collect()
    before = alive()
    gc.disable()
    try:
        for freed in (True, False):
            for _ in range(5):
                one, other = pair(made)
                shake(one, other)
                one = one.restored(one.save())
                if freed:
                    one.free(), other.free()
            del one, other
            assert alive() == before
    finally:
        gc.enable()


def test_where_the_library_is_not_there(monkeypatch, tmp_path):
    """OpenSSL serves; Mbed TLS by name is a named error. A library that lacks a function is not taken either."""
    mbedtls.check.cache_clear()
    monkeypatch.setattr(mbedtls_library, "BUILD", tmp_path)
    for names in (["libnothing.so.1"], ["libc.so.6"]):
        monkeypatch.setattr(mbedtls_library, "_LIBRARIES", names)
        with pytest.raises(EngineError, match="no Mbed TLS"):
            dtls.choose("mbedtls")
        assert dtls.choose().NAME == "openssl"
    monkeypatch.undo()
    mbedtls.check.cache_clear()
    assert dtls.choose().CID is (ENGINE is not None)


def test_records_are_split_as_the_rfc_says():
    plain = b"\x16\xfe\xfd" + bytes(8) + b"\0\3abc"
    tagged = b"\x19\xfe\xfd\0\1" + bytes(6) + ID + b"\0\2xy"
    assert split_records(plain + tagged, 8) == [(22, 0, plain), (25, 1, tagged)]
    assert split_records(plain + tagged) == [(22, 0, plain)]  # nobody has IDs here
    for n in range(1, len(tagged)):
        assert split_records(plain + tagged[:n], 8) == [(22, 0, plain)]
        assert split_records(tagged[:n], 8) == []
