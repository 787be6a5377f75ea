"""Location services over REST: every operation of the specification, who may call it, and what it refuses."""

import json
import struct
import time

import pytest
from assistance_support import decode, groups
from twin_support import DEVICE, GET, connected, make_jwt, token

_CELL = {"mcc": 310, "mnc": 120, "eci": 167899669, "tac": 13601}  # of the published sample
_POINTS = [{"macAddress": "00-18-39-59-8C-53", "signalStrength": -42}, {"macAddress": "00:21:55:61:F3:0A"}]
_SAMPLE = {
    "lte": [
        {
            **_CELL, "rsrp": -90, "rsrq": -8, "pci": 143, "earfcn": 41490, "adv": 20000,
            "nmr": [{"rsrp": -90, "rsrq": -8, "earfcn": 41490, "pci": 143, "eci": 167899669, "timeDiff": 300}],
        }
    ]
}  # fmt: skip


def call(twin, method, name, **arguments):
    return twin.rest.request(method, f"/v1/location/{name}", **arguments)


def latest(twin, device):
    items = twin.rest.get("/v1/location/history", params={"deviceId": device, "pageLimit": 1}).json()["items"]
    return items[0] if items else None


def device_token(twin):
    """The header of a device that calls by itself."""
    return {"Authorization": "Bearer " + token(twin).decode()}


# --- fixes ---


def test_ground_fix_of_the_published_sample(twin):
    answer = call(twin, "POST", "ground-fix", json=_SAMPLE, headers={"x-custom-device-id": "my-device-12345"})
    assert answer.status_code == 200
    assert answer.json() == {"lat": 45.524098, "lon": -122.688408, "uncertainty": 300, "fulfilledWith": "MCELL"}
    item = latest(twin, "my-device-12345")
    assert (item["serviceType"], item["lat"], item["uncertainty"]) == ("MCELL", "45.524098", "300")


def test_cell(twin):
    answer = call(twin, "POST", "cell", json={"lte": [_CELL], "wifi": _POINTS})
    assert answer.json()["fulfilledWith"] == "SCELL"
    for form in ("ltecatm", "nbiot"):
        assert call(twin, "POST", "cell", json={form: [{**_CELL, "mnc": "120"}]}).json()["lat"] == 45.524098
    high = call(twin, "POST", "cell", json={"lte": [_CELL]}, params={"hiConf": "true"}).json()
    assert high["uncertainty"] > answer.json()["uncertainty"]


def test_wifi(twin):
    answer = call(twin, "POST", "wifi", json={"accessPoints": _POINTS}, headers={"x-custom-device-id": "w-1"})
    assert answer.status_code == 200 and list(answer.json()) == ["lat", "lon", "uncertainty"]
    assert latest(twin, "w-1")["serviceType"] == "WIFI"


def test_alternative_and_distance(twin):
    body = {"lte": [_CELL], "wifi": {"accessPoints": _POINTS}}
    near = call(twin, "POST", "ground-fix", json=body, params={"alt": "true"}).json()
    assert (near["fulfilledWith"], near["alt"]["loc"]["fulfilledWith"]) == ("WIFI", "SCELL")
    assert near["alt"]["dist"] > 1_000_000
    far = call(twin, "POST", "ground-fix", json=body, params={"dist": "1000"}).json()
    assert far["fulfilledWith"] == "SCELL" and "alt" not in far


@pytest.mark.parametrize("flag", ["false", "0"])
def test_no_reply_is_recorded(twin, flag):
    device = f"quiet-{flag}"
    headers = {"x-custom-device-id": device}
    answer = call(twin, "POST", "ground-fix", json=_SAMPLE, params={"doReply": flag}, headers=headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert latest(twin, device)["serviceType"] == "MCELL"


def test_single_cell(twin):
    as_json = call(twin, "GET", "single-cell", params={**_CELL, "format": "json", "rsrp": -90}).json()
    assert (as_json["lat"], as_json["lon"]) == (45.524098, -122.688408)
    binary = call(twin, "GET", "single-cell", params={**_CELL, "mnc": "120"})
    assert binary.headers["content-type"] == "application/octet-stream"
    assert list(struct.unpack("<ddi", binary.content)) == list(as_json.values())


def test_fallback(twin):
    for enodeb in range(1000, 1200):
        body = {"lte": [{"mcc": 242, "mnc": 1, "eci": enodeb << 8, "tac": 2305}]}
        if call(twin, "POST", "cell", json=body, params={"fallback": "false"}).status_code == 404:
            assert call(twin, "POST", "cell", json=body).json()["uncertainty"] == 8000
            return
    pytest.fail("no unsurveyed cell in 200 eNodeBs")


@pytest.mark.parametrize(
    ("method", "name", "arguments", "status", "code"),
    [
        ("POST", "ground-fix", {"json": {}}, 400, 40000),
        ("POST", "ground-fix", {"content": b""}, 400, 40000),
        ("POST", "ground-fix", {"content": b"{"}, 400, 40000),
        ("POST", "ground-fix", {"json": []}, 422, 42200),
        ("POST", "ground-fix", {"json": {"lte": [{**_CELL, "mcc": 1}]}}, 404, 40499),
        ("POST", "ground-fix", {"json": {"lte": [{**_CELL, "rsrp": 5}]}}, 400, 40000),
        ("POST", "ground-fix", {"json": _SAMPLE, "params": {"hiConf": "maybe"}}, 400, 40000),
        ("POST", "ground-fix", {"json": _SAMPLE, "headers": {"x-custom-device-id": "no/id"}}, 422, 42200),
        ("POST", "cell", {"json": {"wifi": _POINTS}}, 400, 40000),
        ("POST", "wifi", {"json": {"accessPoints": _POINTS[:1]}}, 400, 40000),
        ("POST", "wifi", {"json": {"accessPoints": [{"macAddress": "x"}, *_POINTS]}}, 400, 40000),
        ("GET", "single-cell", {"params": {"mcc": 310, "mnc": 120, "tac": 13601}}, 422, 42200),
        ("GET", "single-cell", {"params": {**_CELL, "format": "xml"}}, 422, 42200),
        ("POST", "gnss", {"json": {"lat": 91, "lon": 0}}, 422, 42200),
        ("POST", "gnss", {"json": {"lat": 1}}, 422, 42200),
        ("POST", "gnss", {"json": {"lat": 1, "lon": 2, "acc": "good"}}, 422, 42200),
        ("POST", "agnss", {"json": {"types": [18]}}, 422, 42200),
        ("POST", "agnss", {"json": {"types": [2], "filtered": True}}, 422, 42200),
        ("POST", "agnss", {"content": b"[]"}, 422, 42200),
        ("GET", "agps", {"params": {"types": "x"}}, 422, 42200),
        ("GET", "agps", {"params": {"requestType": "rtWhatever"}}, 422, 42200),
        ("POST", "agnss", {"headers": {"Range": "bytes=90000-"}}, 416, 41600),
        ("POST", "agnss", {"headers": {"Range": "bytes=9-3"}}, 416, 41600),
        ("POST", "agnss", {"headers": {"Range": "lines=1-3"}}, 416, 41600),
        ("GET", "pgnss", {"params": {"predictionCount": 43}}, 422, 42200),
        ("GET", "pgps", {"params": {"startGpsDay": 1}}, 422, 42200),
        ("GET", "geo", {"params": {"lat": 0, "lon": -140}}, 404, 40420),
        ("GET", "geo", {"params": {"lat": 0}}, 422, 42200),
        ("GET", "geo", {"params": {"lat": 91, "lon": 0}}, 422, 42200),
        ("GET", "history", {"params": {"deviceId": "no/id"}}, 422, 42200),
        ("GET", "history", {"params": {"start": "yesterday"}}, 422, 42200),
        ("DELETE", "history/nobody/bc631093-7f7c-4c1b-aa63-a68c759bcd5c", {}, 404, 40420),
    ],
)
def test_refusals(twin, method, name, arguments, status, code):
    answer = call(twin, method, name, **arguments)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"]


# --- assistance ---


def test_assistance_and_its_size(twin):
    body = {"types": [1, 2, 8], **_CELL}
    whole = call(twin, "POST", "agnss", json=body)
    assert (whole.status_code, whole.headers["content-type"]) == (200, "application/octet-stream")
    assert sorted(decode(whole.content)) == [1, 2, 8]
    by_query = call(twin, "HEAD", "agnss", params={"types": [1, 2, 8], **_CELL})
    by_body = call(twin, "HEAD", "agnss", content=json.dumps(body).encode())
    old = call(twin, "HEAD", "agps", params={"types": "1,2,8", **_CELL})
    for head in (by_query, by_body, old):
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(whole.content)), b"")


def test_ranges_put_together_are_the_whole(twin):
    size = int(call(twin, "HEAD", "agnss").headers["content-length"])
    got = b""
    while len(got) < size:
        answer = call(twin, "POST", "agnss", headers={"Range": f"bytes={len(got)}-{len(got) + 699}"})
        assert answer.status_code == 206
        first, last = len(got), min(len(got) + 699, size - 1)
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
        got += answer.content
    assert [kind for kind, _ in groups(got)] == [1, 2, 3, 4, 6, 7, 9]
    assert call(twin, "POST", "agnss", headers={"Range": "bytes=-4"}).content == got[-4:]


def test_old_form_of_assistance(twin):
    answer = call(twin, "GET", "agps", params={"types": 8, **_CELL}, headers={"Range": "bytes=0-2200"})
    assert answer.status_code == 206 and answer.headers["content-range"] == "bytes 0-18/19"
    place = decode(answer.content)[8][0]
    assert (place["lat"], place["lon"]) == pytest.approx((45.524098, -122.688408), abs=3e-5)
    for query in ({"customTypes": "9"}, {"requestType": "custom", "types": [9]}):
        assert call(twin, "GET", "agps", params=query).content.hex() == "0109010000000000"
    assert list(decode(call(twin, "GET", "agps", params={"requestType": "rtLocation", **_CELL}).content)) == [8]


def test_predictions(twin):
    for name in ("pgnss", "pgps"):
        answer = call(twin, "GET", name, params={"predictionCount": 2}).json()
        assert answer["host"] == "pgps.nrfcloud.com" and answer["path"].endswith("-14400.bin")
    with connected(twin) as client:
        uri = f"https://{answer['host']}/{answer['path']}"
        assert client.request(GET, "proxy", options=[(35, uri.encode())]).dotted == "2.05"
    twin.faults(pgnss_host=True)
    try:
        assert call(twin, "GET", "pgnss").json()["host"] == "pgnss.nrfcloud.com"
    finally:
        twin.faults(pgnss_host=False)


# --- GNSS, addresses, history ---


def test_gnss_by_the_device_itself(twin):
    body = {"lat": 45.524098, "lon": -122.688408, "acc": 15, "alt": 159, "spd": 1, "hdg": 90, "property1": None}
    assert call(twin, "POST", "gnss", json=body, headers=device_token(twin)).status_code == 202
    item = latest(twin, DEVICE)
    assert (item["serviceType"], item["lat"], item["lon"], item["uncertainty"]) == (
        "GNSS", "45.524098", "-122.688408", "15",
    )  # fmt: skip
    assert item["meta"] == {"acc": 15, "spd": 1, "hdg": 90, "alt": 159}


def test_address(twin):
    answer = call(twin, "GET", "geo", params={"lat": 45.524098, "lon": -122.688408}).json()
    assert set(answer) == {"lat", "lon", "uncertainty", "formatted", "address"}
    address = answer["address"]
    assert (address["country"], address["countryCode"]) == ("United States of America", "US")
    assert (address["state"], address["stateCode"], address["city"]) == ("Oregon", "OR", "Portland")
    assert isinstance(answer["uncertainty"], int) and answer["uncertainty"] < 5000
    assert call(twin, "GET", "geo", params={"lat": "63.43", "lon": "10.4"}).json()["address"]["countryCode"] == "NO"


def test_history_pages_and_deletes(twin):
    headers = {"x-custom-device-id": "walker"}
    start = twin.rest.get("/twin/health").json()["now"]
    for n in range(3):
        call(twin, "POST", "gnss", json={"lat": n, "lon": 1}, headers=headers)
    page = call(twin, "GET", "history", params={"deviceId": "walker", "pageLimit": 2}).json()
    assert [item["lat"] for item in page["items"]] == ["2", "1"]
    rest = call(twin, "GET", "history", params={"deviceId": "walker", "pageNextToken": page["pageNextToken"]}).json()
    assert [item["lat"] for item in rest["items"]] == ["0"] and "pageNextToken" not in rest
    assert call(twin, "DELETE", f"history/walker/{page['items'][0]['id']}").status_code == 202
    newest = call(twin, "GET", "history", params={"deviceId": "walker", "latest": "true"}).json()["items"]
    assert [item["lat"] for item in newest] == ["1"]
    iso = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start / 1000 + 3600))
    assert call(twin, "GET", "history", params={"deviceId": "walker", "start": iso}).json()["items"] == []


# --- who may call ---


def test_device_token_names_the_device(twin):
    headers = {**device_token(twin), "x-custom-device-id": "somebody-else"}  # is not looked at
    assert call(twin, "POST", "ground-fix", json=_SAMPLE, headers=headers).status_code == 200
    assert latest(twin, DEVICE)["serviceType"] == "MCELL"
    assert latest(twin, "somebody-else") is None


def test_bad_tokens(twin):
    forged = make_jwt(twin.key, sub="nobody", exp=int(time.time()) + 600).decode()
    expired = make_jwt(twin.key, sub=DEVICE, exp=int(time.time()) - 600).decode()
    for text in (f"Bearer {forged}", f"Bearer {expired}", "Bearer a.b.c", "Bearer x", "Basic x", ""):
        answer = call(twin, "POST", "ground-fix", json=_SAMPLE, headers={"Authorization": text})
        assert (answer.status_code, answer.json()["code"]) == (401, 40100), text


def test_evaluation_token_marks_the_service(twin):
    made = twin.rest.post("/v1/account/service-evaluation-token").raise_for_status().json()["token"]
    headers = {"Authorization": f"Bearer {made}", "x-custom-device-id": "evaluated"}
    for name, body, service in (("cell", {"lte": [_CELL]}, "SCELL_EVAL"), ("ground-fix", _SAMPLE, "MCELL_EVAL")):
        assert call(twin, "POST", name, json=body, headers=headers).json()["fulfilledWith"] == service
    assert call(twin, "POST", "agnss", json={"types": [9]}, headers=headers).content.hex() == "0109010000000000"
    assert call(twin, "GET", "history", headers=headers).status_code == 401


def test_device_token_is_for_location_services_only(twin):
    for name in ("location/history", "devices", "messages", "account"):
        assert twin.rest.get(f"/v1/{name}", headers=device_token(twin)).status_code == 401, name


def test_nothing_of_this_was_an_error(twin):
    """Last in the file: every refusal above was an answer, not an accident."""
    assert twin.records()["errors"] == []
