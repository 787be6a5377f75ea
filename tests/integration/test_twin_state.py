"""The twin's messages and shadow: CBOR turned into JSON, bulk, topics, delta, pointers, bad input."""

import base64
import json

import cbor2
import pytest
from twin_support import GET, PATCH, POST

# --- messages ---


def last_message(twin, **parameters):
    return twin.rest.get("/v1/messages", params={"pageLimit": 1, **parameters}).json()["items"][0]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a2016474656d7002652d31322e33", {"appId": "temp", "messageType": "DATA", "data": "-12.3"}),
        (
            "a3016454454d5002fbc02899999999999a031b0000017bdb3cb8f8",
            {"appId": "TEMP", "messageType": "DATA", "data": -12.3, "ts": 1631470795000},
        ),
        ("a3016454454d5002190102" + "0300", {"appId": "TEMP", "messageType": "DATA", "data": 258}),  # ts 0: no clock
        (
            "a30164474e535302a604fb4046c315a4acf31305fbc05eac0ee06d938106fb402e00000000000007fb3ff000000000000008"
            "fb405680000000000009fb4063e00000000000031b0000017bdb3cb8f8",
            {
                "appId": "GNSS",
                "messageType": "DATA",
                "data": {"lat": 45.524098, "lng": -122.688408, "acc": 15, "spd": 1, "hdg": 90, "alt": 159},
                "ts": 1631470795000,
            },
        ),
    ],
)
def test_cbor_message_is_stored_as_json(twin, client, body, message):
    answer = client.request(POST, "msg/d2c", payload=bytes.fromhex(body), cf=60)
    assert (answer.dotted, answer.payload) == ("2.01", b"")
    stored = last_message(twin)
    assert stored["message"] == message
    assert stored["topic"] == f"d/{twin.device}/d2c" and stored["deviceId"] == twin.device


def test_gnss_message_becomes_history(twin, client):
    body = {"appId": "GNSS", "messageType": "DATA", "data": {"lat": -33.5, "lng": 151.25, "acc": 4.5, "alt": 12}}
    client.request(POST, "msg/d2c", payload=json.dumps(body).encode(), cf=50)
    item = twin.rest.get("/v1/location/history", params={"deviceId": twin.device}).json()["items"][0]
    assert (item["serviceType"], item["lat"], item["lon"], item["uncertainty"]) == ("GNSS", "-33.5", "151.25", "4.5")
    assert item["meta"] == {"acc": 4.5, "alt": 12}
    before = twin.records()["totals"]["locations"]
    for data in ({"lat": 91, "lng": 0}, {"lat": "1", "lng": "2"}, "$GPGGA,", {"lat": 1}):
        body["data"] = data
        assert client.request(POST, "msg/d2c", payload=json.dumps(body).encode(), cf=50).dotted == "2.01"
    assert twin.records()["totals"]["locations"] == before


def test_bulk(twin, client):
    items = [{"appId": "BULK", "messageType": "DATA", "data": str(n), "ts": n + 1} for n in range(25)]
    assert client.request(POST, "msg/d2c/bulk", payload=json.dumps(items).encode()[:1100], cf=50).dotted == "4.00"
    assert client.request(POST, "msg/d2c/bulk", payload=json.dumps(items[:12]).encode(), cf=50).dotted == "2.01"
    cbor = cbor2.dumps([{1: "BULK", 2: float(n), 3: 5} for n in range(12, 25)])
    assert client.request(POST, "msg/d2c/bulk", payload=cbor, cf=60).dotted == "2.01"
    stored = twin.rest.get("/v1/messages", params={"appId": "BULK", "pageLimit": 100, "pageSort": "asc"}).json()
    assert [float(item["message"]["data"]) for item in stored["items"]] == list(range(25))
    assert {item["topic"] for item in stored["items"]} == {f"d/{twin.device}/d2c/bulk"}
    assert len({item["receivedAt"] for item in stored["items"]}) <= 2  # one per datagram
    for bad in (b"[]", b"{}", b"[1]", b'[{"appId":"BULK"},5]'):
        assert client.request(POST, "msg/d2c/bulk", payload=bad, cf=50).dotted == "4.00"
    assert twin.rest.get("/v1/messages", params={"appId": "BULK", "pageLimit": 100}).json()["total"] == 25


def test_bytes_and_topics(twin, client):
    assert client.request(POST, "msg/d2c/raw", payload=b"\xff\xaa\x00\xbb").dotted == "2.01"
    assert (
        last_message(twin, topic=f"d/{twin.device}/d2c/raw")["message"] == base64.b64encode(b"\xff\xaa\0\xbb").decode()
    )
    log = base64.b64decode("blJGQwAAAAAd2qCkkAEAAAEAAABoZWxsbyB3b3JsZA==")
    assert client.request(POST, "msg/d2c/bin", payload=log, cf=42).dotted == "2.01"
    assert last_message(twin)["message"] == base64.b64encode(log).decode()
    assert client.request(POST, "msg/142894b4-6992", payload=b'{"a":1}', cf=50).dotted == "2.01"
    assert last_message(twin)["topic"] == "142894b4-6992"
    assert client.request(POST, f"msg/d/{twin.device}/d2c/bulk", payload=b'{"a":1}', cf=50).dotted == "2.01"
    assert client.request(POST, "msg/d2c", payload=cbor2.dumps({"own": [1, None]}), cf=60).dotted == "2.01"
    assert last_message(twin)["message"] == {"own": [1, None]}
    for path in ("msg/a+", "msg/#", "msg/a//b", "msg/ä"):
        assert client.request(POST, path, payload=b"{}", cf=50).dotted == "4.00", path


@pytest.mark.parametrize(
    ("body", "cf", "code"),
    [
        (b"", 50, "4.00"),
        (b"{", 50, "4.00"),
        (b'{"appId":"X","data":NaN}', 50, "4.00"),
        (b'{"appId":"X","data":1e999}', 50, "4.00"),
        (b'{"a":1,"a":2}', 50, "4.00"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", 50, "4.00"),
        (b"\xff\xfe", 50, "4.00"),
        (b'"text"', 50, "4.00"),
        (b"[{}]", 50, "4.00"),
        (b'{"appId":5}', 50, "4.00"),
        (json.dumps({"appId": "x" * 65}).encode(), 50, "4.00"),
        (b"{}", 42, "4.15"),
        (b"{}", 0, "4.15"),
        (cbor2.dumps({1: "X"}), 60, "4.00"),
        (cbor2.dumps({2: 5}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: 5, 4: 1}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: None}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: True}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: b"x"}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: float("inf")}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: 5, 3: -1}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: 5, 3: 1.5}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: {4: 1.0, 5: 2.0}}), 60, "4.00"),
        (cbor2.dumps({1: "X", 2: {4: 1.0, 5: 2.0, 6: 1, 10: 1}}), 60, "4.00"),
        (cbor2.dumps({1: "X", "b": 2}), 60, "4.00"),
        (cbor2.dumps({"a": b"bytes"}), 60, "4.00"),
        (cbor2.dumps({"a": cbor2.CBORTag(99, 1)}), 60, "4.00"),
        (b"\xa1\x61a\xf7", 60, "4.00"),
    ],
)
def test_bad_message(twin, client, body, cf, code):
    before = twin.records()["totals"]["messages"]
    assert client.request(POST, "msg/d2c", payload=body, cf=cf).dotted == code
    assert twin.records()["totals"]["messages"] == before


def test_quota(twin, client):
    twin.faults(quota=1)
    answers = [client.request(POST, "msg/d2c", payload=b"{}", cf=50) for _ in range(2)]
    assert [answer.dotted for answer in answers] == ["4.00", "2.01"]
    assert answers[0].json()["code"] == 40005


# --- shadow ---


def test_shadow_round(twin, client):
    """Pairing arrives as delta, is echoed, a setting is changed, acknowledged, rejected, deleted."""
    version = twin.rest.get(f"/v1/devices/{twin.device}").json()["state"]["version"]
    delta = client.request(GET, "state", accept=50).json()
    assert delta["pairing"]["state"] == "paired"
    topic = delta["nrfcloud_mqtt_topic_prefix"] + f"m/d/{twin.device}/d2c"
    assert delta["pairing"]["topics"]["d2c"] == topic
    assert client.request(PATCH, "state/reported", payload=json.dumps(delta).encode(), cf=50).dotted == "2.04"
    assert client.request(GET, "state").payload == b""

    path = f"/v1/devices/{twin.device}/state"
    assert twin.rest.patch(path, json={"desired": {"config": {"a": 1, "b": [1, 2]}}}).status_code == 202
    cbor = client.request(GET, "state", accept=60)
    assert (cbor.uint(12), cbor2.loads(cbor.payload)) == (60, {"config": {"a": 1, "b": [1, 2]}})
    client.request(PATCH, "state", payload=cbor2.dumps({"config": {"a": 1, "b": [1]}}), cf=60)
    assert client.request(GET, "state").json() == {"config": {"b": [1, 2]}}
    client.request(PATCH, "state/desired", payload=b'{"config":{"b":[1]}}', cf=50)  # the device rejects
    assert client.request(GET, "state").payload == b""
    client.request(PATCH, "state", payload=bytes.fromhex("a166636f6e666967f6"), cf=60)  # {"config": null}
    assert client.request(GET, "state", ("delta=true",)).json() == {"config": {"a": 1, "b": [1]}}
    state = twin.rest.get(f"/v1/devices/{twin.device}").json()["state"]
    assert "config" not in state["reported"]
    assert state["version"] == version + 5
    stamp = state["metadata"]["desired"]["config"]
    assert set(stamp["a"]) == {"timestamp"} and len(stamp["b"]) == 1
    twin.rest.patch(path, json={"desired": {"config": None}})
    assert client.request(GET, "state").payload == b""


@pytest.mark.parametrize(
    ("path", "accept", "expected"),
    [
        ("state/reported/x/deep", None, b"7"),
        ("state/reported/x/deep", 60, b"\x07"),
        ("state/reported/x/list/1", 50, b'"b"'),
        ("state/reported/x/a~1b", 50, b"1"),
        ("state/reported/x/m~0n", 50, b"2"),
        ("state/reported/x/text", 42, b"hello"),
        ("state/reported/x/none", 50, b""),
        ("state/reported/x/list/9", 50, b""),
        ("state/reported/x/deep/er", 60, b""),
        ("state/nothing", 42, b""),
        ("state/reported/x/deep", 42, "4.06"),
        ("state/reported/x/plain", 42, "4.06"),
        ("state/reported/x", 0, "4.06"),
        ("state", 42, "4.06"),
        ("state", 0, "4.06"),
    ],
)
def test_shadow_paths(client, path, accept, expected):
    document = {"x": {"deep": 7, "list": ["a", "b"], "a/b": 1, "m~n": 2, "plain": "no!", "text": "aGVsbG8="}}
    client.request(PATCH, "state", payload=json.dumps(document).encode(), cf=50)
    answer = client.request(GET, path, accept=accept)
    if isinstance(expected, str):
        assert answer.dotted == expected
    else:
        assert (answer.dotted, answer.payload) == ("2.05", expected)


def test_shadow_desired_and_transform(client):
    desired = client.request(GET, "state", ("delta=false",)).json()
    assert desired["pairing"]["state"] == "paired"
    answer = client.request(GET, "state", ("transform=state.desired.pairing.state", "delta=false"), accept=60)
    assert (answer.uint(12), answer.payload) == (50, b'"paired"')
    assert client.request(GET, "state", ("transform=state.desired.none",)).payload == b""
    assert client.request(GET, "state", ("transform=$count($keys(state))",)).payload == b"3"
    assert client.request(GET, "state", ('transform=state.desired.pairing.{"s": state}',)).json() == {"s": "paired"}
    for wrong in (
        "$sum(",
        "$nothing(1)",
        "1/0",
        "$sum(state)",
        "function($x){$x}",
        "($f:=function($x){1+$f($x)};$f(1))",
    ):
        answer = client.request(GET, "state", (f"transform={wrong}",))
        assert (answer.dotted, answer.json()["code"]) == ("4.00", 42200), wrong
    assert client.request(GET, "state", ("delta=maybe",)).dotted == "4.00"


@pytest.mark.parametrize(
    ("body", "cf", "code"),
    [
        (b"", 50, "4.00"),
        (b"[]", 50, "4.00"),
        (b"5", 50, "4.00"),
        (b"{x}", 50, "4.00"),
        (b"\xa1\x01\x02", 60, "4.00"),
        (b"\xa1\x61a\x41x", 60, "4.00"),
        (b"\xa1\x61a\xfa\x7f\x80\x00\x00", 60, "4.00"),
        (b"{}", 42, "4.15"),
        (json.dumps({"big": "x" * 9000}).encode()[:1000], 50, "4.00"),
    ],
)
def test_shadow_bad_patch(client, body, cf, code):
    assert client.request(PATCH, "state", payload=body, cf=cf).dotted == code


def test_shadow_size_limit(client):
    for n in range(12):
        answer = client.request(PATCH, "state", payload=json.dumps({f"big{n}": "x" * 900}).encode(), cf=50)
        if answer.dotted != "2.04":
            break
    assert answer.dotted == "4.13" and n >= 7
    clear = dict.fromkeys([f"big{i}" for i in range(12)])
    assert client.request(PATCH, "state", payload=json.dumps(clear).encode(), cf=50).dotted == "2.04"


def test_booleans_are_not_numbers_in_the_delta(twin, client):
    path = f"/v1/devices/{twin.device}/state"
    twin.rest.patch(path, json={"desired": {"t": {"on": True, "n": 1}}, "reported": {"t": {"on": 1, "n": 1.0}}})
    assert client.request(GET, "state").json()["t"] == {"on": True}
    twin.rest.patch(path, json={"desired": {"t": None}, "reported": {"t": None}})


def test_nothing_of_this_was_an_error(twin):
    """Last in the file: every refusal above was an answer, not an accident."""
    assert twin.records()["errors"] == []
