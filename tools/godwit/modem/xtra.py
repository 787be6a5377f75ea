"""Prediction files (XTRA) of the simulated world.

The real ones are Qualcomm's and their inside is nobody's business: a driver moves bytes. Ours hold what the model
needs: `XTRA`, start of validity (Unix seconds, uint32 little-endian), hours (uint16), then filling, CRC-32 of all that.
`python -m godwit.modem.xtra START HOURS FILE [SIZE]` makes one.
"""

import random
import struct
import sys
import zlib

_HEAD = struct.Struct("<4sIH")
_MAGIC = b"XTRA"


class XtraError(ValueError):
    """Not a prediction file, or a damaged one."""


def make(start_s, hours, size=14943):
    """A file of `size` bytes that holds from `start_s` for `hours`."""
    filling = random.Random(start_s).randbytes(size - _HEAD.size - 4)
    body = _HEAD.pack(_MAGIC, start_s, hours) + filling
    return body + struct.pack("<I", zlib.crc32(body))


def decode(blob):
    """(start, end) in Unix seconds. Raises XtraError."""
    if len(blob) < _HEAD.size + 4 or zlib.crc32(blob[:-4]) != struct.unpack("<I", blob[-4:])[0]:
        raise XtraError("truncated or damaged")
    magic, start_s, hours = _HEAD.unpack_from(blob)
    if magic != _MAGIC:
        raise XtraError("not a prediction file")
    return start_s, start_s + hours * 3600


if __name__ == "__main__":
    with open(sys.argv[3], "wb") as out:
        out.write(make(int(sys.argv[1]), int(sys.argv[2]), *map(int, sys.argv[4:5])))
