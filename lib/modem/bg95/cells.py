"""BG95: serving and neighbour cells from +QENG (modems.md 2C.3, 8.4).

The parsers are pure. Called through modem.family.Family only. RAM: none.
"""

from errno import ETIMEDOUT

from micropython import const

from at.fields import scan_int, split
from modem.convert import cell_record, neighbour, plmn
from modem.link import attempt

_SERVING = const(15)  # fields up to RSRQ
_RATS = {b"eMTC": "ltem", b"NBIoT": "nbiot", b"CAT-M": "ltem", b"CAT-NB": "nbiot"}  # BG95, BG77; BG96
_DIRECT_MAX = const(30)  # dB: more is not measured, so it must be the other coding


def level(field, low, high):
    """Field (bytes) -> int, or None where it is `-`, or no such level can be."""
    value = scan_int(field)
    return value if value is not None and low <= value <= high else None


def sinr_db(field, rat):
    """SINR of +QENG -> dB or None. BG96 codes it as (dB + 20) * 5, 0 to 250; newer modems print dB as it is, some of
    their firmware does not, which shows when it is too large."""
    value = scan_int(field)
    if value is None or not -20 <= value <= 250:
        return None
    if value < 0 or value <= _DIRECT_MAX and not rat.startswith(b"CAT"):
        return value
    return (value + 2) // 5 - 20  # to the nearest


def parse_serving(line):
    """`+QENG: "servingcell",...` -> cell record without neighbours, or None: searching, no LTE, or too little said."""
    fields = split(line)
    if len(fields) < _SERVING or fields[0] != b"servingcell" or fields[2] not in _RATS:
        return None
    mcc, mnc = plmn(fields[4] + fields[5])
    return cell_record(
        mcc,
        mnc,
        scan_int(fields[12], 16),
        scan_int(fields[6], 16),
        scan_int(fields[8]),
        scan_int(fields[7]),
        level(fields[13], -157, -30),
        level(fields[14], -35, 3),
        sinr_db(fields[16], fields[2]) if len(fields) > 16 else None,
        rat=_RATS[fields[2]],
    )


def parse_neighbour(line):
    """`+QENG: "neighbourcell intra",RAT,EARFCN,PCI,RSRQ,RSRP,...` (RSRQ first) -> neighbour record, or None."""
    fields = split(line)
    if len(fields) < 6 or not fields[0].startswith(b"neighbourcell") or fields[1] not in _RATS:
        return None
    earfcn, pci = scan_int(fields[2]), scan_int(fields[3])
    if earfcn is None or pci is None:
        return None
    return neighbour(earfcn, pci, level(fields[5], -157, -30), level(fields[4], -35, 3))


async def cells(modem, neighbours=True):
    """-> record of the serving cell, with its neighbours when asked for. OSError(ETIMEDOUT) when there is none."""
    cell = None
    for line in await modem.at.command('AT+QENG="servingcell"', b"+QENG:", timeout_ms=5000):
        cell = cell or parse_serving(line)
    if cell is None:
        raise OSError(ETIMEDOUT, "no serving cell")
    if neighbours:
        for line in await attempt(modem, 'AT+QENG="neighbourcell"', b"+QENG:", timeout_ms=5000) or ():
            found = parse_neighbour(line)
            if found:
                cell["neighbours"].append(found)
    return cell
