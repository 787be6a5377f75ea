"""FETCH and GET loc/agnss of nRF Cloud, and loc/agps, its old name: assistance for a receiver (nrfcloud.md 5.3, 9).

What is asked for is split into parts, so that no answer needs more than cloud.base.ASSIST_MAX bytes of heap.
"""

from micropython import const

import cbor
import clock
import coap
import log
from cloud.base import CloudError
from cloud.nrfcloud.ground_fix import pairs

_CBOR = const(60)
_BAD_OPTION = const(0x82)
_NO_METHOD = const(0x85)
_NO_FORMAT = const(0x8F)

_LARGE = (2, 3, 11, 12)  # ephemerides and almanacs
_USUAL_MASK = const(5)  # degrees; not sent

# (key on the wire, field of our cell record); in a query the same by name
_CELL = ((5, "mcc"), (6, "mnc"), (7, "rsrp_dbm"), (8, "tac"))
_QUERY = (("eci", "eci"), ("mcc", "mcc"), ("mnc", "mnc"), ("rsrp", "rsrp_dbm"), ("tac", "tac"))


def agnss_parts(types):
    """-> `types` as a list of requests: small elements and time first (a receiver wants the time before the rest),
    then each large kind by itself, so that no answer is larger than 32 ephemerides (1,987 bytes)."""
    parts = [[kind] for kind in types if kind in _LARGE]
    small = [kind for kind in types if kind not in _LARGE]
    return [small] + parts if small else parts


def _filtered(cell, mask):
    return mask is not None and bool(cell) and cell.get("tac") is not None  # the service needs to know where we are


def agnss(types, cell=None, mask=None):
    """-> bytes of an agnss request for element `types` (list of int), with the serving `cell` when it is known.

    `mask`: only the satellites above so many degrees there, at most 16; None, or without a cell: all of them."""
    found = [(1, types)]
    if cell:
        found.append((2, cell["eci"]))
        if _filtered(cell, mask):
            found.append((3, True))
            if mask != _USUAL_MASK:
                found.append((4, mask))
        found.extend(pairs(_CELL, cell))
    return cbor.dumps(cbor.Map(found))


def agnss_query(types, cell=None, mask=None):
    """-> the same request as the query of a GET: ("types=1", "types=2", "eci=..", ...)."""
    found = ["types=%d" % kind for kind in types]
    if cell:
        found.extend(["%s=%d" % pair for pair in pairs(_QUERY, cell)])
        if _filtered(cell, mask):
            found.append("filtered=true")
            if mask != _USUAL_MASK:
                found.append("mask=%d" % mask)
    return tuple(found)


def _how(types, cell, mask, get):
    """-> the arguments of a block-wise request, by FETCH or by GET."""
    if get:
        return {"query": agnss_query(types, cell, mask)}
    return {
        "method": coap.FETCH, "payload": agnss(types, cell, mask), "content_format": _CBOR, "accept": _CBOR,
    }  # fmt: skip


async def ask(cloud, path, get, part, cell, mv):
    """One request in one form: FETCH `path`, or GET when `get`; -> bytes in `mv`. CloudError when they are none."""
    from gnss import agnss as elements

    types, mask, given = part
    count = await cloud.blocks(mv, path, **_how(types, cell, mask, get))
    try:
        unknown = elements.check(mv[:count])
    except elements.AgnssError as problem:
        raise CloudError("no assistance: %s" % problem) from None
    if unknown is not None:
        log.warn("agnss", "element type %d is not known, and what follows it is lost", unknown)
    for kind in types:
        given[kind] = clock.now() or 0
    return count


def assistance_parts(cloud, need, cell, given, mask=None):
    """Verb of cloud.base."""
    from gnss import agnss as elements

    types = elements.types_for(need, located=bool(cell))
    types = elements.missing(types, given, need, clock.now() or 0, mask is not None)
    return [(kinds, mask, given) for kinds in agnss_parts(types)]


async def assistance(cloud, part, cell, mv):
    """Verb of cloud.base. A service that has no loc/agnss yet is asked by its old name, one without FETCH by GET."""
    try:
        return await ask(cloud, "loc/agnss", False, part, cell, mv)
    except coap.Refused as refused:
        if refused.code == coap.NOT_FOUND:
            return await ask(cloud, "loc/agps", False, part, cell, mv)
        if refused.code not in (_BAD_OPTION, _NO_METHOD, _NO_FORMAT):
            raise
    return await ask(cloud, "loc/agnss", True, part, cell, mv)
