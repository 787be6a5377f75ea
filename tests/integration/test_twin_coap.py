"""The twin's CoAP: exact requests of the device library, malformed datagrams, repeats, block-wise."""

import json
import os
import random

import pytest
from twin_support import (
    ACK,
    CON,
    DELETE,
    FETCH,
    GET,
    NON,
    PATCH,
    POST,
    PUT,
    RST,
    Answer,
    Client,
    encode,
    token,
)

_TOKEN = bytes(range(1, 9))


def test_exact_auth_request_and_answer(twin):
    """Request and answer bytes of the device library's authentication."""
    head = "480212340102030405060708b461757468036a777410"
    query = "3d096d7665723d6d66775f6e7266393178315f322e302e310b637665723d76322e372e30" + "06647665723d31"
    with Client(twin.coap_port) as client:
        answer = client.exchange(bytes.fromhex(head + query + "ff") + token(twin))
        assert answer.raw.hex() == "684112340102030405060708d301278d00"
        assert client.request(GET, "state").dotted == "2.05"
    with Client(twin.coap_port) as client:  # the download session sends no query
        answer = client.exchange(bytes.fromhex(head + "ff") + token(twin))
        assert answer.dotted == "2.01"


@pytest.mark.parametrize(
    ("request_hex", "code"),
    [
        # FETCH loc/ground-fix, CBOR in and out
        (
            "480512350102030405060708b36c6f630a67726f756e642d666978113c513cffa11381a40618f4070c081a0002d80109192ee1",
            "2.05",
        ),
        # the same with doReply=false
        (
            "480512350102030405060708b36c6f630a67726f756e642d666978113c3d00646f5265706c793d66616c7365213cff"
            "a11381a40618f4070c081a0002d80109192ee1",
            "2.05",
        ),
        # GET state, delta as JSON; GET state?delta=false
        ("480112370102030405060708b573746174656132", "2.05"),
        ("480112370102030405060708b573746174654b64656c74613d66616c73652132", "2.05"),
        # GET fota/exec/current without a job
        ("480112380102030405060708b4666f7461046578656307" + "63757272656e746132", "4.04"),
        # GET proxy, block 0 with Size2 0
        (
            "480112360102030405060708b570726f7879c106507d23"
            + b"https://pgps.nrfcloud.com/public/16096-14400.bin".hex(),
            "2.05",
        ),
    ],
)
def test_exact_requests_are_served(client, request_hex, code):
    data = bytes.fromhex(request_hex)
    answer = client.exchange(data)
    assert (answer.type, answer.mid, answer.token) == (ACK, int.from_bytes(data[2:4], "big"), _TOKEN)
    assert answer.dotted == code


def test_empty_answer_has_neither_format_nor_marker(client):
    """GET state with nothing pending: 2.05 and no byte after the token."""
    desired = client.request(GET, "state").payload
    assert client.request(PATCH, "state", payload=desired, cf=50).dotted == "2.04"
    answer = client.exchange(bytes.fromhex("480112390102030405060708b573746174656132"))
    assert answer.raw.hex() == "684512390102030405060708"
    client.request(PATCH, "state", payload=json.dumps(dict.fromkeys(json.loads(desired))).encode(), cf=50)


_PATH = bytes.fromhex("b57374617465")  # Uri-Path "state"
# what: (datagram after the 4-byte header, type sent, expected code or None for silence or "RST")
_MALFORMED = {
    "option nibble 15": (b"\xf1", CON, "RST"),
    "option length nibble 15": (b"\xbf", CON, "RST"),
    "option runs over the end": (b"\xb9abc", CON, "RST"),
    "extended delta cut short": (b"\xe0\x01", CON, "RST"),
    "option number over 65535": (b"\xe0\xff\xff" * 2, CON, "RST"),
    "marker without payload": (_PATH + b"\xff", CON, "RST"),
    "bad option in a NON": (b"\xf1", NON, None),
    "unknown critical option 9": (b"\x91x" + b"\x25state", CON, "4.02"),
    "unknown critical option 2053": (_PATH + b"\xe0" + (2053 - 11 - 269).to_bytes(2, "big"), CON, "4.02"),
    "unknown critical option in a NON": (b"\x91x", NON, "RST"),
    "unknown elective option": (_PATH + b"\xe0" + (2054 - 11 - 269).to_bytes(2, "big"), CON, "2.05"),
    "If-None-Match": (b"\x50" + b"\x65state", CON, "4.02"),
    "OSCORE": (b"\x90" + b"\x25state", CON, "4.02"),
    "Uri-Path not UTF-8": (b"\xb2\xff\xfe", CON, "4.02"),
    "Uri-Query not UTF-8": (_PATH + b"\x42\xff\xfe", CON, "4.02"),
    "Uri-Path of 256 bytes": (b"\xbd\xf3" + b"a" * 256, CON, "4.02"),
    "Accept of 3 bytes": (_PATH + b"\x63\x00\x00\x32", CON, "4.02"),
    "Accept twice": (_PATH + b"\x61\x32\x01\x32", CON, "4.02"),
    "Content-Format of 3 bytes is elective": (_PATH + b"\x13\x00\x00\x32", CON, "2.05"),
    "Block2 of 4 bytes": (_PATH + b"\xc4\x00\x00\x00\x06", CON, "4.02"),
    "Block2 with SZX 7": (_PATH + b"\xc1\x07", CON, "4.00"),
    "Block2 of a transfer that is not": (_PATH + b"\xc1\x56", CON, "4.08"),
    "Block1 with a gap": (_PATH + b"\xd1\x03\x56\xff\x7b", CON, "4.08"),
    "Proxy-Uri elsewhere": (_PATH + b"\xd1\x0bx", CON, "5.05"),
    "no path": (b"", CON, "4.04"),
    "trailing slash": (_PATH + b"\x00", CON, "2.05"),
}


@pytest.mark.parametrize("case", _MALFORMED)
def test_malformed(client, case):
    rest, kind, expected = _MALFORMED[case]
    header = bytes([0x40 | kind << 4, GET]) + os.urandom(2)
    answer = client.exchange(header + rest)
    if expected is None:
        assert answer is None
    elif expected == "RST":
        assert (answer.type, answer.raw) == (RST, b"\x70\x00" + header[2:])
    else:
        assert (answer.dotted, answer.type) == (expected, ACK)


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        ("", None),  # nothing
        ("40", None),  # shorter than a header
        ("80010001", None),  # version 2: silently ignored
        ("49010001" + "00" * 9, "70000001"),  # token length 9
        ("48010001" + "00" * 4, "70000001"),  # token cut short
        ("40000001", "70000001"),  # ping
        ("4000000141", "70000001"),  # empty message with bytes after it
        ("50000001", None),  # NON empty
        ("60000001", None),  # ACK to nothing
        ("70000001", None),  # RST to nothing
        ("60450001", None),  # a response that nobody asked for
        ("40450001", "70000001"),  # the same as CON
    ],
)
def test_messages_that_are_no_requests(client, data, reply):
    answer = client.exchange(bytes.fromhex(data)) if data else client.receive(0.1)
    assert (answer and answer.raw.hex()) == reply


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        (PUT, "state", "4.05"),
        (DELETE, "state/desired", "4.05"),
        (POST, "state", "4.05"),
        (GET, "msg/d2c", "4.05"),
        (GET, "loc/ground-fix", "4.05"),
        (POST, "proxy", "4.05"),
        (7, "state", "4.05"),
        (31, "state", "4.05"),
        (GET, "nothing", "4.04"),
        (GET, "loc", "4.04"),
        (GET, "loc/pgps", "2.05"),
        (POST, "loc/pgps", "4.05"),
        (POST, "msg", "4.04"),
        (GET, "fota/exec", "4.04"),
        (POST, ".dtls/suspend", "4.04"),
    ],
)
def test_methods_and_paths(client, method, path, code):
    assert client.request(method, path).dotted == code


@pytest.mark.parametrize("length", range(9))
def test_token_is_echoed(client, length):
    data = bytes([0x40 | length, GET]) + os.urandom(2) + b"12345678"[:length] + _PATH
    assert client.exchange(data).token == b"12345678"[:length]


def test_retransmitted_post_is_stored_once(twin, client):
    before = twin.records()["totals"]["messages"]
    body = b'{"appId":"ONCE","messageType":"DATA","data":"1"}'
    for kind in (CON, NON):
        mid = int.from_bytes(os.urandom(2), "big")
        data = encode(POST, ("msg", "d2c"), (), body, ((12, 50),), mid, os.urandom(4), kind)
        answers = [client.exchange(data) for _ in range(3)]
        assert answers[0].dotted == "2.01"
        if kind == CON:
            assert answers[1].raw == answers[2].raw == answers[0].raw
        else:
            assert (answers[0].type, answers[1:]) == (NON, [None, None])  # RFC 7252 4.5: a repeated NON is ignored
    assert twin.records()["totals"]["messages"] == before + 2
    assert twin.records()["totals"]["repeats"] >= 4


@pytest.mark.parametrize("exponent", [2, 4, 6])
def test_block1_body_is_put_together(twin, client, exponent):
    size = 16 << exponent
    body = json.dumps({"appId": "BIG", "messageType": "DATA", "data": "x" * 3000, "n": exponent}).encode()
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    for number, part in enumerate(parts):
        more = number < len(parts) - 1
        block = number << 4 | more << 3 | exponent
        answer = client.request(POST, "msg/d2c", payload=part, cf=50, options=((27, block), (292, b"tag")))
        assert answer.dotted == ("2.31" if more else "2.01")
        assert answer.uint(27) == block
        if number == 1:  # the same block again under a new message id: its answer was lost
            repeated = client.request(POST, "msg/d2c", payload=part, cf=50, options=((27, block), (292, b"tag")))
            assert repeated.dotted == answer.dotted
    stored = twin.rest.get("/v1/messages", params={"appId": "BIG"}).json()["items"][0]["message"]
    assert stored == json.loads(body)


def test_block1_limits(client):
    first = client.request(POST, "msg/d2c", payload=b"x" * 16, cf=50, options=((27, 0x08),))
    assert first.dotted == "2.31"
    assert client.request(POST, "msg/d2c", payload=b"x" * 16, cf=50, options=((27, 0x28),)).dotted == "4.08"
    assert client.request(POST, "msg/d2c", payload=b"x" * 17, cf=50, options=((27, 0x18),)).dotted == "4.00"
    for number in range(65):
        block = number << 4 | 8 | 6
        answer = client.request(POST, "msg/d2c/raw", payload=b"x" * 1024, cf=42, options=((27, block),))
        if answer.dotted != "2.31":
            break
    assert (number, answer.dotted) == (64, "4.13")


@pytest.mark.parametrize("exponent", range(7))
def test_block2_answer_is_whole_and_stable(client, exponent):
    """A-GNSS holds the time: blocks of one transfer must be of one representation, the payload is sent again."""
    request = bytes.fromhex("a1018702030407060901")
    body, number, more = b"", 0, True
    while more:
        block = number << 4 | exponent
        answer = client.request(FETCH, "loc/agnss", payload=request, cf=60, accept=60, options=((23, block),))
        assert (answer.dotted, answer.uint(12)) == ("2.05", 42)
        assert answer.uint(23) & ~8 == block
        more = bool(answer.uint(23) & 8)
        assert len(answer.payload) == 16 << exponent or not more
        body += answer.payload
        number += 1
    assert len(body) == 1 + 3 + 62 * 32 + 3 + 31 * 31 + 3 + 8 + 3 + 16 + 3 + 4 * 32 + 3 + 4 + 3 + 14
    assert body[0] == 1


def test_default_block_is_1024_and_size_may_shrink(client):
    request = bytes.fromhex("a10181" + "02")
    first = client.request(FETCH, "loc/agnss", payload=request, cf=60, accept=60)
    assert (len(first.payload), first.uint(23)) == (1024, 0x0E)
    second = client.request(FETCH, "loc/agnss", payload=request, cf=60, accept=60, options=((23, 8 << 4 | 3),))
    assert (len(second.payload), second.uint(23)) == (128, 8 << 4 | 8 | 3)
    beyond = client.request(FETCH, "loc/agnss", payload=request, cf=60, accept=60, options=((23, 99 << 4 | 6),))
    assert beyond.dotted == "4.00"


def test_fuzz_leaves_no_trace(twin, client):
    """Mutated and random messages: never a twin error, and the session still works."""
    rng = random.Random(20)
    bases = [
        encode(FETCH, ("loc", "ground-fix"), (), bytes.fromhex("a11381a40618f4070c081a0002d80109192ee1"), ((12, 60),)),
        encode(PATCH, ("state",), (), b'{"a":{"b":[1,2,{"c":null}]}}', ((12, 50),)),
        encode(
            POST,
            ("msg", "d2c"),
            (),
            bytes.fromhex("a3016454454d5002fbc02899999999999a031b0000017bdb3cb8f8"),
            ((12, 60),),
        ),
        encode(FETCH, ("loc", "agnss"), ("mask=5",), bytes.fromhex("a101820207"), ((12, 60), (17, 60), (23, 6))),
        encode(PATCH, ("fota", "exec", "x"), (), b'{"status":"IN_PROGRESS"}', ((12, 50),)),
        encode(GET, ("proxy",), ("offset=5",), b"", ((23, 6), (35, b"https://bundles.nrfcloud.com/a"))),
    ]
    for n in range(1500):
        data = bytearray(rng.choice(bases))
        for _ in range(rng.randrange(1, 5)):
            action, at = rng.randrange(3), rng.randrange(4, len(data))
            if action == 0:
                data[at] = rng.randrange(256)
            elif action == 1:
                del data[at:]
                data += rng.randbytes(rng.randrange(6))
            else:
                data[at:at] = rng.randbytes(rng.randrange(4))
            data = data if len(data) > 5 else bytearray(rng.choice(bases))
        data[0], data[2:4] = 0x40, n.to_bytes(2, "big")
        client.send(bytes(data))
        if n % 50 == 49:
            while client.receive(0.01) is not None:
                pass
    assert client.request(GET, "state").dotted == "2.05"
    assert twin.records()["errors"] == []


def test_answer_parser_of_the_test_itself():
    """The helper decodes what RFC 7252 appendix A shows: a response with Max-Age."""
    answer = Answer(bytes.fromhex("684112340102030405060708d301278d00"))
    assert (answer.dotted, answer.uint(14), answer.payload) == ("2.01", 2592000, b"")
