"""What test_coap_peers.py leaves of libcoap's coap-server: observation, windows, streamed uploads, No-Response, pings.
Plain UDP on 64 bits, DTLS on 32 bits.
"""

import pytest
from net_support import HOST, coap_server, device, fill, make_pki, sha


@pytest.fixture(scope="module", params=[(64, False), (32, True)], ids=["udp-64", "dtls-32"])
def run(request, tmp_path_factory):
    """run(*steps) gives their results, from one coap-server for the file."""
    bits, secure = request.param
    pki = make_pki(tmp_path_factory.mktemp("pki")) if secure else None
    options = ("-c", pki / "good.pem", "-j", pki / "good.key", "-n") if secure else ()
    how = {"dtls": {"host": HOST, "ca": str(pki / "ca.pem")}} if secure else {}

    def steps(*steps):
        results = device(bits, port + secure, list(steps), **how)
        assert results[-1]["counters"][2] == 0, "something was repeated"
        return results[secure:-1]

    with coap_server(*options) as port:
        yield steps


def put(path, text):
    return {"do": "request", "method": "PUT", "path": path, "text": text}


def watch(path, pokes, **how):
    return {"do": "observe", "path": path, "pokes": [[poke] for poke in pokes], "notes": len(pokes) + 1, **how}


def test_observe(run):
    _, watched, _, read = run(
        put("value", "0"), watch("value", [put("value", str(i)) for i in range(1, 7)]), put("value", "9"),
        {"do": "request", "path": "value"},
    )  # fmt: skip
    numbers = [note["sequence"] for note in watched["notes"]]
    assert [note["text"] for note in watched["notes"]] == ["0", "1", "2", "3", "4", "5", "6"]
    assert numbers == list(range(numbers[0], numbers[0] + 7))
    assert (watched["observed"], watched["stale"], read["text"]) == (True, 0, "9")


def test_observe_by_the_clock(run):
    """/time notifies each second, nobody asks; a request in between disturbs nothing."""
    (watched,) = run({**watch("time", [{"do": "request", "path": ".well-known/core"}]), "notes": 3})
    assert len({note["text"] for note in watched["notes"]}) == 3
    assert watched["poked"][0]["format"] == 40


def test_notification_in_blocks(run):
    bodies = [{"do": "request", "method": "PUT", "path": "example_data", "fill": n} for n in (1500, 2500)]
    (watched,) = run(watch("example_data", bodies))
    assert [note["size"] for note in watched["notes"][1:]] == [1500, 2500]
    assert [note["sha256"] for note in watched["notes"][1:]] == [sha(fill(1500)), sha(fill(2500))]


def test_two_observations(run):
    _, _, both = run(
        put("one", "0"), put("two", "0"),
        {"do": "together", "steps": [watch("one", [put("one", "1")] * 2), watch("two", [put("two", "2")] * 2)]},
    )  # fmt: skip
    assert [[note["text"] for note in one["notes"]] for one in both["results"]] == [["0", "1", "1"], ["0", "2", "2"]]


def test_what_cannot_be_observed(run):
    """The root has no observers: its first answer is all, and the iteration ends by itself."""
    plain, missing = run(watch("", [], notes=9), watch("nowhere", [], notes=9))
    assert (len(plain["notes"]), plain["observed"], plain["ended"]) == (1, False, None)
    assert (missing["notes"], missing["ended"]) == ([], 0x84)


@pytest.mark.parametrize("szx", [6, 4, 2])
def test_stream_up_and_down_in_a_window(run, szx):
    path = f"fw{szx}"
    made, got, part = run(
        {"do": "put_blocks", "path": path, "fill": 7001, "szx": szx, "content_format": 42},
        {"do": "blocks", "path": path, "szx": szx, "window": 8},
        {"do": "blocks", "path": path, "szx": szx, "window": 4, "offset": 1234, "limit": 3000},
    )
    assert made["code"] == 0x41
    assert (got["size"], got["delivered"], got["sha256"]) == (7001, 7001, sha(fill(7001)))
    assert (part["size"], part["delivered"], part["sha256"]) == (3000, 3000, sha(fill(7001)[1234:4234]))
    assert (got["end"], part["end"]) == (True, False)


def test_tell_and_ping(run):
    _, _, now, alive = run(
        {"do": "tell", "method": "PUT", "path": "quiet", "text": "1"},
        {"do": "tell", "method": "PUT", "path": "quiet", "text": "2", "confirmable": True},
        {"do": "request", "path": "quiet"},
        {"do": "ping"},
    )
    assert now["text"] == "2"
    assert alive["round_trip"] >= 0
