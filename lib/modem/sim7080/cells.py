"""SIM7080: serving and neighbour cells from +CPSI and +CENG (modems.md 2B.3, 8.4).

The parsers are pure. Called through modem.family.Family only. RAM: none.
"""

from errno import ETIMEDOUT

from micropython import const

from at.fields import scan_int, split
from modem.convert import cell_record, neighbour, plmn
from modem.link import attempt

_CPSI = const(13)  # fields up to RSSI
_NEIGHBOUR = const(5)
_RATS = ((b"LTE CAT-M", "ltem"), (b"LTE NB", "nbiot"))
_MAX_RSSNR = const(50)  # as coded: 80 dB; a larger one is no measurement


def level(field, low, high):
    """Field (bytes) -> int, or None where there is none, or no such level can be."""
    value = scan_int(field)
    return value if value is not None and low <= value <= high else None


def parse_cpsi(line):
    """`+CPSI: ...` -> cell record without neighbours, or None: no service, or no LTE. SNR is coded as (dB + 20) / 2."""
    fields = split(line)
    rat = [name for prefix, name in _RATS if fields[0].startswith(prefix)]
    if not rat or len(fields) < _CPSI:
        return None
    mcc, mnc = plmn(fields[2].replace(b"-", b""))
    coded = level(fields[13], 0, _MAX_RSSNR) if len(fields) > 13 else None
    return cell_record(
        mcc,
        mnc,
        scan_int(fields[3], 16),
        scan_int(fields[4]),
        scan_int(fields[7]),
        scan_int(fields[5]),
        level(fields[11], -157, -30),
        level(fields[10], -35, 3),
        None if coded is None else 2 * coded - 20,
        rat=rat[0],
    )


def parse_ceng(line):
    """`+CENG: row,"earfcn,pci,rsrp,rssi,rsrq,sinr"` of a row from 1 on -> neighbour record, or None."""
    row, _, text = line[6:].partition(b",")
    fields = text.replace(b'"', b"").split(b",")
    if not (scan_int(row.strip()) or 0) > 0 or len(fields) < _NEIGHBOUR or not text.startswith(b'"'):
        return None
    earfcn, pci = scan_int(fields[0]), scan_int(fields[1])
    if earfcn is None or pci is None:
        return None
    return neighbour(earfcn, pci, level(fields[2], -157, -30), level(fields[4], -35, 3))


async def _serving(modem):
    lines = await modem.at.command("AT+CPSI?", b"+CPSI:", timeout_ms=3000)
    return parse_cpsi(lines[0]) if lines else None


async def cells(modem, neighbours=True):
    """-> record of the serving cell, with its neighbours when asked for. OSError(ETIMEDOUT) when there is none."""
    cell = await _serving(modem)
    if cell is None:
        raise OSError(ETIMEDOUT, "no serving cell")
    if neighbours and await attempt(modem, "AT+CENG=1,1") is not None:
        for line in await attempt(modem, "AT+CENG?", b"+CENG:", timeout_ms=5000) or ():
            found = parse_ceng(line)
            if found:
                cell["neighbours"].append(found)
        await attempt(modem, "AT+CENG=0")
    return cell


async def signal(modem):
    """-> {"rsrp_dbm", "rsrq_db"}; None where unknown."""
    cell = await _serving(modem) or {}
    return {"rsrp_dbm": cell.get("rsrp_dbm"), "rsrq_db": cell.get("rsrq_db")}
