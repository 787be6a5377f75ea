"""The twin's authentication: which JWTs open a session, for how long, and what the rest gets."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from provisioning_support import SoftModem
from twin_support import DEVICE, FETCH, GET, NON, POST, Client, Process, b64url, connected, make_jwt, running, token

from godwit import pki
from godwit.world import World

_NOW = int(time.time())  # of the collection of tests: what is valid has to be so for the rest of a long run
_GOOD = {"sub": DEVICE, "exp": _NOW + 86400}
_UUID = "50363154-3931-44f0-8022-121b6401627d"
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
    "modem: iss <chip>.<its uuid>, kid, jti": lambda t: make_jwt(
        t.key, {"alg": "ES256", "typ": "JWT", "kid": "00" * 32}, iss=f"nRF9151.{_UUID}", jti="x.y.z", iat=_NOW, **_GOOD
    ),
    "software: iss <board>.<device id>": lambda t: make_jwt(t.key, iss=f"nrf9251dk.{DEVICE}", **_GOOD),
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
        t.key, sub=_UUID, exp=_NOW + 600
    ),
    "iss of another device": lambda t: make_jwt(t.key, iss="nRF9151.nrf-1", **_GOOD),
    "iss not text": lambda t: make_jwt(t.key, iss=7, **_GOOD),
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
def test_accepted(twin, case):
    with Client(twin.coap_port) as client:
        answer = client.request(POST, "auth/jwt", payload=_ACCEPTED[case](twin), cf=0)
        assert (answer.dotted, answer.payload, answer.uint(14)) == ("2.01", b"", 2592000)
        assert client.request(GET, "state").dotted == "2.05"


_IDENTITY_ACCEPTED = {
    "as the modem makes it": lambda m: m.identity_token(iat=_NOW, jti="x.y.z"),
    "without a lifetime": lambda m: m.identity_token(exp=None),
    "whatever the subject": lambda m: m.identity_token(sub="nrf-1"),
}
_IDENTITY_REFUSED = {
    "signed with the access key": lambda m: m.access_token(),
    "the key of another modem": lambda m: make_jwt(_OTHER_KEY, iss=f"nRF9151.{m.uuid}", exp=_NOW + 86400),
    "expired": lambda m: m.identity_token(exp=_NOW - 3600),
    "exp text": lambda m: m.identity_token(exp="soon"),
    "no iss": lambda m: m.identity_token(iss=None, sub=m.uuid),
    "iss without hardware": lambda m: m.identity_token(iss=m.uuid),
    "iss with an empty hardware": lambda m: m.identity_token(iss="." + m.uuid),
    "iss is an IMEI": lambda m: m.identity_token(iss="nRF9151.nrf-352656106118683"),
    "iss not text": lambda m: m.identity_token(iss=[m.uuid]),
    "another modem's uuid": lambda m: m.identity_token(iss=f"nRF9151.{_UUID}"),
    "not a token": lambda m: b"hello",
}


@pytest.fixture(scope="module")
def modem(twin):
    return SoftModem().onboarded(twin)


@pytest.mark.parametrize(("path", "opens"), [("auth/jwt-id", "state"), ("p/auth-jwt", "p/cmd")])
def test_identity_token(twin, modem, path, opens):
    with Client(twin.coap_port) as client:
        for case, make in _IDENTITY_REFUSED.items():
            answer = client.request(POST, path, payload=make(modem), cf=0)
            assert (answer.dotted, 0 < len(answer.payload) < 64) == ("4.03", True), case
            assert client.request(GET, opens).dotted == "4.01", case
        for case, make in _IDENTITY_ACCEPTED.items():
            answer = client.request(POST, path, payload=make(modem), cf=60)  # the library's label for it
            assert (answer.dotted, answer.payload, answer.uint(14)) == ("2.01", b"", 2592000), case
            assert client.request(GET, opens).dotted == "2.05", case
    row = twin.records()["auth"][-1]
    assert (row["device"], row["path"], row["code"]) == (modem.uuid, path, "2.01")
    assert twin.records()["errors"] == []


def test_claimed_but_not_onboarded(twin):
    modem = SoftModem().claimed(twin)
    with Client(twin.coap_port) as client:
        answer = client.request(POST, "auth/jwt-id", payload=modem.identity_token(), cf=0)
        assert (answer.dotted, answer.payload) == ("4.03", b"device not onboarded")
        assert client.request(POST, "p/auth-jwt", payload=modem.identity_token(), cf=0).dotted == "2.01"


def test_made_by_the_factory_but_not_claimed(twin):
    modem = SoftModem().register(twin)
    with Client(twin.coap_port) as client:
        for path in ("p/auth-jwt", "auth/jwt-id"):
            answer = client.request(POST, path, payload=modem.identity_token(), cf=0)
            assert (answer.dotted, answer.payload) == ("4.03", b"device not claimed")


def test_scopes_are_exclusive(twin, modem):
    with Client(twin.coap_port) as client:

        def scope(path, token):
            assert client.request(POST, path, payload=token, cf=0).dotted == "2.01"
            return [client.request(GET, wanted).dotted for wanted in ("state", "p/cmd", "p/no", "no")]

        provisioning, core = ["4.01", "2.05", "4.04", "4.01"], ["2.05", "4.01", "4.01", "4.04"]
        assert scope("p/auth-jwt", modem.identity_token()) == provisioning
        assert scope("auth/jwt", modem.access_token()) == core  # identity from iss: the modem left sub out
        assert scope("p/auth-jwt", modem.identity_token()) == provisioning
        assert scope("auth/jwt-id", modem.identity_token()) == core
        assert client.request(POST, "p/auth-jwt", payload=b"nonsense").dotted == "4.03"
        assert client.request(GET, "state").dotted == "4.01"  # a refused one closes the other scope too
    with Client(twin.coap_port) as client:  # a new association knows nothing of the old one
        assert client.request(GET, "p/cmd").dotted == "4.01"


def test_provisioning_paths(twin, modem):
    with Client(twin.coap_port) as client:
        for method, path in ((GET, "p/auth-jwt"), (FETCH, "auth/jwt-id"), (GET, "auth/jwt")):
            assert client.request(method, path).dotted == "4.05"
        assert client.request(POST, "p/auth-jwt", payload=modem.identity_token()).dotted == "2.01"
        for method, path in ((POST, "p/cmd"), (GET, "p/rsp"), (FETCH, "p/cmd")):
            assert client.request(method, path).dotted == "4.05"


def test_suspend_is_not_known_unless_switched_on(twin):
    with Client(twin.coap_port) as client:
        assert client.request(POST, ".dtls/suspend", kind=NON).dotted == "4.04"
        twin.faults(suspend=True)
        assert client.request(GET, ".dtls/suspend").dotted == "4.04"
        assert client.request(POST, ".dtls/suspend", kind=NON).dotted == "2.04"
        twin.faults(suspend=False)
        assert client.request(POST, ".dtls/suspend").dotted == "4.04"


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


def test_provisioning_unavailable(twin, modem):
    twin.faults(auth_503=1)
    with Client(twin.coap_port) as client:
        token = modem.identity_token()
        assert [client.request(POST, "p/auth-jwt", payload=token).dotted for _ in range(2)] == ["5.00", "2.01"]


def test_unclaimed_device_loses_its_session(twin):
    modem = SoftModem().claimed(twin)
    with Client(twin.coap_port) as client:
        assert client.request(POST, "p/auth-jwt", payload=modem.identity_token()).dotted == "2.01"
        assert twin.rest.delete(f"/v1/claimed-devices/{modem.uuid}").status_code == 204
        assert client.request(GET, "p/cmd").dotted == "4.01"
        assert client.request(POST, "p/auth-jwt", payload=modem.identity_token()).dotted == "4.03"


def test_deleted_device_loses_its_session(twin):
    key = ec.generate_private_key(ec.SECP256R1())
    assert twin.onboard("short-lived", key) == "SUCCEEDED"
    with Client(twin.coap_port) as client:
        good = make_jwt(key, sub="short-lived", exp=_NOW + 86400)
        assert client.authenticate(good).dotted == "2.01"
        assert twin.rest.delete("/v1/devices/short-lived").status_code == 202
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
