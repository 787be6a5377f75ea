"""Fault switches of the line, of sessions and of authentication, and what a client sees of them (facts 15.10)."""

import time

import pytest
from fault_support import post, restore, shows, stored, struck
from twin_support import GET, POST, Client, connected, token


@pytest.fixture(autouse=True)
def restored(twin):
    """All switches off again after each test."""
    yield
    restore(twin)


# --- the line ---


@shows("drop_up")
def test_drop_up(twin, client):
    twin.faults(drop_up=[1, 3])
    before = twin.records()["totals"]["dropped_up"]
    data = post(client, b"u1aa")
    assert client.receive(0.3) is None
    assert client.exchange(data).dotted == "2.01"
    assert client.exchange(data[:2] + b"\x77\x77" + data[4:]) is None
    assert twin.records()["totals"]["dropped_up"] == before + 2
    assert stored(twin, 1) == [b"u1aa"]


@shows("drop_down")
def test_drop_down(twin, client):
    """The request arrived, its answer did not: the repeated request must not make a second message."""
    twin.faults(drop_down=[1])
    data = post(client, b"d1aa")
    assert client.receive(0.3) is None
    assert client.exchange(data).dotted == "2.01"
    post(client, b"d2aa")
    client.receive()
    assert stored(twin, 2) == [b"d1aa", b"d2aa"]


@shows("repeat_up")
def test_repeat_up(twin, client):
    """The record layer throws the copy away."""
    twin.faults(repeat_up=[1])
    post(client, b"r1aa")
    assert client.receive().dotted == "2.01"
    assert client.receive(0.2) is None
    post(client, b"r2aa")
    assert client.receive().dotted == "2.01"
    assert stored(twin, 2) == [b"r1aa", b"r2aa"]
    assert struck(twin, "repeat_up") == 1


@shows("repeat_down")
def test_repeat_down(twin, client):
    twin.faults(repeat_down=[1])
    post(client, b"r3aa")
    first, second = (client.socket.recv(4096) for _ in range(2))
    assert first == second


@shows("repeat_answer")
def test_repeat_answer(twin, client):
    """In a record of its own the copy reaches the client's CoAP."""
    twin.faults(repeat_answer=[1])
    post(client, b"r4aa")
    assert client.receive().raw == client.receive().raw


@shows("swap_up")
def test_swap_up(twin, client):
    twin.faults(swap_up=[1])
    post(client, b"s1aa")
    post(client, b"s2aa")
    assert {client.receive().token, client.receive().token} == {b"s1aa", b"s2aa"}
    assert stored(twin, 2) == [b"s2aa", b"s1aa"]
    twin.faults(swap_up=[1])
    post(client, b"s3aa")
    assert client.receive(5).token == b"s3aa"  # nobody overtook it: it comes late


@shows("swap_down")
def test_swap_down(twin, client):
    twin.faults(swap_down=[1])
    post(client, b"s4aa")
    post(client, b"s5aa")
    assert [client.receive().token for _ in range(2)] == [b"s5aa", b"s4aa"]


@shows("drop")
def test_drop_by_chance(twin, client):
    twin.faults(drop=1)
    post(client, b"c1aa")
    assert client.receive(0.3) is None
    twin.faults(drop=0)
    assert client.request(GET, "state").dotted == "2.05"
    assert struck(twin, "drop") >= 1


@shows("delay_ms")
def test_delay(twin, client):
    twin.faults(delay_ms=300)
    began = time.monotonic()
    post(client, b"w1aa")
    assert client.receive().dotted == "2.01"
    assert time.monotonic() - began >= 0.3


# --- sessions and authentication ---


@shows("auth_503", "auth_500", "max_age")
def test_authentication(twin):
    twin.faults(auth_503=1, auth_500=1, max_age=77)
    with Client(twin.coap_port) as client:
        codes = [client.authenticate(token(twin)) for _ in range(3)]
        assert sorted(answer.dotted for answer in codes[:2]) == ["5.00", "5.03"]
        assert (codes[2].dotted, codes[2].uint(14)) == ("2.01", 77)
    reasons = [row["reason"] for row in twin.records()["auth"][-3:]]
    assert reasons == ["fault", "fault", None]


@shows("expire_sessions")
def test_expired_sessions(twin, client):
    twin.faults(expire_sessions=True)
    assert client.request(GET, "state").dotted == "4.01"
    assert client.authenticate(token(twin)).dotted == "2.01"
    assert client.request(GET, "state").dotted == "2.05"


@shows("drop_sessions", "lose_session")
@pytest.mark.parametrize(("switch", "good"), [({"drop_sessions": True}, 0), ({"lose_session": [2]}, 1)])
def test_lost_session(twin, switch, good):
    """The session is forgotten, at once or at the second request, and nobody says so."""
    with connected(twin) as client:
        twin.faults(**switch)
        for _ in range(good):
            assert client.request(GET, "state").dotted == "2.05"
        post(client, b"lost")
        assert client.receive(0.3) is None
        post(client, b"gone")
        assert client.receive(0.3) is None
    assert twin.records()["sessions"][-1]["reason"] == "fault"
    with connected(twin) as client:
        assert client.request(GET, "state").dotted == "2.05"
    assert b"lost" not in stored(twin, 3)


@shows("unauthorized")
def test_unauthorized_at_a_request(twin, client):
    twin.faults(unauthorized=[2])
    codes = [client.request(GET, "state").dotted for _ in range(3)]
    assert codes == ["2.05", "4.01", "4.01"]  # from then on, as with a session that expired
    assert client.authenticate(token(twin)).dotted == "2.01"
    assert client.request(GET, "state").dotted == "2.05"


@shows("suspend")
def test_suspend(twin, client):
    assert client.request(POST, ".dtls/suspend").dotted == "4.04"
    twin.faults(suspend=True)
    assert client.request(POST, ".dtls/suspend").dotted == "2.04"


def test_nothing_of_this_was_an_error(twin):
    """Last in the file: every refusal above was an answer, not an accident."""
    assert twin.records()["errors"] == []
