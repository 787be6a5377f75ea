"""The corpora of the fuzz campaigns, written by the host with other people's encoders: aiocoap and cbor2.

write(path, records) makes the file that mutate.Corpus reads.
"""

import json
import warnings
from pathlib import Path

import aiocoap
import cbor2
from aiocoap.numbers.types import ACK, CON, NON, RST
from aiocoap.optiontypes import OpaqueOption, UintOption

DATA = Path(__file__).resolve().parents[1] / "data"


def write(path, records):
    """A corpus file: (2-byte length, bytes) for each record."""
    path.write_bytes(b"".join(len(record).to_bytes(2, "big") + record for record in records))


def _message(mtype, code, mid, token=b"", options=(), payload=b""):
    """One datagram as aiocoap writes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of mtype, mid and token, which have no replacement
        made = aiocoap.Message(mtype=mtype, code=aiocoap.Code(code), mid=mid, token=token, payload=payload)
    for number, value in options:
        kind = UintOption if isinstance(value, int) else OpaqueOption
        made.opt.add_option(kind(aiocoap.OptionNumber(number), value))
    return made.encode()


def _block(num, more, szx):
    return num << 4 | more << 3 | szx


def coap():
    """Datagrams of every kind that a client meets: requests, answers, blocks, notifications, empty messages."""
    etag, body = b"\x8a\x01\xfe\x55", bytes(range(256))
    found = [_message(kind, 0, 0x1000 + i) for i, kind in enumerate((CON, ACK, RST))]
    for length in range(9):
        found.append(_message(ACK, 69, 0x2000 + length, body[:length], ((12, 60),), b"\xa1\x01\x18\x2a"))
    for size in (0, 1, 12, 13, 14, 255, 268, 269, 270, 1034):
        found.append(_message(NON, 68, size, b"\x01\x02", ((4, (body * 5)[:size]), (2048, b"x"))))
    for code in (65, 67, 68, 95, 128, 132, 136, 140, 141, 157, 160, 163):
        options = ((14, 60),) if code >= 157 else ((27, _block(1, 1, 4)), (60, 4096)) if code == 141 else ()
        found.append(_message(CON, code, code, b"abcd", options, b"\x4e\x6f" if code >= 128 else b""))
    for number, value in ((0, b"u"), (1, b"v"), (3, b"w" * 20)):
        found.append(_message(NON, 1, number, b"tk", ((11, b"s"), (11, b""), (15, value), (17, 60))))
    for szx in range(7):
        options = ((4, etag), (23, _block(65536 >> szx, 1, szx)), (28, 1 << 20))
        found.append(_message(ACK, 69, szx, b"\xde\xad\xbe\xef", options, (body * 4)[: 16 << szx]))
        options = ((11, b"fw"), (27, _block(szx, 1, szx)), (60, 5000))
        found.append(_message(CON, 3, szx, b"\xde\xad\xbe\xef", options, body[: 16 << min(szx, 4)]))
    for sequence in (0, 1, 255, 65536, 0xFFFFFF):
        options = ((4, etag), (6, sequence), (12, 60), (14, 300), (23, _block(0, 1, 2)))
        found.append(_message((CON, NON)[sequence & 1], 69, sequence & 0xFFFF, b"obs!", options, body[:64]))
    location = tuple((8, part) for part in (b"rd", b"", b"4521")) + ((20, b"a=1"), (20, b"b=2"))
    found.append(_message(ACK, 65, 7, b"\x00", location))
    found.append(_message(ACK, 69, 8, b"\x00", ((252, b"echo"), (258, 26), (292, b"tag"), (65000, b"e"), (65535, b""))))
    url = b"proxy.example/public/16096-14400.bin"
    found.append(_message(CON, 5, 9, b"12345678", ((11, b"proxy"), (23, 6), (28, 0), (35, b"coap://" + url)), b"\x80"))
    return found


def _nrf_cloud():
    """Bodies of nRF Cloud's CoAP interface, from its public CDDL: messages, positions, cells, a shadow, an answer."""
    cell = {5: 262, 6: 1, 7: 0x1A2D001, 8: 0x9C5A, 1: 1300, 2: 120, 3: -97, 4: -11.5, 9: 1}
    cell[11] = [{1: 1300, 2: 121, 3: -101, 4: -12}, {1: 6400, 2: 400, 3: -110, 5: 3}]
    wifi = [{12: bytes([2, 0, 0, 0, 0, i]), 14: -40 - i, 17: f"net{i}"} for i in range(4)]
    delta = {"interval": 60, "modes": ["gnss", "cell"], "limits": {"hot": 60.5, "cold": -20}, "on": True, "x": None}
    return [
        {1: "TEMP", 2: 23.5, 3: 1732125000123},
        {1: "GNSS", 2: {4: 63.421983, 5: 10.437126, 6: 6.5, 7: 0.2, 8: 271.0, 9: 35.5}, 3: 1732125000123},
        {18: [cell]},
        {18: [cell], 19: {20: wifi}},
        {1: 63.42, 2: 10.43, 3: 1500, 4: "MCELL"},
        {"state": {"desired": delta, "reported": delta}, "version": 12},
        ["job-5f1c", 2, "https://example.com/fw", "v2.0.1", 98304, "APP"],
        {"ids": ["1", "2", "3"], "big": 2**64 - 1, "small": -(2**64), "raw": bytes(range(40))},
    ]


def cbor():
    """Appendix A, the malformed list, real bodies, and structures made to hurt: depth, claims, endless ones."""
    vectors = json.loads((DATA / "cbor_appendix_a.json").read_text())
    found = [bytes.fromhex(vector["hex"]) for vector in vectors]
    malformed = json.loads((DATA / "cbor_malformed.json").read_text())
    found += [bytes.fromhex(text) for group in malformed.values() for text in group]
    for body in _nrf_cloud():
        found.append(cbor2.dumps(body))
        found.append(cbor2.dumps(body, indefinite_containers=True))
        found.append(cbor2.dumps(body, canonical=True))
    for depth in (15, 16, 17, 40, 300):
        found += [head * depth + b"\x00" for head in (b"\x81", b"\xc6", b"\x9f", b"\xa1\x00", b"\xbf\x00")]
        found += [b"\x9f" * depth + b"\xff" * depth, b"\xbf\x00" * depth + b"\xf6" + b"\xff" * depth]
    for major in range(2, 6):  # claims of 2**31, 2**32, 2**62 and 2**64 - 1, with a little behind them
        for claim in (b"\x1a\x7f\xff\xff\xff", b"\x1a\xff\xff\xff\xff", b"\x1b\x40" + bytes(7), b"\x1b" + b"\xff" * 8):
            found.append(bytes([major << 5 | claim[0]]) + claim[1:] + b"\x01\x02\x03")
    found += [b"\x99\x01\x00" + b"\x80" * 256, b"\xb8\x80" + b"".join(cbor2.dumps((i, [])) [1:] for i in range(128))]
    found += [b"\xc2\x58\x40" + bytes(range(64)), b"\xc3\x49\x01" + bytes(8), b"\xc2\x5f\x42\x01\x02\x41\x03\xff"]
    found += [b"\x5f" + b"\x41a" * 60 + b"\xff", b"\x7f" + b"\x62\xc3\xa4" * 40 + b"\xff", b"\x7f\x61\xc3\x61\xa4\xff"]
    found += [cbor2.dumps("aZ \u00fc\u6c34\U00010151\x00\ufffd"), b"\x64\xf4\x90\x80\x80", b"\x62\xc0\x80"]
    found.append(b"\x63\xed\xa0\x80")
    return found
