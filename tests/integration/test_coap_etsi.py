"""The client cases of ETSI's CoAP plugtests (facts/coap.md 5.1) against servers that others wrote: aiocoap and node's.

One case is a list of steps of net_device.py and what each must give: a dict of which every entry must be equal. The
names CORE_01 .. OBS_10 are the plugtests' own; where a case looks at the server, `journal` and `watchers` say at what.
"""

from dataclasses import dataclass, field

import pytest
from coap_site import LARGE, aiocoap_peer, large_note
from net_support import device, fill, sha, wait_until
from node_peer import node_peer

from harness.impair import Impairment

SEED = 7
GET, PUT, POST, DELETE = (
    {"do": "request", "method": method, "path": "test"} for method in ("GET", "PUT", "POST", "DELETE")
)
NON = {"confirmable": False}
SLOW = {"do": "request", "path": "separate"}
TEXT = {"text": "hello", "content_format": 0}


@dataclass
class Case:
    """steps and what each gives; tuning of the client; dropped: datagrams of the client that are lost for certain;
    journal: (method, path, body) carried out by the server, in order; only: the one peer that can do it."""

    steps: list
    results: list
    tuning: dict = field(default_factory=dict)
    dropped: tuple = ()
    journal: list | None = None
    only: str | None = None


def one(step, result, **how):
    return Case([step], [result], **how)


def put(path, text, **how):
    return {"do": "request", "method": "PUT", "path": path, "text": text, **how}


def watch(path, *pokes, **how):
    """Observe, with one step after each notification, until there is one notification more than steps."""
    return {"do": "observe", "path": path, "pokes": [[poke] for poke in pokes], "notes": len(pokes) + 1, **how}


CHANGED, CREATED, DELETED, CONTENT = ({"code": code} for code in (0x44, 0x41, 0x42, 0x45))
COAP = {"code": 0x45, "text": "CoAP", "format": 0}
BODY = {"size": 5000, "sha256": sha(LARGE)}
WANT = {"want": [4, 8, 20]}
CASES = {
    "CORE_01 GET": one(GET, COAP),
    "CORE_02 DELETE": one(DELETE, DELETED, journal=[("DELETE", "test", b"")]),
    "CORE_03 PUT": one({**PUT, **TEXT}, CHANGED, journal=[("PUT", "test", b"hello")]),
    "CORE_04 POST": one({**POST, **TEXT}, CREATED, journal=[("POST", "test", b"hello")]),
    "CORE_05 GET NON": one({**GET, **NON}, COAP),
    "CORE_06 DELETE NON": one({**DELETE, **NON}, DELETED, journal=[("DELETE", "test", b"")]),
    "CORE_07 PUT NON": one({**PUT, **TEXT, **NON}, CHANGED, journal=[("PUT", "test", b"hello")]),
    "CORE_08 POST NON": one({**POST, **TEXT, **NON}, CREATED, journal=[("POST", "test", b"hello")]),
    "CORE_09 separate": one(SLOW, {"code": 0x45, "text": "separate"}, journal=[("GET", "separate", b"")]),
    "CORE_10 token": one(GET, COAP, tuning={"token_length": 8}),
    "CORE_11 token and separate": one(SLOW, {"text": "separate"}, tuning={"token_length": 8}),
    "CORE_12 no token": one(GET, COAP, tuning={"token_length": 0}),
    "CORE_13 several Uri-Path": one({**GET, "path": "seg1/seg2/seg3"}, {"text": "seg"}),
    "CORE_14 several Uri-Query": one(
        {**GET, "path": "query", "query": ["first=1", "second=2", "third=3"]}, {"text": "first=1&second=2&third=3"}
    ),
    "CORE_15 lossy": one(GET, COAP, dropped=(1, 2), journal=[("GET", "test", b"")]),
    "CORE_16 lossy and separate": one(SLOW, {"text": "separate"}, dropped=(1, 3), journal=[("GET", "separate", b"")]),
    "CORE_17 separate NON": one({**SLOW, **NON}, {"text": "separate"}, journal=[("GET", "separate", b"")]),
    "CORE_18 Location-Path": one(
        {**POST, **TEXT, **WANT}, {"code": 0x41, "8": [b"location1".hex(), b"location2".hex()]}
    ),
    "CORE_19 Location-Query": one(
        {**POST, "path": "location-query", **WANT}, {"code": 0x41, "20": [b"first=1".hex(), b"second=2".hex()]}
    ),
    "CORE_20 Accept": Case(
        [{**GET, "path": "multi-format", "accept": number} for number in (0, 50, 60, 41)],
        [{"format": 0, "text": "text"}, {"format": 50, "text": '{"a":1}'}, {"format": 60, "size": 4}, {"code": 0x86}],
    ),
    "CORE_21 ETag and 2.03": Case(
        [{**GET, "path": "validate", **WANT}, {**GET, "path": "validate", "options": [[4, "01"]], **WANT}],
        [{"code": 0x45, "text": "v01", "4": ["01"]}, {"code": 0x43, "size": 0, "4": ["01"]}],
    ),
    "CORE_22 If-Match": Case(
        [
            put("validate", "new", options=[[1, "63"]]),
            put("validate", "new", options=[[1, "01"]]),
            put("validate", "new", options=[[1, "01"]]),
            {**GET, "path": "validate"},
        ],
        [{"code": 0x8C}, CHANGED, {"code": 0x8C}, {"text": "v02"}],
    ),
    "CORE_23 If-None-Match": Case(
        [put("create1", "new", options=[[5, ""]])] * 2, [CREATED, {"code": 0x8C, "error": "Refused"}]
    ),
    "BLOCK_01 GET, early negotiation": one({"do": "blocks", "path": "large", "szx": 2}, BODY),
    "BLOCK_02 GET, late negotiation": one({**GET, "path": "large"}, {**BODY, "format": 42}),
    "BLOCK_03 PUT": one(
        {**PUT, "path": "large-update", "fill": 5000}, CHANGED, journal=[("PUT", "large-update", fill(5000))]
    ),
    "BLOCK_04 POST": one(
        {**POST, "path": "large-create", "fill": 5000, **WANT},
        {"code": 0x41, "8": [b"location1".hex(), b"location2".hex()]},
        journal=[("POST", "large-create", fill(5000))],
    ),
    "BLOCK_05 POST with a large answer": one(
        {**POST, "path": "large-post", "fill": 5000},
        {"code": 0x45, "size": 5000, "sha256": sha(fill(5000)[::-1])},
    ),
    "BLOCK_06 GET, early negotiation of 32": one({"do": "blocks", "path": "large", "szx": 1}, BODY),
    # node's coap reads the empty Block2 option (block 0 of 16 bytes) as a size of 0
    "BLOCK of 16": one({"do": "blocks", "path": "large", "szx": 0, "limit": 1000}, {"size": 1000}, only="aiocoap"),
    "BLOCK streamed PUT": one(
        {"do": "put_blocks", "path": "large-update", "fill": 3001, "szx": 5},
        CHANGED,
        journal=[("PUT", "large-update", fill(3001))],
    ),
    "OBS_01 CON": one(
        watch("obs", put("obs", "1"), put("obs", "2")), {"texts": ["0", "1", "2"], "ended": None, "observed": True}
    ),
    "OBS_02 NON": one(watch("obs-non", put("obs-non", "1")), {"texts": ["0", "1"]}, only="aiocoap"),
    "OBS_03 stop": Case([watch("obs", put("obs", "1")), put("obs", "2"), GET], [{"texts": ["0", "1"]}, CHANGED, COAP]),
    "OBS_04 Max-Age": one(
        watch("obs-short", {"do": "sleep", "ms": 0}, renew_s=1), {"texts": ["0", "0"], "observed": True}
    ),
    "OBS_07 DELETE": one(
        watch("obs", {**DELETE, "path": "obs"}, notes=9), {"texts": ["0"], "ended": 0x84, "poked": [{"code": 0x42}]}
    ),
    "OBS_08 another Content-Format": one(
        watch("obs", put("obs", "<a/>", content_format=41), notes=9), {"texts": ["0"], "ended": 0x86}
    ),
    "OBS_09 update by another": one(
        watch("obs", put("obs", "1"), put("obs", "2"), put("obs", "3")), {"texts": ["0", "1", "2", "3"]}
    ),
    "OBS_10 GET does not cancel": one(
        {**watch("obs", notes=2), "pokes": [[{**GET, "path": "obs"}, put("obs", "1")]]},
        {"texts": ["0", "1"], "poked": [{"text": "0"}, {"code": 0x44}]},
    ),
    "OBS in blocks": one(
        watch("obs-large", put("obs-large", "one"), put("obs-large", "two")),
        {"bodies": [sha(large_note(value)) for value in (b"0", b"one", b"two")]},
    ),
    "OBS two at a time": one(
        {"do": "together", "steps": [watch("obs", put("obs", "1")), watch("obs-large", put("obs-large", "1"))]},
        {"many": [["0", "1"], ["", ""]]},
    ),
}
PEERS = {"aiocoap": aiocoap_peer, "node": node_peer}


@pytest.fixture(scope="module", params=list(PEERS))
def peer_name(request):
    return request.param


@pytest.fixture
def peer(peer_name, request):
    """A server of its own for each case: they change what it holds."""
    case = CASES.get(getattr(request.node, "callspec", None) and request.node.callspec.params.get("name"))
    if case is not None and case.only not in (None, peer_name):
        pytest.skip(f"{peer_name} cannot: see node/server.js")
    with PEERS[peer_name]() as peer:
        yield peer


def seen(result):
    """A result with the shortcuts that CASES uses."""
    if "notes" in result:
        result["texts"] = [note["text"] for note in result["notes"]]
        result["bodies"] = [note["sha256"] for note in result["notes"]]
    if "results" in result:
        result["many"] = [[note["text"] for note in one["notes"]] for one in result["results"]]
    return result


def check(result, expected):
    for key, value in expected.items():
        got = result.get(key)
        if key == "poked":
            got = [{name: poke[name] for name in want} for poke, want in zip(got, value, strict=True)]
        assert got == value, f"{key}: {result}"


@pytest.mark.parametrize("name", CASES)
def test_case(peer_name, peer, name):
    case = CASES[name]
    bits = 64 if peer_name == "aiocoap" else 32
    tuning = {"ack_timeout_ms": 300, "max_body": 8192, **case.tuning}
    if case.dropped:
        with Impairment(("127.0.0.1", peer.port), dropped=case.dropped, seed=SEED) as link:
            *results, end = device(bits, link.port, case.steps, tuning=tuning)
        assert end["counters"][2] >= 1, "nothing was repeated"
    else:
        *results, _ = device(bits, peer.port, case.steps, tuning=tuning)
    for result, expected in zip(results, case.results, strict=True):
        check(seen(result), expected)
    if case.journal is not None:
        wanted = [[method, path, len(body), sha(body)] for method, path, body in case.journal]
        assert peer.journal() == wanted
    if name.startswith("OBS"):
        wait_until(lambda: peer.watchers(name.startswith("OBS_02") and "obs-non" or "obs") == 0)


def test_obs_05_client_is_gone(peer_name, peer):
    """The client leaves without a word: the server learns it when it notifies (aiocoap: from ICMP)."""
    if peer_name == "node":
        pytest.skip("node's coap does not look at ICMP, and forgets a silent observer after 247 s only")
    device(64, peer.port, [watch("obs", cancel=False)])
    assert peer.watchers("obs") == 1
    device(64, peer.port, [put("obs", "1")])
    wait_until(lambda: peer.watchers("obs") == 0)


def test_obs_06_rst(peer_name, peer):
    """The word that ends the observation is lost: the client answers the next notification with RST, which ends it."""
    steps = [watch("obs", cancel_ms=100), put("obs", "1"), {"do": "sleep", "ms": 100}]
    bits = 32 if peer_name == "aiocoap" else 64
    with Impairment(("127.0.0.1", peer.port), dropped=(2,), seed=SEED) as link:
        _, changed, _, end = device(bits, link.port, steps)
    assert changed["code"] == 0x44
    assert end["counters"][3] == 1, "one notification was nobody's"
    wait_until(lambda: peer.watchers("obs") == 0)
