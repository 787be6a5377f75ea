"""What stands behind the REST operations: devices, team certificates, pictures, messages, alerts, logs, FOTA by what
devices take, plan limits, service tokens. Their forms are test_twin_openapi's."""

import base64
import io
import json
import time
import zipfile

import cbor2
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from openapi_support import CELL, Document, call
from twin_support import FETCH, GET, PATCH, POST, connected, make_bundle, make_jwt, public_pem

from godwit import pki

_JPEG = b"\xff\xd8\xff\xe0" + bytes(50)


@pytest.fixture(scope="module")
def document(twin):
    return Document(twin)


@pytest.fixture(scope="module")
def pem():
    return public_pem(pki.new_key())


def onboard(twin, device, pem, **more):
    answer = twin.rest.post(f"/v1/devices/{device}", json={"certificate": pem, **more})
    assert answer.status_code == 202, answer.text


# --- devices


def test_filters_and_transformations(twin, pem):
    onboard(twin, "find-app", pem, subType="a,b", supportedFirmwareTypes=["APP"])
    onboard(twin, "find-boot", pem, subType="c", supportedFirmwareTypes=["BOOT", "MODEM"])
    onboard(twin, "find-both", pem, tags=["t"])
    reported = {"device": {"serviceInfo": {"fota_v2": ["MODEM", "APP", "NEW"]}, "deviceInfo": {"appVersion": "1.2"}}}
    twin.rest.patch("/v1/devices/find-both/state", json={"reported": reported})

    def found(**query):
        query = {"deviceNameFuzzy": "FIND-", "transform": "id", **query}
        return twin.rest.get("/v1/devices", params=query).json()["items"]

    assert found() == ["find-both", "find-boot", "find-app"]
    assert found(firmwareSupport="APP") == ["find-both", "find-app"]
    assert found(firmwareSupport=["APP", "BOOT"]) == ["find-both", "find-boot", "find-app"]
    assert found(firmwareSupport="APP", firmwareSupportExclude="MODEM") == ["find-app"]
    assert found(subTypes=["a,b", "c"]) == ["find-boot", "find-app"]  # a comma is part of a subType
    assert found(tags="t,u") == ["find-both"]
    assert found(deviceIds="find-app,find-boot", transform='{"i": id, "s": firmware.supports[0]}') == [
        {"i": "find-boot", "s": "BOOT"}, {"i": "find-app", "s": "APP"}]  # fmt: skip
    assert found(transform="state.reported.device.deviceInfo.appVersion") == ["1.2", None, None]
    assert twin.rest.get("/v1/devices/find-both", params={"transform": "firmware"}).json() == {
        "supports": ["APP", "MODEM"], "app": {"version": "1.2"}}  # fmt: skip
    for wrong in ("$sum(", "1/0", "function($x){$x}"):
        answer = twin.rest.get("/v1/devices/find-both", params={"transform": wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, 42200)
    assert twin.rest.get("/v1/devices/tags", params={"pageLimit": 100}).json()["items"] == sorted(
        {tag for tag in ("t", *twin.rest.get("/v1/account/tags", params={"pageLimit": 100}).json()["items"])}
    )


def test_endless_expression_ends(twin):
    answer = twin.rest.get("/v1/devices", params={"transform": "($f := function($x){$f($x + 1)}; $f(1))"}, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (422, 42200)
    bad = '$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /(a+)+$/)'  # hours, if nobody interrupted it
    assert twin.rest.get("/v1/devices", params={"transform": bad}, timeout=60).status_code == 422


def test_pictures(twin, pem):
    onboard(twin, "pic-1", pem)
    path = "/v1/devices/pic-1"
    assert "image" not in twin.rest.get(path).json()
    assert twin.rest.put(path + "/image", params={"sourceUrl": "https://example.com/a.png"}).status_code == 202
    assert twin.rest.get(path).json()["image"] == "https://example.com/a.png"
    for content in (_JPEG, base64.b64encode(_JPEG), json.dumps(base64.b64encode(_JPEG).decode()).encode()):
        assert twin.rest.put(path + "/image", content=content).status_code == 202
        url = twin.rest.get(path).json()["image"]
        answer = httpx.get(url)
        assert (answer.content, answer.headers["content-type"]) == (_JPEG, "image/jpeg")
    assert twin.rest.delete(path + "/image").status_code == 202
    assert "image" not in twin.rest.get(path).json() and httpx.get(url).status_code == 404
    for query, content in (({}, b""), ({"sourceUrl": "https://e.org/"}, _JPEG), ({"sourceUrl": "file:///etc"}, b"")):
        assert twin.rest.put(path + "/image", params=query, content=content).status_code == 422
    assert twin.rest.put(path + "/image", content=_JPEG + bytes(1333333)).status_code == 413


def test_team_certificates_are_real(twin):
    made = twin.rest.post("/v1/devices/mqtt-team").json()
    ca = x509.load_pem_x509_certificate(made["caCert"].encode())

    def check(answer):
        certificate = x509.load_pem_x509_certificate(answer["clientCert"].encode())
        certificate.verify_directly_issued_by(ca)
        assert certificate.subject.rfc4514_string() == "CN=" + made["clientId"]
        return certificate

    key = serialization.load_pem_private_key(made["privateKey"].encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and check(made).public_key() == key.public_key()
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    path = "/v1/devices/mqtt-team/" + made["clientId"]
    kept = twin.rest.get(path).json()
    assert kept == {name: made[name] for name in ("clientId", "caCert", "clientCert")}  # the key was told once
    rotated = twin.rest.patch(path).json()
    assert check(rotated).public_key() != key.public_key()
    assert twin.rest.get(path).json()["clientCert"] == rotated["clientCert"]


# --- messages, alerts, logs


def test_send_and_what_becomes_of_it(twin, pem):
    onboard(twin, "send-1", pem)
    path = "/v1/devices/send-1/messages"
    prefix = twin.rest.get("/v1/account").json()["mqttTopicPrefix"]
    for topic in ("d/send-1/d2c/custom", "m/d/send-1/d2c/custom", prefix + "m/d/send-1/c2d"):
        assert twin.rest.post(path, json={"topic": topic, "message": {"appId": "TEMP", "data": "1"}}).status_code == 202
    bulk_body = {"topic": "d/send-1/d2c/bulk", "message": [{"temp": 59}, {"temp": 54}]}
    assert twin.rest.post(path, json=bulk_body).status_code == 202
    listed = twin.rest.get("/v1/messages", params={"deviceId": "send-1"}).json()["items"]
    assert [(item["topic"], item["message"]) for item in listed[:2]] == [
        ("d/send-1/d2c/bulk", {"temp": 54}), ("d/send-1/d2c/bulk", {"temp": 59})]  # fmt: skip
    assert [item["topic"] for item in listed[2:]] == ["d/send-1/c2d", "d/send-1/d2c/custom", "d/send-1/d2c/custom"]
    for body in (
        {"topic": "d/send-1/up", "message": {}}, {"topic": "d/send-1/d2c/bin", "message": {}},
        {"topic": "d/send-1/d2c/bin", "message": "no base64!"}, {"message": 5}, {},
    ):  # fmt: skip
        assert twin.rest.post(path, json=body).status_code == 422, body
    assert twin.rest.post(path, json={"topic": "d/ghost/d2c", "message": {}}).status_code == 404


def test_binary_logs(twin, pem):
    onboard(twin, "log-1", pem)
    query = {"deviceId": "log-1"}
    assert twin.rest.get("/v1/binary-logs/url", params=query).json()["code"] == 40499
    log = "blJGQwAAAAAd2qCkkAEAAAEAAABoZWxsbyB3b3JsZA=="
    body = {"topic": "d/log-1/d2c/bin", "message": log}
    for _ in range(2):
        assert twin.rest.post("/v1/devices/log-1/messages", json=body).status_code == 202
    found = twin.rest.get("/v1/binary-logs/url", params=query).json()
    data = httpx.get(found["url"]).content
    assert len(data) == found["contentLength"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert len(names) == 2 and all(name.startswith("1720748923421_1_") for name in names)
        assert archive.read(names[0]) == b"hello world"
    later = {**query, "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:01Z"}
    assert twin.rest.get("/v1/binary-logs/url", params=later).status_code == 422  # more than 24 hours
    assert (
        twin.rest.get("/v1/binary-logs/url", params={**query, "start": "2001-01-01", "end": "2001-01-02"}).status_code
        == 404
    )


def test_alert_is_archived_and_restored(twin, document):
    with connected(twin) as client:
        for number in (5, 7):
            alert = {"appId": "ALERT", "type": number, "value": 1}
            assert client.request(POST, "msg/d2c", payload=json.dumps(alert).encode(), cf=50).dotted == "2.01"
    number = twin.rest.get("/v1/alerts", params={"pageSort": "asc"}).json()["items"][0]["id"]
    archived = call(twin, document, "ArchiveDeviceAlert", {"id": number}).json()
    assert (
        archived["status"] == "ARCHIVED"
        and archived["statusChangedBy"] == twin.rest.get("/v1/account").json()["userId"]
    )
    assert call(twin, document, "ArchiveDeviceAlert", {"id": number}).json() == archived  # once is enough

    def listed(**query):
        return [item["originalMessage"]["type"] for item in twin.rest.get("/v1/alerts", params=query).json()["items"]]

    assert (listed(), listed(status="ACTIVE"), listed(status="ARCHIVED")) == ([7, 5], [7], [5])
    assert listed(deviceIds="nobody") == []
    assert call(twin, document, "RestoreDeviceAlert", {"id": number}).json()["status"] == "ACTIVE"


# --- FOTA


def test_jobs_are_for_devices_that_take_the_type(twin, pem):
    onboard(twin, "x-app", pem, tags=["boots"])
    onboard(twin, "x-boot", pem, tags=["boots"], supportedFirmwareTypes=["BOOT"])
    onboard(twin, "x-gone", pem, tags=["boots"], supportedFirmwareTypes=["BOOT"])
    archive = make_bundle({"b.bin": b"boot"}, files=[{"file": "b.bin", "type": "mcuboot", "size": 4}])
    uri = twin.rest.post("/v1/firmwares", content=archive).json()["uris"][0]
    body = {"bundleId": uri.split("/")[4], "tags": ["boots"]}
    job = twin.rest.post("/v1/fota-jobs", json=body).json()["jobId"]

    def stats():
        document = twin.rest.get(f"/v1/fota-jobs/{job}").json()
        return document["status"], {name: number for name, number in document["executionStats"].items() if number}

    assert stats() == ("IN_PROGRESS", {"devices": 3, "executions": 2, "queued": 2})
    twin.rest.delete("/v1/devices/x-gone")
    assert stats() == ("IN_PROGRESS", {"devices": 3, "executions": 1, "queued": 1, "removed": 1})
    status = {"status": "SUCCEEDED"}
    assert twin.rest.patch(f"/v1/fota-job-executions/x-boot/{job}", json=status).status_code == 202
    assert stats()[0] == "COMPLETED"
    # what a device reports wins over what onboarding said
    twin.rest.patch("/v1/devices/x-boot/state", json={"reported": {"device": {"serviceInfo": {"fota_v2": ["APP"]}}}})
    job = twin.rest.post("/v1/fota-jobs", json={**body, "tags": ["boots"]}).json()["jobId"]
    assert stats() == ("COMPLETED", {"devices": 2})


def test_execution_in_cbor_and_by_the_device_over_rest(twin, document):
    bundle, _ = twin.upload(b"image", "8.0.0")
    body = {"bundleId": bundle, "deviceIds": [twin.device]}
    job = twin.rest.post("/v1/fota-jobs", json=body).json()["jobId"]
    token = make_jwt(twin.key, sub=twin.device, exp=int(time.time()) + 600).decode()
    path = {"deviceId": twin.device}
    over_rest = call(twin, document, "FetchCurrentPendingFOTAJobExecution", path, token=token).json()
    with connected(twin) as client:
        answer = client.request(GET, "fota/exec/current", accept=60)
        assert (answer.uint(12), cbor2.loads(answer.payload)) == (60, over_rest)
        status = cbor2.dumps({"status": "IN_PROGRESS", "details": "half"})
        assert client.request(PATCH, f"fota/exec/{job}", payload=status, cf=60).dotted == "2.04"
    answer = call(twin, document, "FetchCurrentPendingFOTAJobExecution", path, params={"firmwareType": "MODEM"})
    assert answer.json()["code"] == 40499
    path["jobId"] = job
    done = {"json": {"status": "SUCCEEDED"}, "token": token}
    assert call(twin, document, "UpdateFOTAJobExecutionStatus", path, **done).status_code == 202
    history = twin.records()["devices"][twin.device]["executions"][-1]["history"]
    assert [row["by"] for row in history] == ["service", "device", "device"]


# --- limits


def test_plan_limits(twin, pem):
    """Off; then on; what is over them is 40005, and the account shows them."""
    devices = twin.rest.get("/twin/records").json()["devices"]
    bundle, _ = twin.upload(b"x", "9.0.0")
    limits = {"devices": len(devices) + 1, "monthlyStoredDeviceMessages": 0, "monthlyFOTAJobExecutions": 0,
              "monthlyLocationServiceRequests": 0}  # fmt: skip
    assert twin.rest.put("/twin/limits", json=limits).json() == limits
    try:
        onboard(twin, "limit-1", pem)
        onboard(twin, "limit-1", pem)  # nothing new
        job = {"bundleId": bundle, "deviceIds": [twin.device]}
        for path, body in (
            ("/v1/devices/limit-2", {"certificate": pem}), ("/v1/fota-jobs", job),
            (f"/v1/devices/{twin.device}/messages", {"message": {}}), ("/v1/location/cell", {"lte": [CELL]}),
        ):  # fmt: skip
            answer = twin.rest.post(path, json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, 40005), path
        with connected(twin) as client:
            for method, path, body in (
                (POST, "msg/d2c", {"a": 1}), (POST, "msg/d2c/bulk", [{"a": 1}]),
                (FETCH, "loc/ground-fix", {"lte": [CELL]}),
            ):  # fmt: skip
                answer = client.request(method, path, payload=json.dumps(body).encode(), cf=50)
                assert (answer.dotted, answer.json()["code"]) == ("4.00", 40005), path
        assert twin.rest.get("/v1/account").json()["plan"]["limits"]["devices"] == len(devices) + 1
    finally:
        off = dict.fromkeys(limits)
        assert twin.rest.put("/twin/limits", json=off).json() == {}
    for wrong in ({"devices": -1}, {"devices": True}, {"gold": 1}):
        assert twin.rest.put("/twin/limits", json=wrong).status_code == 422


def test_own_service_token(twin):
    """A token that the operator signs with the service key: `aud` is the team, `sub` the device whose history it is."""
    made = twin.rest.post("/v1/account/service-key-and-token").json()
    key = serialization.load_pem_private_key(made["key"].encode(), None)
    tenant = twin.rest.get("/v1/account").json()["team"]["tenantId"]
    good = {"aud": tenant, "exp": int(time.time()) + 60}
    cases = [(good, 200), ({**good, "aud": "x"}, 401), ({**good, "exp": 1}, 401), ({"aud": tenant}, 401)]
    for claims, status in cases:
        header = {"Authorization": "Bearer " + make_jwt(key, **claims).decode()}
        answer = twin.rest.post("/v1/location/ground-fix", json={"lte": [CELL]}, headers=header)
        assert answer.status_code == status, claims


def test_methods_that_a_fixed_path_has_not(twin):
    for method, path, allowed in (
        ("DELETE", "/v1/devices/tags", "GET, HEAD"), ("GET", "/v1/devices/public-keys", "POST"),
        ("PATCH", "/v1/fota-job-executions/a/current", "GET, HEAD"), ("TRACE", "/v1/devices", "GET, HEAD, POST"),
    ):  # fmt: skip
        answer = twin.rest.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def test_nothing_of_this_was_an_error(twin):
    assert twin.records()["errors"] == []
