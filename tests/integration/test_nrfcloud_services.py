"""nRF Cloud's endpoint matrix (facts nrfcloud.md 1.1) from the device: location, updates, and a line with faults.

As test_nrfcloud_matrix.py.
"""

import hashlib
import struct

import pytest
from cloud_rig import DeviceError, newest, one, refused, shadow
from twin_support import make_bundle

CELL = "{'mcc': 244, 'mnc': 12, 'eci': 186369, 'tac': 12001, 'neighbours': []}"
NEED = "{'flags': 0x3b, 'systems': {1: (0xffffffff, 0xffffffff)}}"
JSON, CBOR, OCTETS = 50, 60, 42


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


def keep_one(rig, job):
    """The job as `one` on the device: each test has its own, because workers share the tests of a file."""
    rig.keep("one", "{'key': %r, 'size': %d}" % (rig.do("cloud.update_check()")["key"], len(job[1])))


def test_proxy(rig, job):
    keep_one(rig, job)
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
    keep_one(rig, job)
    rig.twin.faults(**fault)
    try:
        refused(rig, "cloud.proxy_read(one['key'], 0, mv)", code)
    finally:
        rig.twin.faults(proxy_status=0)


def test_proxy_through_faults(rig, job):
    keep_one(rig, job)
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
    over = refused(rig, f"cloud.update_report('{job[0]}', 'started')", None, "RecordRefused")
    assert over.startswith("4.00 ")
    gone = "cloud.update_report('00000000-0000-0000-0000-000000000000', 'started')"
    assert refused(rig, gone, None, "RecordRefused").startswith("4.04 ")
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


def test_a_session_outlives_its_bearer(rig):
    """By connection ID, where the transport has one (nrfcloud.md 2): no handshake, no token."""
    before = rig.twin.records()["totals"]
    rig.modem.ask(fault="pdn_deact")
    rig.do("cloud.close(True)")
    rig.do("rig.all(modem.attach())")
    assert rig.do("cloud.open()") > 0
    rig.do("cloud.report({'kept': 1})")
    after = rig.twin.records()["totals"]
    again = 0 if rig.device.do("rig.dtls") == "modem" else 1
    assert (after["handshakes"] - before["handshakes"], after["auth_ok"] - before["auth_ok"]) == (again, again)
