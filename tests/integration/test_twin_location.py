"""The twin's location services: ground fix and A-GNSS; published vectors, formats, quirks, bad input."""

import json
import struct

import cbor2
import pytest
from twin_support import FETCH, GET, POST

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
        ({19: [{6: 1, 7: 1, 8: 1, 9: 1}]}, "4.04"),  # a test network is nowhere
    ],
)
def test_ground_fix_bad_body(client, body, code):
    assert fix(client, body).dotted == code


def test_ground_fix_formats(client):
    assert fix(client, _DEFINITE_CELL, accept=42).dotted == "4.06"
    assert fix(client, _DEFINITE_CELL, accept=0).dotted == "4.06"
    assert fix(client, _DEFINITE_CELL, cf=42).dotted == "4.15"
    assert fix(client, _DEFINITE_CELL, ("doReply=maybe",)).dotted == "4.00"
    assert fix(client, _DEFINITE_CELL, ("mver=1", "whatever", "x=y=z")).dotted == "2.05"


# --- A-GNSS ---

_SIZES = {1: 14, 2: 62, 3: 31, 4: 8, 5: 8, 6: 4, 7: 16, 8: 15, 9: 4, 11: 31, 12: 62, 13: 4, 14: 24, 15: 61, 16: 8}
_SIZES[17] = 8


def agnss(client, value, method=FETCH, query=(), accept=60):
    """The whole body of an A-GNSS request, put together from its blocks."""
    body, number = b"", 0
    while True:
        block = ((23, number << 4 | 6),) if number else ()
        data = cbor2.dumps(value) if value is not None else b""
        answer = client.request(method, "loc/agnss", query, data, 60 if data else None, accept, block)
        assert answer.dotted == "2.05", answer.payload
        assert answer.uint(12) == 42
        body += answer.payload
        if not (answer.uint(23) or 0) & 8:
            return body
        number += 1


def groups(body):
    """[(type, [record, ...])] of a body; fails when it does not come out even."""
    assert body[0] == 1
    at, result = 1, []
    while at < len(body):
        kind, count = struct.unpack_from("<BH", body, at)
        at += 3
        size = _SIZES[kind]
        result.append((kind, [body[at + i * size : at + (i + 1) * size] for i in range(count)]))
        at += count * size
    assert at == len(body)
    return result


def test_agnss_sample_request(client):
    """types 1, 3, 4, 6, 7, 8, 9, 2, filtered: the vector of the device library's tests."""
    value = cbor2.loads(bytes.fromhex("a701880103040607080902021a0226842703f50518f406185b07385908191003"))
    parts = groups(agnss(client, value))
    assert [kind for kind, _ in parts] == [1, 3, 4, 6, 7, 8, 9, 2]
    assert 4 <= len(dict(parts)[2]) <= 16
    indefinite = bytes.fromhex("bf019f02ff021a022684270518f406185b08191003ff")
    assert client.request(FETCH, "loc/agnss", payload=indefinite, cf=60).dotted == "2.05"


def test_agnss_all_types_are_in_range(client):
    types = list(_SIZES)
    parts = dict(groups(agnss(client, {1: types, 2: 186369, 5: 244, 6: 12, 8: 12001})))
    assert sorted(parts) == sorted(types)
    for record in parts[2] + parts[12]:
        prn, health, iodc, toc = struct.unpack_from("<BBHH", record)
        toe, e, sqrt_a = (struct.unpack_from(code, record, at)[0] for code, at in (("<H", 16), ("<I", 32), ("<I", 38)))
        assert 1 <= prn <= 32 or 193 <= prn <= 202
        assert health == 0 and iodc < 1024 and toc * 16 < 604800 and toe == toc
        assert e * 2.0**-33 < 0.03 and abs(sqrt_a * 2.0**-19 - 5153.65) < 1
    assert len({record[0] for record in parts[2]}) == 32
    assert parts[9] == [bytes(4)] and parts[13] == [bytes(4)]  # a set bit means unhealthy


def test_agnss_time_and_place(twin, client):
    now = twin.rest.get("/twin/health").json()["now"] // 1000
    parts = groups(agnss(client, {1: [7, 6, 8], 2: 167899669, 5: 310, 6: 120, 8: 13601}))
    assert [kind for kind, _ in parts] == [6, 7, 8]  # TOW comes before the clock, whatever was asked
    day, second, frac, mask = struct.unpack("<HIHI4x", parts[1][1][0])
    assert abs(day * 86400 + second - (now - 315964800 + 18)) < 3
    assert (frac, mask) == (0, 0xFFFFFFFF)
    lat, lon = struct.unpack_from("<ii", parts[2][1][0])
    assert (lat * 90 / 2**23, lon * 360 / 2**24) == pytest.approx((45.524098, -122.688408), abs=3e-5)


def test_agnss_without_cell_has_no_location(client):
    assert [kind for kind, _ in groups(agnss(client, {1: [8, 9]}))] == [9]
    assert agnss(client, {1: [8]}) == b"\x01"


def test_agnss_by_get_and_old_name(client):
    assert groups(agnss(client, None, GET, ("types=9", "types=4,7")))[0] == (9, [bytes(4)])
    assert [kind for kind, _ in groups(agnss(client, None, GET, accept=None))] == [1, 2, 3, 4, 6, 7, 9]
    assert client.request(GET, "loc/agps", ("types=4",)).payload[:4] == b"\x01\x04\x01\x00"
    assert client.request(FETCH, "loc/agnss", payload=b'{"types":[4]}', cf=50).payload[:4] == b"\x01\x04\x01\x00"


@pytest.mark.parametrize(
    "body",
    [
        {1: []},
        {1: [10]},
        {1: [18]},
        {1: [2, 2]},
        {1: ["2"]},
        {1: 2},
        {1: [2], 3: True},
        {1: [2], 4: 91},
        {1: [2], 2: 1 << 28},
        {99: 1},
        {"types": [2]},
        [2],
        5,
    ],
)
def test_agnss_bad_request(client, body):
    answer = client.request(FETCH, "loc/agnss", payload=cbor2.dumps(body), cf=60)
    assert (answer.dotted, answer.json()["code"]) == ("4.00", 42200)


def test_agnss_bad_query(client):
    for query in ("types=x", "types=", "types=99999999999999999999", "mask=--1", "filtered=perhaps"):
        assert client.request(GET, "loc/agnss", (query,)).dotted == "4.00", query
    assert client.request(GET, "loc/agnss", ("types=9",), accept=0).dotted == "4.06"


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
