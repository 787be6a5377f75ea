"""Registration, cells and signal of BG95 (modems.md 2C.2, 2C.3). LTE-M is access technology 8 here."""

from godwit.modem import generic_format
from godwit.modem.generic import report
from godwit.modem.grammar import CmeError, CommandError
from godwit.modem.measure import neighbours
from godwit.modem.quectel import format as fmt
from godwit.modem.quectel.cmd_context import bearer_lost
from godwit.modem.radio import DENIED, SEARCHING
from godwit.modem.registry import Registry, Reply
from godwit.modem.timing import active_time_s, periodic_time_s

COMMANDS = Registry()
command = COMMANDS.command

_SCAN_RAT, _SCAN_S = 8, 10.0
_RELEASE_S = 0.1


def _cereg(core, n):
    """Fields of +CEREG; the cell identity without leading zeros."""
    text = generic_format.cereg(core, n)
    if core.radio.cell:
        text = text.replace(f'"{core.radio.cell.eci:08X}"', f'"{core.radio.cell.eci:X}"')
    return text


report(COMMANDS, "+CEREG", "cereg", 5, lambda core, n: "," + _cereg(core, n))


def registration(dev):
    """The lost bearer, +CEREG and +CREG lines, if they are switched on; and the timers that the network granted."""
    core, lines = dev.core, bearer_lost(dev)
    if core.reports["cereg"]:
        lines.append("+CEREG: " + _cereg(core, core.reports["cereg"]))
    if core.reports["creg"]:
        lines.append(f"+CREG: {core.radio.stat}")
    mode, tau, active = core.settings["psm"]
    if core.radio.registered and mode == 1 and dev.qcfg("psm/urc") == "1":
        lines.append(f"+QPSMTIMER: {periodic_time_s(tau)},{active_time_s(active) or 0}")
    return lines


def connection_changed(dev):
    """`psm/enter`: asleep as soon as the network lets go."""
    if not dev.core.radio.rrc and dev.qcfg("psm/enter") == "1":
        dev.core.clock.later(_RELEASE_S, dev.core.radio.sleep_now, drives=False)


def packet_event(dev, text):
    """+CGEV, if it is switched on."""
    return f"+CGEV: {text}" if dev.core.reports["cgerep"] else None


def _cell(dev):
    dev.core.radio.refresh_cell()
    return dev.core.radio.cell if dev.core.radio.registered else None


@command("+QENG", "set")
def _engineering(dev, params):
    what = params.text(0)
    radio = dev.core.radio
    if what == "servingcell":
        cell = _cell(dev)
        return fmt.qeng_serving(cell, radio.stat in (SEARCHING, DENIED), radio.rrc)
    if what != "neighbourcell":
        raise CmeError(50)
    cell = _cell(dev)
    if cell is None:
        return None
    found = neighbours(dev.core)
    if found is None:
        raise CommandError
    return fmt.qeng_neighbours(cell, found)


@command("+QNWINFO", "exec")
def _network(dev, params):
    return fmt.qnwinfo(_cell(dev))


@command("+QCSQ", "exec")
def _signal(dev, params):
    return fmt.qcsq(_cell(dev))


@command("+QCELLSCAN", "set")
async def _scan(dev, params):
    """A search for all cells, which the service does not survive when data is under way."""
    if params.number(0) != _SCAN_RAT:
        raise CmeError(50)
    params.number(1, 1, 300, default=60)
    if dev.core.radio.rrc or not dev.core.radio.active:
        raise CommandError
    await dev.core.clock.sleep(_SCAN_S)
    cell = _cell(dev)
    cells = (cell, *cell.others) if cell else ()
    return Reply(*[fmt.qcellscan(one) for one in cells])
