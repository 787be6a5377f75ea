"""Every row of nRF Cloud's endpoint matrix (facts nrfcloud.md 1.1) from the device: MicroPython, AT commands, DTLS.

The device is lib/cloud/nrfcloud under 32-bit MicroPython behind the modem simulator, once with DTLS of its own and
once with the modem's; what counts is what the twin has recorded and stored. README.md shows the rows with the tests
that prove them, and the last tests here hold that table to it. Provisioning (p/*) is in test_provisioning_device.py.
"""

import base64
import hashlib
import struct
import time

import pytest
from cloud_rig import DeviceError, cloud_rig
from twin_support import make_bundle

SEED_LOG = base64.b64decode("blJGQwAAAAAd2qCkkAEAAAEAAABoZWxsbyB3b3JsZA==")  # nrfcloud.md 6.4
CELL = "{'mcc': 244, 'mnc': 12, 'eci': 186369, 'tac': 12001, 'neighbours': []}"
NEED = "{'flags': 0x3b, 'systems': {1: (0xffffffff, 0xffffffff)}}"
JSON, CBOR, OCTETS = 50, 60, 42


@pytest.fixture(scope="module", params=["host", "modem"])
def rig(request, tmp_path_factory):
    with cloud_rig(tmp_path_factory.mktemp("matrix"), request.param) as made:
        yield made
        assert made.twin.records()["errors"] == []


def one(rig, expression, method, path, code, **fields):
    """Do it, and check that the twin saw exactly one such request; -> the value."""
    value, seen = rig.since(expression)
    assert [(row["method"], row["path"], row["code"]) for row in seen] == [(method, path, code)]
    assert {name: seen[0][name] for name in fields} == fields
    return value


def refused(rig, expression, code, name="Refused"):
    with pytest.raises(DeviceError) as caught:
        rig.do(expression)
    assert (caught.value.name, caught.value.code) == (name, code), caught.value
    return caught.value.text


def newest(rig, **query):
    return rig.twin.rest.get("/v1/messages", params=query).raise_for_status().json()["items"]


def shadow(rig):
    return rig.twin.rest.get(f"/v1/devices/{rig.twin.device}").raise_for_status().json()["state"]


def wish(rig, **desired):
    rig.twin.rest.patch(f"/v1/devices/{rig.twin.device}/state", json={"desired": desired}).raise_for_status()


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
    alert = "(7, 0, 'alert', {'type': 7, 'value': 3301, 'desc': 'battery low'})"
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


# --- location --------------------------------------------------------------------------------------------------------


def test_loc_ground_fix(rig):
    place = one(rig, f"cloud.locate([{CELL}])", "FETCH", "loc/ground-fix", "2.05", format=CBOR, accept=CBOR,
                answer_format=CBOR)  # fmt: skip
    assert place["how"] == "SCELL" and place["acc_mm"] > 0
    history = rig.twin.rest.get("/v1/location/history", params={"deviceId": rig.twin.device}).json()["items"]
    assert abs(float(history[0]["lat"]) * 1e7 - place["lat"]) < 10
    points = "[{'mac': bytes([0, 0x18, 0x39, 0x59, 0x8c, n]), 'rssi_dbm': -42} for n in range(3)]"
    assert rig.do(f"cloud.locate([{CELL}], {points})")["how"] == "WIFI"
    quiet = one(rig, f"cloud.locate([{CELL}], (), False)", "FETCH", "loc/ground-fix", "2.05", query="doReply=false")
    assert quiet == {}
    wide = rig.do(f"cloud.locate([{CELL}], (), True, True)")
    assert wide["acc_mm"] > place["acc_mm"]
    nowhere = CELL.replace("244", "1")
    assert one(rig, f"cloud.locate([{nowhere}])", "FETCH", "loc/ground-fix", "4.04") is None


def test_loc_ground_fix_json_and_what_is_wrong(rig):
    body = '{"lte":[{"mcc":244,"mnc":12,"tac":12001,"eci":186369}]}'
    call = "cloud.request(coap.FETCH, 'loc/ground-fix', payload=b'%s', content_format=50, query=('hiConf=true',))"
    one(rig, call % body, "FETCH", "loc/ground-fix", "2.05", format=JSON, answer_format=JSON)
    refused(rig, call % "{}", "4.00")


def groups(raw):
    """{type: [record bytes]} of an A-GNSS body (nrfcloud.md 9.1), by struct."""
    sizes = {1: 14, 2: 62, 3: 31, 4: 8, 5: 8, 6: 4, 7: 16, 8: 15, 9: 4, 11: 31, 12: 62, 13: 4}
    raw = bytes.fromhex(raw)
    assert raw[0] == 1
    at, found = 1, {}
    while at < len(raw):
        kind, count = struct.unpack_from("<BH", raw, at)
        at += 3
        found[kind] = [raw[at + n * sizes[kind] : at + (n + 1) * sizes[kind]] for n in range(count)]
        at += count * sizes[kind]
    return found


def assistance(rig, need=NEED, mask="None"):
    """Fetch all parts that `need` asks for; -> {type: records}."""
    rig.keep("parts", f"cloud.assistance_parts({need}, {CELL}, {{}}, {mask})")
    found = {}
    for n in range(rig.do("len(parts)")):
        count = rig.do(f"cloud.assistance(parts[{n}], {CELL}, mv)")
        found.update(groups(rig.do(f"mv[:{count}]")))
    return found


def test_loc_agnss_fetch(rig):
    before = len(rig.requests())
    found = assistance(rig)
    rows = rig.requests()[before:]
    assert {(row["method"], row["path"], row["code"]) for row in rows} == {("FETCH", "loc/agnss", "2.05")}
    assert {row["format"] for row in rows} == {CBOR} and {row["answer_format"] for row in rows} == {OCTETS}
    assert len(found[2]) > 28 and len(found[3]) > 28 and {1, 4, 6, 7, 8, 9} <= set(found)
    masked = assistance(rig, mask="5")
    assert 0 < len(masked[2]) <= 16
    body = "cloud.request(coap.FETCH, 'loc/agnss', payload=cbor.dumps({1: [99]}), content_format=60)"
    refused(rig, body, "4.00")


@pytest.mark.parametrize(("path", "method"), [("loc/agnss", "GET"), ("loc/agps", "FETCH"), ("loc/agps", "GET")])
def test_loc_agnss_other_forms(rig, path, method):
    rig.keep("parts", "cloud.assistance_parts({'flags': 0x02, 'systems': {}}, None, {})")
    verb = "needs.get" if method == "GET" else "assist.fetch"
    call = f"{verb}(cloud, '{path}', parts[0], None, mv)"
    count = one(rig, call, method, path, "2.05", answer_format=OCTETS)
    assert set(groups(rig.do(f"mv[:{count}]"))) == {4}


def test_loc_agnss_that_is_cut_off_or_unknown(rig):
    rig.twin.faults(agnss_truncate=100)
    try:
        with pytest.raises(DeviceError) as caught:
            assistance(rig)
        assert caught.value.name == "CloudError"
    finally:
        rig.twin.faults(agnss_truncate=0)


def test_loc_pgps_fetch_and_its_file(rig, tmp_path):
    before = len(rig.requests())
    job = rig.do(f"cloud.predictions_due('{tmp_path}', 2)")
    size = rig.do(f"cloud.predictions('{tmp_path}', {job}, mv)")
    rows = rig.requests()[before:]
    assert (rows[0]["method"], rows[0]["path"], rows[0]["format"]) == ("FETCH", "loc/pgps", CBOR)
    assert {row["path"] for row in rows[1:]} == {"proxy"} and {row["code"] for row in rows} == {"2.05"}
    assert size == 16 + 2 * 2006
    found = groups(rig.do(f"cloud.predicted('{tmp_path}', {NEED}, None, mv)"))
    assert len(found[2]) > 20 and len(found[7]) == 1


def test_loc_pgps_get(rig):
    query = "('predictionCount=2', 'predictionIntervalMinutes=240')"
    value = one(rig, f"cloud.request(coap.GET, 'loc/pgps', query={query})", "GET", "loc/pgps", "2.05",
                answer_format=JSON)  # fmt: skip
    assert value
    refused(rig, "cloud.request(coap.GET, 'loc/pgps', query=('predictionCount=99',))", "4.00")


# --- updates ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def job(rig):
    """A firmware job for the device: (job id, image)."""
    image = hashlib.shake_128(b"image").digest(20_000)
    answer = rig.twin.rest.post(
        "/v1/firmwares", content=make_bundle({"app.bin": image}), headers={"Content-Type": "application/zip"}
    )
    bundle = answer.raise_for_status().json()["uris"][0].split("/")[4]
    made = rig.twin.rest.post("/v1/fota-jobs", json={"bundleId": bundle, "deviceIds": [rig.twin.device]})
    return made.raise_for_status().json()["jobId"], image


def execution(rig, job_id):
    return rig.twin.rest.get(f"/v1/fota-job-executions/{rig.twin.device}/{job_id}").raise_for_status().json()


def test_fota_none(rig):
    assert one(rig, "cloud.update_check()", "GET", "fota/exec/current", "4.04", accept=JSON) is None
    rig.twin.faults(no_job="empty")
    try:
        assert one(rig, "cloud.update_check()", "GET", "fota/exec/current", "2.05", bytes_out=0) is None
    finally:
        rig.twin.faults(no_job="4.04")


def test_fota_exec_current(rig, job):
    found = one(rig, "cloud.update_check()", "GET", "fota/exec/current", "2.05", accept=JSON, answer_format=JSON)
    assert (found["id"], found["kind"], found["size"], found["refused"]) == (job[0], "APP", len(job[1]), None)


def test_proxy(rig, job):
    rig.keep("one", "{'key': %r, 'size': %d}" % (rig.do("cloud.update_check()")["key"], len(job[1])))
    for offset in (0, 4096, 19_000):
        count = rig.do(f"cloud.update_read(one, {offset}, mv)")
        assert bytes.fromhex(rig.do(f"mv[:{count}]")) == job[1][offset : offset + 4096]
        assert rig.do("cloud.total") == len(job[1])  # Size2
    count = rig.do("cloud.proxy_read(one['key'], 4096, mv, by_offset=True)")
    assert bytes.fromhex(rig.do(f"mv[:{count}]")) == job[1][4096:8192]
    assert rig.requests()[-1]["query"].startswith("offset=")


@pytest.mark.parametrize(
    ("fault", "code"), [({"proxy_status": 404}, "4.04"), ({"proxy_status": 502}, "5.02")]
)
def test_proxy_whose_origin_fails(rig, job, fault, code):
    rig.twin.faults(**fault)
    try:
        refused(rig, "cloud.proxy_read(one['key'], 0, mv)", code)
    finally:
        rig.twin.faults(proxy_status=0)


def test_proxy_through_faults(rig, job):
    image = job[1]
    for faults in (
        {"shrink_szx": 4, "shrink_after": 1024},
        {"size2_error": 500},
        {"drop_down": [2, 3], "drop_up": [6]},
        {"repeat_down": [1, 2, 3, 4], "repeat_up": [1, 2]},
        {"swap_down": [1]},
    ):
        rig.twin.faults(**faults)
        try:
            count = rig.do("cloud.proxy_read(one['key'], 0, mv, 2)")
            assert bytes.fromhex(rig.do(f"mv[:{count}]")) == image[:4096], faults
        except DeviceError as error:
            assert "size2_error" in faults and error.name in ("BadResponse", "ETagChanged"), (faults, error)
        finally:
            rig.twin.faults(shrink_szx=6, size2_error=0, drop_down=[], drop_up=[], repeat_up=[], repeat_down=[],
                            swap_down=[])  # fmt: skip


def test_proxy_hosts(rig):
    for host in ("example.com", "api.nrfcloud.com"):
        with pytest.raises(DeviceError) as caught:
            rig.do(f"jobs.proxied('{host}', 'a.bin')")
        assert caught.value.name == "CloudError"
    refused(rig, "cloud.proxy_read('https://example.com/a.bin', 0, mv)", "4.03")


def test_fota_exec_patch(rig, job):
    path = f"fota/exec/{job[0]}"
    one(rig, f"cloud.update_report('{job[0]}', 'started')", "PATCH", path, "2.04", format=JSON)
    assert execution(rig, job[0])["status"] == "IN_PROGRESS"
    one(rig, f"cloud.update_report('{job[0]}', 'failed', 'Update could not be validated')", "PATCH", path, "2.04")
    done = execution(rig, job[0])
    assert (done["status"], done["statusDetail"]) == ("FAILED", "Update could not be validated")
    refused(rig, f"cloud.update_report('{job[0]}', 'started')", "4.00")  # it is over
    refused(rig, "cloud.update_report('00000000-0000-0000-0000-000000000000', 'started')", "4.04")
    assert rig.do("cloud.update_check()") is None


# --- the line --------------------------------------------------------------------------------------------------------


def test_answers_that_come_late_and_apart(rig):
    rig.twin.faults(separate_ms=1500)
    try:
        rig.do("cloud.report({'late': 1})")
    finally:
        rig.twin.faults(separate_ms=0)
    assert shadow(rig)["reported"]["late"] == 1


def test_a_repeated_post_is_one_message(rig):
    rig.twin.faults(repeat_up=[1], drop_down=[1])
    rig.do("cloud.send('once', b'{\"appId\": \"ONCE\"}')")
    assert len(newest(rig, appId="ONCE")) == 1


def test_a_lost_session_is_noticed(rig):
    rig.twin.faults(drop_sessions=True)
    with pytest.raises(DeviceError) as caught:
        rig.do("rig.all(cloud.client.ping(3000))")
    assert caught.value.name in ("Timeout", "OSError", "DTLSError", "Reset")
    assert rig.do("rig.all(cloud.close(), cloud.open())")[1] > 0
    rig.do("cloud.report({'again': 1})")
