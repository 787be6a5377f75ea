"""Dialogues between a CoAP client and a scripted server, written down datagram by datagram and played in lock step.

    play('''
        C CON GET fw         mid=a tok=t
        S ACK                mid=a
        S CON 2.05           mid=7 tok=t payload=late      +15
        C ACK                mid=7
    ''', lambda client: client.request(coap.GET, "fw"))

`C` lines are what the client must send, in this order; `S` lines are what the server sends behind the `C` line above
them, after `+ms` if it says so. The first use of a name in `mid=` or `tok=` by the client binds it: the same name means
the same value later on, two names never the same one. `C again a` is the very datagram that bound `a`, to the byte. A
`C` line names everything that matters: method and path, block1, block2, observe, size1, and the payload when there is
one; those that it does not name must not be there.

The datagrams are made and read by fakenet.py, not by lib/coap. Runs under MicroPython and CPython.
"""

import asyncio

import coap
from harness.aio import run
from harness.coap_support import BODY
from harness.fakenet import ACK, CON, NON, RST, FakeEndpoint, block, message, opts, uint

_TYPES = {"CON": CON, "NON": NON, "ACK": ACK, "RST": RST}
_METHODS = {"GET": 1, "POST": 2, "PUT": 3, "DELETE": 4, "FETCH": 5}
_UINTS = {"observe": 6, "max_age": 14, "size2": 28, "size1": 60}
_BLOCKS = {"block2": 23, "block1": 27}
_BYTES = {"etag": 4}
_STRICT = ("block1", "block2", "observe", "size1")
PATIENT = {"ack_timeout_ms": 4000, "separate_timeout_ms": 4000, "linger_ms": 0}  # nothing is repeated
HASTY = {"ack_timeout_ms": 30, "separate_timeout_ms": 4000, "linger_ms": 0}


def _bytes(text):
    """A payload: BODY[a:b] as `a..b`, else the text itself."""
    if ".." in text:
        start, end = text.split("..")
        return BODY[int(start) : int(end)]
    return text.encode()


def _block(text):
    """(num, more, szx) of `num/more/szx`."""
    num, more, szx = [int(part) for part in text.split("/")]
    return num, bool(more), szx


class _Line:
    """One line of a dialogue: `ours` (the client sends it), mtype, code, path, fields (dict of texts), delay."""

    def __init__(self, text):
        self.text = text
        self.fields = {}
        self.delay = 0
        self.path = None
        self.code = 0
        words = text.split()
        self.ours = words.pop(0) == "C"
        self.again = words[1] if words[0] == "again" else None
        if self.again:
            return
        self.mtype = _TYPES[words.pop(0)]
        for word in words:
            if word[0] == "+":
                self.delay = int(word[1:])
            elif "=" in word:
                name, value = word.split("=", 1)
                self.fields[name] = value
            elif word in _METHODS:
                self.code = _METHODS[word]
            elif word[1:2] == "." and word[0] in "2345":
                self.code = int(word[0]) << 5 | int(word[2:])
            else:
                self.path = word


class Dialogue:
    """The server's side of it, for FakeEndpoint. `problems`: what the client did otherwise."""

    def __init__(self, text):
        self.lines = [_Line(line.strip()) for line in text.split("\n") if line.strip()]
        self.problems = []
        self._at = 0
        self._mids = {}
        self._tokens = {}
        self._datagrams = {}

    def opening(self):
        """What the server sends before the client has said anything."""
        return self._replies()

    def __call__(self, seen):
        if self._at >= len(self.lines):
            self.problems.append("after the end: %s" % self._told(seen))
            return []
        line = self.lines[self._at]
        wrong = self._differs(line, seen)
        if wrong:
            self.problems.append("%s: %s, in %s" % (line.text, wrong, self._told(seen)))
            return []
        self._at += 1
        return self._replies()

    def unplayed(self):
        """The first line of the client's that did not come, or None."""
        return self.lines[self._at].text if self._at < len(self.lines) else None

    def _replies(self):
        out = []
        while self._at < len(self.lines) and not self.lines[self._at].ours:
            line = self.lines[self._at]
            out.append((line.delay, self._made(line)))
            self._at += 1
        return out

    def _made(self, line):
        if line.again:
            return self._datagrams[line.again]
        fields = line.fields
        pairs = []
        for name, number in _UINTS.items():
            if name in fields:
                pairs.append((number, uint(int(fields[name]))))
        for name, number in _BLOCKS.items():
            if name in fields:
                pairs.append((number, block(*_block(fields[name]))))
        for name, number in _BYTES.items():
            if name in fields:
                pairs.append((number, fields[name].encode()))
        token = self._tokens[fields["tok"]] if "tok" in fields else b""
        mid = fields["mid"]
        data = message(
            line.mtype, line.code, self._mids.get(mid) or int(mid), token, opts(*sorted(pairs)),
            _bytes(fields.get("payload", "")),
        )  # fmt: skip
        self._datagrams[mid] = data
        return data

    def _differs(self, line, seen):
        """What is wrong with a datagram of the client's, or None."""
        if line.again:
            return None if seen.data == self._datagrams.get(line.again) else "not the same datagram"
        fields = line.fields
        if (seen.type, seen.code) != (line.mtype, line.code):
            return "type or code"
        if line.path is not None and seen.path() != line.path:
            return "path"
        for names, name, value in ((self._mids, "mid", seen.mid), (self._tokens, "tok", seen.token)):
            if name in fields and not _bind(names, fields[name], value):
                return name
        self._datagrams[fields.get("mid")] = seen.data
        for name in _STRICT:
            wrong = self._option_differs(name, fields.get(name), seen)
            if wrong:
                return wrong
        if seen.payload != _bytes(fields.get("payload", "")):
            return "payload"

    def _option_differs(self, name, wanted, seen):
        if name in _BLOCKS:
            got = seen.block(_BLOCKS[name])
            wanted = wanted and _block(wanted)
        else:
            values = seen.values(_UINTS[name])
            got = int.from_bytes(values[0], "big") if values else None
            wanted = None if wanted is None else int(wanted)
        return None if got == wanted else "%s is %s" % (name, got)

    def _told(self, seen):
        return "type %d code 0x%02x mid %d %s options %s" % (seen.type, seen.code, seen.mid, seen.token, seen.options)


def _bind(names, name, value):
    if name.isdigit():
        return int(name) == value
    if name in names:
        return names[name] == value
    if value in names.values():
        return False
    names[name] = value
    return True


def play(text, act, tuning=None, rest_ms=20):
    """(result or exception of `await act(client)`, client). AssertionError when the client did anything else than the
    dialogue says; rest_ms is how long it is watched after its end."""

    async def outcome(client):
        try:
            return await act(client)
        except (coap.CoapError, OSError, ValueError) as exc:
            return exc

    async def go():
        client = coap.Client(endpoint, **(tuning or PATIENT))
        for delay, data in dialogue.opening():
            endpoint.push(data, delay)
        task = asyncio.create_task(outcome(client))
        while not task.done() and not dialogue.problems:
            await asyncio.sleep_ms(1)
        if dialogue.problems:  # it would wait in vain for what the dialogue cannot give any more
            task.cancel()
        try:
            result = await task
        except asyncio.CancelledError:
            result = None
        for _ in range(200):  # its last ACK may still be on its way
            if dialogue.problems or dialogue.unplayed() is None:
                break
            await asyncio.sleep_ms(5)
        await asyncio.sleep_ms(rest_ms)
        await client.close()
        return result, client

    dialogue = Dialogue(text)
    endpoint = FakeEndpoint(dialogue)
    result, client = run(go(), timeout_s=10)
    problems = dialogue.problems
    if not problems and dialogue.unplayed() is not None:
        problems = problems + ["never came: " + dialogue.unplayed()]
    if problems:
        raise AssertionError("; ".join(problems[:3]) + " -> %r" % (result,))
    return result, client
