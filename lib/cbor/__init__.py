"""CBOR (RFC 8949) for small heaps: encodes into the caller's buffer, decodes from bytes or a memoryview.

Used by the cloud backends, the manifest and the journal; README.md has the whole of it. Only CBORError ever comes out
of hostile input: depth, item count and every length claim are checked before anything is allocated. Coordinates never
become floats: `Decimal` writes and `scaled` reads float64 by integer arithmetic, exact on boards whose floats are
single precision. Owns no RAM beyond its code, and nothing stays of that but the classes of item.py: the rest is loaded
when it is used. Who encodes in a loop says `from cbor import dump_into` and keeps it.
"""

from cbor.item import F32, F64, CBORError, Decimal, Map, NoRoom, Simple, Tag, undefined  # noqa: F401

_HOMES = {"dumps": "encode", "dump_into": "encode", "loads": "decode", "load_from": "decode", "scaled": "floats"}


def __getattr__(name):
    """What is loaded when it is used, by an application that may drop it from sys.modules again: nothing is kept."""
    home = _HOMES.get(name) or name[:1].isupper() and "rare"
    if not home:
        raise AttributeError(name)
    return getattr(globals().get(home) or __import__(home, globals(), None, (name,), 1), name)
