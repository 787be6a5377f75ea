"""What CoAP has beyond requests and blocks, against the servers of aiocoap and node: FETCH and PATCH (RFC 8132),
No-Response (7967), 4.29 and 5.03 as a request to wait (8516), Echo (9175), pings, silence after an ACK, byte offsets.
"""


import pytest
from coap_site import LARGE, aiocoap_peer
from net_support import device, sha
from node_peer import node_peer

PEERS = {"aiocoap": (aiocoap_peer, 64), "node": (node_peer, 32)}
GET = {"do": "request"}
TELL = {"do": "tell", "method": "PUT", "path": "test"}


@pytest.fixture(scope="module", params=list(PEERS))
def peer(request):
    make, bits = PEERS[request.param]
    with make() as running:
        running.bits = bits
        yield running


@pytest.fixture(scope="module")
def aiocoap_only():
    with aiocoap_peer() as running:
        yield running


def run(peer, *steps, **tuning):
    peer.journal()
    *results, end = device(getattr(peer, "bits", 32), peer.port, list(steps), tuning=tuning)
    assert end["counters"][2] == 0, "something was repeated"
    return results


def test_fetch_and_patch(peer):
    how = {"path": "test", "text": "abc", "content_format": 50}
    fetched, patched, again = run(
        peer, {**GET, **how, "method": "FETCH"}, {**GET, **how, "method": "PATCH"}, {**GET, **how, "method": "IPATCH"}
    )
    assert (fetched["code"], fetched["text"]) == (0x45, "cba")
    assert (patched["code"], again["code"]) == (0x44, 0x44)
    assert [(method, size) for method, _, size, _ in peer.journal()] == [("FETCH", 3), ("PATCH", 3), ("iPATCH", 3)]


def test_busy(peer):
    busy, many, ready = run(peer, {**GET, "path": "busy"}, {**GET, "path": "many"}, {**GET, "path": "test"})
    assert (busy["error"], busy["code"], busy["retry"]) == ("Refused", 0xA3, 7)
    assert (many["error"], many["code"], many["retry"]) == ("Refused", 0x9D, 3)
    assert ready["text"] == "CoAP"


def test_ping(peer):
    """node's coap answers a ping as if it were a request; it is alive all the same."""
    (alive,) = run(peer, {"do": "ping"})
    assert alive.get("round_trip", -1) >= 0, alive


@pytest.mark.filterwarnings("ignore:Initializing messages:DeprecationWarning")  # aiocoap, of itself
def test_tell(peer):
    """The request is carried out; what node answers all the same is nobody's and disturbs nobody."""
    _, _, read = run(
        peer, {**TELL, "text": "1"}, {**TELL, "text": "22", "confirmable": True}, {**GET, "path": "test"}, linger_ms=0
    )
    assert read["text"] == "CoAP"
    assert [entry[2] for entry in peer.journal() if entry[0] == "PUT"] == [1, 2]


def test_silence_after_the_ack(peer):
    """Two deadlines: the client's own for an answer after an ACK, and the caller's."""
    first, second, after = run(
        peer, {**GET, "path": "silent"}, {**GET, "path": "silent", "timeout_ms": 300}, {**GET, "path": "test"},
        separate_timeout_ms=600,
    )  # fmt: skip
    assert (first["error"], second["error"], after["text"]) == ("Timeout", "Timeout", "CoAP")
    assert [entry[1] for entry in peer.journal()] == ["silent", "silent", "test"]


def test_unknown(peer):
    missing, other = run(peer, {**GET, "path": "nowhere"}, {**GET, "path": "query", "method": "DELETE"})
    assert (missing["code"], other["code"]) == (0x84, 0x85)


def test_echo(aiocoap_only):
    """4.01 with an Echo: the request is repeated with it, its payload too (RFC 9175 2.3)."""
    ask = {**GET, "path": "challenge"}
    got, put = run(aiocoap_only, ask, {**ask, "method": "PUT", "text": "x"})
    assert (got["text"], put["text"]) == ("welcome", "welcome")
    assert [(method, size) for method, _, size, _ in aiocoap_only.journal()] == [("GET", 0)] * 2 + [("PUT", 1)] * 2


@pytest.mark.parametrize(("window", "szx"), [(1, 6), (4, 5), (8, 6)])
def test_by_offset(aiocoap_only, window, szx):
    """As /proxy of nRF Cloud: each block is the beginning of a body that the query names."""
    by = {"do": "blocks", "path": "proxy", "by_offset": True, "window": window, "szx": szx}
    whole, part = run(aiocoap_only, by, {**by, "offset": 1111, "limit": 2222}, szx=6)
    assert (whole["size"], whole["delivered"], whole["sha256"]) == (5000, 5000, sha(LARGE)), whole
    assert (part["size"], part["sha256"]) == (2222, sha(LARGE[1111:3333])), part


@pytest.mark.parametrize("window", [1, 8])
def test_stateless_blocks(aiocoap_only, window):
    """Any block in any order, as file servers give them; asking behind the end is refused with 4.00."""
    by = {"do": "blocks", "path": "file", "window": window, "szx": 4}
    whole, rest, beyond = run(aiocoap_only, by, {**by, "offset": 4321}, {**by, "offset": 6000})
    assert (whole["size"], whole["delivered"], whole["sha256"]) == (5000, 5000, sha(LARGE)), whole
    assert (rest["size"], rest["sha256"]) == (679, sha(LARGE[4321:])), rest
    assert (beyond["error"], beyond["code"]) == ("Refused", 0x80), beyond
