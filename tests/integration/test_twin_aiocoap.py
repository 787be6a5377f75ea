"""aiocoap as a device of the twin: somebody else's client, block-wise both ways, behind a relay that adds the DTLS."""

import asyncio
import contextlib
import json
import socket
import threading

import cbor2
import pytest
from aiocoap import FETCH, GET, PATCH, POST, Context, Message
from aiocoap.numbers import ContentFormat
from OpenSSL import SSL
from twin_support import Client, running, token

JSON, CBOR = 50, 60


class Relay(threading.Thread):
    """Datagrams between a plain UDP port and one DTLS session with the twin."""

    def __init__(self, session):
        super().__init__(daemon=True)
        self._session = session
        self._plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._plain.bind(("127.0.0.1", 0))
        self._plain.setblocking(False)
        self.port = self._plain.getsockname()[1]
        self._over = threading.Event()

    def run(self):
        peer = None
        session = self._session
        session.socket.settimeout(0.005)
        while not self._over.is_set():
            with contextlib.suppress(BlockingIOError):
                data, peer = self._plain.recvfrom(4096)
                session.send(data)
            with contextlib.suppress(TimeoutError, SSL.WantReadError):
                session.connection.bio_write(session.socket.recv(4096))
                while peer:
                    self._plain.sendto(session.connection.recv(4096), peer)

    def close(self):
        self._over.set()
        self.join()
        self._plain.close()


@pytest.fixture(scope="module")
def twin(tmp_path_factory):
    with running(tmp_path_factory.mktemp("aiocoap")) as made:
        yield made


def talk(twin, *requests):
    """Send requests one after the other with aiocoap, authenticated first; -> the answers."""

    async def all_of_them(port):
        context = await Context.create_client_context()
        try:
            answers = []
            for message in (Message(code=POST, uri_path=("auth", "jwt"), payload=token(twin)), *requests):
                message.set_request_uri(f"coap://127.0.0.1:{port}/" + "/".join(message.opt.uri_path))
                answers.append(await asyncio.wait_for(context.request(message).response, 20))
            return answers
        finally:
            await context.shutdown()

    with Client(twin.coap_port, twin.pki / "ca.pem") as session:
        relay = Relay(session)
        relay.start()
        try:
            return asyncio.run(all_of_them(relay.port))
        finally:
            relay.close()


def test_a_session_and_a_message(twin):
    body = json.dumps({"appId": "AIO", "messageType": "DATA", "data": "1"}).encode()
    auth, stored = talk(
        twin, Message(code=POST, uri_path=("msg", "d2c"), payload=body, content_format=ContentFormat(JSON))
    )
    assert (auth.code.dotted, stored.code.dotted) == ("2.01", "2.01")
    assert auth.opt.max_age == 2592000
    items = twin.rest.get("/v1/messages", params={"appId": "AIO"}).json()["items"]
    assert items[0]["message"]["data"] == "1"


def test_position_and_assistance_in_blocks(twin):
    fix = cbor2.dumps({19: [{6: 244, 7: 12, 8: 186369, 9: 12001}]})
    _, place, elements = talk(
        twin,
        Message(
            code=FETCH, uri_path=("loc", "ground-fix"), payload=fix, content_format=ContentFormat(CBOR), accept=CBOR
        ),
        Message(
            code=FETCH, uri_path=("loc", "agnss"), payload=cbor2.dumps({1: [2, 3]}), content_format=ContentFormat(CBOR)
        ),
    )
    assert list(cbor2.loads(place.payload)) == [1, 2, 3, 4]
    assert elements.payload[:3] == b"\x01\x02\x20" and len(elements.payload) > 2500, elements.payload[:200]


def test_a_shadow_in_blocks_both_ways(twin):
    big = {"list": ["x" * 50] * 60}
    _, changed, answer = talk(
        twin,
        Message(
            code=PATCH, uri_path=("state", "desired"), payload=cbor2.dumps(big), content_format=ContentFormat(CBOR)
        ),
        Message(code=GET, uri_path=("state", "desired", "list"), accept=CBOR),
    )
    assert (changed.code.dotted, answer.code.dotted) == ("2.04", "2.05")
    assert cbor2.loads(answer.payload) == big["list"]


def test_errors_are_ones_that_it_understands(twin):
    answers = talk(
        twin,
        Message(code=GET, uri_path=("fota", "exec", "current")),
        Message(code=GET, uri_path=("nowhere",)),
        Message(code=POST, uri_path=("msg", "d2c"), payload=b"{", content_format=ContentFormat(JSON)),
    )
    assert [answer.code.dotted for answer in answers[1:]] == ["4.04", "4.04", "4.00"]
