"""Facts are what the records say: block accounting around a power cut, distances, and a derivation from raw records."""

import random
import sys

import pytest
from day_support import TOOLS

sys.path.insert(0, str(TOOLS))
from godwit.day.facts import derive, merge, of_download, worst_distance

DEVICE = "nrf-359746166000016"
KB = 1024


def blocks(*spans, t=0):
    """Blocks of 1 KiB that cover [start, end) spans given in KiB, one millisecond apart."""
    return [[t + n, 1, at * KB, KB] for n, at in enumerate(at for start, end in spans for at in range(start, end))]


@pytest.mark.parametrize(
    ("spans", "merged"),
    [
        ([], []),
        ([(0, 5)], [(0, 5)]),
        ([(5, 9), (0, 5)], [(0, 9)]),
        ([(0, 9), (2, 3)], [(0, 9)]),
        ([(0, 2), (4, 6)], [(0, 2), (4, 6)]),
    ],
)
def test_merge(spans, merged):
    assert merge(spans) == merged


def test_merge_against_a_set_of_bytes():
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(200):
        spans = [(a, a + rng.randrange(1, 9)) for a in (rng.randrange(40) for _ in range(rng.randrange(8)))]
        told = merge(spans)
        assert {n for a, b in told for n in range(a, b)} == {n for a, b in spans for n in range(a, b)}
        assert all(b1 < a2 for (_, b1), (a2, _) in zip(told, told[1:]))


CUT = 1000
AFTER = 2000


@pytest.mark.parametrize(
    ("name", "served", "wanted"),
    [
        (
            "head read again, then on from the flash block",
            blocks((0, 50)) + blocks((0, 2), (48, 100), t=AFTER),
            {"covered": 100 * KB, "before_cut": 50 * KB, "resumed_at": 48 * KB, "refetched": 2 * KB},
        ),
        (
            "head kept on flash",
            blocks((0, 50)) + blocks((50, 100), t=AFTER),
            {"covered": 100 * KB, "before_cut": 50 * KB, "resumed_at": 50 * KB, "refetched": 0},
        ),
        (
            "started over: no resumption at all",
            blocks((0, 50)) + blocks((0, 100), t=AFTER),
            {"covered": 100 * KB, "before_cut": 50 * KB, "resumed_at": None, "refetched": 0},
        ),
        (
            "resumed far too early",
            blocks((0, 50)) + blocks((0, 2), (10, 100), t=AFTER),
            {"covered": 100 * KB, "before_cut": 50 * KB, "resumed_at": 10 * KB, "refetched": 40 * KB},
        ),
        (
            "nothing after the cut",
            blocks((0, 50)),
            {"covered": 50 * KB, "before_cut": 50 * KB, "resumed_at": None, "refetched": 0},
        ),
        (
            "a hole",
            blocks((0, 50)) + blocks((60, 100), t=AFTER),
            {"covered": 90 * KB, "before_cut": 50 * KB, "resumed_at": 60 * KB, "refetched": 0},
        ),
    ],
)
def test_download_accounting(name, served, wanted):
    told = of_download(served, CUT)
    assert {key: told[key] for key in wanted} == wanted, name
    assert told["served"] == len(served) * KB
    assert told["last_block_t"] == served[-1][0]


def test_download_without_a_cut():
    told = of_download(blocks((0, 10)), None)
    assert (told["before_cut"], told["resumed_at"], told["covered"]) == (0, None, 10 * KB)


def place(service, time, lat, lon):
    return {"serviceType": service, "insertedAt": f"2026-01-01T{time}:00.000Z", "lat": str(lat), "lon": str(lon)}


def test_distance_to_the_cell_fix_of_the_same_quarter():
    near = [place("SCELL", "01:00", 54.0, 9.0), place("MCELL", "01:20", 55.0, 9.0)]
    north = place("GNSS", "01:02", 54.0 + 1 / 111.195, 9.0)
    assert worst_distance(near + [north]) == pytest.approx(1000, abs=2)
    assert worst_distance(near + [north, place("GNSS", "01:19", 54.0, 9.0)]) == pytest.approx(111_195, abs=100)
    assert worst_distance(near + [north, place("GNSS", "09:00", 0, 0)]) == pytest.approx(1000, abs=2)
    assert worst_distance(near) is None
    assert worst_distance(near + [place("GNSS", "09:00", 54, 9)]) is None
    assert worst_distance([place("GNSS", "01:00", 54, 9)]) is None


def records():
    """Raw records of a small day in the twin's shape."""

    def request(t, method, path, code, **more):
        row = {"t": t, "session": 1, "device": DEVICE, "method": method, "path": path, "query": "", "code": code}
        return {**row, "bytes_in": 10, "bytes_out": 20, "format": None, **more}

    history = [(10, "QUEUED"), (20, "IN_PROGRESS"), (4000, "SUCCEEDED")]
    return {
        "totals": {"handshakes": 2, "bytes_up": 1, "bytes_down": 2, "datagrams_up": 3, "datagrams_down": 4},
        "handshake_failures": [{"t": 1, "addr": "a", "reason": "alert"}],
        "errors": [],
        "auth": [
            {"t": 1, "device": DEVICE, "reason": None},
            {"t": 2, "device": DEVICE, "reason": "token expired"},
            {"t": 3000, "device": DEVICE, "reason": None},
            {"t": 5000, "device": DEVICE, "reason": None},
            {"t": 3500, "device": "somebody-else", "reason": None},
        ],
        "requests": [
            request(1, "GET", "state", "2.05"),
            request(1, "GET", "state", "4.01"),
            request(1, "POST", "msg/d2c", "2.01", format=60),
            request(1, "POST", "msg/d2c", "2.01", format=50),
            request(1, "POST", "msg/d2c/bulk", "2.01", format=60),
            request(1, "POST", "msg/d2c/bulk", "4.00", format=60),
            request(1, "FETCH", "loc/ground-fix", "2.05", format=60),
            request(1, "FETCH", "loc/ground-fix", "4.04", format=60),
            request(1, "FETCH", "loc/agnss", "2.05", format=60),
            request(1, "GET", "fota/exec/current", "4.04"),
            request(1, "GET", "fota/exec/current", "2.05", device="somebody-else"),
        ],
        "devices": {
            DEVICE: {
                "messages": {"TEMP": 3},
                "fixes": {"GNSS": 2, "SCELL": 1, "MCELL": 1},
                "executions": [
                    {
                        "job": "j",
                        "status": "SUCCEEDED",
                        "detail": None,
                        "document": {"fileSize": 4 * KB, "path": "p", "host": "h"},
                        "history": [{"t": t, "status": status} for t, status in history],
                    }
                ],
                "downloads": [
                    {"path": "other", "blocks": blocks((0, 9))},
                    {"path": "p", "blocks": blocks((0, 2)) + blocks((2, 4), t=AFTER)},
                ],
            }
        },
    }


def heap_message(value, app="HEAP"):
    return {"message": {"appId": app, "data": value}}


def test_derive():
    document = {"state": {"version": 7, "reported": {"device": {"deviceInfo": {"appVersion": "1.1.0"}}}, "desired": {}}}
    messages = [heap_message(5), heap_message("70000"), heap_message(9e9, "TEMP"), heap_message("x")]
    messages.append({"message": "a raw one"})
    messages += [{"message": {"appId": "ALERT", "type": kind}} for kind in (1, 1, 7, 100)]
    whole, bare = {"lat": 1, "lng": 2, "acc": 5.5, "spd": 0, "hdg": 90}, {"lat": 1, "lng": 2, "acc": 0}
    for ts, data in ((7, whole), (8, bare), (7, whole)):
        messages.append({"message": {"appId": "GNSS", "data": data, "ts": ts}})
    messages += [{"message": {"appId": "FIX", "data": f"method=gnss assistance={how} ttff_s=6", "ts": ts}}
                 for ts, how in ((7, "agnss"), (7, "agnss"), (9, "pgps"))]  # fmt: skip
    facts = derive(records(), document, [], messages, DEVICE, "j", CUT)
    told = {name: facts["gnss"][name] for name in ("accurate", "moving", "unexplained", "by")}
    assert told == {"accurate": 1, "moving": 1, "unexplained": 1, "by": {"agnss": 1}}
    assert facts["auth"] == {"accepted": 4, "refused": 1, "reasons": ["token expired"]}
    assert facts["requests"] == {"total": 11, "delta_fetches": 1, "d2c_cbor": 1, "bulk_cbor": 1}
    assert facts["alerts"] == {"online": 2, "died": 1}
    assert facts["ground_fix"] == {"answered": 1, "stored": 2}
    assert facts["agnss"] == {"answered": 1, "bytes": 20}
    assert (facts["gnss"]["stored"], facts["heap"]["peak"]) == (2, 70000)
    assert (facts["shadow"]["version"], facts["shadow"]["app_version"], facts["shadow"]["delta"]) == (7, "1.1.0", {})
    fota = facts["fota"]
    assert fota["history"] == ["QUEUED", "IN_PROGRESS", "SUCCEEDED"]
    assert (fota["polls"], fota["size"], fota["covered"], fota["resumed_at"]) == (1, 4 * KB, 4 * KB, 2 * KB)
    assert (fota["auth_before_success_t"], fota["succeeded_t"]) == (3000, 4000)


def test_derive_of_a_device_that_the_cloud_does_not_know():
    raw = records()
    raw["devices"] = {}
    facts = derive(raw, {}, [], [], DEVICE, None, None)
    assert facts["messages"] == {} and facts["fota"]["history"] == [] and facts["heap"]["peak"] is None
