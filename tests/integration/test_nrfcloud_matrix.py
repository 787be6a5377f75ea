"""nRF Cloud's endpoint matrix (facts nrfcloud.md 1.1) from the device: authentication, messages, shadow.

The device is lib/cloud/nrfcloud under 32-bit MicroPython behind the modem simulator, once with DTLS of its own and
once with the modem's; what counts is what the twin has recorded and stored. README.md shows every row with the test
that proves it, and test_readme_matrix.py holds that table to it.
"""

import base64
import time

import pytest
from cloud_rig import newest, one, refused, shadow, wish

SEED_LOG = base64.b64decode("blJGQwAAAAAd2qCkkAEAAAEAAABoZWxsbyB3b3JsZA==")  # nrfcloud.md 6.4
JSON, CBOR, OCTETS = 50, 60, 42


# --- auth ------------------------------------------------------------------------------------------------------------


def test_auth_jwt(rig):
    row = rig.twin.records()["auth"][0]
    assert (row["path"], row["code"], row["reason"]) == ("auth/jwt", "2.01", None)
    assert row["query"] == "cver=1.0.0&dver=1"
    rig.twin.faults(max_age=60)
    try:
        rig.do("cloud.close()")
        assert rig.do("cloud.open()") == 60  # the lifetime is Max-Age
        before = rig.twin.records()["totals"]["auth_ok"]
        rig.do("cloud.report({'a': 1})")  # less than a minute is left: authenticates before it asks
        assert rig.twin.records()["totals"]["auth_ok"] == before + 1
    finally:
        rig.twin.faults(max_age=2592000)
        rig.do("rig.all(cloud.close(), cloud.open())")


@pytest.mark.parametrize(("fault", "code"), [("auth_500", "5.00"), ("auth_503", "5.03")])
def test_auth_by_a_service_that_is_unwell(rig, fault, code):
    rig.twin.faults(**{fault: 1})
    rig.do("cloud.close()")
    refused(rig, "cloud.open()", code)
    assert rig.do("cloud.open()") > 0


def test_auth_refused_and_what_a_request_without_it_gets(rig):
    rig.keep("other", "rig.cloud()")
    rig.keep("none", "setattr(other, 'device_id', 'nrf-1')")
    text = refused(rig, "other.open()", None, "AuthError")
    assert "4.03" in text


def test_an_expired_session_is_renewed_and_nothing_is_lost(rig):
    rig.twin.faults(expire_sessions=True)
    _, seen = rig.since("cloud.send('d2c', b'{\"appId\": \"X\", \"data\": 1}')")
    assert [(row["path"], row["code"]) for row in seen] == [
        ("msg/d2c", "4.01"),
        ("auth/jwt", "2.01"),
        ("msg/d2c", "2.01"),
    ]
    assert newest(rig, appId="X")[0]["message"]["data"] == 1


# --- messages --------------------------------------------------------------------------------------------------------


def test_msg_d2c(rig):
    ts = int(time.time() * 1000)
    record = f"(1, {ts}, 'temp', cbor.Decimal(-123, -1))"
    assert one(rig, f"cloud.publish([{record}])", "POST", "msg/d2c", "2.01", format=CBOR, kind="CON") == 1
    stored = newest(rig, appId="TEMP")[0]
    assert stored["topic"] == f"d/{rig.twin.device}/d2c" and stored["deviceId"] == rig.twin.device
    assert stored["message"] == {"appId": "TEMP", "messageType": "DATA", "data": -12.3, "ts": ts}


def test_msg_d2c_position_is_location_history(rig):
    fix = "{'lat': 455240980, 'lon': -1226884080, 'acc_mm': 15000, 'speed_mm_s': 1000, 'alt_mm': 159000}"
    one(rig, f"cloud.publish([(1, 0, 'gnss', {fix})])", "POST", "msg/d2c", "2.01", format=CBOR)
    stored = newest(rig, appId="GNSS")[0]["message"]
    assert stored["data"] == {"lat": 45.524098, "lng": -122.688408, "acc": 15, "spd": 1, "alt": 159}
    assert "ts" not in stored  # 0 means that the clock was not set
    history = rig.twin.rest.get("/v1/location/history", params={"deviceId": rig.twin.device}).json()["items"]
    assert (history[0]["serviceType"], history[0]["lat"]) == ("GNSS", "45.524098")


def test_msg_d2c_alert(rig):
    alert = "(7, 0, 'alert', {'type': 'battery', 'value': 3301, 'desc': 'battery low'})"
    one(rig, f"cloud.publish([{alert}])", "POST", "msg/d2c", "2.01", format=JSON)
    found = rig.twin.rest.get("/v1/alerts").raise_for_status().json()["items"][0]
    assert (found["deviceId"], found["status"]) == (rig.twin.device, "ACTIVE")
    assert found["originalMessage"] == {"appId": "ALERT", "type": 7, "value": 3301, "desc": "battery low", "seq": 7}


def test_msg_d2c_not_confirmable(rig):
    rig.keep("none", "setattr(cloud, 'confirmable', False)")
    try:
        one(rig, "cloud.publish([(1, 0, 'rsrp', -97)])", "POST", "msg/d2c", "2.01", kind="NON")
    finally:
        rig.keep("none", "setattr(cloud, 'confirmable', True)")


def test_msg_d2c_bulk(rig):
    records = "[(i, 1631470795000 + i, 'humid', cbor.Decimal(400 + i, -1)) for i in range(60)]"
    taken = one(rig, f"cloud.publish({records})", "POST", "msg/d2c/bulk", "2.01", format=CBOR)
    assert taken > 30  # as many as a datagram holds
    size = rig.requests()[-1]["bytes_in"]
    assert 1024 - 35 < size <= 1024
    stored = newest(rig, appId="HUMID", pageLimit=100)
    assert sorted(item["message"]["data"] for item in stored) == [(400 + i) / 10 for i in range(taken)]
    assert {item["topic"] for item in stored} == {f"d/{rig.twin.device}/d2c/bulk"}


def test_msg_d2c_bulk_log_lines(rig):
    one(rig, "cloud.logs([(1, 1631470795000, 1, 'link', 'lost'), (2, None, 2, 'a', 'b')])", "POST", "msg/d2c/bulk",
        "2.01", format=JSON)  # fmt: skip
    lines = [item["message"] for item in newest(rig, appId="LOG")]
    assert {"appId": "LOG", "lvl": 1, "src": "link", "dom": 0, "msg": "lost", "ts": 1631470795000} in lines
    assert {"appId": "LOG", "lvl": 2, "src": "a", "dom": 0, "msg": "b", "seq": 2} in lines


def test_msg_d2c_bulk_with_a_record_that_is_refused(rig):
    long = "(2, 0, 'n' * 65, 1)"  # appId has 64 characters at most
    rig.keep("todo", f"[(1, 0, 'a', 1), {long}, (3, 0, 'a', 3)]")
    _, seen = rig.since("cloud.publish(todo)")
    assert [(row["path"], row["code"]) for row in seen] == [("msg/d2c/bulk", "4.00"), ("msg/d2c", "2.01")]
    refused(rig, "cloud.publish(todo[1:])", None, "RecordRefused")
    one(rig, "cloud.publish(todo[2:])", "POST", "msg/d2c", "2.01")


def test_msg_d2c_bin(rig):
    one(rig, "cloud.send_bin(b'hello world', 1720748923421, 1, 0)", "POST", "msg/d2c/bin", "2.01", format=OCTETS)
    stored = newest(rig, topic=f"d/{rig.twin.device}/d2c/bin")[0]["message"]
    assert base64.b64decode(stored) == SEED_LOG


def test_msg_d2c_raw(rig):
    one(rig, "cloud.send('d2c/raw', unhexlify('ffaa00bb'), 42)", "POST", "msg/d2c/raw", "2.01", format=OCTETS)
    stored = newest(rig, topic=f"d/{rig.twin.device}/d2c/raw")[0]["message"]
    assert base64.b64decode(stored) == bytes.fromhex("ffaa00bb")


def test_msg_topic(rig):
    topic = "142894b4-6992-4ec2-b9a4-7db749cadcdb"
    body = '{"appId":"TEMP","messageType":"DATA","data":"-12.3"}'
    one(rig, f"cloud.send('{topic}', b'{body}')", "POST", f"msg/{topic}", "2.01", format=JSON)
    one(rig, f"cloud.send('{topic}', unhexlify('a2016474656d7002652d31322e33'), 60)", "POST", f"msg/{topic}", "2.01")
    stored = newest(rig, topic=topic)
    assert [item["message"]["data"] for item in stored] == ["-12.3", "-12.3"]
    one(rig, "cloud.send('d/node/d2c/more', b'{}')", "POST", "msg/d/node/d2c/more", "2.01")
    refused(rig, f"cloud.send('{topic}', b'nonsense')", "4.00")


def test_msg_when_the_plan_is_used_up(rig):
    rig.twin.faults(quota=1)
    assert "40005" in refused(rig, "cloud.publish([(1, 0, 'temp', 1)])", "4.00")
    assert rig.do("cloud.publish([(1, 0, 'temp', 1)])") == 1


# --- shadow ----------------------------------------------------------------------------------------------------------


def test_state_reported(rig):
    one(rig, "cloud.report({'Light-2': 'Off', 'n': {'a': [1, 2.5, None], 'b': True}})", "PATCH", "state/reported",
        "2.04", format=CBOR)  # fmt: skip
    reported = shadow(rig)["reported"]
    assert (reported["Light-2"], reported["n"]) == ("Off", {"a": [1, 2.5, None], "b": True})
    rig.do("cloud.report({'Light-2': None, 'n': {'a': None}})")
    assert "Light-2" not in shadow(rig)["reported"] and shadow(rig)["reported"]["n"] == {"b": True}
    refused(rig, "cloud.request(coap.PATCH, 'state/reported', payload=b'\\x01', content_format=60)", "4.00")


def test_state_alias(rig):
    one(rig, "cloud.request(coap.PATCH, 'state', payload=b'{\"alias\": 1}', content_format=50)", "PATCH", "state",
        "2.04", format=JSON)  # fmt: skip
    assert shadow(rig)["reported"]["alias"] == 1


def test_state_desired(rig):
    wish(rig, control={"logLvl": 9})
    one(rig, "cloud.request_desired({'control': {'logLvl': 2}})", "PATCH", "state/desired", "2.04", format=CBOR)
    assert shadow(rig)["desired"]["control"] == {"logLvl": 2}
    rig.do("cloud.request_desired({'control': None})")
    assert "control" not in shadow(rig)["desired"]


def settle(rig):
    """Nothing is pending."""
    rig.do("cloud.report({k: None for k in ('x', 'y', 'text', 'big', 'small')})")
    rig.do("cloud.request_desired({k: None for k in ('x', 'y', 'text', 'big', 'small')})")
    pending = shadow(rig).get("delta") or {}
    if pending:
        rig.do(f"cloud.report({pending!r})")


def test_state_delta(rig):
    first = rig.do("cloud.fetch_config()")  # what pairs a device is there from the beginning, unless it was echoed
    assert first is None or "pairing" in first
    settle(rig)
    assert one(rig, "cloud.fetch_config()", "GET", "state", "2.05", accept=CBOR, bytes_out=0) is None
    wish(rig, x={"y": [1, "z", -2.5]})
    value = one(rig, "cloud.fetch_config()", "GET", "state", "2.05", accept=CBOR, answer_format=CBOR)
    assert value == {"x": {"y": [1, "z", -2.5]}}
    everything = one(rig, "cloud.fetch_config(delta=False)", "GET", "state", "2.05", query="delta=false")
    assert everything["x"] == {"y": [1, "z", -2.5]} and "pairing" in everything


def test_state_delta_larger_than_the_buffer(rig):
    settle(rig)
    wish(rig, big={f"setting_{n}": "v" * 90 for n in range(30)}, small=1)
    rig.twin.rest.patch(
        f"/v1/devices/{rig.twin.device}/state", json={"reported": {"big": {"setting_1": "v" * 90}}}
    ).raise_for_status()
    seen = {}
    for _ in range(40):
        part = rig.do("cloud.fetch_config()")
        if not part:
            break
        rig.do(f"cloud.report({part!r})")
        for key, value in part.items():
            seen.setdefault(key, {}).update(value) if isinstance(value, dict) else seen.update({key: value})
    assert part is None and not shadow(rig).get("delta")
    assert seen["small"] == 1 and set(seen["big"]) >= {f"setting_{n}" for n in range(30)} - {"setting_1"}
    wish(rig, text="t" * 4000)
    assert rig.do("cloud.fetch_config()") == {"text": None}  # it cannot be divided
    settle(rig)


def test_state_path(rig):
    wish(rig, x={"switch": "on", "data": base64.b64encode(b"\x00\x01").decode(), "a/b": {"~": 7}})
    assert one(rig, "cloud.read('desired/x/switch')", "GET", "state/desired/x/switch", "2.05", accept=CBOR) == "626f6e"
    assert one(rig, "cloud.read('desired/x/data', 42)", "GET", "state/desired/x/data", "2.05", accept=OCTETS) == "0001"
    assert rig.do("cloud.read('desired/x/a~1b/~0')") == "07"
    assert one(rig, "cloud.read('desired/nothing')", "GET", "state/desired/nothing", "2.05", bytes_out=0) == ""
    refused(rig, "cloud.read('desired/x/a~1b', 42)", "4.06")
    refused(rig, "cloud.read('desired/x', 0)", "4.06")


def test_state_transform(rig):
    wish(rig, y={"a": 1, "b": 2})
    assert rig.do("cloud.select('$keys(state.desired.y)')") == ["a", "b"]
    assert rig.do("cloud.select('state.desired.y.(a + b * 20)')") == 41
    assert rig.do("cloud.select('state.desired.nothing')") is None
    refused(rig, "cloud.select('((')", "4.00")
