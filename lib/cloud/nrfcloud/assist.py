"""FETCH loc/agnss of nRF Cloud, and loc/agps, its old name: one part of assistance for a receiver (nrfcloud.md 5.3, 9).

What the parts are is in needs.py. A download wants the heap for itself, so that what else there is to it (GET, the look
at what came) is loaded when it is due. RAM: the request.
"""

from micropython import const

import cbor
import clock
import coap
import log
from cloud.base import CloudError

_CBOR = const(60)
_NO_FETCH = (0x82, 0x85, 0x8F)  # 4.02, 4.05, 4.15: about how it was asked
_USUAL_MASK = const(5)  # degrees; not sent

# (key on the wire, field of our cell record)
_CELL = ((2, "eci"), (5, "mcc"), (6, "mnc"), (7, "rsrp_dbm"), (8, "tac"))


def agnss(types, cell=None, mask=None):
    """-> bytes of an agnss request for element `types` (list of int), with the serving `cell` when it is known.

    `mask`: only the satellites above so many degrees there, at most 16; None, or without a cell: all of them."""
    found = [(1, types)]
    if cell:
        found.extend([(key, cell[field]) for key, field in _CELL if cell.get(field) is not None])
        if mask is not None and cell.get("tac") is not None:  # the service needs to know where we are
            found[2:2] = ((3, True),) if mask == _USUAL_MASK else ((3, True), (4, mask))
    return cbor.dumps(cbor.Map(found))


async def fetch(cloud, path, part, cell, mv):
    """One part by FETCH; -> bytes in `mv`, checked to be assistance. CloudError when they are none."""
    types, mask, _ = part
    body = agnss(types, cell, mask)
    count = await cloud.blocks(mv, path, method=coap.FETCH, payload=body, content_format=_CBOR, accept=_CBOR)
    return checked(mv, count, part)


def checked(mv, count, part):
    """-> `count` when so many bytes of `mv` are assistance, which is then noted as given; else CloudError."""
    from gnss.walk import walk

    try:
        unknown = walk(mv[:count])
    except ValueError as problem:
        raise CloudError("no assistance: %s" % problem) from None
    if unknown is not None:
        log.warn("agnss", "element type %d is not known, and what follows it is lost", unknown)
    types, _, given = part
    for kind in types:
        given[kind] = clock.now() or 0
    return count


async def assistance(cloud, part, cell, mv):
    """Verb of cloud.base. A service that has no loc/agnss yet is asked by its old name, one without FETCH by GET."""
    try:
        return await fetch(cloud, "loc/agnss", part, cell, mv)
    except coap.Refused as refused:
        if refused.code == coap.NOT_FOUND:
            return await fetch(cloud, "loc/agps", part, cell, mv)
        if refused.code not in _NO_FETCH:
            raise
    from cloud.nrfcloud.needs import get

    return await get(cloud, "loc/agnss", part, cell, mv)
