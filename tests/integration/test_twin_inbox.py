"""What grows out of device messages: alerts, binary logs, history of either spelling, long topic names (facts 6)."""

import base64
import json
import sqlite3

import cbor2
import pytest
from twin_support import ACK, NON, POST, connected, encode, running

_ALERT = {"appId": "ALERT", "type": 5, "value": 81.5, "desc": "hot", "ts": 1631470795000}
# the published sample: format 0, 2024-07-12T01:48:43.421Z, sequence 1, "hello world"
_LOG = base64.b64decode("blJGQwAAAAAd2qCkkAEAAAEAAABoZWxsbyB3b3JsZA==")


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A twin with its database in a file, so that a table without a REST view can be read."""
    directory = tmp_path_factory.mktemp("twin")
    with running(directory, "--db", str(directory / "twin.db")) as process:
        process.db = str(directory / "twin.db")
        yield process


def rows(twin, sql):
    """Rows of the twin's database as dicts."""
    with sqlite3.connect(f"file:{twin.db}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(sql)]


def post(client, path, value, cf=50):
    body = value if isinstance(value, bytes) else (json.dumps(value) if cf == 50 else "").encode() or cbor2.dumps(value)
    return client.request(POST, path, payload=body, cf=cf)


def test_alert_is_kept_as_one(twin, client):
    assert post(client, "msg/d2c", _ALERT).dotted == "2.01"
    assert post(client, "msg/d2c/bulk", [{**_ALERT, "type": 100, "ts": 0}, {"appId": "ALERT"}]).dotted == "2.01"
    first, second = rows(twin, "SELECT * FROM alert ORDER BY n")  # an ALERT without type is only a message
    assert (first["device"], first["status"], first["created_at"]) == (twin.device, "ACTIVE", _ALERT["ts"])
    assert json.loads(first["body"]) == _ALERT
    assert second["created_at"] == second["received_at"] and json.loads(second["body"])["type"] == 100
    assert twin.records()["devices"][twin.device]["messages"]["ALERT"] == 3
    assert twin.records()["totals"]["alerts"] == 2


def test_binary_log_header(twin, client):
    assert post(client, "msg/d2c/bin", _LOG, 42).dotted == "2.01"
    assert post(client, "msg/d2c/bin", b"no header at all, but long enough", 42).dotted == "2.01"
    with_header, without = rows(twin, "SELECT * FROM binary_log ORDER BY n")
    assert (with_header["format"], with_header["ts"], with_header["sequence"]) == (0, 1720748923421, 1)
    assert with_header["data"] == b"hello world"
    assert (without["format"], without["ts"], without["data"]) == (None, None, b"no header at all, but long enough")
    stored = twin.rest.get("/v1/messages", params={"topic": f"d/{twin.device}/d2c/bin"}).json()["items"]
    assert base64.b64decode(stored[1]["message"]) == _LOG


def test_text_logs_in_bulk(twin, client):
    logs = [{"appId": "LOG", "lvl": 1, "msg": f"line {n}", "src": 3, "dom": 0, "ts": 1631470795000 + n} for n in (1, 2)]
    assert post(client, "msg/d2c/bulk", logs).dotted == "2.01"
    stored = twin.rest.get("/v1/messages", params={"appId": "LOG"}).json()["items"]
    assert [item["message"] for item in stored] == logs[::-1]
    assert {item["topic"] for item in stored} == {f"d/{twin.device}/d2c/bulk"}


def test_bulk_in_cbor(twin, client):
    batch = [{1: "TEMP", 2: -12.3, 3: 1631470795000}, {1: "HUMID", 2: "55", 3: 0}]
    assert post(client, "msg/d2c/bulk", batch, 60).dotted == "2.01"
    stored = [item["message"] for item in twin.rest.get("/v1/messages", params={"pageLimit": 2}).json()["items"]]
    assert stored == [
        {"appId": "HUMID", "messageType": "DATA", "data": "55"},
        {"appId": "TEMP", "messageType": "DATA", "data": -12.3, "ts": 1631470795000},
    ]


@pytest.mark.parametrize("east", ["lon", "lng"])
def test_gnss_history_takes_either_name(twin, client, east):
    data = {"lat": 63.42, east: 10.4, "acc": 7, "spd": 1.5}
    assert post(client, "msg/d2c", {"appId": "GNSS", "messageType": "DATA", "data": data}).dotted == "2.01"
    item = twin.rest.get("/v1/location/history", params={"pageLimit": 1}).json()["items"][0]
    assert (item["lat"], item["lon"], item["meta"]) == ("63.42", "10.4", {"acc": 7, "spd": 1.5})


def test_topics_of_several_segments(twin, client):
    """Older device libraries name the whole topic; the last two segments say what it is."""
    name = f"d/{twin.device}/d2c"
    assert post(client, f"msg/{name}/bulk", [{"appId": "A"}, {"appId": "B"}]).dotted == "2.01"
    assert post(client, f"msg/{name}/bin", _LOG, 42).dotted == "2.01"
    assert post(client, f"msg/{name}/own/topic", {"appId": "C"}).dotted == "2.01"
    assert post(client, f"msg/{name}/bulk", []).dotted == "4.00"
    items = twin.rest.get("/v1/messages", params={"pageLimit": 4}).json()["items"]
    assert [item["topic"] for item in items] == [f"{name}/own/topic", f"{name}/bin", f"{name}/bulk", f"{name}/bulk"]


def test_answer_is_of_the_type_of_the_request(client):
    """A Non-confirmable request gets a Non-confirmable answer; a Confirmable one a piggybacked one."""
    body = json.dumps({"appId": "TEMP", "data": "1"}).encode()
    client.send(encode(POST, ("msg", "d2c"), payload=body, options=((12, 50),), mid=0x1111, token=b"n", kind=NON))
    answer = client.receive()
    assert (answer.type, answer.dotted, answer.token) == (NON, "2.01", b"n")
    answer = client.request(POST, "msg/d2c", payload=body, cf=50)
    assert (answer.type, answer.dotted) == (ACK, "2.01")


def test_nothing_of_this_was_an_error(twin):
    """Last in the file: every refusal above was an answer, not an accident."""
    with connected(twin):
        assert twin.records()["errors"] == []
