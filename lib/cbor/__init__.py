"""CBOR (RFC 8949) for small heaps: encodes into the caller's buffer, decodes from bytes or a memoryview.

Used by the cloud backends, the manifest and the journal. Only CBORError ever comes out of hostile input:
depth, item count and every length claim are checked before anything is allocated. Coordinates never become
floats: `Decimal` writes and `scaled` reads float64 by integer arithmetic, exact on boards whose floats are
single precision. Owns no RAM beyond its code.
"""

from cbor.encode import dump_into, dumps
from cbor.float64 import scaled
from cbor.item import F32, F64, CBORError, Decimal, Map, NoRoom, Simple, Tag, undefined

__all__ = (
    "F32",
    "F64",
    "CBORError",
    "Decimal",
    "Map",
    "NoRoom",
    "Simple",
    "Tag",
    "dump_into",
    "dumps",
    "loads",
    "scaled",
    "undefined",
)


def loads(buf, floats=None, max_items=1024):
    """Decode the one item that fills `buf`: see cbor.decode, which is loaded now, and which an application that only
    decodes now and then may drop in between."""
    from cbor.decode import loads as decode

    return decode(buf, floats, max_items)
