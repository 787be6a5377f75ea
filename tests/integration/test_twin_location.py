"""The twin's ground fix over CoAP: published vectors, formats, quirks, bad input."""

import json

import cbor2
import pytest
from twin_support import FETCH, POST

_SEED_CELL = "bf1381bf0618f4070c081a0002d80109192ee1ffff"
_DEFINITE_CELL = "a11381a40618f4070c081a0002d80109192ee1"
_NEIGHBOUR_CELL = (
    "a11381a906190136071878081a0a01f215091935210119a2120a194e200b81a50119a21202188f03385904fac1000000"
    "0519012c03385904fac1080000"
)
_WIFI = "a114a11282a20c46001839598c530e3829a20c4600215561f30a0e35"


def fix(client, body, query=(), cf=60, accept=60):
    if isinstance(body, str):
        body = bytes.fromhex(body)
    elif isinstance(body, dict):
        body = cbor2.dumps(body) if cf == 60 else json.dumps(body).encode()
    return client.request(FETCH, "loc/ground-fix", query, body, cf, accept)


# --- ground fix ---


@pytest.mark.parametrize("body", [_SEED_CELL, _DEFINITE_CELL])
def test_ground_fix_of_the_published_sample(client, body):
    answer = fix(client, body)
    assert (answer.dotted, answer.uint(12)) == ("2.05", 60)
    # a device decoder wants exactly: map of 4, keys 1..4 in order, two float64, an integer, text
    data = answer.payload
    assert (data[0], data[1:3], data[11:13], data[21]) == (0xA4, b"\x01\xfb", b"\x02\xfb", 3)
    assert data[22] >> 5 == 0
    assert data[-6:] == b"\x65SCELL"
    value = cbor2.loads(data)
    assert list(value) == [1, 2, 3, 4]
    assert 59 < value[1] < 62 and 23 < value[2] < 27  # network 244 is in Finland


def test_ground_fix_of_the_neighbour_sample(twin, client):
    answer = fix(client, _NEIGHBOUR_CELL)
    assert answer.payload.hex() == "a401fb4046c315a4acf31302fbc05eac0ee06d93810319012c04654d43454c4c"
    item = twin.rest.get("/v1/location/history", params={"pageLimit": 1}).json()["items"][0]
    assert (item["serviceType"], item["lat"], item["lon"], item["uncertainty"]) == (
        "MCELL",
        "45.524098",
        "-122.688408",
        "300",
    )
    assert fix(client, _NEIGHBOUR_CELL, ("hiConf=true",)).payload[22:25] == b"\x19\x01\xe7"  # 487 m for 95 %


def test_ground_fix_is_deterministic_and_json(client):
    cell = {"mcc": 244, "mnc": 12, "tac": 12001, "eci": 186369}
    cbor = cbor2.loads(fix(client, _DEFINITE_CELL).payload)
    for body, accept in ((cell, 50), ({**cell, "mnc": "12"}, 50), (cell, None)):
        answer = fix(client, {"lte": [body]}, cf=50, accept=accept)
        assert answer.uint(12) == 50
        assert list(answer.json().values()) == list(cbor.values())
        assert list(answer.json()) == ["lat", "lon", "uncertainty", "fulfilledWith"]
    assert fix(client, _DEFINITE_CELL, accept=None).uint(12) == 60
    other = fix(client, {"lte": [{**cell, "eci": 186370 + 512}]}, cf=50, accept=50).json()
    assert (other["lat"], other["lon"]) != (cbor[1], cbor[2])


def test_ground_fix_wifi(client):
    value = cbor2.loads(fix(client, _WIFI).payload)
    assert value[4] == "WIFI" and value[3] < 100
    macs = ["00-18-39-59-8C-53", "00:21:55:61:F3:0A"]
    for wifi in ([{"macAddress": mac} for mac in macs], {"accessPoints": [{"macAddress": mac} for mac in macs]}):
        assert fix(client, {"wifi": wifi}, cf=50, accept=50).json()["lat"] == value[1]
    local = {"wifi": [{"macAddress": "02:18:39:59:8C:53"}, {"macAddress": macs[0]}]}
    assert fix(client, local, cf=50).dotted == "4.04"  # one is locally administered: too few are left


def test_ground_fix_without_reply_is_recorded(twin, client):
    before = twin.records()["totals"]["locations"]
    answer = fix(client, _DEFINITE_CELL, ("doReply=false",))
    assert (answer.dotted, answer.payload, answer.option(12)) == ("2.05", b"", None)
    assert fix(client, _DEFINITE_CELL, ("doReply=0",)).payload == b""
    assert twin.records()["totals"]["locations"] == before + 2


def test_ground_fix_fallback(client):
    """A cell that nobody surveyed falls back to its tracking area, or to 4.04 when that is not wanted."""
    for enodeb in range(1000, 1200):
        cell = {19: [{6: 242, 7: 1, 8: enodeb << 8 | 3, 9: 2305}]}
        if fix(client, cell, ("fallback=false",)).dotted == "4.04":
            assert cbor2.loads(fix(client, cell).payload)[3] == 8000
            return
    pytest.fail("no unsurveyed cell in 200 eNodeBs")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "4.00"),
        (b"\xff", "4.00"),
        (b"\xa1\x13", "4.00"),
        (b"\xa1\x13\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "4.00"),
        (b"\x81" * 3000, "4.00"),
        (b"\xa0", "4.00"),
        (b"\x80", "4.00"),
        (bytes.fromhex(_DEFINITE_CELL) + b"\x00", "4.00"),
        (b"\xa2\x13\x80\x13\x80", "4.00"),
        (b"\xa1\x18\x63\x00", "4.00"),
        (b"\xc1\xa0", "4.00"),
        (b"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", "4.00"),
        ({19: []}, "4.00"),
        ({19: [{6: 244, 7: 12, 8: 186369}]}, "4.00"),
        ({19: [{6: 244, 7: 12, 8: 1 << 28, 9: 1}]}, "4.00"),
        ({19: [{6: 244.0, 7: 12, 8: 1, 9: 1}]}, "4.00"),
        ({19: [{6: True, 7: 12, 8: 1, 9: 1}]}, "4.00"),
        ({19: [{6: -1, 7: 12, 8: 1, 9: 1}]}, "4.00"),
        ({19: [{6: 244, 7: 12, 8: 1, 9: 1, 99: 1}]}, "4.00"),
        ({19: [{6: 244, 7: 12, 8: 1, 9: 1, 10: 20513}]}, "4.00"),
        ({19: [{6: 244, 7: 12, 8: 1, 9: 1, 4: float("nan")}]}, "4.00"),
        ({19: [{6: 244, 7: 12, 8: 1, 9: 1}] * 6}, "4.00"),
        ({19: [{6: 244, 7: 12, 8: 1, 9: 1, 11: [{1: 5, 2: 504}]}]}, "4.00"),
        ({19: [{6: 244, 7: 12, 8: 1, 9: 1, 11: [{1: 5, 2: 5}] * 6}]}, "4.00"),
        ({20: {18: [{12: b"123456"}]}}, "4.00"),
        ({20: {18: [{12: b"12345"}, {12: b"123456"}]}}, "4.00"),
        ({20: []}, "4.00"),
        ({20: {18: [{12: b"\0\x18\x39\x59\x8c\x53", 14: 1}, {12: b"\0\x21\x55\x61\xf3\x0a"}]}}, "4.00"),
        ({20: {18: [{12: b"\0\x18\x39\x59\x8c\x53", 16: "ch"}, {12: b"\0\x21\x55\x61\xf3\x0a"}]}}, "4.00"),
        ({19: [{6: 1, 7: 1, 8: 1, 9: 1}]}, "4.04"),  # a test network is nowhere
    ],
)
def test_ground_fix_bad_body(client, body, code):
    assert fix(client, body).dotted == code


def test_ground_fix_with_an_anchor(client):
    anchored = {20: {18: [{12: bytes.fromhex("00a0deadbe01")}, {12: bytes.fromhex("001839598c53")}]}}
    value = cbor2.loads(fix(client, anchored).payload)
    assert (value[1], value[2], value[3], value[4]) == (54.4729, 9.0426, 5, "ANCHOR")


def test_ground_fix_chooses_between_wifi_and_cell(client):
    """Two surveyed access points in Trondheim, a cell in Finland: Wi-Fi wins, unless they are too far apart."""
    points = [{"macAddress": "00:18:39:59:8C:53"}, {"macAddress": "00-21-55-61-F3-0A"}]
    body = {"lte": [{"mcc": 244, "mnc": 12, "tac": 12001, "eci": 186369}], "wifi": points}
    wifi = fix(client, body, ("alt=true",), 50, 50).json()
    assert (wifi["fulfilledWith"], wifi["alt"]["loc"]["fulfilledWith"]) == ("WIFI", "SCELL")
    assert list(wifi) == ["lat", "lon", "uncertainty", "fulfilledWith", "alt"]
    assert 600_000 < wifi["alt"]["dist"] < 1_000_000  # Trondheim to Helsinki
    cell = fix(client, body, ("alt=1", "dist=5000"), 50, 50).json()
    assert (cell["fulfilledWith"], cell["alt"]["loc"]["fulfilledWith"]) == ("SCELL", "WIFI")
    assert fix(client, body, ("dist=2000000.5",), 50, 50).json()["fulfilledWith"] == "WIFI"
    assert list(cbor2.loads(fix(client, _WIFI, ("alt=true",)).payload)) == [1, 2, 3, 4]  # nothing more in CBOR
    assert fix(client, body, ("dist=far",), 50, 50).dotted == "4.00"


def test_ground_fix_of_a_newer_library(client):
    cell = cbor2.loads(bytes.fromhex(_DEFINITE_CELL))
    assert fix(client, {**cell, 21: 1631470795000}).dotted == "2.05"
    assert fix(client, {**cell, 21: -1}).dotted == "4.00"
    assert fix(client, {**cell, 21: "now"}).dotted == "4.00"


def test_ground_fix_formats(client):
    assert fix(client, _DEFINITE_CELL, accept=42).dotted == "4.06"
    assert fix(client, _DEFINITE_CELL, accept=0).dotted == "4.06"
    assert fix(client, _DEFINITE_CELL, cf=42).dotted == "4.15"
    assert fix(client, _DEFINITE_CELL, ("doReply=maybe",)).dotted == "4.00"
    assert fix(client, _DEFINITE_CELL, ("mver=1", "whatever", "x=y=z")).dotted == "2.05"


def test_request_records(twin, client):
    """What a summary is made from: who asked what, in which format, how much, and when."""
    fix(client, _DEFINITE_CELL, ("doReply=true",))
    row = twin.records()["requests"][-1]
    assert (row["device"], row["method"], row["path"], row["query"]) == (
        twin.device,
        "FETCH",
        "loc/ground-fix",
        "doReply=true",
    )
    assert (row["code"], row["bytes_in"], row["format"], row["answer_format"]) == ("2.05", 19, 60, 60)
    assert abs(row["t"] - row["wall_ms"]) < 1000  # no world file: world time is real time
    client.request(POST, "msg/d2c/raw", payload=b"x")
    row = twin.records()["requests"][-1]
    assert (row["format"], row["answer_format"], row["bytes_out"]) == (None, None, 0)


def test_nothing_of_this_was_an_error(twin):
    """Last in the file: every refusal above was an answer, not an accident."""
    assert twin.records()["errors"] == []
