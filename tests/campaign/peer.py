"""The cloud at the other end: CoAP by aiocoap's codec, behind a stand-in for DTLS, in memory.

What it knows of nRF Cloud is what the node needs to go on: a token is accepted, messages are kept, and everything else
is not there. It remembers what arrived, and what it acknowledged. An association is known by its connection ID, or
else by the address that it began from (RFC 9146); a datagram of one that it does not know is dropped in silence.
"""

import json

import aiocoap
import cbor2
from aiocoap.numbers.codes import Code
from aiocoap.numbers.types import Type

HELLO, DONE, DATA, ALERT = 0x16, 0x14, 0x17, 0x15  # records of the stand-in
_CREATED, _CHANGED, _NOT_FOUND = Code.CREATED, Code.CHANGED, Code.NOT_FOUND
_SESSION_S = 86400


class Peer:
    """`feed(datagram, address, answer)`: answer(datagram) goes back where it came from."""

    def __init__(self):
        self.values = {}  # content of a message that was accepted -> how often it came
        self.sessions = {}  # number -> [address, whether it has a connection ID, whether a token was accepted]
        self.handshakes = self.tokens = self.requests = self.strangers = self.damaged = 0
        self.down = False  # the service does not answer
        self._answers = {}  # (session, message ID) -> answer, for what is sent again
        self._next = 1

    def feed(self, datagram, address, answer):
        if self.down or len(datagram) < 3:
            return
        kind, number = datagram[0], int.from_bytes(datagram[1:3], "big")
        if kind == HELLO:
            self._hello(datagram[3:], address, answer)
        elif kind in (DATA, ALERT):
            session = self.sessions.get(number)
            if session is None or (session[0] != address and not session[1]):
                self.strangers += 1
                return
            session[0] = address
            if kind == ALERT:
                del self.sessions[number]
            else:
                self._try(number, datagram[3:], lambda data: answer(bytes((DATA,)) + datagram[1:3] + data))

    def _hello(self, body, address, answer):
        """`body`: whether a connection ID is offered, and a nonce; the same nonce is the same handshake."""
        number = next((number for number, session in self.sessions.items() if session[3] == body), None)
        if number is None:
            number, self._next = self._next, self._next + 1
            self.sessions[number] = [address, bool(body[0]), False, body]
            self.handshakes += 1
        answer(bytes((DONE,)) + number.to_bytes(2, "big") + body)

    def _try(self, number, data, answer):
        """What nobody can understand is dropped: a message cut in two by the modem, or damaged on its way to it."""
        try:
            self._record(number, data, answer)
        except (ValueError, LookupError, TypeError, aiocoap.error.Error, cbor2.CBORError):
            self.damaged += 1

    def _record(self, number, data, answer):
        request = aiocoap.Message.decode(data)
        if request.mtype in (Type.ACK, Type.RST):
            return
        if request.code == Code.EMPTY:  # a ping
            answer(aiocoap.Message(mtype=Type.RST, mid=request.mid, code=Code.EMPTY).encode())
            return
        key = (number, request.mid)
        if key not in self._answers:
            self.requests += 1
            self._answers[key] = self._serve(self.sessions[number], request)
        answer(self._answers[key])

    def _serve(self, session, request):
        path = "/".join(request.opt.uri_path)
        answer = aiocoap.Message(code=_NOT_FOUND)
        if path.startswith("auth/"):
            self.tokens += 1
            session[2] = True
            answer = aiocoap.Message(code=_CREATED)
            answer.opt.max_age = _SESSION_S
        elif not session[2]:
            answer = aiocoap.Message(code=Code.UNAUTHORIZED)
        elif path.startswith("msg/"):
            self._keep(request)
            answer = aiocoap.Message(code=_CHANGED)
        elif path == "state":
            answer = aiocoap.Message(code=_CHANGED if request.code != Code.GET else Code.CONTENT)
        answer.mtype = Type.ACK if request.mtype == Type.CON else Type.NON
        answer.mid = request.mid if request.mtype == Type.CON else request.mid ^ 0x8000
        answer.token = request.token
        return answer.encode()

    def _keep(self, request):
        """Measurements by their content: {1: name, 2: value, 3: ms}; alerts and log lines by their text."""
        if request.opt.content_format == 60:
            body = cbor2.loads(request.payload)
            for entry in body if isinstance(body, list) else [body]:
                key = (entry[1], _frozen(entry[2]), entry[3])
                self.values[key] = self.values.get(key, 0) + 1
        else:
            body = json.loads(request.payload)
            for entry in body if isinstance(body, list) else [body]:
                key = (entry.get("appId"), json.dumps(entry, sort_keys=True))
                self.values[key] = self.values.get(key, 0) + 1


def _frozen(value):
    return tuple(sorted(value.items())) if isinstance(value, dict) else value
