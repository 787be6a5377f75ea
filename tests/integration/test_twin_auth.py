"""The twin's authentication: which JWTs open a session, for how long, and what the rest gets."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from twin_support import DEVICE, FETCH, GET, POST, Client, Process, b64url, connected, make_jwt, running, token

from godwit import pki
from godwit.world import World

_NOW = int(time.time())  # of the collection of tests: what is valid has to be so for the rest of a long run
_GOOD = {"sub": DEVICE, "exp": _NOW + 86400}
_OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    directory = tmp_path_factory.mktemp("twin")
    with running(directory, "--world", str(directory / "world")) as process:
        process.world = World(directory / "world")
        yield process


def forged(twin, part, text):
    """A good token with one part replaced."""
    parts = make_jwt(twin.key, **_GOOD).decode().split(".")
    parts[part] = text
    return ".".join(parts).encode()


def hs256(twin):
    header = {"alg": "HS256", "typ": "JWT"}
    return make_jwt(twin.key, header, **_GOOD)


_ACCEPTED = {
    "smallest, as the Go simulator sends it": lambda t: make_jwt(t.key, **_GOOD),
    "modem: iss <chip>.<uuid>, kid, jti": lambda t: make_jwt(
        t.key, {"alg": "ES256", "typ": "JWT", "kid": "00" * 32}, iss="nRF9151.5041", jti="x.y.z", iat=_NOW, **_GOOD
    ),
    "no sub: identity from iss": lambda t: make_jwt(t.key, iss=f"nRF9151.{DEVICE}", exp=_NOW + 86400),
    "expired 5 s ago: clock skew": lambda t: make_jwt(t.key, sub=DEVICE, exp=int(time.time()) - 5),
    "fractional exp": lambda t: make_jwt(t.key, sub=DEVICE, exp=_NOW + 86400.5),
}
_REFUSED = {
    "empty": lambda t: b"",
    "not a token": lambda t: b"hello",
    "two parts": lambda t: b"e30.e30",
    "four parts": lambda t: make_jwt(t.key, **_GOOD) + b".x",
    "not ASCII": lambda t: make_jwt(t.key, **_GOOD) + b"\xc3",
    "padding": lambda t: make_jwt(t.key, **_GOOD) + b"==",
    "plain base64": lambda t: base64.b64encode(b"\xff" * 30) + b"." + make_jwt(t.key, **_GOOD).split(b".", 1)[1],
    "header not JSON": lambda t: forged(t, 0, b64url(b"{")),
    "header not an object": lambda t: forged(t, 0, b64url(b"[]")),
    "claims not JSON": lambda t: forged(t, 1, b64url(b"nope")),
    "claims not UTF-8": lambda t: forged(t, 1, b64url(b'{"a":"\xff"}')),
    "claims too deep": lambda t: forged(t, 1, b64url(b"[" * 1200)),
    "alg none": lambda t: make_jwt(t.key, {"alg": "none"}, **_GOOD),
    "alg HS256": hs256,
    "crit header": lambda t: make_jwt(t.key, {"alg": "ES256", "crit": ["b64"]}, **_GOOD),
    "DER signature": lambda t: make_jwt(t.key, der=True, **_GOOD),
    "signature empty": lambda t: forged(t, 2, ""),
    "signature of zeros": lambda t: forged(t, 2, b64url(bytes(64))),
    "other key": lambda t: make_jwt(_OTHER_KEY, **_GOOD),
    "claims changed after signing": lambda t: forged(t, 1, b64url(json.dumps({**_GOOD, "x": 1}).encode())),
    "unknown device": lambda t: make_jwt(t.key, sub="nobody", exp=_NOW + 86400),
    "uuid instead of the onboarded id": lambda t: make_jwt(
        t.key, sub="50363154-3931-44f0-8022-121b6401627d", exp=_NOW + 600
    ),
    "no identity": lambda t: make_jwt(t.key, exp=_NOW + 86400),
    "sub not text": lambda t: make_jwt(t.key, sub=5, exp=_NOW + 86400),
    "sub with a slash": lambda t: make_jwt(t.key, sub="../x", exp=_NOW + 86400),
    "iss without a dot": lambda t: make_jwt(t.key, iss=DEVICE, exp=_NOW + 86400),
    "no exp": lambda t: make_jwt(t.key, sub=DEVICE),
    "exp true": lambda t: make_jwt(t.key, sub=DEVICE, exp=True),
    "exp text": lambda t: make_jwt(t.key, sub=DEVICE, exp=str(_NOW + 86400)),
    "exp NaN": lambda t: make_jwt(t.key, sub=DEVICE, exp=float("nan")),
    "exp Infinity": lambda t: make_jwt(t.key, sub=DEVICE, exp=float("inf")),
    "expired": lambda t: make_jwt(t.key, sub=DEVICE, exp=_NOW - 3600),
    "4 KB": lambda t: make_jwt(t.key, pad="x" * 4000, **_GOOD),
}


@pytest.mark.parametrize("case", _ACCEPTED)
@pytest.mark.parametrize("path", ["auth/jwt", "auth/jwt-id"])
def test_accepted(twin, case, path):
    with Client(twin.coap_port) as client:
        answer = client.request(POST, path, payload=_ACCEPTED[case](twin), cf=0)
        assert (answer.dotted, answer.payload, answer.uint(14)) == ("2.01", b"", 2592000)
        assert client.request(GET, "state").dotted == "2.05"


def test_refused(twin):
    with Client(twin.coap_port) as client:
        for case, make in _REFUSED.items():
            answer = client.request(POST, "auth/jwt", payload=make(twin), cf=0)
            assert answer.dotted == "4.03", case
            assert 0 < len(answer.payload) < 64, case  # a short diagnostic
            assert client.request(GET, "state").dotted == "4.01", case
    records = twin.records()
    assert records["errors"] == []
    assert sum(row["reason"] is not None for row in records["auth"]) >= len(_REFUSED)


def test_failed_authentication_closes_an_open_session(twin):
    with connected(twin) as client:
        assert client.authenticate(b"nonsense").dotted == "4.03"
        assert client.request(GET, "state").dotted == "4.01"


@pytest.mark.parametrize(
    ("method", "path"),
    [(GET, "state"), (POST, "msg/d2c"), (GET, "proxy"), (FETCH, "loc/agnss"), (GET, "no/such"), (GET, "p/cmd")],
)
def test_everything_else_needs_authentication(twin, method, path):
    with Client(twin.coap_port) as client:
        answer = client.request(method, path)
    assert (answer.dotted, answer.json()["code"]) == ("4.01", 40100)


def test_provisioning_is_not_served(twin):
    with Client(twin.coap_port) as client:
        assert client.request(POST, "p/auth-jwt", payload=token(twin)).dotted == "4.04"
        assert client.request(GET, "auth/jwt").dotted == "4.05"


def test_session_expires_by_the_world_clock(twin):
    with connected(twin) as client:
        twin.world.advance(2592000_000 - 60_000)
        assert client.request(GET, "state").dotted == "2.05"
        twin.world.advance(61_000)
        assert client.request(GET, "state").dotted == "4.01"
        fresh = make_jwt(twin.key, sub=DEVICE, exp=twin.world.now_s() + 60)
        assert client.authenticate(token(twin)).dotted == "4.03"  # exp of a device whose clock stood still
        assert client.authenticate(fresh).dotted == "2.01"  # the same DTLS session
        assert client.request(GET, "state").dotted == "2.05"
    twin.world.advance(-2592000_000 - 1000)


def test_max_age_switch(twin):
    twin.faults(max_age=28800)
    with Client(twin.coap_port) as client:
        assert client.authenticate(token(twin)).uint(14) == 28800
    twin.faults(max_age=2592000)


def test_auth_unavailable_and_expire_sessions(twin):
    twin.faults(auth_503=2)
    with Client(twin.coap_port) as client:
        assert [client.authenticate(token(twin)).dotted for _ in range(3)] == ["5.03", "5.03", "2.01"]
        twin.faults(expire_sessions=True)
        assert client.request(GET, "state").dotted == "4.01"


def test_deleted_device_loses_its_session(twin):
    key = ec.generate_private_key(ec.SECP256R1())
    assert twin.onboard("short-lived", key) == "SUCCEEDED"
    with Client(twin.coap_port) as client:
        good = make_jwt(key, sub="short-lived", exp=_NOW + 86400)
        assert client.authenticate(good).dotted == "2.01"
        assert twin.rest.delete("/v1/devices/short-lived").status_code == 204
        assert client.request(GET, "state").dotted == "4.01"
        assert client.authenticate(good).dotted == "4.03"


def test_records_of_authentication(twin):
    with Client(twin.coap_port) as client:
        client.request(POST, "auth/jwt", ("mver=mfw_nrf91x1_2.0.1", "cver=v2.7.0", "dver=1"), token(twin), 0)
    row = twin.records()["auth"][-1]
    assert (row["device"], row["code"], row["reason"]) == (DEVICE, "2.01", None)
    assert row["query"] == "mver=mfw_nrf91x1_2.0.1&cver=v2.7.0&dver=1"


def test_world_file_is_shared(tmp_path):
    """The twin reads the offset that another process writes."""
    world = World(tmp_path / "world")
    world.advance(123_456_000)
    pki.make_pki(tmp_path)
    with Process(tmp_path, "--world", str(tmp_path / "world")) as twin:
        assert abs(twin.rest.get("/twin/health").json()["now"] - world.now_ms()) < 2000
        world.advance(10**9)
        assert abs(twin.rest.get("/twin/health").json()["now"] - world.now_ms()) < 2000
