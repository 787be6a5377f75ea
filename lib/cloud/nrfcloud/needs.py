"""What a receiver needs as requests for nRF Cloud: which element types, in which parts (nrfcloud.md 9.3), and as a GET.

Loaded before a download and, for a service without FETCH, instead of most of assist.py.
"""

import clock

_LARGE = (2, 3, 11, 12)  # ephemerides and almanacs
# (name in the query, field of our cell record)
_CELL = (("eci", "eci"), ("mcc", "mcc"), ("mnc", "mnc"), ("rsrp", "rsrp_dbm"), ("tac", "tac"))


def agnss_parts(types):
    """-> `types` as a list of requests: small elements and time first (a receiver wants the time before the rest),
    then each large kind by itself, so that no answer is larger than 32 ephemerides (1,987 bytes)."""
    parts = [[kind] for kind in types if kind in _LARGE]
    small = [kind for kind in types if kind not in _LARGE]
    return [small] + parts if small else parts


def assistance_parts(cloud, need, cell, given, mask=None):
    """Verb of cloud.base."""
    from gnss.agnss import missing, types_for

    types = types_for(need, located=bool(cell))
    types = missing(types, given, need, clock.now() or 0, mask is not None)
    return [(kinds, mask, given) for kinds in agnss_parts(types)]


def query(types, cell=None, mask=None):
    """-> what assist.agnss() asks for, as a query: ("types=1", "types=2", "eci=..", ...)."""
    found = ["types=%d" % kind for kind in types]
    if cell:
        found.extend(["%s=%d" % (name, cell[field]) for name, field in _CELL if cell.get(field) is not None])
        if mask is not None and cell.get("tac") is not None:
            found.append("filtered=true")
            if mask != 5:
                found.append("mask=%d" % mask)
    return tuple(found)


async def get(cloud, path, part, cell, mv):
    """One part by GET; -> bytes in `mv`, checked to be assistance. CloudError when they are none."""
    from cloud.nrfcloud.assist import checked

    count = await cloud.blocks(mv, path, query=query(part[0], cell, part[1]))
    return checked(mv, count, part)
