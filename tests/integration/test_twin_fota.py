"""The twin's FOTA: bundles, jobs, executions, and the block-wise proxy download."""

import base64
import io
import json
import random
import zipfile

import pytest
from twin_support import GET, PATCH, Client, connected, make_bundle, make_jwt, token

_IMAGE = random.Random(3).randbytes(5000)
_SIZE2, _BLOCK2, _PROXY_URI = 28, 23, 35


@pytest.fixture(scope="module")
def uri(twin):
    return twin.upload(_IMAGE, "2.0.0")[1]


def block(client, uri, number, exponent=6, query=(), size2=False):
    """One GET proxy."""
    options = [(_BLOCK2, number << 4 | exponent), (_PROXY_URI, uri.encode())]
    if size2:
        options.append((_SIZE2, 0))
    return client.request(GET, "proxy", query, options=options)


def new_job(twin, version="3.0.0", **body):
    """Upload a bundle and make a job for the device; returns the job id."""
    bundle, _ = twin.upload(b"image " + version.encode(), version)
    answer = twin.rest.post("/v1/fota-jobs", json={"bundleId": bundle, "deviceIds": [twin.device], **body})
    return answer.raise_for_status().json()["jobId"]


def report(client, job, status, details=None):
    """PATCH fota/exec/{job}; returns the code."""
    body = {"status": status} if details is None else {"status": status, "details": details}
    return client.request(PATCH, f"fota/exec/{job}", payload=json.dumps(body).encode(), cf=50).dotted


# --- proxy ---


@pytest.mark.parametrize("exponent", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("offset", [0, 1, 1024, 4321])
def test_download_is_byte_identical(client, uri, exponent, offset):
    query = (f"offset={offset}",) if offset else ()
    data, number, more = b"", 0, True
    while more:
        answer = block(client, uri, number, exponent, query, size2=not number)
        assert answer.dotted == "2.05"
        assert answer.uint(_BLOCK2) & ~8 == number << 4 | exponent
        assert answer.uint(_SIZE2) == (None if number else len(_IMAGE) - offset)
        more = bool(answer.uint(_BLOCK2) & 8)
        data += answer.payload
        number += 1
    assert data == _IMAGE[offset:]


def test_blocks_in_any_order_and_size(client, uri):
    """Stateless: a resumed download starts in the middle, another block size follows at once."""
    rng = random.Random(11)
    for _ in range(40):
        exponent = rng.randrange(7)
        number = rng.randrange(len(_IMAGE) >> (exponent + 4))
        size = 16 << exponent
        assert block(client, uri, number, exponent).payload == _IMAGE[number * size : (number + 1) * size]


def test_default_block_is_1024(client, uri):
    answer = client.request(GET, "proxy", options=((_PROXY_URI, uri.encode()),))
    assert (len(answer.payload), answer.uint(_BLOCK2), answer.uint(_SIZE2)) == (1024, 0x0E, len(_IMAGE))
    assert answer.uint(12) == 42


def test_small_file_has_block2_too(twin, client):
    _, uri = twin.upload(b"tiny", "0.0.1")
    answer = client.request(GET, "proxy", options=((_PROXY_URI, uri.encode()),))
    assert (answer.payload, answer.uint(_BLOCK2)) == (b"tiny", 6)


def test_percent_encoded_path_is_the_same_file(client, uri):
    assert block(client, uri.replace("*", "%2A"), 0).payload == _IMAGE[:1024]


@pytest.mark.parametrize(
    ("change", "query", "number", "code"),
    [
        (lambda uri: "", (), 0, "4.02"),
        (lambda uri: uri.replace("https", "http"), (), 0, "4.03"),
        (lambda uri: uri.replace("firmware.nrfcloud.com", "example.com"), (), 0, "4.03"),
        (lambda uri: uri.replace("firmware.nrfcloud.com", "firmware.nrfcloud.com.example.com"), (), 0, "4.03"),
        (lambda uri: uri.replace("firmware.nrfcloud.com", "user@firmware.nrfcloud.com"), (), 0, "4.03"),
        (lambda uri: uri.replace("firmware.nrfcloud.com", "firmware.nrfcloud.com:8443"), (), 0, "4.03"),
        (lambda uri: uri.replace("firmware.nrfcloud.com", "pgnss.nrfcloud.com"), (), 0, "4.03"),
        (lambda uri: "https://[::1/x", (), 0, "4.00"),
        (lambda uri: "https://firmware.nrfcloud.com:x/y", (), 0, "4.00"),
        (lambda uri: uri + "x", (), 0, "4.04"),
        (lambda uri: uri.replace("firmware", "bundles"), (), 0, "4.04"),
        (lambda uri: "https://pgps.nrfcloud.com/public/1-86400.bin", (), 0, "4.04"),
        (lambda uri: uri, ("offset=5000",), 0, "4.00"),
        (lambda uri: uri, ("offset=-1",), 0, "4.00"),
        (lambda uri: uri, ("offset=",), 0, "4.00"),
        (lambda uri: uri, ("offset=99999999999999999999",), 0, "4.00"),
        (lambda uri: uri, (), 5, "4.00"),
        (lambda uri: uri, (), (1 << 20) - 1, "4.00"),
    ],
)
def test_proxy_refuses(client, uri, change, query, number, code):
    assert block(client, change(uri), number, query=query).dotted == code


def test_proxy_without_uri(client):
    assert client.request(GET, "proxy").dotted == "4.00"


def test_proxy_records(twin, uri):
    path = uri.split("/", 3)[3]

    def served():
        found = [d for d in twin.records()["devices"][twin.device]["downloads"] if d["path"] == path]
        return found[0] if found else {"blocks": [], "served": 0}

    before = served()
    with connected(twin) as one:
        for number in (0, 1, 2):
            block(one, uri, number)
    with connected(twin) as other:  # a second session: resumed in the middle, one block once more
        for number in (2, 3, 4):
            block(other, uri, number)
    after = served()
    new = after["blocks"][len(before["blocks"]) :]
    assert [row[2] for row in new] == [0, 1024, 2048, 2048, 3072, 4096]
    assert [row[3] for row in new] == [1024] * 5 + [904]
    assert len({row[1] for row in new}) == 2
    assert after["served"] - before["served"] == 5 * 1024 + 904
    assert (after["size"], after["distinct"]) == (5000, 5000)


# --- jobs ---


def test_job_from_upload_to_success(twin, client):
    assert client.request(GET, "fota/exec/current", accept=50).dotted == "4.04"
    job = new_job(twin, "3.1.0", name="Third", description="all of it")
    answer = client.request(GET, "fota/exec/current", accept=50)
    assert (answer.dotted, answer.uint(12)) == ("2.05", 50)
    execution = answer.json()
    assert (execution["status"], execution["jobId"], execution["deviceId"]) == ("QUEUED", job, twin.device)
    document = execution["jobDocument"]
    assert document["host"] == "firmware.nrfcloud.com" and not document["path"].startswith("/")
    assert (document["firmwareType"], document["fileSize"], document["version"]) == ("APP", 11, "3.1.0")
    url = f"https://{document['host']}/{document['path']}"
    assert block(client, url, 0).payload == b"image 3.1.0"

    for status in ("IN_PROGRESS", "QUEUED", "DOWNLOADING", "IN_PROGRESS"):
        assert report(client, job, status) == "2.04"
        assert client.request(GET, "fota/exec/current").json()["status"] == status
    assert twin.rest.get(f"/v1/fota-jobs/{job}").json()["status"] == "IN_PROGRESS"
    assert report(client, job, "SUCCEEDED", "FOTA update completed successfully") == "2.04"
    assert client.request(GET, "fota/exec/current").dotted == "4.04"

    done = twin.rest.get(f"/v1/fota-jobs/{job}").json()
    assert (done["status"], done["name"], done["description"]) == ("COMPLETED", "Third", "all of it")
    assert done["executionStats"]["succeeded"] == done["executionStats"]["completedExecutions"] == 1
    assert "completedAt" in done
    final = twin.rest.get(f"/v1/fota-job-executions/{twin.device}/{job}").json()
    assert (final["status"], final["statusDetail"]) == ("SUCCEEDED", "FOTA update completed successfully")
    history = twin.records()["devices"][twin.device]["executions"][-1]["history"]
    assert [row["status"] for row in history] == [
        "QUEUED",
        "IN_PROGRESS",
        "QUEUED",
        "DOWNLOADING",
        "IN_PROGRESS",
        "SUCCEEDED",
    ]
    assert [row["by"] for row in history] == ["service"] + ["device"] * 5


@pytest.mark.parametrize("final", ["SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED"])
def test_final_status_stays(twin, client, final):
    job = new_job(twin)
    assert report(client, job, final, "first") == "2.04"
    assert report(client, job, final, "again") == "2.04"  # idempotent: its answer was lost
    assert report(client, job, "IN_PROGRESS") == "4.00"
    row = twin.rest.get(f"/v1/fota-job-executions/{twin.device}/{job}").json()
    assert (row["status"], row["statusDetail"]) == (final, "first")


@pytest.mark.parametrize(
    ("body", "cf", "code"),
    [
        (b"", 50, "4.00"),
        (b"{", 50, "4.00"),
        (b"[]", 50, "4.00"),
        (b"{}", 50, "4.00"),
        (b'{"status":"DONE"}', 50, "4.00"),
        (b'{"status":["QUEUED"]}', 50, "4.00"),
        (b'{"status":"CANCELED"}', 50, "4.00"),
        (b'{"status":"FAILED","details":5}', 50, "4.00"),
        (b'{"status":"QUEUED"}', 42, "4.15"),
        (b"\xa1\x66status\x66QUEUED", 60, "2.04"),
        (b'{"status":"QUEUED"}', None, "2.04"),
    ],
)
def test_bad_report(twin, client, body, cf, code):
    job = new_job(twin)
    assert client.request(PATCH, f"fota/exec/{job}", payload=body, cf=cf).dotted == code
    report(client, job, "CANCELLED")


def test_unknown_and_foreign_jobs(twin, client):
    assert report(client, "9140bd5d-911c-496a-9393-4acfbdb6596c", "QUEUED") == "4.04"
    twin.onboard("other-device", twin.key)
    bundle, _ = twin.upload(b"x", "9.0")
    job = twin.rest.post("/v1/fota-jobs", json={"bundleId": bundle, "deviceIds": ["other-device"]}).json()["jobId"]
    assert report(client, job, "SUCCEEDED") == "4.04"
    assert client.request(GET, "fota/exec/current").dotted == "4.04"


def test_oldest_job_first_and_cancel(twin, client):
    first, second = new_job(twin, "4.0.0"), new_job(twin, "4.0.1")
    assert client.request(GET, "fota/exec/current").json()["jobId"] == first
    report(client, first, "IN_PROGRESS")
    assert twin.rest.put(f"/v1/fota-jobs/{first}/cancel", params={"reason": "wrong file"}).status_code == 202
    assert client.request(GET, "fota/exec/current").json()["jobId"] == second
    assert report(client, first, "SUCCEEDED") == "4.00"
    job = twin.rest.get(f"/v1/fota-jobs/{first}").json()
    assert (job["status"], job["statusDetail"], job["executionStats"]["cancelled"]) == ("CANCELLED", "wrong file", 1)
    assert twin.rest.put(f"/v1/fota-jobs/{first}/cancel").status_code == 400
    assert twin.rest.delete(f"/v1/fota-jobs/{second}").status_code == 202
    assert report(client, second, "FAILED") == "2.04"  # deleting a job leaves its executions alone


def test_job_is_not_applied_until_told(twin, client):
    job = new_job(twin, "5.0.0", autoApply=False)
    assert twin.rest.get(f"/v1/fota-jobs/{job}").json()["status"] == "CREATED"
    assert client.request(GET, "fota/exec/current").dotted == "4.04"
    assert twin.rest.post(f"/v1/fota-jobs/{job}/apply").status_code == 202
    assert twin.rest.post(f"/v1/fota-jobs/{job}/apply").status_code == 400
    assert client.request(GET, "fota/exec/current").json()["jobId"] == job
    report(client, job, "REJECTED")


def test_job_by_tag(twin):
    with open(twin.pki / "device.pub") as file:
        body = {"certificate": file.read(), "tags": ["east"]}
    for name in ("tagged-1", "tagged-2"):
        assert twin.rest.post(f"/v1/devices/{name}", json=body).status_code == 202
    bundle, _ = twin.upload(b"x", "6.0")
    job = twin.rest.post("/v1/fota-jobs", json={"bundleId": bundle, "tags": ["east"]}).json()["jobId"]
    listed = twin.rest.get(f"/v1/fota-job-execution-statuses/{job}").json()
    assert sorted(item["deviceId"] for item in listed["items"]) == ["tagged-1", "tagged-2"]
    with Client(twin.coap_port) as client:
        claims = json.loads(base64.urlsafe_b64decode(token(twin).split(b".")[1] + b"=="))
        assert client.authenticate(make_jwt(twin.key, **{**claims, "sub": "tagged-1"})).dotted == "2.01"
        assert report(client, job, "FAILED", "no room") == "2.04"
    assert twin.rest.get(f"/v1/fota-jobs/{job}").json()["status"] == "IN_PROGRESS"
    failed = twin.rest.get(f"/v1/fota-job-execution-statuses/{job}", params={"status": "FAILED"}).json()["items"]
    assert [(item["deviceId"], item["statusDetail"]) for item in failed] == [("tagged-1", "no room")]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"bundleId": "x", "deviceIds": ["a"]}, 404),
        ({"bundleId": "x"}, 422),
        ({"bundleId": "x", "deviceIds": []}, 422),
        ({"bundleId": "x", "deviceIds": "a"}, 422),
        ({"bundleId": "x", "deviceIds": ["a"], "tags": ["b"]}, 422),
        ({"bundleId": 5, "deviceIds": ["a"]}, 422),
        ({"bundleId": "x", "deviceIds": ["a"], "autoApply": 1}, 422),
        ({"bundleId": "x", "deviceIds": ["a"], "name": "n" * 65}, 422),
    ],
)
def test_bad_job(twin, body, status):
    answer = twin.rest.post("/v1/fota-jobs", json=body)
    assert answer.status_code == status and answer.json()["code"]


def test_job_for_unknown_device(twin):
    bundle, _ = twin.upload(b"x", "7.0")
    assert twin.rest.post("/v1/fota-jobs", json={"bundleId": bundle, "deviceIds": ["ghost"]}).status_code == 404


# --- bundles ---


def test_upload_list_delete(twin):
    body = make_bundle({"a.bin": b"aa", "b.bin": b"bbb"}, "1.0-rc_1")
    uris = twin.rest.post("/v1/firmwares", content=base64.b64encode(body)).json()["uris"]
    bundle = uris[0].split("/")[4]
    assert [uri.rsplit("/", 1)[1] for uri in uris] == ["a.bin", "b.bin"]
    assert bundle.startswith("APP*") and bundle.endswith("*1.0-rc_1")
    item = twin.rest.get("/v1/firmwares").json()["items"][0]
    assert (item["bundleId"], item["filenames"], item["size"]) == (bundle, ["a.bin", "b.bin"], 5)
    assert twin.rest.delete(f"/v1/firmwares/{bundle}").status_code == 202
    assert twin.rest.delete(f"/v1/firmwares/{bundle}").status_code == 404
    with connected(twin) as client:
        assert block(client, uris[0], 0).dotted == "4.04"


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_", "."), data)
    return buffer.getvalue()


_FILES = {"a.bin": b"data"}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not a zip", 400),
        (b"PK\x03\x04" + b"\0" * 50, 400),
        (make_bundle(_FILES)[:-30], 400),
        (zipped(a_bin="x"), 422),
        (zipped(manifest_json="{"), 400),
        (zipped(manifest_json="[]"), 422),
        (make_bundle(_FILES, fwversion=None), 422),
        (make_bundle(_FILES, fwversion="1 0"), 422),
        (make_bundle(_FILES, fwversion="x" * 61), 422),
        (make_bundle(_FILES, **{"format-version": 2}), 422),
        (make_bundle(_FILES, files=[]), 422),
        (make_bundle(_FILES, files="a.bin"), 422),
        (make_bundle(_FILES, files=[{"file": "b.bin", "type": "application", "size": 4}]), 422),
        (make_bundle(_FILES, files=[{"file": "a.bin", "type": "application", "size": 5}]), 422),
        (make_bundle(_FILES, files=[{"file": "a.bin", "type": "modem", "size": 4}]), 422),
        (make_bundle({"../a.bin": b"data"}), 422),
        (make_bundle({"a.hex": b"data"}), 422),
        (make_bundle(_FILES, name=5), 422),
    ],
)
def test_bad_bundle(twin, body, status):
    answer = twin.rest.post("/v1/firmwares", content=body)
    assert answer.status_code == status, answer.text
    assert {"code", "message"} <= answer.json().keys()


def test_zip_bomb_is_refused_by_its_claim(twin):
    body = make_bundle({"a.bin": bytes(40 << 20)})
    assert len(body) < 100_000
    assert twin.rest.post("/v1/firmwares", content=body).status_code == 422


def test_nothing_of_this_was_an_error(twin):
    assert twin.records()["errors"] == []
