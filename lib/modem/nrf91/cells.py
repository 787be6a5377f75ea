"""nRF91: serving and neighbour cells from %NCELLMEAS, %XMONITOR (modems.md 2A.4, 2A.5).

The parsers are pure. Called by modem.nrf91.Modem only. RAM: one line of up to 4 KB while parsing.
"""

from errno import ETIMEDOUT

from micropython import const

from at.errors import ATError
from at.fields import scan_int, split
from modem.convert import cell_record, neighbour, plmn, rsrp_dbm, rsrq_db, snr_db

_NO_ECI = const(0xFFFFFFFF)
_MOST_TA = const(20512)  # above: invalid
_SERVING = const(10)  # fields before the neighbours, types 0 to 2
_GCI = const(12)  # fields of a cell before its neighbours, types 3 to 5
_TUPLE = const(5)


def _cell(eci, code, tac, earfcn, pci, rsrp, rsrq, ta=None):
    """Cell record from fields as bytes; None when the cell is not identified."""
    eci = scan_int(eci, 16)
    mcc, mnc = plmn(code)
    return cell_record(
        mcc,
        mnc,
        scan_int(tac, 16),
        None if eci == _NO_ECI else eci,
        scan_int(earfcn),
        scan_int(pci),
        rsrp_dbm(scan_int(rsrp)),
        rsrq_db(scan_int(rsrq)),
        ta=ta if ta is not None and 0 <= ta <= _MOST_TA else None,
    )


def _neighbours(fields, start, count):
    """-> list of neighbour records from `count` five-tuples at fields[start:]."""
    found = []
    for i in range(start, start + count * _TUPLE, _TUPLE):
        earfcn, pci, rsrp, rsrq, diff = [scan_int(x) for x in fields[i : i + _TUPLE]]
        if earfcn is not None and pci is not None:  # else the cloud refuses the whole request
            found.append(neighbour(earfcn, pci, rsrp_dbm(rsrp), rsrq_db(rsrq), diff))
    return found


def parse_ncellmeas(line):
    """Answer to types 0 to 2 -> cell record with neighbours, or None when the measurement failed."""
    fields = split(line)
    if fields[0] not in (b"0", b"2") or len(fields) < _SERVING:
        return None
    eci, code, tac, ta, earfcn, pci, rsrp, rsrq = fields[1:9]
    cell = _cell(eci, code, tac, earfcn, pci, rsrp, rsrq, scan_int(ta))
    if cell:
        # What follows is 5*k fields, or one more: the time of the timing advance.
        cell["neighbours"] = _neighbours(fields, _SERVING, (len(fields) - _SERVING) // _TUPLE)
    return cell


def parse_gci(line):
    """Answer to types 3 to 5 -> list of cell records, serving cell first."""
    fields = split(line)
    found = []
    i = 1
    while fields[0] in (b"0", b"2") and i + _GCI <= len(fields):
        eci, code, tac, ta, _, earfcn, pci, rsrp, rsrq, _, serving, count = fields[i : i + _GCI]
        count = min(scan_int(count) or 0, (len(fields) - i - _GCI) // _TUPLE)
        cell = _cell(eci, code, tac, earfcn, pci, rsrp, rsrq, scan_int(ta))
        if cell:
            cell["neighbours"] = _neighbours(fields, i + _GCI, count)
            found.insert(0 if serving == b"1" else len(found), cell)
        i += _GCI + count * _TUPLE
    return found


def parse_xmonitor(line):
    """%XMONITOR -> cell record without neighbours and timing advance, or None when not registered."""
    fields = split(line)
    if fields[0] not in (b"1", b"5") or len(fields) < 12:
        return None
    _, _, _, code, tac, act, _, eci, pci, earfcn, rsrp, snr = fields[:12]
    cell = _cell(eci, code, tac, earfcn, pci, rsrp, b"")
    if cell:
        cell["snr_db"] = snr_db(scan_int(snr))
        cell["rat"] = {b"7": "ltem", b"9": "nbiot"}.get(act)
    return cell


async def _ncellmeas(modem, arguments, timeout_ms):
    """-> the result line; OSError(ETIMEDOUT) after the measurement was cancelled, ATError when refused."""
    result = modem.at.expect(b"%NCELLMEAS:")
    try:
        await modem.at.command("AT%NCELLMEAS" + arguments, timeout_ms=3000)
        return await result.wait(timeout_ms)
    except OSError as error:
        if error.errno == ETIMEDOUT:
            await modem.at.command("AT%NCELLMEASSTOP", timeout_ms=3000)
        raise
    finally:
        result.close()


async def cells(modem, neighbours=True, timeout_ms=60000):
    """-> record of the serving cell, with its neighbours when asked for and measurable.

    Raises OSError(ETIMEDOUT) when not registered or the measurement never ended.
    """
    cell = None
    if neighbours:
        try:
            cell = parse_ncellmeas(await _ncellmeas(modem, "", timeout_ms))
        except ATError:  # not now: LTE off, or another measurement runs
            cell = None
    lines = await modem.at.command("AT%XMONITOR", b"%XMONITOR:", timeout_ms=3000)
    seen = parse_xmonitor(lines[0]) if lines else None
    if cell is None:
        cell = seen
        if cell is None:
            raise OSError(ETIMEDOUT, "no serving cell")
        cell["rsrq_db"] = (await modem.signal())["rsrq_db"]
    elif seen and seen["eci"] == cell["eci"]:  # what a measurement leaves out
        cell["snr_db"] = seen["snr_db"]
    if cell["rat"] is None:
        cell["rat"] = modem.registration["rat"]
    return cell


async def search(modem, count, timeout_ms=180000):
    """GCI search (RRC idle): -> list of up to `count` cell records with full identity, serving cell first."""
    found = parse_gci(await _ncellmeas(modem, "=3,%d" % min(max(count, 2), 15), timeout_ms))
    for cell in found:
        cell["rat"] = modem.registration["rat"]
    return found
