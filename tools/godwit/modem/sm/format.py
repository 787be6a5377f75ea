"""How the Serial Modem spells what the core knows: pure functions from state to the text of one line.

Field orders and spellings: modems.md 2A.4, 2A.5, 2A.6, 2A.8, 2A.10.
"""

import datetime

from godwit.modem.generic_format import TZ_QUARTERS, cereg, cesq, local_datetime
from godwit.modem.radio import NO_SIM, NOT_SEARCHING, SEARCHING, UNKNOWN
from godwit.modem.registry import Block

__all__ = ["agnss_need", "cereg", "cesq", "coneval", "cscon", "gnss_position", "ncellmeas", "nordic_cesq", "received",
           "xmonitor", "xtime"]  # fmt: skip


def cscon(core, n):
    """Fields of +CSCON for level n."""
    rrc = int(core.radio.rrc)
    return ",".join([str(rrc), "7", "4"][: n if rrc else 1])


def xmonitor(core):
    """%XMONITOR answer."""
    radio, cell = core.radio, core.radio.cell
    if not radio.registered:
        return f"%XMONITOR: {radio.stat}"
    mode, tau, active = core.settings["psm"]
    power = (active, tau) if mode == 1 else ("11100000", "11100000")
    return (f'%XMONITOR: {radio.stat},"Netz","Netz","{cell.plmn}","{cell.tac:04X}",{cell.act},{cell.band},'
            f'"{cell.eci:08X}",{cell.pci},{cell.earfcn},{cell.rsrp},{cell.snr},"","{power[0]}","{power[1]}","01001001"')


def coneval(core):
    """%CONEVAL answer."""
    radio, cell = core.radio, core.radio.cell
    if radio.stat in (SEARCHING, UNKNOWN, NOT_SEARCHING, NO_SIM):
        return "%CONEVAL: 1"
    if not radio.registered:
        return "%CONEVAL: 6"
    energy = min(max(5 + (cell.rsrp - 20) // 10, 5), 9)
    loss = 15 - (cell.rsrp - 141)
    return (f'%CONEVAL: 0,{int(radio.rrc)},{energy},{cell.rsrp},{cell.rsrq},{cell.snr},"{cell.eci:08X}","{cell.plmn}",'
            f"{cell.pci},{cell.earfcn},{cell.band},0,0,10,1,1,{loss}")


def nordic_cesq(core):
    """%CESQ line: levels and the thresholds they reach."""
    cell = core.radio.cell
    if cell is None:
        return "%CESQ: 255,-1,255,-1"

    def level(value, steps):
        return sum(value >= step for step in steps)

    return (f"%CESQ: {cell.rsrp},{level(cell.rsrp, (20, 40, 60, 80))},"
            f"{cell.rsrq},{level(cell.rsrq, (7, 14, 21, 28))}")


def ncellmeas(core, kind, found):
    """%NCELLMEAS result line; `found` is Radio.measure's."""
    if found is None:
        return "%NCELLMEAS: 1"
    now = core.uptime_ms()
    line = "%NCELLMEAS: 0"
    for cell, serving in found:
        identity = f',"{cell.eci:08X}","{cell.plmn}","{cell.tac:04X}"'
        radio = f",{cell.earfcn},{cell.pci},{cell.rsrp},{cell.rsrq},{now}"
        neighbours = "".join(",%d,%d,%d,%d,%d" % n for n in cell.neighbours)
        if kind < 3:
            # The timing advance belongs to a connection; without one it is not known.
            ta, tail = (cell.ta, f",{now - 23}") if core.radio.rrc else (65535, "")
            return f"{line}{identity},{ta}{radio}{neighbours}{tail}"
        ta_time = now - 23 if serving else 0
        with_neighbours = serving and kind > 3
        count = len(cell.neighbours) if with_neighbours else 0
        line += f"{identity},{cell.ta},{ta_time}{radio},{int(serving)},{count}{neighbours if with_neighbours else ''}"
    return line


def xtime(now_ms):
    """%XTIME line: semi-octets swapped, universal time."""
    utc = local_datetime(now_ms) - datetime.timedelta(minutes=15 * TZ_QUARTERS)
    digits = f"{utc:%y%m%d%H%M%S}{TZ_QUARTERS:02d}"
    swapped = "".join(digits[i + 1] + digits[i] for i in range(0, len(digits), 2))
    return f'%XTIME: "{swapped[-2:]}","{swapped}","00"'


def gnss_position(fix):
    """#XGNSSPOS line."""
    stamp = datetime.datetime.fromtimestamp(fix.time_s, datetime.UTC)
    numbers = (fix.lat, fix.lon, fix.alt, fix.acc, fix.speed, fix.heading)
    return "#XGNSSPOS: " + ",".join(f"{n:.6f}" for n in numbers) + f',"{stamp:%Y-%m-%d %H:%M:%S}"'


def agnss_need(need):
    """#XAGNSS request line."""
    flags, systems = need
    parts = [str(flags), str(len(systems))]
    for system, masks in sorted(systems.items()):
        parts += [str(system), str(masks[0]), str(masks[1])]
    return "#XAGNSS: " + ",".join(parts)


def received(sock, data, source, as_hex, with_source):
    """Header and body of received data, a Block."""
    name, tail = ("XRECVFROM", f',"{source[0]}",{source[1]}') if with_source else ("XRECV", "")
    body = data.hex().encode() if as_hex else data
    return Block(f"#{name}: {sock.handle},{int(as_hex)},{{n}}{tail}\r\n", body, count=len(data))
