"""A slice of `make fuzz` (tests/fuzz): mutated datagrams, CBOR and a live client on 32-bit MicroPython, in small heaps.

Also what only the host can judge: aiocoap reads what lib/coap writes, cbor2 and cbor agree on damaged bytes, and a fuzz
campaign finds a fault that was planted. Seeds are fixed; GODWIT_SEED replaces them.
"""

import io
import os
import re
import shutil
from pathlib import Path

import aiocoap
import cbor2
import pytest

from fuzz import campaign
from godwit.places import BUILD

REPO = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("GODWIT_SEED") or 20)

pytestmark = pytest.mark.skipif(not (BUILD / "bin" / "micropython32").exists(), reason="no 32-bit MicroPython here")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The device's side, compiled."""
    folder = tmp_path_factory.mktemp("fuzz")
    campaign.build(folder)
    return folder


SLICES = {
    "codec": 60000,
    "cbor": 60000,
    "cbor-long": 20000,
    "compose": 20000,
    "client": 4000,
    "client-68k": 3000,
    "nmea": 1600,
    "ubx": 3200,
    "agnss": 1600,
}


@pytest.mark.parametrize(("name", "inputs"), SLICES.items())
def test_slice(built, name, inputs):
    report = campaign.run(built, name, SEED, inputs, size=inputs // 16)  # enough batches to see the heap grow
    print(report)
    assert report.inputs >= inputs
    assert report.accepted > inputs // 50, "nothing of it gets far enough to prove anything"


def test_aiocoap_reads_what_is_composed(built):
    report = campaign.run(built, "compose", SEED, 2000, made=True)
    found = 0
    for line in report.lines:
        word, *parts = line.split(" ")
        if word == "made":
            raw, kind, code, mid, token, options, payload = ["" if part == "-" else part for part in parts]
            message = aiocoap.Message.decode(bytes.fromhex(raw))
            assert (message.mtype, message.code, message.mid) == (int(kind), int(code), int(mid)), raw
            assert (message.token.hex(), message.payload.hex()) == (token, payload), raw
            assert _options(message) == options, raw
            found += 1
    assert found > 1500


def _options(message):
    """As the device prints them."""
    return ",".join(f"{int(option.number)}={option.encode().hex()}" for option in message.opt.option_list())


def _cbor2(raw):
    """The value, or None when cbor2 refuses it, raises anything, or leaves bytes over."""
    stream = io.BytesIO(raw)
    try:
        value = cbor2.CBORDecoder(stream, max_depth=17, allow_duplicate_keys=False).decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError):
        return None
    return None if stream.read(1) else (value,)


# Where the two differ on purpose: what ours says, or what is in the bytes. cbor2 interprets the tags that it knows and
# refuses contents that do not fit them; it has no budget of items, and makes keys of what Python cannot hash.
BY_DESIGN = ("duplicate key", "unhashable key", "too many items", "nested too deeply", "bignum")
TAG = re.compile(rb"[\xc0-\xdb]")


def test_cbor2_gives_the_same_verdict(built):
    report = campaign.run(built, "cbor", SEED, 4000, verdicts=True)
    same = accepted = by_design = tagged = 0
    for line in report.lines:
        word, text, verdict, *words = line.split(" ")
        if word != "verdict":
            continue
        raw = b"" if text == "-" else bytes.fromhex(text)
        theirs = _cbor2(raw)
        if (theirs is not None) == (verdict == "ok"):
            same += 1
            accepted += verdict == "ok"
        elif verdict == "no":
            reason = " ".join(words)
            assert any(known in reason for known in BY_DESIGN), (text, reason, theirs)
            by_design += 1
        else:
            assert TAG.search(raw), (text, words)
            tagged += 1
    print(f"{same} alike, {accepted} of them accepted; {by_design} by design, {tagged} with a tag that cbor2 knows")
    assert same > 3500 and accepted > 200


# Faults that are planted at the end of a module of lib/: (name, campaign, module, text, what is said).
FAULTS = [
    ("another error", "codec", "coap/codec.py", """
_good = Message.parse
def _bad(self, buf, n):
    _good(self, buf, n)
    if n > 300 and buf[n - 1] > 240:
        raise IndexError("planted")
Message.parse = _bad
""", "IndexError planted"),
    ("a marker without payload is accepted", "codec", "coap/codec.py", """
_good = Message.parse
def _bad(self, buf, n):
    try:
        _good(self, buf, n)
    except CodecError:
        if n < 9 or buf[n - 1] != 255:
            raise
Message.parse = _bad
""", "codec says True, the RFC False"),
    ("empty options are left out", "compose", "coap/writer.py", """
_good = Writer.option
def _bad(self, number, value=b""):
    if value or number != 15:
        _good(self, number, value)
Writer.option = _bad
""", "Wrong"),
    ("memory is kept", "codec", "coap/codec.py", """
_good = Message.parse
_kept = []
_calls = [0]
def _bad(self, buf, n):
    _calls[0] += 1
    if _calls[0] % 160 == 0:
        _kept.append(bytes(30))
    _good(self, buf, n)
Message.parse = _bad
""", "the heap has grown"),
    ("a loop without an end", "cbor", "cbor/decode.py", """
_good = loads
def loads(buf, *args, **how):
    while len(buf) == 40:
        pass
    return _good(buf, *args, **how)
""", "no word for"),
    ("the reader dies", "client", "coap/messages.py", """
_good = MessageLayer._take
def _bad(self, n):
    if n == 7:
        raise IndexError("planted")
    return _good(self, n)
MessageLayer._take = _bad
""", "planted"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "path", "text", "said"), [fault[1:] for fault in FAULTS], ids=[f[0] for f in FAULTS])
def test_a_planted_fault_is_found(tmp_path, name, path, text, said):
    lib = tmp_path / "lib"
    for package in ("coap", "cbor"):
        shutil.copytree(REPO / "lib" / package, lib / package)
    with (lib / path).open("a") as file:
        file.write(text)
    campaign.build(tmp_path, lib)
    with pytest.raises(campaign.Failure) as found:
        campaign.run(tmp_path, name, SEED, 20000, quiet_s=4)
    print(found.value)
    assert said in str(found.value)
    assert "make fuzz" in str(found.value) or said == "the heap has grown"
