"""How BG95 spells what the core knows: pure functions from state to the text of one line (modems.md 2C).

The core holds indices; Quectel prints dBm and dB. Received power of a whole carrier (RSSI) and a neighbour's signal to
noise ratio are not in the core: they follow from the RSRP, so that the test vector of modems.md 2A.5 comes out as
2C.3 prints it.
"""

import datetime

from godwit.modem.cells import rsrp_dbm, rsrq_db, rssi_dbm, sinr_db, snr_db

RAT = "eMTC"
_BANDWIDTH = 3  # index of 10 MHz, up and down
_SENSITIVITY_DBM = -119  # srxlev is what the level has above it
_KMH, _KNOT = 3.6, 1 / 0.514444


def _srxlev(level_dbm):
    return max(level_dbm - _SENSITIVITY_DBM, 0)


def qeng_serving(cell, searching, connected):
    """`+QENG: "servingcell"` line; without a cell only the state."""
    if cell is None:
        return f'+QENG: "servingcell","{"SEARCH" if searching else "LIMSRV"}"'
    level, snr = rsrp_dbm(cell.rsrp), snr_db(cell.snr)
    state = "CONNECT" if connected else "NOCONN"
    return (f'+QENG: "servingcell","{state}","{RAT}","FDD",{cell.plmn[:3]},{cell.plmn[3:]},{cell.eci:X},{cell.pci},'
            f"{cell.earfcn},{cell.band},{_BANDWIDTH},{_BANDWIDTH},{cell.tac:X},{_number(level)},"
            f"{_number(rsrq_db(cell.rsrq))},{'-' if level is None else rssi_dbm(level)},{_number(snr)},"
            f"{'-' if level is None else _srxlev(level)}")


def qeng_neighbours(cell, neighbours):
    """`+QENG: "neighbourcell ..."` lines: same frequency `intra`, others `inter`; RSRQ comes before RSRP."""
    lines = []
    for earfcn, pci, rsrp, rsrq, _ in neighbours:
        level, intra = rsrp_dbm(rsrp), earfcn == cell.earfcn
        lines.append(f'+QENG: "neighbourcell {"intra" if intra else "inter"}","{RAT}",{earfcn},{pci},'
                     f"{_number(rsrq_db(rsrq))},{level},{rssi_dbm(level)},{sinr_db(level)},{_srxlev(level)},"
                     + ("5,62,62,62" if intra else "62,62,5"))
    return lines


def qcellscan(cell):
    """`+QCELLSCAN` line of one cell."""
    level = rsrp_dbm(cell.rsrp)
    return (f'+QCELLSCAN: "{RAT}",{cell.plmn[:3]},{cell.plmn[3:]},{cell.tac:X},{cell.earfcn},{cell.pci},{cell.eci:X},'
            f"{level},{_number(rsrq_db(cell.rsrq))},{rssi_dbm(level)}")


def qnwinfo(cell):
    """`+QNWINFO` line."""
    if cell is None:
        return "+QNWINFO: No Service"
    return f'+QNWINFO: "{RAT}","{cell.plmn}","LTE BAND {cell.band}",{cell.earfcn}'


def qcsq(cell):
    """`+QCSQ` line: sinr in steps of a fifth of a dB above -20 dB."""
    if cell is None:
        return '+QCSQ: "NOSERVICE"'
    level, snr = rsrp_dbm(cell.rsrp), snr_db(cell.snr)
    coded = 0 if snr is None else min(max((snr + 20) * 5, 0), 250)
    return f'+QCSQ: "{RAT}",{rssi_dbm(level)},{level},{coded},{_number(rsrq_db(cell.rsrq))}'


def qgpsloc(fix, mode, dimensions=3, satellites=8):
    """`+QGPSLOC` line of a Fix in one of the three formats of a position."""
    when = datetime.datetime.fromtimestamp(fix.time_s, datetime.UTC)
    if mode == 2:
        place = f"{fix.lat:.5f},{fix.lon:.5f}"
    else:
        comma = "," if mode == 1 else ""
        places = 6 if mode == 1 else 4
        place = (f"{minutes(fix.lat, 2, places)}{comma}{'NS'[fix.lat < 0]},"
                 f"{minutes(fix.lon, 3, places)}{comma}{'EW'[fix.lon < 0]}")
    return (f"+QGPSLOC: {when:%H%M%S}.000,{place},{hdop(fix):.1f},{fix.alt:.1f},{dimensions},{fix.heading:.2f},"
            f"{fix.speed * _KMH:.1f},{fix.speed * _KNOT:.1f},{when:%d%m%y},{satellites:02d}")


def hdop(fix):
    """Dilution of precision, from an accuracy of 5 m at 1."""
    return max(fix.acc / 5, 0.5)


def minutes(degrees, width, places):
    """ddmm.mmmm; rounded as a whole, so that 59.99999 minutes become a degree."""
    scale = 10**places
    units = round(abs(degrees) * 60 * scale)
    return f"{units // (60 * scale):0{width}d}{units % (60 * scale) / scale:0{places + 3}.{places}f}"


def qlts(utc, quarters):
    """`+QLTS` line of a UTC datetime, with the distance of local time in quarters of an hour."""
    return f'+QLTS: "{utc:%Y/%m/%d,%H:%M:%S}{quarters:+03d},0"'


def checksum(data):
    """The `QFUPL` checksum: all 16-bit big-endian words combined by exclusive or, an odd last byte padded with 0."""
    value = 0
    for i in range(0, len(data), 2):
        value ^= int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big")
    return value


def _number(value):
    """dB as Quectel prints it; `-` for what is not known."""
    return "-" if value is None else str(round(value))
