"""Faults that the endpoint matrix does not meet, as the device meets them: lib/cloud/nrfcloud over AT and DTLS.

Whatever the twin does wrong, each request ends with its value or with a named error, and no message is stored twice.
"""

import json

import pytest
from cloud_rig import DeviceError, cloud_rig

NEED = "{'flags': 0x02, 'systems': {}}"  # Klobuchar alone: 12 bytes


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    with cloud_rig(tmp_path_factory.mktemp("faults"), "host") as made:
        yield made
        assert made.twin.records()["errors"] == []


def send(rig, text):
    """One message; -> the requests that the twin saw for it."""
    return rig.since(f"cloud.send('d2c', {json.dumps({'appId': text}).encode()!r})")[1]


def stored(rig, text):
    return rig.twin.rest.get("/v1/messages", params={"appId": text}).json()["total"]


@pytest.mark.parametrize(
    "faults",
    [
        {"repeat_answer": [1]},
        {"repeat_down": [1], "repeat_up": [1]},
        {"drop_down": [1]},
        {"drop_up": [1]},
        {"swap_down": [1]},
        {"separate_ms": 300},
        {"delay_ms": 1500},
    ],
)
def test_one_message_stays_one(rig, faults):
    """Lost, repeated, late or separate: the device is told once that its message arrived, and it is stored once."""
    name = "F" + "".join(faults)[:20]
    rig.twin.faults(**faults)
    try:
        assert [(row["path"], row["code"]) for row in send(rig, name)] == [("msg/d2c", "2.01")]
        struck = rig.twin.rest.get("/twin/faults").json()["struck"]
        assert all(struck.get(fault, 0) >= 1 for fault in faults)
    finally:
        rig.twin.faults(separate_ms=0, delay_ms=0)
    assert stored(rig, name) == 1
    assert len(send(rig, name + "2")) == 1  # and nothing of it disturbs the next one


def test_session_that_expires_at_a_request(rig):
    rig.twin.faults(unauthorized=[2])
    assert [row["code"] for row in send(rig, "U1")] == ["2.01"]
    assert [(row["path"], row["code"]) for row in send(rig, "U2")] == [
        ("msg/d2c", "4.01"),
        ("auth/jwt", "2.01"),
        ("msg/d2c", "2.01"),
    ]
    assert (stored(rig, "U1"), stored(rig, "U2")) == (1, 1)


def test_session_that_is_forgotten(rig):
    """Nobody says so, and no answer comes; a new session carries the message."""
    rig.twin.faults(lose_session=[1])
    with pytest.raises(DeviceError) as caught:
        rig.do("asyncio.wait_for(cloud.send('d2c', b'{\"appId\": \"L1\"}'), 2)")
    assert caught.value.name == "TimeoutError"
    rig.do("rig.all(cloud.close(), cloud.open())")
    assert send(rig, "L1")[-1]["code"] == "2.01"
    assert stored(rig, "L1") == 1


def test_one_bit_of_a_block(rig):
    """CoAP cannot notice; what was downloaded is wrong in one place, which the image's digest is there for."""
    data = bytes(n % 256 for n in range(6000))
    uri = rig.twin.upload(data)[1]
    rig.twin.faults(corrupt_block=[2])
    count = rig.do(f"cloud.proxy_read({uri!r}, 0, mv)")
    got = bytes.fromhex(rig.do(f"mv[:{count}]"))
    assert [n for n in range(count) if got[n] != data[n]] == [1024 + 512]


def test_assistance_of_a_type_that_nobody_knows(rig):
    """It is fetched as it is; who reads it stops at the group that it does not know."""
    rig.keep("parts", f"cloud.assistance_parts({NEED}, None, {{}})")
    good = rig.do("cloud.assistance(parts[0], None, mv)")
    rig.twin.faults(agnss_unknown=42)
    try:
        assert rig.do("cloud.assistance(parts[0], None, mv)") == good + 3 + 13
    finally:
        rig.twin.faults(agnss_unknown=0)
    assert rig.do("cloud.assistance(parts[0], None, mv)") == good


def test_predictions_that_begin_too_early(rig, tmp_path):
    """Stale data of the server is refused by name."""
    rig.twin.faults(pgps_stale_days=9)
    try:
        with pytest.raises(DeviceError, match="stale") as caught:
            job = rig.do(f"cloud.predictions_due('{tmp_path}', 2)")
            rig.do(f"cloud.predictions('{tmp_path}', {job}, mv)")
        assert caught.value.name == "CloudError"
    finally:
        rig.twin.faults(pgps_stale_days=0)
