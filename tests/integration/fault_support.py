"""What the tests of the twin's fault switches have in common. Used by test_twin_faults*.py."""

import base64

from twin_support import GET, POST, encode

from godwit.twin.faults import SWITCHES

OFF = {name: row[3] for name, row in SWITCHES.items() if not str(row[0]).startswith("once")}


def shows(*names):
    """Marks a test as the one that shows these switches (test_every_switch_is_shown_and_described reads it)."""
    return lambda function: function


def restore(twin):
    """All switches off again."""
    twin.faults(**{name: list(value) if isinstance(value, tuple) else value for name, value in OFF.items()})


def struck(twin, name):
    """How often a switch did something."""
    return twin.rest.get("/twin/faults").json()["struck"].get(name, 0)


def post(client, text):
    """Send a raw message without waiting (message id and token are its first bytes); returns the request's bytes."""
    data = encode(POST, ("msg", "d2c", "raw"), payload=text, mid=int.from_bytes(text[:2], "big"), token=text[:4])
    client.send(data)
    return data


def stored(twin, count):
    """The last `count` raw messages, oldest first, as what was sent."""
    items = twin.rest.get("/v1/messages", params={"pageLimit": count}).json()["items"]
    return [base64.b64decode(item["message"]) for item in reversed(items)]


def fetch_blocks(ask, exponent=6):
    """(body, [(offset, size), ...]) of a block-wise answer; follows a server that chooses smaller blocks."""
    body, spans = b"", []
    while True:
        answer = ask(len(body) >> exponent + 4 << 4 | exponent)
        assert answer.dotted == "2.05", answer.payload
        block = answer.uint(23)
        exponent, number = block & 7, block >> 4
        assert number << exponent + 4 == len(body)  # the block that was asked for, in whatever size
        body += answer.payload
        spans.append((number << exponent + 4, len(answer.payload)))
        if not block & 8:
            return body, spans


def proxy(client, uri):
    """ask(Block2 value) of a file through /proxy."""
    return lambda block: client.request(GET, "proxy", options=[(23, block), (35, uri.encode())])
