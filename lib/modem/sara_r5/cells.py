"""sara_r5: the serving cell from +UCGED and +CEREG (modems.md 2D.2).

Two forms: SARA-R5's has indices and the cell's identity, SARA-R422's has dBm and no identity. Neither knows neighbours
nor timing advance. The parser is pure. Called through modem.family.Family. RAM: none.
"""

from errno import ETIMEDOUT

from micropython import const

from at.fields import scan_int, split
from modem.convert import cell_record, rsrp_dbm, rsrq_db, scaled
from modem.link import poll

_LTE = b"6"
_NO_TAC = const(0xFFFF)
_NO_ECI = const(0xFFFFFFF)  # 28 bits
_UNKNOWN = const(255)


def parse_ucged(lines, state):
    """Info lines of +UCGED? -> cell record, or None: no LTE cell. `state`: registration record, for what they lack."""
    if len(lines) < 3:
        return None
    network, cell = split(lines[-2]), split(lines[-1])
    if network[0] != _LTE or len(network) < 3 or len(cell) < 9:
        return None
    mcc, mnc = scan_int(network[-2]), scan_int(network[-1])
    earfcn, tac = scan_int(cell[0]), scan_int(cell[4], 16)
    if len(network) > 3:
        if len(cell) < 13:
            return None
        eci, pci = scan_int(cell[5], 16), scan_int(cell[6])
        rsrp, rsrq = rsrp_dbm(scan_int(cell[10])), rsrq_db(scan_int(cell[11]))
        snr = _rounded(cell[12])
        snr = None if snr == _UNKNOWN else snr
    else:
        eci, pci = state["eci"], scan_int(cell[5])
        rsrp, rsrq = _within(_rounded(cell[6]), -157, -43), _halves(cell[7])
        snr = scan_int(cell[8])
        snr = None if snr is None or snr == _UNKNOWN else (snr - 100 + 2) // 5
    if not mcc or mcc > 999:
        return None
    if eci is None or eci >= _NO_ECI:
        eci = state["eci"]
    if tac is None or tac == _NO_TAC:
        tac = state["tac"]
    return cell_record(mcc, mnc, tac, eci, earfcn, pci, rsrp, rsrq, snr, rat=state["rat"])


def _rounded(text, places=0):
    try:
        return scaled(text, places)
    except ValueError:
        return None


def _within(value, low, high):
    return value if value is not None and low <= value <= high else None


def _halves(text):
    """dB as text -> dB in halves (int when whole), or None."""
    tenths = _within(_rounded(text, 1), -345, 25)
    if tenths is None:
        return None
    halves = (tenths * 2 + 5) // 10
    return halves / 2 if halves & 1 else halves // 2


async def cells(modem, neighbours=True, timeout_ms=5000):
    """-> record of the serving cell. OSError(ETIMEDOUT) when there is none."""
    state = await poll(modem)
    at = modem.at
    await at.command("AT+UCGED=2", timeout_ms=timeout_ms)
    lines = await at.command("AT+UCGED?", b"+UCGED:", timeout_ms=timeout_ms, free=True)
    cell = parse_ucged(lines, state)
    if cell is None:
        raise OSError(ETIMEDOUT, "no serving cell")
    return cell
