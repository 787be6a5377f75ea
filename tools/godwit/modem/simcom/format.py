"""How SIM7080 spells what the core knows: pure functions from state to lines (modems.md 2B.3, 2B.7, 2B.8)."""

import datetime

from godwit.modem.cells import rsrp_dbm, rsrq_db, rssi_dbm, sinr_db, snr_db
from godwit.modem.generic_format import TZ_QUARTERS, cereg

__all__ = ["cell_info", "cereg", "engineering", "gnss_info", "network_time", "shot"]

_NO_FIX = "," * 16


def cell_info(core):
    """+CPSI answer."""
    cell = core.radio.cell
    if not core.radio.registered:
        return "+CPSI: NO SERVICE,Online" if core.cfun == 1 else "+CPSI: NO SERVICE,Offline"
    rsrp = rsrp_dbm(cell.rsrp)
    return (f"+CPSI: {_system(cell)},Online,{cell.plmn[:3]}-{cell.plmn[3:]},0x{cell.tac:04X},{cell.eci},{cell.pci},"
            f"EUTRAN-BAND{cell.band},{cell.earfcn},3,3,{_whole(rsrq_db(cell.rsrq))},{rsrp},{rssi_dbm(rsrp)},"
            f"{(snr_db(cell.snr) + 21) // 2}")


def engineering(core, neighbours):
    """+CENG lines: how many cells, the serving one, its neighbours."""
    cell = core.radio.cell
    if not core.radio.registered:
        return ["+CENG: 1,1,0,NO SERVICE"]
    rsrp = rsrp_dbm(cell.rsrp)
    lines = [f"+CENG: 1,1,{1 + len(neighbours)},{_system(cell)}",
             f'+CENG: 0,"{cell.earfcn},{cell.pci},{rsrp},{rssi_dbm(rsrp)},{_whole(rsrq_db(cell.rsrq))},'
             f'{snr_db(cell.snr)},{cell.tac},{cell.eci},{cell.plmn[:3]},{cell.plmn[3:]},255"']
    for i, (earfcn, pci, index, quality, _) in enumerate(neighbours, 1):
        rsrp = rsrp_dbm(index)
        lines.append(f'+CENG: {i},"{earfcn},{pci},{rsrp},{rssi_dbm(rsrp)},{_whole(rsrq_db(quality))},{sinr_db(rsrp)}"')
    return lines


def _system(cell):
    return "LTE NB-IOT" if cell.act == 9 else "LTE CAT-M1"


def _whole(db):
    return int(db // 1)


def gnss_info(on, fix):
    """+CGNSINF answer: eighteen fields."""
    if fix is None:
        return f"+CGNSINF: {int(on)},{'0' if on else ''}{_NO_FIX}"
    stamp = datetime.datetime.fromtimestamp(fix.time_s, datetime.UTC)
    hdop = fix.acc / 5
    where = f"{fix.lat:.6f},{fix.lon:.6f},{fix.alt:.1f},{fix.speed * 3.6:.2f},{fix.heading:.1f}"
    dops = f"{hdop:.1f},{hdop * 1.25:.1f},{hdop * 0.75:.1f}"
    return f"+CGNSINF: 1,1,{stamp:%Y%m%d%H%M%S}.000,{where},1,,{dops},,8,,{fix.acc:.1f},{fix.acc * 1.4:.1f}"


def shot(mode, fix):
    """+SGNSCMD line: mode, time, satellites, place, accuracy, ellipsoid and sea level height, speed, course, stamp."""
    stamp = datetime.datetime.fromtimestamp(fix.time_s, datetime.UTC)
    return (f"+SGNSCMD: {mode},{stamp:%H:%M:%S},8,{fix.lat:.6f},{fix.lon:.6f},{fix.acc:.2f},{fix.alt + 17:.1f},"
            f"{fix.alt:.1f},{fix.speed:.2f},{fix.heading:.2f},0x{fix.time_s * 1000:X},241")


def network_time(now_ms):
    """The lines of +CLTS=1 when the network tells the time."""
    utc = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    stamp = f"{utc.year},{utc.month},{utc.day},{utc.hour},{utc.minute},{utc.second}"
    return [f'*PSUTTZ: {stamp},"{TZ_QUARTERS:+d}",0', "DST: 0", f"+CTZV: {TZ_QUARTERS}"]
