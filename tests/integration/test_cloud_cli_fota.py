"""`godwit cloud firmware` and `fota`: packages before they are sent, jobs, following them, and answers that are odd."""

import io
import json
import zipfile

import pytest
from cloud_support import Service, page
from rich.console import Console

from godwit.cloud.command import Cloud
from godwit.cloud.follow import Execution, Follower
from godwit.cloud.follow_view import View
from godwit.cloud.package import bundle_id
from harness.rng import Rng, seed

URI = "https://firmware.nrfcloud.com/3701edba/APP*c52c99d3*v1.3.0-280/AT_fast_blink.bin"


def _zip(tmp_path, raw=None, **changes):
    files = [("app.bin", b"x" * 10)]
    entries = [{"file": name, "type": "application", "size": len(data)} for name, data in files]
    manifest = {"name": "Update", "fwversion": "1.1", "format-version": 1, "files": entries, **changes}
    manifest = {key: value for key, value in manifest.items() if value is not None}
    path = tmp_path / "bundle.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest) if raw is None else raw)
        for name, data in files:
            archive.writestr(name, data)
    return path


def test_upload(tmp_path):
    path = _zip(tmp_path)
    service = Service({"POST /firmwares": {"uris": [URI]}})
    done = service.run("firmware", "upload", path, "--json")
    assert done.json["bundleId"] == "APP*c52c99d3*v1.3.0-280" and done.json["version"] == "1.1"
    assert service.requests[0].content == path.read_bytes()
    assert service.requests[0].headers["content-type"] == "application/zip"


def test_upload_of_zephyrs_zip_with_a_version(tmp_path):
    path = _zip(tmp_path, fwversion=None)
    refused = Service().run("firmware", "upload", path)
    assert refused.status == 1 and "fwversion" in refused.err and "--version" in refused.err
    service = Service({"POST /firmwares": {"uris": ["https://bundles.nrfcloud.com/0f0e/app.bin"]}})
    assert service.run("firmware", "upload", path, "--version", "2.0", "--json").json["bundleId"] == "0f0e"
    with zipfile.ZipFile(io.BytesIO(service.requests[0].content)) as sent:
        assert json.loads(sent.read("manifest.json"))["fwversion"] == "2.0" and sent.read("app.bin") == b"x" * 10


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"fwversion": "a b"}, "fwversion 'a b'"),
        ({"files": []}, "no files"),
        ({"files": [{"file": "app.hex", "type": "application", "size": 10}]}, "end in .bin"),
        ({"files": [{"file": "app.bin", "type": "novel", "size": 10}]}, "type 'novel'"),
        ({"files": [{"file": "app.bin", "type": "application", "size": 11}]}, "10 bytes, 11 by the manifest"),
        ({"files": [{"file": "b.bin", "type": "application", "size": 11}]}, "not in the zip"),
        ({"raw": "{"}, "no JSON"),
        ({"raw": "[]"}, "no object"),
    ],
)
def test_a_package_that_would_be_refused_is_not_sent(tmp_path, changes, words):
    service = Service()
    done = service.run("firmware", "upload", _zip(tmp_path, **changes))
    assert done.status == 1 and words in done.err and service.requests == []


@pytest.mark.parametrize("data, words", [(b"GWB1abc", "bundle --zip"), (b"hello", "not a zip"), (b"PK\3\4", "damaged")])
def test_files_that_are_no_package(tmp_path, data, words):
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    done = Service().run("firmware", "upload", path)
    assert done.status == 1 and words in done.err
    assert Service().run("firmware", "upload", tmp_path / "none.zip").status == 1


def test_bundle_ids():
    assert bundle_id([URI.replace("*", "%2A")]) == "APP*c52c99d3*v1.3.0-280"
    assert bundle_id(["https://bundles.dev.nrfcloud.com/0f0e-11/a.signed.bin"]) == "0f0e-11"


def _job(status="IN_PROGRESS", executions=2):
    firmware = {"bundleId": "B", "firmwareType": "APP", "version": "1.1", "fileSize": 1000, "uris": [URI]}
    return {"jobId": "j", "name": "Spring", "status": status, "firmware": firmware,
            "executionStats": {"executions": executions, "completedExecutions": 0}}  # fmt: skip


def _at(device, status, detail=None):
    return {"deviceId": device, "status": status, "statusDetail": detail, "lastUpdatedAt": "2026-11-21T00:00:00Z"}


def _following(jobs, statuses):
    service = Service()
    service.on("GET /fota-jobs/j", *jobs)
    service.on("GET /fota-job-execution-statuses/j", *[page(*one) for one in statuses])
    return service


def test_follow_to_a_good_end():
    steps = [
        [],
        [_at("a", "QUEUED"), _at("b", "QUEUED")],
        [_at("a", "IN_PROGRESS", "40 %"), _at("b", "QUEUED")],
        [_at("a", "IN_PROGRESS", "50 %"), _at("b", "QUEUED")],
        [_at("a", "IN_PROGRESS", "90 %"), _at("b", "DOWNLOADING")],
        [_at("a", "SUCCEEDED"), _at("b", "SUCCEEDED", "ok")],
    ]
    service = _following([_job("CREATED", 0), *[_job()] * 4, _job("COMPLETED")], steps)
    done = service.run("fota", "follow", "j")
    assert done.status == 0
    lines = [line.split(" ", 3)[-1] for line in done.out.splitlines() if line.startswith("2026")]
    assert lines == ["a QUEUED", "b QUEUED", "a IN_PROGRESS 40 %  40 %", "a IN_PROGRESS 50 %  50 %",
                     "a IN_PROGRESS 90 %  90 %", "b DOWNLOADING", "a SUCCEEDED", "b SUCCEEDED  ok"]  # fmt: skip
    assert "2 of 2 succeeded" in done.out and "fota apply j" in done.out


@pytest.mark.parametrize("word", ["FAILED", "REJECTED", "TIMED_OUT", "CANCELLED"])
def test_follow_to_a_bad_end(word):
    end = [_at("a", word, "out of luck"), _at("b", "SUCCEEDED")]
    done = _following([_job(), _job("COMPLETED")], [[_at("a", "QUEUED"), _at("b", "QUEUED")], end]).run(
        "fota", "follow", "j", "--json"
    )
    assert done.status == 1
    assert done.lines[-1] == {"jobId": "j", "status": "COMPLETED", "devices": 2, "succeeded": 1}
    assert {"deviceId": "a", "status": word, "statusDetail": "out of luck", "lastUpdatedAt": "2026-11-21T00:00:00Z",
            "percent": None} in done.lines  # fmt: skip


def test_a_job_without_devices_is_no_success():
    done = _following([_job("COMPLETED", 0)], [[]]).run("fota", "follow", "j")
    assert done.status == 1 and "no device had it" in done.err


def test_a_cancelled_job_is_over_at_once():
    done = _following([_job("CANCELLED", 1)], [[_at("a", "IN_PROGRESS")]]).run("fota", "follow", "j")
    assert done.status == 1


def test_follow_waits_for_executions_that_are_not_listed_yet():
    service = _following([_job(), _job(), _job("COMPLETED")], [[_at("a", "SUCCEEDED")]] * 2 + [
        [_at("a", "SUCCEEDED"), _at("b", "SUCCEEDED")]])  # fmt: skip
    assert service.run("fota", "follow", "j").status == 0
    assert service.count("GET", "/fota-jobs/j") == 3


def test_follow_outlives_a_service_that_is_away():
    service = _following([_job(executions=1), *[(503, None)] * 6, _job("COMPLETED", 1)],
                         [[_at("a", "QUEUED")], [_at("a", "SUCCEEDED")]])  # fmt: skip
    done = service.run("fota", "follow", "j")
    assert done.status == 0 and "looking again in 4 s" in done.err


def test_follow_gives_up_when_told():
    service = _following([_job()], [[_at("a", "QUEUED"), _at("b", "QUEUED")]])
    done = service.run("fota", "follow", "j", "--for", 0)
    assert done.status == 1 and "still IN_PROGRESS" in done.err


def test_follow_of_a_job_that_is_not_there():
    assert Service({"GET /fota-jobs/j": (404, None)}).run("fota", "follow", "j").status == 1


def test_the_twin_tells_how_far_a_download_is():
    jobs = [_job(executions=1), _job("COMPLETED", 1)]
    service = _following(jobs, [[_at("a", "IN_PROGRESS")], [_at("a", "SUCCEEDED")]])
    load = {"host": "firmware.nrfcloud.com", "path": URI.split("/", 3)[3], "size": 1000, "distinct": 450}
    service.on("GET /twin/records", {"devices": {"a": {"downloads": [load, {**load, "path": "other", "distinct": 9}]}}})
    done = service.run("fota", "follow", "j", "--json", url="http://127.0.0.1:8080")
    assert done.lines[0]["percent"] == 45
    loads = [{"devices": {"a": {"downloads": [{**load, "distinct": one}]}}} for one in (100, 150, 360, 590, 700)]
    service = _following([*[_job(executions=1)] * 5, _job("COMPLETED", 1)],
                         [*[[_at("a", "IN_PROGRESS")]] * 5, [_at("a", "SUCCEEDED")]])  # fmt: skip
    service.on("GET /twin/records", *loads)
    done = service.run("fota", "follow", "j", "--json", url="http://127.0.0.1:8080")
    assert [one["percent"] for one in done.lines[:-1]] == [10, 36, 70, None]  # a line a quarter, no more
    real = _following([_job("COMPLETED", 1)], [[_at("a", "SUCCEEDED")]])
    assert real.run("fota", "follow", "j").status == 0
    assert all("twin" not in one.url.path for one in real.requests)


def test_the_live_view_fits_and_says_it():
    options = {"as_json": False, "url": "http://127.0.0.1:1", "key": "k", "key_file": None, "plain_http": False,
               "timeout": 1.0, "provisioning_url": None}  # fmt: skip
    follower = Follower(Cloud(options), "j", clock=lambda: 65.0)
    follower.started, follower.document = 0.0, _job(executions=40)
    for number in range(40):
        follower.executions[f"dev-{number:02d}"] = Execution(f"dev-{number:02d}", "QUEUED", None, None, 60.0)
    follower.executions["dev-07"] = Execution("dev-07", "IN_PROGRESS", "\x1b[2Jbusy", None, 2.0, 0.45)
    follower.executions["dev-09"] = Execution("dev-09", "FAILED", "no room " * 20, "2026-11-21T01:02:03Z", 2.0)
    console = Console(width=90, height=20, file=io.StringIO(), force_terminal=True, color_system=None, highlight=False)
    console.print(View(follower))
    lines = console.file.getvalue().splitlines()
    assert len(lines) < 20 and all(len(line) <= 90 for line in lines)
    assert lines[0].startswith("Spring  IN_PROGRESS  APP 1.1 1,000 B")
    rows = [line.split() for line in lines]
    busy = next(row for row in rows if row and row[0] == "dev-07")
    assert "45" in busy and "1:03" in busy and "·[2Jbusy" in busy
    assert next(row for row in rows if row and row[0].startswith("dev-"))[0] == "dev-07"
    assert any(row[:2] == ["dev-09", "FAILED"] and "01:02:03" in row for row in rows)
    assert "1 of 40 ended · 1:05 min" in lines[-1] and "and 28 more" in lines[-2]


def test_create_apply_cancel_delete():
    service = Service({"POST /fota-jobs": {"jobId": "j"}, "POST /fota-jobs/j/apply": (202, None)})
    service.on("PUT /fota-jobs/j/cancel", (202, None))
    service.on("DELETE /fota-jobs/j", (204, None))
    assert service.run("fota", "create", "B", "--tag", "lab", "--no-apply", "--name", "N").status == 0
    assert service.bodies("POST", "/fota-jobs") == [{"bundleId": "B", "autoApply": False, "tags": ["lab"], "name": "N"}]
    assert service.run("fota", "apply", "j").status == 0
    assert service.run("fota", "cancel", "j", "--reason", "wrong one").status == 0
    assert dict(service.requests[-1].url.params) == {"reason": "wrong one"}
    assert service.run("fota", "delete", "j", "--yes").status == 0
    assert service.run("fota", "create", "B", *["--device", "d"] * 101).status == 1


def _odd(rng, depth=0):
    kinds = [None, True, -1, 1e308, "", "x", "\x1b[0m", [], {}, ["a", None, {}], {"a": 1}, "2026-11-21T00:00:00Z"]
    if depth < 2 and rng.bits(2) == 0:
        return {"items": _odd(rng, depth + 1), "state": _odd(rng, depth + 1)}
    return kinds[rng.bits(8) % len(kinds)]


def _spoil(rng, value):
    """A copy of a document with some of its parts replaced by something else."""
    if rng.bits(3) == 0:
        return _odd(rng)
    if isinstance(value, dict):
        return {key: _spoil(rng, one) for key, one in value.items()}
    return [_spoil(rng, one) for one in value] if isinstance(value, list) else value


STATE = {"desired": {"c": {"d": 1}}, "reported": {"device": {"deviceInfo": {"appVersion": "1"}}}, "delta": {"c": 1},
         "metadata": {"desired": {"c": {"timestamp": 5}}}, "version": 3}  # fmt: skip
DEVICE = {"id": "d", "name": "n", "tags": ["a"], "firmware": {"app": {"name": "x"}, "supports": ["APP"]},
          "state": STATE, "$meta": {"version": 3, "createdAt": "2026-11-21T00:00:00Z"}}  # fmt: skip
MESSAGE = {"deviceId": "d", "receivedAt": "2026-11-21T00:00:00Z", "topic": "t",
           "message": {"appId": "GNSS", "data": {"lat": 1, "lon": 2}, "ts": 5}}  # fmt: skip
LOCATION = {"deviceId": "d", "insertedAt": "x", "lat": "1", "lon": "2", "uncertainty": "3", "meta": {"alt": 1}}
ALERT = {"id": "i", "deviceId": "d", "originalMessage": {"type": 1, "desc": "d"}, "status": "ACTIVE"}
BUNDLE = {"bundleId": "B", "filenames": ["a"], "size": 1, "lastModified": "x"}
CLAIM = {"id": "u", "tags": ["t"], "deviceType": "x", "claimedAt": "x"}
TEAM = {"team": {"name": "n"}, "plan": {"limits": {"a": 1}}, "tags": []}
READS = {
    ("account",): {"GET /account": TEAM},
    ("devices", "list"): {"GET /devices": page(DEVICE)},
    ("devices", "show", "d"): {"GET /devices/d": DEVICE},
    ("devices", "tag", "d", "x", "--add"): {"GET /devices/d": DEVICE, "PUT /devices/d/tags": None},
    ("shadow", "show", "d"): {"GET /devices/d": DEVICE},
    ("shadow", "patch", "d", "c.d=2"): {"GET /devices/d": DEVICE, "PATCH /devices/d/state": [(409, None), (202, None)]},
    ("messages", "list"): {"GET /messages": page(MESSAGE)},
    ("messages", "watch", "--for", "0"): {"GET /messages": page(MESSAGE)},
    ("alerts", "list"): {"GET /alerts": page(ALERT)},
    ("logs", "d"): {"GET /messages": page(MESSAGE)},
    ("firmware", "list"): {"GET /firmwares": page(BUNDLE)},
    ("fota", "list"): {"GET /fota-jobs": page(_job())},
    ("fota", "show", "j"): {"GET /fota-jobs/j": _job(), "GET /fota-job-execution-statuses/j": page(_at("a", "QUEUED"))},
    ("fota", "follow", "j", "--for", "0"): {
        "GET /fota-jobs/j": _job(), "GET /fota-job-execution-statuses/j": page(_at("a", "IN_PROGRESS", "3 %"))},
    ("history",): {"GET /location/history": page(LOCATION)},
    ("history", "--geojson", "-"): {"GET /location/history": page(LOCATION)},
    ("claimed",): {"GET /claimed-devices": page(CLAIM)},
    ("claim", "a.b"): {"POST /claimed-devices": CLAIM},
}  # fmt: skip


@pytest.mark.parametrize("args", READS, ids=" ".join)
def test_an_odd_answer_is_no_traceback(args):
    assert Service(READS[args]).run(*args).status in (0, 1)
    rng = Rng(seed(20261121))
    ends = set()
    for _ in range(60):
        table = {what: value if isinstance(value, list) else _spoil(rng, value) for what, value in READS[args].items()}
        service = Service()
        for what, value in table.items():
            service.on(what, *(value if isinstance(value, list) and what.startswith("PATCH") else [(200, value)]))
        done = service.run(*args)
        assert "\x1b" not in done.out + done.err
        ends.add(done.status)
    assert ends <= {0, 1}
