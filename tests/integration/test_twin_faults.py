"""Fault switches of requests, blocks and services, and what a client sees of them (facts 15.10)."""

import json
import re
import time
from pathlib import Path

import cbor2
import pytest
from assistance_support import HEADER, SIZES
from fault_support import OFF, fetch_blocks, post, proxy, restore, shows, stored
from twin_support import ACK, CON, FETCH, GET, PATCH, POST

from godwit.twin.faults import SWITCHES

_HERE = Path(__file__).resolve().parent
_FAULTS = _HERE.parents[1] / "tools/godwit/twin/FAULTS.md"


@pytest.fixture(autouse=True)
def restored(twin):
    """All switches off again after each test."""
    yield
    restore(twin)


@pytest.fixture(scope="module")
def file(twin):
    """(URI, bytes) of an uploaded file of ten blocks."""
    data = bytes(n * 7 % 251 for n in range(10 * 1024))
    return twin.upload(data)[1], data


# --- requests ---


@shows("quota")
@pytest.mark.parametrize("path", ["msg/d2c", "msg/d2c/bulk", "msg/d2c/bin", "msg/d2c/raw", "msg/own"])
def test_quota_on_any_post(twin, client, path):
    twin.faults(quota=1)
    assert client.request(GET, "state").dotted == "2.05"  # is not a POST
    body = b"[{}]" if path == "msg/d2c/bulk" else b"{}"
    form = 42 if path in ("msg/d2c/bin", "msg/d2c/raw") else 50
    refused = client.request(POST, path, payload=body, cf=form)
    assert (refused.dotted, refused.uint(12), refused.json()["code"]) == ("4.00", 50, 40005)
    assert client.request(POST, path, payload=body, cf=form).dotted == "2.01"


@shows("rest_quota")
def test_quota_over_rest(twin):
    twin.faults(rest_quota=1)
    assert twin.rest.get("/v1/account").status_code == 200
    answers = [twin.rest.post("/v1/location/gnss", json={"lat": 1, "lon": 2}) for _ in range(2)]
    assert (answers[0].status_code, answers[0].json()["code"]) == (400, 40005)
    assert answers[1].status_code == 202


@shows("separate_ms")
def test_separate_response(twin, client):
    """An empty ACK at once, the answer later as a Confirmable of its own."""
    twin.faults(separate_ms=250)
    data = post(client, b"p1aa")
    began = time.monotonic()
    empty = client.receive()
    assert (empty.type, empty.code, empty.mid, empty.token) == (ACK, 0, int.from_bytes(data[2:4], "big"), b"")
    answer = client.receive()
    assert (answer.type, answer.dotted, answer.token) == (CON, "2.01", b"p1aa")
    assert time.monotonic() - began >= 0.2
    client.send(b"\x60\x00" + answer.raw[2:4])
    assert client.receive(0.2) is None
    assert stored(twin, 1) == [b"p1aa"]


# --- blocks and files ---


@shows("shrink_szx", "shrink_after")
def test_blocks_shrink_underway(twin, client, file):
    uri, data = file
    twin.faults(shrink_szx=4, shrink_after=3000)
    body, spans = fetch_blocks(proxy(client, uri))
    assert body == data
    assert spans[:4] == [(0, 1024), (1024, 1024), (2048, 1024), (3072, 256)]
    assert {size for _, size in spans[3:]} == {256}
    # other answers too: all assistance data, in blocks of 1024 that become 64
    twin.faults(shrink_szx=2, shrink_after=1024)
    request = cbor2.dumps({1: [3, 11]})

    def ask(block):
        return client.request(FETCH, "loc/agnss", payload=request, cf=60, options=[(23, block)])

    body, spans = fetch_blocks(ask)
    assert len(body) == 1 + 3 + 31 * 31 + 3 + 5 * 31
    assert spans == [(0, 1024), (1024, 64), (1088, len(body) - 1088)]


@shows("corrupt_block")
def test_corrupt_block(twin, client, file):
    uri, data = file
    twin.faults(corrupt_block=[3])
    body, _ = fetch_blocks(proxy(client, uri))
    wrong = [n for n in range(len(data)) if body[n] != data[n]]
    assert wrong == [2 * 1024 + 512]
    assert body[wrong[0]] ^ data[wrong[0]] == 0x10
    assert fetch_blocks(proxy(client, uri))[0] == data  # once


@shows("size2_error")
@pytest.mark.parametrize("error", [-1000, 1, 100000])
def test_wrong_size2(twin, client, file, error):
    uri, data = file
    twin.faults(size2_error=error)
    first = client.request(GET, "proxy", options=[(23, 6), (28, 0), (35, uri.encode())])
    assert first.uint(28) == len(data) + error
    assert fetch_blocks(proxy(client, uri))[0] == data  # only the number is wrong


@shows("proxy_status")
@pytest.mark.parametrize(("status", "code"), [(404, "4.04"), (502, "5.02")])
def test_origin_fails(twin, client, file, status, code):
    ask = proxy(client, file[0])
    assert ask(6).dotted == "2.05"
    twin.faults(proxy_status=status)
    answer = ask(1 << 4 | 6)
    assert answer.dotted == code and answer.json()["message"]
    twin.faults(proxy_status=0)
    assert ask(1 << 4 | 6).dotted == "2.05"


# --- services ---


@shows("no_job")
def test_no_job(twin, client):
    assert client.request(GET, "fota/exec/current").dotted == "4.04"
    twin.faults(no_job="empty")
    answer = client.request(GET, "fota/exec/current", accept=50)
    assert (answer.dotted, answer.payload, answer.option(12)) == ("2.05", b"", None)


@shows("cancel_at")
@pytest.mark.parametrize("percent", [5, 50, 100])
def test_job_is_cancelled_under_the_download(twin, client, percent):
    bundle, uri = twin.upload(bytes(20 * 1024), f"2.0.{percent}")
    job = twin.rest.post("/v1/fota-jobs", json={"bundleId": bundle, "deviceIds": [twin.device]}).json()["jobId"]
    twin.faults(cancel_at=percent)
    ask, done = proxy(client, uri), 0
    while client.request(GET, "fota/exec/current").dotted == "2.05":
        assert ask(done << 4 | 6).dotted == "2.05"
        done += 1
    assert done == max(1, -(-percent * 20 // 100))
    execution = twin.rest.get(f"/v1/fota-job-executions/{twin.device}/{job}").json()
    assert execution["status"] == "CANCELLED"
    refused = client.request(PATCH, f"fota/exec/{job}", payload=b'{"status":"SUCCEEDED"}', cf=50)
    assert refused.dotted == "4.00"
    if done < 20:
        assert ask(done << 4 | 6).dotted == "2.05"  # the file is still there


@shows("pad_shadow")
def test_padded_shadow(twin, client):
    twin.faults(pad_shadow=600)
    delta = client.request(GET, "state")
    assert len(delta.payload) > 512 and len(delta.json()["padding"]) == 600
    assert len(cbor2.loads(client.request(GET, "state", ("delta=false",), accept=60).payload)["padding"]) == 600
    twin.faults(pad_shadow=0)
    assert "padding" not in client.request(GET, "state").json()


@shows("invalid_control")
def test_invalid_control(twin, client):
    """It comes again with every poll until the device writes what it uses into desired."""
    twin.faults(invalid_control=True)
    for _ in range(2):
        assert client.request(GET, "state").json()["control"]["logLvl"] == 9
    mine = {"control": {"alertsEn": False, "logLvl": 2}}
    for path in ("state/reported", "state/desired"):
        assert client.request(PATCH, path, payload=json.dumps(mine).encode(), cf=50).dotted == "2.04"
    assert "control" not in client.request(GET, "state").json()


@shows("agnss_truncate")
def test_truncated_assistance(twin, client):
    def ask():
        return client.request(FETCH, "loc/agnss", payload=cbor2.dumps({1: [9, 4]}), cf=60).payload

    whole = ask()
    twin.faults(agnss_truncate=5)
    assert ask() == whole[:-5]
    twin.faults(agnss_truncate=1000)
    assert ask() == b"\x01"


@shows("agnss_unknown")
def test_unknown_type_in_the_middle(twin, client):
    twin.faults(agnss_unknown=42)
    body = client.request(FETCH, "loc/agnss", payload=cbor2.dumps({1: [9, 4, 5, 1]}), cf=60).payload
    kinds, at = [], 1
    while at < len(body) and body[at] in SIZES:  # what a device does: it stops at the first type it does not know
        kinds.append(body[at])
        at += 3 + SIZES[body[at]]
    assert kinds == [9, 4] and body[at] == 42
    assert body[at + 3 + 13] == 5  # what it loses


@shows("pgps_stale_days")
def test_stale_predictions(twin, client):
    def ask():
        return client.request(GET, "loc/pgps", ("predictionCount=1",)).json()["path"]

    day = int(ask().split("/")[1].split("-")[0])
    twin.faults(pgps_stale_days=3)
    assert ask() == f"public/{day - 3}-0.bin"
    first = proxy(client, f"https://pgps.nrfcloud.com/{ask()}")(6).payload
    assert HEADER.unpack_from(first)[6:] == (day - 3, 0)


@shows("pgnss_host")
def test_predictions_on_the_other_host(twin, client):
    twin.faults(pgnss_host=True)
    where = twin.rest.get("/v1/location/pgnss", params={"predictionCount": 1}).json()
    assert where["host"] == "pgnss.nrfcloud.com"
    assert proxy(client, f"https://{where['host']}/{where['path']}")(6).dotted == "4.03"
    assert client.request(GET, "loc/pgps").json()["host"] == "pgps.nrfcloud.com"  # CoAP has the one that works


# --- the switches themselves ---


def test_get_shows_what_is_set(twin, client):
    twin.faults(drop_up=[5, 7], quota=3, no_job="empty", delay_ms=1)
    state = twin.rest.get("/twin/faults").json()
    assert (state["drop_up"], state["quota"], state["no_job"], state["delay_ms"]) == ([5, 7], 3, "empty", 1)
    client.request(GET, "state")
    assert twin.rest.get("/twin/faults").json()["drop_up"] == [4, 6]  # one of the things counted went by
    assert set(state) - {"struck", "scenario"} == set(OFF)


@pytest.mark.parametrize(
    "switches",
    [
        {"drop_up": [0]},
        {"drop_up": ["1"]},
        {"drop_up": [1.5]},
        {"drop_up": list(range(1, 2000))},
        {"no_job": "maybe"},
        {"proxy_status": 500},
        {"proxy_status": True},
        {"shrink_szx": 7},
        {"pad_shadow": -1},
        {"invalid_control": 1},
        {"size2_error": 0.5},
        {"struck": {}},
        {"quota": 1, "no_such": 1},
    ],
)
def test_bad_switches_change_nothing(twin, switches):
    before = twin.rest.get("/twin/faults").json()
    answer = twin.rest.put("/twin/faults", json=switches)
    assert (answer.status_code, answer.json()["code"]) == (422, 42200)
    assert twin.rest.get("/twin/faults").json() == before


def test_every_switch_is_shown_and_described():
    """A switch without a test or without a line in FAULTS.md does not get in."""
    text = _FAULTS.read_text()
    tests = "".join(path.read_text() for path in _HERE.glob("test_twin_faults*.py"))
    shown = " ".join(re.findall(r"^@shows\((.*)\)$", tests, re.MULTILINE))
    assert set(re.findall(r"\w+", shown)) == set(SWITCHES)
    assert [name for name in SWITCHES if f"`{name}`" not in text] == []


def test_nothing_of_this_was_an_error(twin):
    """Last in the file: every refusal above was an answer, not an accident."""
    assert twin.records()["errors"] == []
