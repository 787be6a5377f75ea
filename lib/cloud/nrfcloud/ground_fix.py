"""FETCH loc/ground-fix of nRF Cloud in CBOR: where we are, by cells and Wi-Fi access points (nrfcloud.md 5.1, 5.2).

Unknown values are left out, never sent as 255 or 65535. Key order is the CDDL's, because decoders on the other side
may insist on it. The answer is read more leniently than it is specified. RAM: the request.
"""

from micropython import const

import cbor
import clock
import coap

_CBOR = const(60)

_LTE = const(19)
_WIFI = const(20)
_TS = const(21)
_POINTS = const(18)
_NMR = const(11)
_MAX_CELLS = const(5)
_MAX_NEIGHBOURS = const(5)
_MIN_POINTS = const(2)
_MAX_POINTS = const(20)
_MAX_ADVANCE = const(20512)
_WEAKEST = const(-128)
_VRRP = b"\x00\x00\x5e"  # IANA's block: virtual routers, which are where somebody configured them

# (key on the wire, field of our record)
_CELL = ((6, "mcc"), (7, "mnc"), (8, "eci"), (9, "tac"), (1, "earfcn"), (10, "ta"))
_LEVELS = ((3, "rsrp_dbm"), (4, "rsrq_db"))
_NEIGHBOUR = ((1, "earfcn"), (2, "pci"), (3, "rsrp_dbm"), (4, "rsrq_db"), (5, "time_diff"))
_POINT = ((12, "mac"), (14, "rssi_dbm"), (15, "channel"))
# Query flags in the order of locate()'s arguments, each with what it is by default: then it is not sent.
_FLAGS = (("doReply", True), ("hiConf", False), ("fallback", True))


def _wire(field, value):
    if field == "rsrq_db":
        return cbor.F32(value)
    if field == "ta" and value > _MAX_ADVANCE:
        return _MAX_ADVANCE
    if field == "rssi_dbm":
        return min(max(value, _WEAKEST), 0)
    return value


def _pairs(table, source):
    """-> [(key, value)] of what `source` knows, in the order of `table` ((key on the wire, field), ...)."""
    return [(key, _wire(field, source[field])) for key, field in table if source.get(field) is not None]


def _cell(cell):
    found = _pairs(_CELL, cell)
    neighbours = [cbor.Map(_pairs(_NEIGHBOUR, n)) for n in (cell.get("neighbours") or ())[:_MAX_NEIGHBOURS]]
    if neighbours:
        found.append((_NMR, neighbours))
    found.extend(_pairs(_LEVELS, cell))
    return cbor.Map(found)


def usable(points):
    """-> those access points that say something about a place, of more than 20 the strongest; [] when fewer than two.

    Left out: addresses that are locally administered (phones that share their connection, randomised ones) or of a
    group, IANA's block 00:00:5E, a second record of the same address (nrfcloud.md 5.1)."""
    found, seen = [], set()
    for point in points:
        mac = bytes(point["mac"])
        if len(mac) == 6 and not mac[0] & 3 and mac[:3] != _VRRP and mac not in seen:
            seen.add(mac)
            found.append(point)
    if len(found) > _MAX_POINTS:
        found = sorted(found, key=lambda one: -(one.get("rssi_dbm") or _WEAKEST))[:_MAX_POINTS]
    return found if len(found) >= _MIN_POINTS else []


def ground_fix(cells, points=(), ts_ms=None):
    """-> bytes of a ground_fix request, None when there is nothing to ask with.

    `cells`: cell records (modem.base), the serving one first, of which five go out with five neighbours each;
    `points`: access points {"mac": 6 bytes, "rssi_dbm", "channel"}; `ts_ms`: Unix time of the measurement."""
    top = []
    if cells:
        top.append((_LTE, [_cell(cell) for cell in cells[:_MAX_CELLS]]))
    points = usable(points)
    if points:
        top.append((_WIFI, cbor.Map([(_POINTS, [cbor.Map(_pairs(_POINT, point)) for point in points])])))
    if not top:
        return None
    if ts_ms:
        top.append((_TS, ts_ms))
    return cbor.dumps(cbor.Map(top))


def query(*flags):
    """-> ("doReply=false", ...): those of the flags reply, confident, fallback that differ from their defaults."""
    changed = [(name, flag) for (name, usual), flag in zip(_FLAGS, flags) if flag != usual]
    return tuple(["%s=%s" % (name, "true" if flag else "false") for name, flag in changed])


def _float(raw):
    """Decode hook: a float arrives as a one-element tuple of 1e-7 units, so that it cannot pass for an integer."""
    return (cbor.scaled(7)(raw),)


def _scaled(value, units):
    """-> a number of the answer as an int, `units` of them to one; ValueError for anything else, NaN and infinity."""
    if isinstance(value, tuple):
        value = value[0]
        if value is not None:
            return value if units == 10000000 else value * units // 10000000
    elif isinstance(value, int) and not isinstance(value, bool):
        return value * units
    raise ValueError


def place(payload):
    """-> place dict (cloud.base) from a ground_fix answer; ValueError (CBORError is one) when it is not one.

    `how` is the service's word: SCELL, MCELL, WIFI, ANCHOR, one of them with _EVAL, or one that is not known yet.
    More lenient than the CDDL: whole degrees as integers, keys in any order, and keys that are new."""
    answer = cbor.loads(payload, floats=_float)
    try:
        lat, lon = _scaled(answer[1], 10000000), _scaled(answer[2], 10000000)
        acc_mm = _scaled(answer[3], 1000)
        if abs(lat) > 900000000 or abs(lon) > 1800000000 or acc_mm < 0:
            raise ValueError
        how = answer.get(4)
    except (KeyError, TypeError, ValueError, IndexError):
        raise ValueError("ground-fix answer without a position") from None
    return {"lat": lat, "lon": lon, "acc_mm": acc_mm, "how": how if isinstance(how, str) else "?"}


async def locate(cloud, cells, points=(), *flags):
    """Verb of cloud.base."""
    body = ground_fix(cells, points, clock.now_ms())
    if body is None:
        return None
    try:
        answer = await cloud.request(
            coap.FETCH, "loc/ground-fix", query=query(*flags), payload=body, content_format=_CBOR, accept=_CBOR
        )
    except coap.Refused as refused:
        if refused.code == coap.NOT_FOUND:
            return None
        raise
    return place(answer.payload) if answer.payload else {}
