"""The device side of test_gnss_peers.py: one JSON question a line on standard input, one JSON answer a line.

["nmea", hex, chunk] -> [fix, dropped, seen]    ["ubx", hex, chunk] -> [[[class, id, payload]..], other, lost]
["agnss", [hex..]] -> [frame..] or error        ["hints", unix_s, place] -> [frame..]
["pvt" | "orbits", hex] -> what it says         ["ack", ack, frame] -> code
["nrf91", [[type, hex]..]] -> [[type, hex] or null..]
"""

import json
import sys
from binascii import hexlify, unhexlify

from gnss import ubx
from gnss.agnss_nrf91 import Converter
from gnss.agnss_ubx import frames, hints
from gnss.nmea import Reader
from gnss.ubx_stream import Parser


def text(data):
    return hexlify(bytes(data)).decode()


def feed(parser, blob, step):
    view = memoryview(blob)
    for i in range(0, len(blob), step):
        parser.feed(view[i : i + step])


def nmea(blob, step):
    reader = Reader()
    feed(reader, unhexlify(blob), step)
    reader.end()
    return [reader.fix, reader.dropped, dict([(key.decode(), value) for key, value in reader.seen.items()])]


def stream(blob, step):
    found, other = [], bytearray()
    parser = Parser(lambda cls, ident, payload: found.append([cls, ident, text(payload)]), other.extend)
    feed(parser, unhexlify(blob), step)
    return [found, text(other), parser.lost]


def agnss(chunks):
    try:
        return [text(one) for one in frames([unhexlify(chunk) for chunk in chunks])]
    except ValueError as error:
        return str(error)


def nrf91(items):
    converter = Converter()
    made = [converter.convert(kind, unhexlify(element)) for kind, element in items]
    return [one and [one[0], text(one[1])] for one in made]


ASKED = {
    "nmea": nmea,
    "ubx": stream,
    "agnss": agnss,
    "nrf91": nrf91,
    "hints": lambda unix_s, place: [text(one) for one in hints(unix_s, place)],
    "pvt": lambda payload: ubx.fix(unhexlify(payload)),
    "orbits": lambda payload: [ubx.orbits(unhexlify(payload))[system] for system in (1, 3)],
    "ack": lambda payload, frame: ubx.accepted(unhexlify(payload), unhexlify(frame)),
}

for line in sys.stdin:
    what, *values = json.loads(line)
    print(json.dumps(ASKED[what](*values)))
