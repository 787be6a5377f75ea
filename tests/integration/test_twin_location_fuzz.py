"""Location requests that were good until something in them was changed: an answer or a refusal, never an accident."""

import json

import cbor2
from twin_support import FETCH, GET, POST

from harness.rng import Rng, seed

_ROUNDS = 400
# good requests as CBOR, with the resource that takes them
_GOOD = (
    ("loc/ground-fix", "a11381a906190136071878081a0a01f215091935210119a2120a194e200b81a50119a21202188f033859"
     "04fac10000000519012c03385904fac1080000"),
    ("loc/ground-fix", "a114a11282a20c46001839598c530e3829a20c4600215561f30a0e35"),
    ("loc/agnss", "a701880103040607080902021a0226842703f50518f406185b07385908191003"),
    ("loc/pgps", "a401182a0218f003193b1b0400"),
    ("msg/d2c", "a3016454454d5002fbc02899999999999a031b0000017bdb3cb8f8"),
    ("msg/d2c", "a30164474e535302a604fb4046c315a4acf31305fbc05eac0ee06d938106fb402e000000000000"
     "07fb3ff000000000000008fb405680000000000009fb4063e00000000000031b0000017bdb3cb8f8"),
)  # fmt: skip
_LEAVES = (
    0, 1, -1, 244, 1 << 28, 1 << 64, -(1 << 70), 1.5, float("nan"), float("inf"), True, None, "", "12", "x" * 70, b"",
    b"\x00\x18\x39\x59\x8c\x53", [], {}, [[]], {1: {}}, cbor2.undefined, cbor2.CBORTag(4, [0, 1]),
    cbor2.CBORSimpleValue(9),
)  # fmt: skip
_WORDS = ("types=", "types=2", "mask=1.5", "filtered=1", "mcc=244", "eci=-1", "predictionCount=0", "startGpsDay=1e9",
          "doReply=", "dist=-5", "hiConf=true", "fallback=0", "=", "mnc=%00", "types=1,,2")  # fmt: skip


def changed(rng, value):
    """`value` with something else in a place or two."""
    if rng.chance(4):
        return rng.choice(_LEAVES)
    if isinstance(value, dict):
        return {key if rng.chance(99) else rng.below(25): changed(rng, item) for key, item in value.items()}
    if isinstance(value, list):
        return [changed(rng, item) for item in value] * rng.choice((1, 1, 1, 1, 1, 1, 2, 7))
    return value


def body_of(rng, good):
    """Bytes of a changed request: in its values, or in the encoding."""
    data = bytearray(cbor2.dumps(changed(rng, cbor2.loads(bytes.fromhex(good)))))
    if rng.chance(15) and data:
        data[rng.below(len(data))] ^= 1 << rng.below(8)
    if rng.chance(5):
        del data[rng.below(len(data) + 1) :]
    return bytes(data)


def test_changed_requests(twin, client):
    rng = Rng(seed(20261121))
    seen = {}
    for _ in range(_ROUNDS):
        path, good = rng.choice(_GOOD)
        body, query = body_of(rng, good), [rng.choice(_WORDS) for _ in range(rng.choice((0, 0, 0, 1)))]
        form = 50 if rng.chance(5) else 60
        if path == "msg/d2c":
            answer = client.request(POST, path, query, body, form)
        else:
            answer = client.request(FETCH, path, query, body, form, 60)
            if rng.chance(10):
                client.request(GET, path, [rng.choice(_WORDS) for _ in range(3)])
        assert answer.dotted in ("2.01", "2.05", "4.00", "4.04", "4.05"), (path, body.hex(), answer.dotted)
        if answer.dotted[0] == "4":
            assert answer.json()["message"]
        seen[answer.dotted] = seen.get(answer.dotted, 0) + 1
    print(json.dumps(seen))
    assert twin.records()["errors"] == []
    assert min(seen["2.05"], seen["4.00"]) >= _ROUNDS // 40  # changed, and not beyond recognition
