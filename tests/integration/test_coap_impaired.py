"""Every way of getting and sending data, through a link that loses, doubles, reorders and delays: nothing may be wrong.

The peers are servers that others wrote. The link is seeded; a failing test shows its seed, GODWIT_SEED=n repeats it.
Scenarios: facts/coap.md 3 and 5.2. `late` is by more than the client's first retransmission time.
"""

import threading

import pytest
from coap_site import LARGE, aiocoap_peer
from net_support import coap_server, device, fill, make_pki, seed, sha
from node_peer import node_peer

from harness.impair import Impairment

LINKS = {
    "loss": {"loss": 0.07},
    "double": {"double": 0.2},
    "reorder": {"late": 0.12, "late_s": 0.15},
    "delay": {"delay_s": 0.005, "jitter_s": 0.02},
    "all": {"loss": 0.05, "double": 0.1, "late": 0.07, "late_s": 0.15, "delay_s": 0.002, "jitter_s": 0.01},
}
TUNING = {"ack_timeout_ms": 100, "max_retransmit": 6, "nstart": 2, "max_body": 8192, "separate_timeout_ms": 2500}
LAST = 4
PUT_ZERO = {"do": "request", "method": "PUT", "path": "v", "text": "0"}


def updates(path):
    """Change what `path` holds to 1, 2, .. LAST."""
    put = {"do": "request", "method": "PUT", "path": path}
    return {"do": "sequence", "steps": [{**put, "text": str(i)} for i in range(1, LAST + 1)]}


def watch(path):
    return {"do": "observe", "path": path, "until": str(LAST), "renew_s": 2}


# coap-server has a new ETag for each request that it takes for the first of a transfer, a late copy of it included.
DOWN = [
    {"do": "blocks", "path": "large", "szx": 5, "restarts": 5},
    {"do": "blocks", "path": "large", "szx": 4, "window": 8, "restarts": 5},
    {"do": "request", "path": "large"},
]
# node wants one token for all blocks, and says so with a 5.00 that it sends once and an empty ACK behind it: where the
# first is lost, the client waits for nothing.
UP = [
    {"do": "request", "method": "PUT", "path": "large-update", "fill": 3000, "tries": 4},
    {"do": "put_blocks", "path": "large-update", "fill": 2000, "szx": 5, "tries": 4},
    {"do": "request", "method": "POST", "path": "large-post", "fill": 2500, "tries": 4},
]
SEPARATE = [
    {"do": "request", "method": "POST", "path": "separate", "text": "once"},
    {"do": "request", "path": "large-separate"},
]
WATCH = [{"do": "together", "steps": [watch("obs"), updates("obs")]}]


def check_down(results):
    for result in results:
        assert (result.get("size"), result.get("sha256")) == (len(LARGE), sha(LARGE)), result
        assert result.get("timeouts") or result.get("delivered", len(LARGE)) == len(LARGE), "each byte once"
    assert results[0]["disorder"] == 0


def check_notes(result):
    """The newest value came, and none after a newer one."""
    values = [int(note["text"]) for note in result["notes"]]
    assert result["ended"] is None, result
    assert values[-1] == LAST and values == sorted(values), values


def check_link(link):
    """It did what it was made for."""
    assert sum(link.counts[name] for name in ("lost", "doubled", "late")) or link.counts["up"] > 20


@pytest.mark.parametrize("kind", LINKS)
@pytest.mark.parametrize(("make", "bits"), [(aiocoap_peer, 64), (node_peer, 32)], ids=["aiocoap", "node"])
def test_all_ways(make, bits, kind):
    """Block2 one by one, in a window and collected; Block1; both; separate answers; notifications."""
    steps = [*DOWN, *UP, *SEPARATE, *WATCH]
    with make() as peer, Impairment(("127.0.0.1", peer.port), seed=seed(6), **LINKS[kind]) as link:
        *results, _ = device(bits, link.port, steps, tuning=TUNING)
        check_link(link)
        journal = [entry for entry in peer.journal() if entry[0] in ("PUT", "POST")]
    check_down(results[:3])
    assert results[0]["restarts"] == results[1]["restarts"] == 0
    put, streamed, posted, once, late = results[3:8]
    assert (put["code"], streamed["code"]) == (0x44, 0x44), (put, streamed)
    assert (posted.get("size"), posted.get("sha256")) == (2500, sha(fill(2500)[::-1])), posted
    assert (once["code"], late.get("sha256")) == (0x45, sha(LARGE)), (once, late)
    check_notes(results[8]["results"][0])
    wanted = [["PUT", "large-update", 3000, sha(fill(3000))], ["PUT", "large-update", 2000, sha(fill(2000))]]
    wanted += [["POST", "large-post", 2500, sha(fill(2500))], ["POST", "separate", 4, sha(b"once")]]
    wanted += [["PUT", "obs", 1, sha(b"%d" % i)] for i in range(1, LAST + 1)]
    once = wanted[3]
    if make is node_peer and journal.count(once) > 1:  # it does not know a request again until it has answered it
        del journal[4 : 3 + journal.count(once)]
    assert journal == wanted, "each was carried out once, with all of its body"


@pytest.mark.parametrize(
    ("kind", "bits", "secure"),
    [("loss", 32, False), ("double", 64, True), ("reorder", 32, True), ("delay", 64, False), ("all", 64, False)],
)
def test_libcoap(kind, bits, secure, tmp_path):
    """What is sent up goes past the bad link: coap-server 4.3.4 acts on late copies of a request (test_coap_peers.py).

    Over DTLS a record that comes twice or late never reaches CoAP: that is one more way of losing it.
    """
    pki = make_pki(tmp_path) if secure else None
    options = ("-c", pki / "good.pem", "-j", pki / "good.key", "-n") if secure else ()
    how = {"dtls": {"host": "node.test", "ca": str(pki / "ca.pem")}} if secure else {}
    # A body for each: a transfer that was left in its middle spoils the next one of another size (test_coap_peers.py).
    down = [{**step, "path": f"large{i}"} for i, step in enumerate(DOWN)]
    put = [{"do": "put_blocks", "path": step["path"], "fill": 5000} for step in down]
    with coap_server(*options) as port:
        device(bits, port, [*put, PUT_ZERO])
        with Impairment(("127.0.0.1", port + secure), seed=seed(22), **LINKS[kind]) as link:
            updater = threading.Timer(0.3, device, (bits, port, [updates("v")]))
            updater.start()
            *_, one, window, whole, separate, notes, _ = device(
                bits, link.port, [*down, {"do": "request", "path": "async", "query": ["1"]}, watch("v")],
                tuning={**TUNING, "separate_timeout_ms": 20000}, **how,  # it repeats a lost answer after 2 to 3 s
            )  # fmt: skip
            updater.join()
            check_link(link)
    check_down([one, window, whole])
    assert separate.get("text") == "done", separate
    check_notes(notes)
