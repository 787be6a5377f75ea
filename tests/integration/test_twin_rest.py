"""The twin's REST side: key, onboarding by JSON and CSV, shadow, lists and pages, error bodies, bad input."""

import csv
import io
import json
import socket

import httpx
import pytest
from twin_support import API_KEY, POST, connected, public_pem

from godwit import pki


@pytest.fixture(scope="module")
def pem():
    return public_pem(pki.new_key())


def rows(*items):
    text = io.StringIO()
    csv.writer(text).writerows(items)
    return text.getvalue().encode()


def bulk(twin, path, body):
    """POST a CSV and return (status, errors) of the bulk operation."""
    answer = twin.rest.post(path, content=body, headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 202, answer.text
    number = answer.json()["bulkOpsRequestId"]
    assert len(number) == 26
    document = twin.rest.get(f"/v1/bulk-ops-requests/{number}").json()
    assert httpx.get(document["uploadedDataUrl"]).content == body
    if "errorSummaryUrl" not in document:
        return document["status"], []
    return document["status"], httpx.get(document["errorSummaryUrl"]).json()["errors"]


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {API_KEY}"}])
@pytest.mark.parametrize("path", ["/v1/devices", "/v1/account", "/v1/fota-jobs", "/v1/messages"])
def test_key_is_needed(twin, header, path):
    answer = httpx.get(twin.url + path, headers=header)
    assert (answer.status_code, answer.json()["code"]) == (401, 40100)


def test_account(twin):
    account = twin.rest.get("/v1/account").json()
    assert account["mqttTopicPrefix"] == f"prod/{account['team']['tenantId']}/"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("PUT", "/v1/devices", 405),
        ("GET", "/v1/devices/ghost", 404),
        ("DELETE", "/v1/devices/ghost", 404),
        ("GET", "/v1/bulk-ops-requests/01EZZJVDQJPWT7V4FWNVDHNMM5", 404),
        ("GET", "/v1/fota-jobs/ghost", 422),
        ("GET", "/v1/fota-jobs/9140bd5d-911c-496a-9393-4acfbdb6596c", 404),
        ("GET", "/v1/fota-job-executions/ghost/current", 404),
        ("GET", "/v1/devices?pageLimit=0", 422),
        ("GET", "/v1/devices?pageLimit=101", 422),
        ("GET", "/v1/devices?pageLimit=x", 422),
        ("GET", "/v1/devices?pageNextToken=!!!", 422),
        ("GET", "/v1/devices?includeState=perhaps", 422),
        ("GET", "/v1/messages?pageSort=up", 422),
        ("GET", "/v1/messages?start=yesterday", 422),
        ("GET", "/v1/messages?appId=A&topic=b", 422),
        ("DELETE", "/v1/location/history/a/b", 404),
    ],
)
def test_errors_have_a_body(twin, method, path, status):
    answer = twin.rest.request(method, path)
    assert answer.status_code == status
    assert isinstance(answer.json()["code"], int) and answer.json()["message"]


def test_onboard_one_by_json(twin, pem):
    body = {"certificate": pem, "subType": "sensor", "tags": ["east"], "supportedFirmwareTypes": ["APP", "MODEM"]}
    assert twin.rest.post("/v1/devices/one", json=body).status_code == 202
    device = twin.rest.get("/v1/devices/one").json()
    assert (device["subType"], device["tags"], device["firmware"]["supports"]) == ("sensor", ["east"], ["APP", "MODEM"])
    state = device["state"]
    assert state["desired"]["pairing"]["topics"]["c2d"].endswith("/m/d/one/c2d")
    assert state["desired"]["nrfcloud_mqtt_topic_prefix"] == f"prod/{device['tenantId']}/"
    assert (state["reported"], state["delta"]) == ({}, state["desired"])
    assert isinstance(state["metadata"]["desired"]["pairing"]["state"]["timestamp"], int)


def test_onboard_with_certificate(twin, tmp_path):
    directory = pki.make_pki(tmp_path)
    body = {"certificate": (directory / "server.pem").read_text()}
    assert twin.rest.post("/v1/devices/by-certificate", json=body).status_code == 202


@pytest.mark.parametrize(
    ("device", "change", "status"),
    [
        ("bad id", {}, 422),
        ("x" * 129, {}, 422),
        ("a", {"certificate": None}, 422),
        ("a", {"certificate": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"}, 422),
        ("a", {"certificate": 5}, 422),
        ("a", {"tags": ["with space"]}, 422),
        ("a", {"tags": "east"}, 422),
        ("a", {"subType": "<x>"}, 422),
        ("a", {"supportedFirmwareTypes": ["FANCY"]}, 422),
    ],
)
def test_onboard_refuses(twin, pem, device, change, status):
    answer = twin.rest.post(f"/v1/devices/{device}", json={"certificate": pem, **change})
    assert answer.status_code == status and answer.json()["code"] == 42200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"a":NaN}', b"[" * 3000])
def test_bad_json(twin, body):
    for method, path in (("POST", "/v1/devices/a"), ("PATCH", "/v1/devices/a/state"), ("POST", "/v1/fota-jobs")):
        assert twin.rest.request(method, path, content=body).status_code in (400, 422)
    assert twin.rest.put("/twin/faults", content=body).status_code in (400, 422)


def test_other_curve_is_refused(twin):
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        answer = twin.rest.post("/v1/devices/curve", json={"certificate": public_pem(key)})
        assert answer.status_code == 422 and "P-256" in answer.json()["message"]


def test_public_keys_csv(twin, pem):
    assert bulk(twin, "/v1/devices/public-keys", rows(["csv-1", pem], ["csv-2", pem])) == ("SUCCEEDED", [])
    status, errors = bulk(twin, "/v1/devices/public-keys", rows(["csv-3", pem], ["bad id", pem], ["csv-4", "nonsense"]))
    assert (status, [line[:3] for line in errors]) == ("FAILED", ["[1]", "[2]"])
    assert twin.rest.get("/v1/devices/csv-3").status_code == 200
    for body in (b"", b"\xff\xfe", b'"unclosed', rows(["a", pem], [], ["b", pem]), rows(*[["a", pem]] * 1001)):
        assert twin.rest.post("/v1/devices/public-keys", content=body).status_code == 422
    assert bulk(twin, "/v1/devices/public-keys", b"justoneword")[0] == "FAILED"
    listed = twin.rest.get("/v1/bulk-ops-requests", params={"status": "FAILED"}).json()
    assert listed["total"] == 2 and {item["endpoint"] for item in listed["items"]} == {"REGISTER_PUBLIC_KEYS"}


def test_onboarding_csv(twin, pem):
    header = ["certificate", "deviceId", "tags"]
    assert bulk(twin, "/v1/devices", rows(header, [pem, "head-1", "a|b"])) == ("SUCCEEDED", [])
    assert twin.rest.get("/v1/devices/head-1").json()["tags"] == ["a", "b"]
    assert bulk(twin, "/v1/devices", rows(["plain-1", "", "", "APP|BOOT", pem])) == ("SUCCEEDED", [])
    assert twin.rest.get("/v1/devices/plain-1").json()["firmware"]["supports"] == ["APP", "BOOT"]
    assert bulk(twin, "/v1/devices", rows(["plain-2", "", "", "", ""]))[0] == "FAILED"


def test_state_patch_versions_and_reported_firmware(twin, pem):
    twin.rest.post("/v1/devices/state-1", json={"certificate": pem})
    version = twin.rest.get("/v1/devices/state-1").json()["$meta"]["version"]
    path = "/v1/devices/state-1/state"
    info = {"deviceInfo": {"appVersion": "1.2.3", "appName": "godwit", "modemFirmware": "mfw"}}
    reported = {"device": {**info, "serviceInfo": {"fota_v2": ["APP"]}}}
    headers = {"If-Match": str(version)}
    assert twin.rest.patch(path, json={"reported": reported}, headers=headers).status_code == 202
    assert twin.rest.patch(path, json={"reported": {}}, headers=headers).status_code == 409
    assert twin.rest.patch(path, json={"reported": {}}, headers={"If-Match": "x"}).status_code == 422
    device = twin.rest.get("/v1/devices/state-1").json()
    assert device["firmware"] == {
        "supports": ["APP"],
        "app": {"name": "godwit", "version": "1.2.3"},
        "modem": "mfw",
    }
    assert device["state"]["version"] == version + 1
    for body in ({}, {"desired": 5}, {"delta": {}}):
        assert twin.rest.patch(path, json=body).status_code == 422
    assert twin.rest.patch(path, json={"desired": {"x": "y" * 9000}}).status_code == 413
    assert twin.rest.patch("/v1/devices/ghost/state", json={"desired": {}}).status_code == 404


def test_reported_of_odd_shape_does_not_break_the_device_document(twin, pem):
    twin.rest.post("/v1/devices/odd-1", json={"certificate": pem})
    for device in (5, [], {"deviceInfo": 5}, {"deviceInfo": {"appVersion": {"a": 1}}, "serviceInfo": []}):
        twin.rest.patch("/v1/devices/odd-1/state", json={"reported": {"device": device}})
        assert twin.rest.get("/v1/devices/odd-1").status_code == 200


def test_name_and_filters(twin, pem):
    twin.rest.post("/v1/devices/name-1", json={"certificate": pem, "tags": ["north"]})
    for body in (b'"Barn.1"', b'["Barn.1"]'):
        assert twin.rest.put("/v1/devices/name-1/name", content=body).status_code == 202
    assert twin.rest.put("/v1/devices/name-1/name", content=b'"no spaces"').status_code == 422
    for query in ({"deviceNameFuzzy": "barn"}, {"tags": "north"}, {"deviceIds": "name-1,ghost"}):
        items = twin.rest.get("/v1/devices", params=query).json()["items"]
        assert [item["id"] for item in items] == ["name-1"]
        assert "state" not in items[0]
    shown = twin.rest.get("/v1/devices", params={"deviceIds": "name-1", "includeState": "true"}).json()["items"][0]
    assert "metadata" not in shown["state"] and shown["state"]["desired"]
    assert twin.rest.get("/v1/devices", params={"tags": "no-such"}).json() == {"items": [], "total": 0}


def test_pages(twin):
    with connected(twin) as client:
        for n in range(25):
            body = json.dumps({"appId": "PAGE", "messageType": "DATA", "data": str(n)}).encode()
            client.request(POST, "msg/d2c", payload=body, cf=50)
    for sort, wanted in (("desc", list(range(24, -1, -1))), ("asc", list(range(25)))):
        seen, query = [], {"appId": "PAGE", "pageSort": sort}
        sizes = []
        while True:
            page = twin.rest.get("/v1/messages", params=query).json()
            seen += [int(item["message"]["data"]) for item in page["items"]]
            sizes.append(page["total"])
            if "pageNextToken" not in page:
                break
            query["pageNextToken"] = page["pageNextToken"]
        assert seen == wanted and sizes == [10, 10, 5]
    everything = twin.rest.get("/v1/messages", params={"appId": "PAGE", "pageLimit": 25}).json()
    assert everything["total"] == 25 and "pageNextToken" not in everything
    item = everything["items"][0]
    assert set(item) == {"tenantId", "topic", "deviceId", "receivedAt", "message"}
    later = twin.rest.get("/v1/messages", params={"appId": "PAGE", "start": item["receivedAt"], "pageLimit": 100})
    earlier = twin.rest.get("/v1/messages", params={"appId": "PAGE", "end": item["receivedAt"], "pageLimit": 100})
    assert later.json()["total"] >= 1 and later.json()["total"] + earlier.json()["total"] == 25


def test_location_history_latest_and_delete(twin):
    with connected(twin) as client:
        for lat in (1.5, 2.5):
            body = json.dumps({"appId": "GNSS", "data": {"lat": lat, "lng": 3, "acc": 5}}).encode()
            client.request(POST, "msg/d2c", payload=body, cf=50)
    history = twin.rest.get("/v1/location/history", params={"deviceId": twin.device}).json()["items"]
    assert [item["lat"] for item in history] == ["2.5", "1.5"]
    latest = twin.rest.get("/v1/location/history", params={"latest": "true"}).json()["items"]
    assert [item["id"] for item in latest] == [history[0]["id"]]
    assert twin.rest.delete(f"/v1/location/history/{twin.device}/{history[0]['id']}").status_code == 202
    assert len(twin.rest.get("/v1/location/history").json()["items"]) == 1


@pytest.mark.parametrize(
    "switches",
    [
        {"drop": 2},
        {"drop": -0.1},
        {"drop": "x"},
        {"nope": 1},
        {"delay_ms": 1.5},
        {"expire_sessions": 1},
        {"max_age": 0},
    ],
)
def test_bad_faults(twin, switches):
    before = twin.rest.get("/twin/faults").json()
    answer = twin.rest.put("/twin/faults", json=switches)
    assert (answer.status_code, answer.json()["code"]) == (422, 42200)
    assert twin.rest.get("/twin/faults").json() == before


def test_not_http_at_all(twin):
    """Garbage on the TCP port: an answer of 400 or a closed connection, and the service goes on."""
    host, port = twin.url.removeprefix("http://").split(":")
    for data in (b"\x16\x03\x01\x00\x00", b"GET / SPAM/9\r\n\r\n", b"GET /v1/devices HTTP/1.1\r\nHost: \xff\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=2) as stream:
            stream.sendall(data)
            stream.shutdown(socket.SHUT_WR)
            reply = stream.recv(4096)
            assert reply == b"" or b" 4" in reply.split(b"\r\n")[0]
    assert twin.rest.get("/twin/health").json()["errors"] == 0
