"""FETCH loc/ground-fix and FETCH loc/agnss of nRF Cloud, in CBOR (nrfcloud.md 5.1-5.3).

Unknown values are left out, never sent as 255 or 65535. Key order is the CDDL's, because decoders on the other side
may insist on it.
"""

from micropython import const

import cbor
import coap
from cloud.base import CloudError

_CBOR = const(60)
_SCHEMA_1 = const(1)  # first byte of assistance data; an error report in JSON begins with "{"

_LTE = const(19)
_NMR = const(11)
_MAX_NEIGHBOURS = const(5)
_MAX_ADVANCE = const(20512)

# (key on the wire, field of our cell record)
_CELL = ((6, "mcc"), (7, "mnc"), (8, "eci"), (9, "tac"), (1, "earfcn"), (10, "ta"))
_LEVELS = ((3, "rsrp_dbm"), (4, "rsrq_db"))
_NEIGHBOUR = ((1, "earfcn"), (2, "pci"), (3, "rsrp_dbm"), (4, "rsrq_db"), (5, "time_diff"))
_LARGE = (2, 3, 11, 12)  # ephemerides and almanacs
_AGNSS_CELL = ((5, "mcc"), (6, "mnc"), (7, "rsrp_dbm"), (8, "tac"))


def _wire(field, value):
    if field == "rsrq_db":
        return cbor.F32(value)
    if field == "ta" and value > _MAX_ADVANCE:
        return _MAX_ADVANCE
    return value


def _pairs(table, source):
    return [(key, _wire(field, source[field])) for key, field in table if source.get(field) is not None]


def ground_fix(cell):
    """-> bytes of a ground_fix request for the serving `cell` (modem.base) and up to five neighbours."""
    pairs = _pairs(_CELL, cell)
    neighbours = [cbor.Map(_pairs(_NEIGHBOUR, n)) for n in (cell.get("neighbours") or ())[:_MAX_NEIGHBOURS]]
    if neighbours:
        pairs.append((_NMR, neighbours))
    pairs.extend(_pairs(_LEVELS, cell))
    return cbor.dumps({_LTE: [cbor.Map(pairs)]})


def _float(raw):
    """Decode hook: a float arrives as a one-element tuple of 1e-7 units, so that it cannot pass for an integer."""
    return (cbor.scaled(7)(raw),)


def place(payload):
    """-> place dict (cloud.base) from a ground_fix answer; ValueError (CBORError is one) when it is not one."""
    answer = cbor.loads(payload, floats=_float)
    try:
        (lat,), (lon,) = answer[1], answer[2]
        radius = answer[3]
        how = answer[4]
        acc_mm = radius[0] // 10000 if isinstance(radius, tuple) else radius * 1000
        if lat is None or lon is None:  # NaN, infinity
            raise ValueError
    except (KeyError, TypeError, ValueError, IndexError):
        raise ValueError("ground-fix answer without a position") from None
    return {"lat": lat, "lon": lon, "acc_mm": acc_mm, "how": how}


def agnss_parts(types):
    """-> `types` as a list of requests: small elements and time first (a receiver wants the time before the rest),
    then each large kind by itself, so that no answer is larger than 32 ephemerides (1,987 bytes)."""
    parts = [[kind] for kind in types if kind in _LARGE]
    small = [kind for kind in types if kind not in _LARGE]
    return [small] + parts if small else parts


def agnss(types, cell):
    """-> bytes of an agnss request for element `types` (list of int), with the serving `cell` when it is known."""
    pairs = [(1, types)]
    if cell:
        pairs.append((2, cell["eci"]))
        pairs.extend(_pairs(_AGNSS_CELL, cell))
    return cbor.dumps(cbor.Map(pairs))


async def locate(cloud, cell):
    """Verb of cloud.base."""
    try:
        answer = await cloud.request(
            coap.FETCH, "loc/ground-fix", payload=ground_fix(cell), content_format=_CBOR, accept=_CBOR
        )
    except coap.Refused as refused:
        if refused.code == coap.NOT_FOUND:
            return None
        raise
    return place(answer.payload)


def assistance_parts(cloud, need, cell):
    """Verb of cloud.base: each part is a list of element types."""
    from gnss import agnss as elements

    return agnss_parts(elements.types_for(need, located=bool(cell)))


async def assistance(cloud, part, cell, mv):
    """Verb of cloud.base."""
    count = await cloud.blocks(
        mv, "loc/agnss", method=coap.FETCH, payload=agnss(part, cell), content_format=_CBOR, accept=_CBOR
    )
    if not count or mv[0] != _SCHEMA_1:
        raise CloudError("assistance is not of schema 1: %s" % bytes(mv[: min(count, 64)]))
    return count
