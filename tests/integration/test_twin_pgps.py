"""The twin's predictions: requests and answers byte for byte, limits, and the file through /proxy by an own decoder."""

import json
import math
import struct
import time

import cbor2
import pytest
from assistance_support import DAY, GPS_EPOCH, HEADER, LEAP_SECONDS, WEEK, position, predictions, record
from twin_support import FETCH, GET, connected, running

# 42 predictions of 240 minutes from GPS day 15131, second 0 (facts 5.4)
_REQUEST = bytes.fromhex("a401182a0218f003193b1b0400")
_ANSWER = (
    "a20171706770732e6e7266636c6f75642e636f6d02781e7075626c69632f31353133312d305f31353133352d37323030302e62696e"
)
_HEADER = "010a01002a00d607f0001b3b00000000"
_DAY = 15131
_HOST = "https://pgps.nrfcloud.com/"


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    """A twin that lives on GPS day 15131, the day of the published samples."""
    directory = tmp_path_factory.mktemp("twin")
    wanted = GPS_EPOCH - LEAP_SECONDS + _DAY * DAY + 3600
    world = directory / "world"
    world.write_bytes(struct.pack("<qq", (wanted - int(time.time())) * 1000, 0))
    with running(directory, "--world", str(world)) as process:
        yield process


def ask(client, value, accept=60, cf=60):
    body = value if isinstance(value, bytes) else cbor2.dumps(value) if cf == 60 else json.dumps(value).encode()
    return client.request(FETCH, "loc/pgps", payload=body, cf=cf, accept=accept)


def download(client, path, exponent=6, offset=0):
    """A file through /proxy, and the Size2 of its first block."""
    data, number, size2 = b"", 0, None
    query = (f"offset={offset}",) if offset else ()
    while True:
        options = [(23, number << 4 | exponent), (35, (_HOST + path).encode())]
        if not number:
            options.append((28, 0))
        answer = client.request(GET, "proxy", query, options=options)
        assert answer.dotted == "2.05", (number, answer.payload)
        size2 = answer.uint(28) if not number else size2
        assert answer.uint(23) & ~8 == number << 4 | exponent
        data += answer.payload
        if not answer.uint(23) & 8:
            return data, size2
        number += 1


# --- requests ---


def test_published_request(client):
    answer = ask(client, _REQUEST)
    assert (answer.dotted, answer.uint(12)) == ("2.05", 60)
    assert cbor2.loads(answer.payload) == {1: "pgps.nrfcloud.com", 2: "public/15131-0_15137-72000.bin"}


def test_published_answer(client):
    """30 predictions end on the day and second of the published answer."""
    answer = ask(client, {1: 30, 2: 240, 3: _DAY, 4: 0})
    assert answer.payload.hex() == _ANSWER


def test_forms(client):
    where = {"host": "pgps.nrfcloud.com", "path": "public/15132-14400_15133-0.bin"}
    json_request = {"predictionCount": 6, "startGpsDay": 15132, "startGpsTimeOfDaySeconds": 14400}
    cbor_request = {1: 6, 2: 240, 3: 15132, 4: 14400}
    assert ask(client, json_request, None, 50).json() == where
    assert cbor2.loads(ask(client, json_request, 60, 50).payload) == {1: where["host"], 2: where["path"]}
    assert ask(client, cbor_request, 50).json() == where
    assert ask(client, cbor_request, None).uint(12) == 60
    query = [f"{name}={value}" for name, value in json_request.items()]
    answer = client.request(GET, "loc/pgps", query)
    assert (answer.uint(12), answer.json()) == (50, where)


def test_defaults(client):
    """Nothing given: 42 predictions from the beginning of today."""
    everything = "public/15131-0_15137-72000.bin"
    assert client.request(GET, "loc/pgps").json()["path"] == everything
    assert ask(client, {}, None, 50).json()["path"] == everything
    assert client.request(GET, "loc/pgps", ("predictionCount=1",)).json()["path"] == "public/15131-0.bin"


@pytest.mark.parametrize(
    "value",
    [
        {1: 0, 2: 240, 3: _DAY, 4: 0},
        {1: 43, 2: 240, 3: _DAY, 4: 0},
        {1: 42, 2: 120, 3: _DAY, 4: 0},
        {1: 42, 2: 240, 3: _DAY - 1, 4: 0},
        {1: 42, 2: 240, 3: _DAY + 7, 4: 0},
        {1: 42, 2: 240, 3: _DAY, 4: 86400},
        {1: 42, 2: 240, 3: _DAY, 4: -1},
        {1: 42.5, 2: 240, 3: _DAY, 4: 0},
        {1: float("nan"), 2: 240, 3: _DAY, 4: 0},
        {1: True, 2: 240, 3: _DAY, 4: 0},
        {1: 42, 2: 240, 3: _DAY},
        {1: 42, 2: 240, 3: _DAY, 4: 0, 5: 0},
        [42],
    ],
)
def test_limits(client, value):
    answer = ask(client, value)
    assert (answer.dotted, answer.uint(12), answer.json()["code"]) == ("4.00", 50, 42200)


def test_limits_in_json_and_query(client):
    assert ask(client, {"predictionCount": 43}, None, 50).json()["code"] == 42200
    assert client.request(GET, "loc/pgps", ("predictionCount=many",)).json()["code"] == 42200
    assert client.request(GET, "loc/pgps", accept=42).dotted == "4.06"
    assert ask(client, b"\xff").dotted == "4.00"


# --- the file ---


@pytest.fixture(scope="module")
def whole(twin):
    """The file of the published request and its Size2."""
    with connected(twin) as client:
        return download(client, cbor2.loads(ask(client, _REQUEST).payload)[2])


def test_header_and_size(whole):
    data, size2 = whole
    assert data[:16].hex() == _HEADER
    assert len(data) == size2 == 16 + 42 * 2006


def test_every_prediction_is_of_its_epoch(whole):
    head, parts = predictions(whole[0])
    assert head == (1, 10, 1, 42, 2006, 240, _DAY, 0)
    for n, (clock, records) in enumerate(parts):
        epoch = _DAY * DAY + n * 14400
        assert (clock["day"], clock["second"]) == divmod(epoch, DAY)
        assert (clock["ms"], clock["sv_mask"], clock["pad"]) == (0, 0, 0)
        assert [data[0] for data in records] == list(range(1, 33))
        good = [record(2, data) for data in records if any(data[1:])]
        assert {eph["toe"] for eph in good} == {epoch % WEEK}
        assert 30 <= len(good) <= 31  # somebody is always missing


def test_satellites_without_data_are_zero(whole):
    missing = [{data[0] for data in records if not any(data[1:])} for _, records in predictions(whole[0])[1]]
    assert set.intersection(*missing) == {23}
    assert len(set.union(*missing)) > 4  # and another one every day
    assert all(day == missing[n - n % 6] for n, day in enumerate(missing))


def test_predictions_are_one_motion(whole):
    """Half way between two predictions both say the same, within the few metres that the scales leave."""
    parts = predictions(whole[0])[1]
    for n in range(41):
        middle = (_DAY * DAY + n * 14400 + 7200) % WEEK
        for one, other in zip(parts[n][1], parts[n + 1][1], strict=True):
            if any(one[1:]) and any(other[1:]):
                places = [position(record(2, data), middle) for data in (one, other)]
                assert math.dist(*places) < 50


@pytest.mark.parametrize(("exponent", "offset"), [(2, 16 + 41 * 2006), (4, 80000), (5, 70001), (6, 2022), (6, 84267)])
def test_any_block_size_and_offset(client, whole, exponent, offset):
    data, size2 = download(client, "public/15131-0_15137-72000.bin", exponent, offset)
    assert data == whole[0][offset:]
    assert size2 == len(whole[0]) - offset


def test_tail(client, whole):
    """The last predictions of a week, asked for alone, are those of the whole."""
    path = cbor2.loads(ask(client, {1: 6, 2: 240, 3: _DAY + 6, 4: 0}).payload)[2]
    assert path == "public/15137-0_15137-72000.bin"
    data, _ = download(client, path)
    assert HEADER.unpack_from(data) == (1, 10, 1, 6, 2006, 240, _DAY + 6, 0)
    assert data[16:] == whole[0][-6 * 2006 :]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("public/16096-14400.bin", "2.05"),
        ("public/15131-0_15144-72000.bin", "2.05"),  # two weeks in one name
        ("public/15131-0_15145-0.bin", "4.04"),
        ("public/15131-0_15131-14401.bin", "4.04"),
        ("public/15131-0_15130-72000.bin", "4.04"),
        ("public/15131-86400.bin", "4.04"),
        ("public/40000-0.bin", "4.04"),
        ("public/15131.bin", "4.04"),
        ("private/15131-0.bin", "4.04"),
        ("", "4.04"),
    ],
)
def test_names(client, path, code):
    assert client.request(GET, "proxy", options=[(35, (_HOST + path).encode())]).dotted == code


def test_other_host_is_refused_by_the_proxy(client):
    """REST may name this host; /proxy does not serve it (facts 16)."""
    uri = b"https://pgnss.nrfcloud.com/public/15131-0.bin"
    assert client.request(GET, "proxy", options=[(35, uri)]).dotted == "4.03"


def test_download_is_in_the_records(twin, whole):
    found = [item for item in twin.records()["devices"][twin.device]["downloads"] if item["host"][:5] == "pgps."]
    item = next(item for item in found if item["path"] == "public/15131-0_15137-72000.bin")
    assert item["size"] == item["distinct"] == len(whole[0])


def test_nothing_of_this_was_an_error(twin):
    """Last in the file: every refusal above was an answer, not an accident."""
    assert twin.records()["errors"] == []
