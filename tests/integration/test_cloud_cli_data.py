"""`godwit cloud` for data: messages (list, watch, send), alerts, logs, positions, claims and provisioning."""

import base64
import json

import pytest
from cloud_support import Service, page
from cryptography.hazmat.primitives import serialization

from godwit import pki
from godwit.cloud.location import geojson_of


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A file with a CA certificate."""
    file = tmp_path_factory.mktemp("pem") / "ca.pem"
    file.write_bytes(pki.make_ca()[0].public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize(
    "args, topic, message",
    [
        (['{"hello": 1}'], "d/d/c2d", {"hello": 1}),
        (["--app-id", "TEMP", "--data", "21.5", "--as", "d2c"], "d/d/d2c",
         {"appId": "TEMP", "messageType": "DATA", "data": 21.5}),
        (["[1]", "--topic", "m/d/d/d2c/own"], "m/d/d/d2c/own", [1]),
    ],
)  # fmt: skip
def test_send(args, topic, message):
    service = Service({"POST /devices/d/messages": (202, None)})
    assert service.run("messages", "send", "d", *args).status == 0
    assert service.bodies("POST", "/devices/d/messages") == [{"topic": topic, "message": message}]


def test_send_a_binary_log(tmp_path):
    file = tmp_path / "log"
    file.write_bytes(b"nRFC\0\xff")
    service = Service({"POST /devices/d/messages": (202, None)})
    assert service.run("messages", "send", "d", "--binary", file).status == 0
    body = service.bodies("POST", "/devices/d/messages")[0]
    assert body["topic"] == "d/d/d2c/bin" and base64.b64decode(body["message"]) == b"nRFC\0\xff"


def _message(second, body, millisecond=0):
    return {"deviceId": "d", "topic": "d/d/d2c", "receivedAt": f"2026-11-21T00:00:{second:02d}.{millisecond:03d}Z",
            "message": body}  # fmt: skip


def test_watch_shows_each_message_once():
    a, b, c, late = _message(1, "a"), _message(2, "b"), _message(30, "c"), _message(3, "late")
    service = Service()
    # the last two; what is there; then: nothing new, two equal ones in one ms, one that sorts in behind, c again
    service.on("GET /messages", page(b, a), page(a, b), page(a, b), page(a, b, c, c), page(a, b, late, c, c),
               page(late, c, c, _message(31, "end")))  # fmt: skip
    done = service.run("messages", "watch", "d", "--last", 2, "--count", 6, "--json")
    assert [one["message"] for one in done.lines] == ["a", "b", "c", "c", "late", "end"]
    starts = [one.url.params.get("start") for one in service.requests]
    assert starts[0] is None and starts[1] == "2026-11-20T23:59:32.000Z" and starts[-1] == "2026-11-21T00:00:00.000Z"


def test_watch_counts_what_is_equal_and_forgets_nothing():
    a, twice, last = _message(1, "a"), _message(9, "x"), _message(10, "end")
    service = Service()
    # between the first two looks one came; then a second that equals the first; a page that lacks one; all again
    service.on("GET /messages", page(a), page(a, twice), page(a, twice), page(a, twice, twice), page(a, twice),
               page(a, twice, twice, last))  # fmt: skip
    done = service.run("messages", "watch", "d", "--last", 1, "--count", 4, "--json")
    assert [one["message"] for one in done.lines] == ["a", "x", "x", "end"]


def test_watch_looks_less_often_while_nothing_comes_and_outlives_a_service_that_is_away():
    service = Service()
    away = [(503, None)] * 6
    one = page(_message(1, "a"))
    both = page(_message(1, "a"), _message(2, "b"))
    service.on("GET /messages", page(), page(), page(), *away, one, one, *away, both)
    done = service.run("messages", "watch", "d", "--count", 2)
    assert done.status == 0 and "a" in done.out and done.err.count("watching goes on in 4 s") == 2
    retries = [0.5, 1.0, 2.0, 4.0, 4.0]
    assert service.waits == [2.0, 2.6, pytest.approx(3.38), *retries, 4.0, 2.0, 2.6, *retries, 4.0]


def test_watch_ends_when_the_service_refuses():
    service = Service({"GET /messages": [page(), (401, None)]})
    assert service.run("messages", "watch", "d").status == 1


def test_messages_are_shown_by_what_they_are():
    pvt = {"lat": 45.5, "lng": -122.7, "acc": 15}
    bodies = [
        {"appId": "TEMP", "data": "21.5", "ts": 1795273451000},
        {"appId": "GNSS", "data": pvt},
        {"appId": "ALERT", "type": 7, "value": 12, "desc": "low"},
        {"appId": "LOG", "lvl": 1, "msg": "modem \x1b[2J gone"},
        "blJGQwAAAAAd2qCkkAEAAAEAAABoZWxsbyB3b3JsZA==",
        [1, 2],
        None,
    ]
    items = [_message(n, body) for n, body in enumerate(bodies)]
    items[4]["topic"] = "d/d/d2c/bin"
    done = Service({"GET /messages": page(*items)}).run("messages", "list")
    for words in ("21.5 °C", "45.5, -122.7  ± 15 m", "battery · 12 · low", "ERR modem ·[2J gone", "31 B, base64",
                  "2026-11-21 15:04:11 UTC"):  # fmt: skip
        assert words in done.out
    assert "\x1b" not in done.out


def test_logs_by_level_oldest_first():
    items = [_message(n, {"appId": "LOG", "lvl": level, "msg": f"m{n}"}) for n, level in enumerate([4, 2, 1, 3])]
    service = Service({"GET /messages": page(*reversed(items))})
    done = service.run("logs", "d", "--level", "wrn", "--json")
    assert [one["message"]["msg"] for one in done.json] == ["m1", "m2"]
    assert service.requests[0].url.params["appId"] == "LOG"


def test_binary_logs(tmp_path):
    service = Service({"GET /binary-logs/url": {"url": "https://files.example.com/z.zip", "contentLength": 3}})
    service.on("GET /z.zip", {"zip": 1})
    assert service.run("logs", "d", "--binary", tmp_path / "z.zip").status == 0
    assert json.loads((tmp_path / "z.zip").read_bytes()) == {"zip": 1}


def test_alerts():
    alert = {"id": "a-1", "deviceId": "d", "status": "ACTIVE", "originalMessage": {"type": 5, "value": 80}}
    service = Service({"GET /alerts": page(alert), "PATCH /alerts/a-1/archive": {**alert, "status": "ARCHIVED"}})
    assert "temperature · 80" in service.run("alerts", "list", "d", "--status", "active").out
    assert dict(service.requests[0].url.params) == {"deviceIds": "d", "status": "ACTIVE", "pageLimit": "50"}
    assert service.run("alerts", "archive", "a-1", "--json").json[0]["status"] == "ARCHIVED"


def _fix(second, lat, lon, **more):
    return {"id": f"{second}", "deviceId": "d", "serviceType": "GNSS", "insertedAt": f"2026-11-21T00:00:{second:02d}Z",
            "lat": lat, "lon": lon, "uncertainty": "9", **more}  # fmt: skip


def test_history_as_geojson(tmp_path):
    items = [_fix(2, "45.5", "-122.5"), _fix(1, "45.4", "-122.4", meta={"alt": 12}), _fix(3, "nan", "x")]
    found = geojson_of(items)
    assert [one["geometry"] for one in found["features"]] == [
        {"type": "Point", "coordinates": [-122.4, 45.4, 12.0]},
        {"type": "Point", "coordinates": [-122.5, 45.5]},
        {"type": "LineString", "coordinates": [[-122.4, 45.4], [-122.5, 45.5]]},
    ]
    service = Service({"GET /location/history": page(*items)})
    done = service.run("history", "d", "--geojson", tmp_path / "x.json", "--start", "2026-11-21")
    assert json.loads((tmp_path / "x.json").read_text()) == found and "1 without numbers" in done.err
    assert service.requests[0].url.params["start"] == "2026-11-21T00:00:00.000Z"
    assert "45.5" in service.run("history", "d").out
    assert service.run("history", "--start", "yesterday").status == 1


CELL = ["--mcc", "310", "--mnc", "120", "--tac", "13601", "--eci", "167899669"]
FIX = {"lat": 45.5, "lon": -122.7, "uncertainty": 300, "fulfilledWith": "MCELL"}


def test_locate():
    service = Service({"POST /location/ground-fix": FIX, "GET /account/service-evaluation-token": {"token": "a.b.c"}})
    done = service.run("locate", *CELL, "--rsrp", "-90", "--hi-conf", "--wifi", "00-18-39-59-8C-53,-42", "--wifi",
                       "002155 61F30A".replace(" ", ""), "--evaluation", "--device", "x")  # fmt: skip
    assert done.status == 0 and "45.5, -122.7  ± 300 m" in done.out
    last = service.requests[-1]
    assert last.headers["authorization"] == "Bearer a.b.c" and last.headers["x-custom-device-id"] == "x"
    assert dict(last.url.params) == {"hiConf": "true"}
    assert json.loads(last.content) == {
        "lte": [{"mcc": 310, "mnc": 120, "tac": 13601, "eci": 167899669, "rsrp": -90.0}],
        "wifi": {"accessPoints": [{"macAddress": "00:18:39:59:8c:53", "signalStrength": -42},
                                  {"macAddress": "00:21:55:61:f3:0a"}]},
    }  # fmt: skip


@pytest.mark.parametrize("args", [[], CELL[:4], ["--wifi", "00:11:22:33:44:55"], ["--wifi", "x", "--wifi", "y"]])
def test_locate_wants_enough(args):
    service = Service()
    assert service.run("locate", *args).status == 1 and service.requests == []


def test_an_evaluation_is_not_started_unasked():
    service = Service({"GET /account/service-evaluation-token": (404, None), "POST /location/ground-fix": FIX})
    done = service.run("locate", *CELL, "--evaluation")
    assert done.status == 1 and "--start-evaluation" in done.err and len(service.requests) == 1
    service.on("POST /account/service-evaluation-token", {"token": "a.b.c"})
    assert service.run("locate", *CELL, "--start-evaluation").status == 0
    assert service.requests[-1].headers["authorization"] == "Bearer a.b.c"


def test_locate_says_that_it_wants_a_token():
    done = Service({"POST /location/ground-fix": (403, None)}).run("locate", *CELL)
    assert done.status == 1 and "--evaluation" in done.err
    done = Service({"POST /location/ground-fix": (404, None)}).run("locate", *CELL)
    assert done.status == 1 and "surveyed" in done.err


CLAIMED = {"id": "u-1", "deviceType": "nrf9161", "status": "READY", "tags": ["t"], "claimedAt": "2026-11-21T00:00:00Z"}


def test_claiming():
    service = Service({"POST /claimed-devices": (201, CLAIMED), "GET /claimed-devices": page(CLAIMED)})
    service.on("DELETE /claimed-devices/u-1", (204, None))
    assert "claimed u-1" in service.run("claim", '"abc.def"', "--tag", "t").out
    assert service.bodies("POST", "/claimed-devices") == [{"claimToken": "abc.def", "tags": ["t"]}]
    assert service.requests[0].url.host == "api.provisioning.nrfcloud.com"
    assert "nrf9161" in service.run("claimed").out
    assert service.run("unclaim", "u-1", "--yes").status == 0
    assert service.run("claim", "no-token").status == 1


def test_claiming_many(tmp_path):
    csv = tmp_path / "tokens.csv"
    csv.write_text("a.b\nc.d\n")
    answer = {"claimedIds": ["u"], "failed": [{"row": 1, "message": "gone"}]}
    service = Service({"POST /claimed-devices": (201, answer)})
    done = service.run("claim", "--csv", csv)
    assert done.status == 1 and "gone" in done.out and service.requests[0].headers["content-type"] == "text/csv"


def _commands(*statuses):
    return [{"status": one} for one in statuses]


def test_provisioning_is_queued_in_order_and_followed(authority):
    path = "/claimed-devices/u-1/provisioning"
    service = Service({f"POST {path}": [(201, {"id": "1"}), (201, {"id": "2"}), (201, {"id": "3"})]})
    service.on(f"GET {path}/1", *_commands("PENDING", "IN_PROGRESS", "SUCCEEDED"))
    service.on(f"GET {path}/2", *_commands("PENDING", "SUCCEEDED"))
    service.on(f"GET {path}/3", *_commands("PENDING", "SUCCEEDED"))
    done = service.run("provision", "u-1", "--ca", authority)
    assert done.status == 0 and "u-1 is provisioned" in done.out
    requests = [one["request"] for one in service.bodies("POST", path)]
    certificate = {"content": authority.read_text(), "secTag": 16842753}
    key = {"secTag": 16842753}
    assert requests == [{"cloudAccessKeyGeneration": key}, {"serverCertificate": certificate}, {"finished": {}}]


def test_a_failed_command_is_told():
    path = "/claimed-devices/u-1/provisioning"
    service = Service({f"POST {path}": [(201, {"id": "1"}), (201, {"id": "2"})]})
    service.on(f"GET {path}/1", {"status": "FAILED", "response": {"error": {"code": 518}}})
    service.on(f"GET {path}/2", {"status": "DISCARDED"})
    done = service.run("provision", "u-1")
    assert done.status == 1 and "518" in done.out and "provisioning failed" in done.out


def test_a_queue_that_breaks_off_says_what_is_in_it():
    path = "/claimed-devices/u-1/provisioning"
    service = Service({f"POST {path}": [(201, {"id": "1"}), (422, {"message": "queue is full"})]})
    done = service.run("provision", "u-1")
    assert done.status == 1 and "queue is full" in done.err and "cloudAccessKeyGeneration" in done.err.splitlines()[-1]
