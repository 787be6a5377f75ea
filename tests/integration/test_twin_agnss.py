"""The twin's assistance data: layouts and ranges by an independent decoder, filters by computed positions, forms."""

import json
import math
import struct

import cbor2
import pytest
from assistance_support import GM_GALILEO, SIZES, WEEK, decode, elevation, gps_seconds, groups, position, record
from twin_support import FETCH, GET

from godwit.twin import agnss as maker
from godwit.twin import orbits

_CELL = {2: 186369, 5: 244, 6: 12, 8: 12001}
_CELL_QUERY = ("eci=186369", "mcc=244", "mnc=12", "tac=12001")


def fetch(client, value, method=FETCH, query=(), accept=60, path="loc/agnss", cf=60):
    """The whole body of an A-GNSS request, put together from its blocks."""
    body, number = b"", 0
    data = b"" if value is None else cbor2.dumps(value) if cf == 60 else json.dumps(value).encode()
    while True:
        block = ((23, number << 4 | 6),) if number else ()
        answer = client.request(method, path, query, data, cf if data else None, accept, block)
        assert answer.dotted == "2.05", answer.payload
        assert answer.uint(12) == 42
        body += answer.payload
        if not (answer.uint(23) or 0) & 8:
            return body
        number += 1


def gps_now(twin):
    """The twin's clock in seconds since the GPS epoch."""
    return gps_seconds(twin.rest.get("/twin/health").json()["now"] // 1000)


# --- records against the published vectors ---


def test_records_of_the_vectors():
    """Clock, location and time of week, byte for byte (facts 9.2)."""
    clock = maker.clock(gps_seconds(1767225600))  # 2026-01-01T00:00:00Z
    assert maker.group(7, [clock]).hex() == "070100" + "9d41" + "12000000" + "0000" + "00000000" + "00000000"
    place = maker.location(63.4305, 10.3951, 960)
    assert maker.group(8, [place]).hex() == "080100" + "57365a00" + "5e640700" + "0000" + "3030" + "00" + "ff" + "44"
    assert maker.group(6, [maker.tow(1, 0x1234, 7)]).hex() == "060100" + "01" + "3412" + "07"


def test_integrity_of_the_vector(client):
    assert fetch(client, {1: [9]}).hex() == "01" + "09010000000000"


# --- everything there is, read by the tables ---


@pytest.fixture(scope="module")
def everything(twin):
    """All types at once, decoded, and the GPS time they were asked for at."""
    from twin_support import connected

    with connected(twin) as session:
        now = gps_now(twin)
        return decode(fetch(session, {1: list(SIZES), **_CELL})), now


def test_all_types_are_there(everything):
    parts, _ = everything
    assert sorted(parts) == sorted(SIZES)
    count = {kind: len(records) for kind, records in parts.items()}
    assert (count[2], count[3], count[6], count[15], count[14]) == (32, 31, 32, 30, 30)
    assert all(count[kind] == 1 for kind in (1, 4, 5, 7, 8, 9, 13, 16, 17))
    assert count[11] == count[12] == 5


@pytest.mark.parametrize(("kind", "first", "last"), [(2, 1, 32), (12, 193, 202), (15, 1, 36)])
def test_ephemerides_are_in_range(everything, kind, first, last):
    parts, now = everything
    assert len({eph["sv"] for eph in parts[kind]}) == len(parts[kind])
    for eph in parts[kind]:
        assert first <= eph["sv"] <= last
        assert eph["toe"] == eph["toc"] < WEEK
        assert abs((eph["toe"] - now + WEEK / 2) % WEEK - WEEK / 2) <= 3600
        assert abs(eph["af0"]) < 2**-10 and abs(eph["af1"]) < 2**-30 and abs(eph["tgd"]) < 1e-7
        assert abs(eph["idot"]) < 2e-9 and -1e-8 < eph["omega_dot"] < 0
        assert abs(eph["crs"]) < 1024 and abs(eph["crc"]) < 1024
        low, high = {2: (5153, 5154.5), 12: (6490, 6497), 15: (5440, 5441)}[kind]
        assert low < eph["sqrt_a"] < high
        degrees = math.degrees(eph["i0"])
        low, high = {2: (53, 57), 12: (0, 45), 15: (55, 57)}[kind]
        assert low < degrees < high
        assert eph["e"] < {2: 0.03, 12: 0.1, 15: 0.01}[kind]
        if kind == 2:
            assert eph["health"] == 0 and eph["iodc"] < 1024 and eph["ura"] < 16


@pytest.mark.parametrize(
    ("ephemerides", "almanacs", "inclination", "root", "limit_m"),
    [(2, 3, 0.30 * math.pi, 0, 60e3), (15, 14, math.radians(56), math.sqrt(29600000), 60e3)],
)
def test_almanac_and_ephemeris_agree(everything, ephemerides, almanacs, inclination, root, limit_m):
    """A satellite is where its ephemeris says, whichever of the two one computes it from."""
    parts, _ = everything
    gm = GM_GALILEO if ephemerides == 15 else 3.986005e14
    of = {eph["sv"]: eph for eph in parts[ephemerides]}
    nothing = dict.fromkeys(("delta_n", "idot", "crs", "cis", "cus", "crc", "cic", "cuc"), 0)
    for alm in parts[almanacs]:
        as_ephemeris = {
            **nothing, **alm, "toe": alm["toa"], "i0": inclination + alm["delta_i"], "sqrt_a": root + alm["sqrt_a"],
        }  # fmt: skip
        eph = of[alm["sv"]]
        assert math.dist(position(as_ephemeris, eph["toe"], gm), position(eph, eph["toe"], gm)) < limit_m
        assert abs(alm["af0"] - eph["af0"]) < 2e-5


def test_clock_utc_and_the_rest(everything):
    parts, now = everything
    clock, utc = parts[7][0], parts[1][0]
    assert abs(clock["day"] * 86400 + clock["second"] - now) < 5
    assert (clock["ms"], clock["sv_mask"], clock["pad"]) == (0, 0xFFFFFFFF, 0)
    assert (utc["delta_tls"], utc["wn_t"], utc["wn_lsf"], utc["dn"]) == (18, now // WEEK % 256, 137, 7)
    assert utc["tot"] < WEEK and abs(utc["a0"]) < 1e-8
    assert [tow["sv"] for tow in parts[6]] == list(range(1, 33)) and all(tow["tlm"] < 1 << 14 for tow in parts[6])
    assert 0 < parts[5][0]["ai0"] < 400
    assert all(part["mask"] == 0 for kind in (9, 13, 17) for part in parts[kind])  # a set bit means unhealthy
    assert parts[16][0]["t0g"] < WEEK and parts[16][0]["wn"] < 64


def test_location_is_that_of_the_cell(everything, client):
    parts, _ = everything
    cell = {"mcc": 244, "mnc": 12, "tac": 12001, "eci": 186369}
    fix = client.request(FETCH, "loc/ground-fix", payload=json.dumps({"lte": [cell]}).encode(), cf=50).json()
    place = parts[8][0]
    assert (place["lat"], place["lon"]) == pytest.approx((fix["lat"], fix["lon"]), abs=3e-5)
    radius = 10 * (1.1 ** place["major"] - 1)
    assert fix["uncertainty"] <= radius < fix["uncertainty"] * 1.11
    assert (place["minor"], place["unc_alt"], place["confidence"]) == (place["major"], 255, 68)


def test_motion_is_one_motion():
    """Ephemerides of different epochs describe one orbit: also over the end of a week, and of the 1024 weeks."""
    week = 2430 * WEEK
    for start in (week + 300000, week - 7200, 2048 * WEEK - 7200):
        for system, gm in (("gps", 3.986005e14), ("qzss", 3.986005e14)):
            for orbit in orbits.SATELLITES[system]:
                one, other = (record(2, maker.ephemeris(orbit, start + n * 7200)) for n in (0, 2))
                middle = (start + 7200) % WEEK
                assert math.dist(position(one, middle, gm), position(other, middle, gm)) < 50


# --- filters ---


@pytest.mark.parametrize("mask", [0, 5, 30, 60])
@pytest.mark.parametrize("cell", [_CELL, {2: 5 << 8, 5: 530, 6: 1, 8: 7}])
def test_filtered_are_those_above_the_mask(twin, client, mask, cell):
    """Who is sent is decided by where the satellites are over the cell, computed here from their ephemerides."""
    all_of_them = decode(fetch(client, {1: [2, 8], **cell}))
    place = all_of_them[8][0]
    now = gps_now(twin)
    height = {eph["sv"]: elevation(position(eph, now % WEEK), place["lat"], place["lon"]) for eph in all_of_them[2]}
    wanted = {sv for sv, degrees in sorted(height.items(), key=lambda item: -item[1])[:16] if degrees >= mask}
    got = {eph["sv"] for eph in decode(fetch(client, {1: [2], 3: True, 4: mask, **cell})).get(2, ())}
    # satellites pass the mask while we compute: those within a twentieth of a degree may be either way
    assert all(abs(height[sv] - mask) < 0.05 for sv in got ^ wanted)
    assert len(got) <= 16
    if mask <= 5:
        assert len(got) >= 5


def test_filter_needs_the_cell(client):
    for cell in ({}, {2: 186369}, {5: 244, 6: 12, 8: 12001}):
        answer = client.request(FETCH, "loc/agnss", payload=cbor2.dumps({1: [2], 3: True, **cell}), cf=60)
        assert (answer.dotted, answer.json()["code"]) == ("4.00", 42200)


# --- forms ---


def test_sample_requests_of_the_device_library(client):
    value = cbor2.loads(bytes.fromhex("a701880103040607080902021a0226842703f50518f406185b07385908191003"))
    parts = groups(fetch(client, value))
    assert [kind for kind, _ in parts] == [1, 3, 4, 6, 7, 8, 9, 2]
    assert 4 <= len(dict(parts)[2]) <= 16
    indefinite = bytes.fromhex("bf019f02ff021a022684270518f406185b08191003ff")
    assert client.request(FETCH, "loc/agnss", payload=indefinite, cf=60).dotted == "2.05"


def test_tow_comes_before_the_clock(client):
    assert [kind for kind, _ in groups(fetch(client, {1: [7, 9, 6]}))] == [6, 7, 9]
    alone = groups(fetch(client, {1: [7]}))
    assert struct.unpack("<HIHII", alone[0][1][0])[3] == 0  # no time of week was sent, so none is valid


def test_default_types(client):
    default = [1, 2, 3, 4, 6, 7, 9]
    assert [kind for kind, _ in groups(fetch(client, None, GET, accept=None))] == default
    assert [kind for kind, _ in groups(fetch(client, {}))] == default


def test_without_cell_there_is_no_location(client):
    assert [kind for kind, _ in groups(fetch(client, {1: [8, 9]}))] == [9]
    assert fetch(client, {1: [8]}) == b"\x01"


@pytest.mark.parametrize("path", ["loc/agnss", "loc/agps"])
def test_every_parameter_in_the_query(client, path):
    """GET knows what FETCH knows: types repeated or with commas, and every other parameter."""
    assert [kind for kind, _ in groups(fetch(client, None, GET, ("types=9", "types=4,7"), path=path))] == [9, 4, 7]
    query = ("types=2", "types=8", *_CELL_QUERY, "rsrp=-90", "filtered=true", "mask=20.5")
    parts = decode(fetch(client, None, GET, query, path=path))
    assert 1 <= len(parts[2]) <= 16 and 59 < parts[8][0]["lat"] < 62
    less = decode(fetch(client, None, GET, (*query[:-1], "mask=0"), path=path))
    assert len(less[2]) > len(parts[2])


@pytest.mark.parametrize("path", ["loc/agnss", "loc/agps"])
def test_fetch_in_json(client, path):
    body = {"types": [2, 8], "mcc": 244, "mnc": "12", "tac": 12001, "eci": 186369, "filtered": True, "rsrp": -90.5}
    parts = decode(fetch(client, body, path=path, cf=50))
    assert len(parts[2]) <= 16 and 59 < parts[8][0]["lat"] < 62


def test_reserved_type_and_repeated_types(client):
    assert [kind for kind, _ in groups(fetch(client, {1: [10, 9, 9]}))] == [9]


@pytest.mark.parametrize(
    "body",
    [
        {1: []},
        {1: [0]},
        {1: [18]},
        {1: ["2"]},
        {1: [2.0]},
        {1: 2},
        {1: [2], 3: True},
        {1: [2], 4: 91},
        {1: [2], 2: 1 << 28},
        {1: [2], 3: 1},
        {1: [2], 7: -200},
        {99: 1},
        {"types": [2]},
        [2],
        5,
    ],
)
def test_bad_request(client, body):
    answer = client.request(FETCH, "loc/agnss", payload=cbor2.dumps(body), cf=60)
    assert (answer.dotted, answer.uint(12), answer.json()["code"]) == ("4.00", 50, 42200)


def test_bad_query(client):
    for query in ("types=x", "types=", "types=99999999999999999999", "types=18", "mask=--1", "filtered=perhaps"):
        answer = client.request(GET, "loc/agnss", (query,))
        assert (answer.dotted, answer.json()["code"]) == ("4.00", 42200), query
    assert client.request(GET, "loc/agnss", ("types=9",), accept=0).dotted == "4.06"


def test_nothing_of_this_was_an_error(twin):
    """Last in the file: every refusal above was an answer, not an accident."""
    assert twin.records()["errors"] == []
