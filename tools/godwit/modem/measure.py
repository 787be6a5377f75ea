"""Neighbour cells: what a measurement finds, at once (+CENG, +QENG) or after a while (%NCELLMEAS)."""

import asyncio
import dataclasses

_MANY = 215  # neighbours of the fault ncell_big: nearly the four kilobytes that %NCELLMEAS may have


def neighbours(core):
    """Neighbours of the serving cell, as in Cell; None when measuring fails (fault), or there is no cell."""
    cell = core.radio.cell
    if core.faults.on("ncell_fail") or cell is None:
        return None
    if core.faults.on("ncell_big"):
        return cell.neighbours + tuple((1300 + i, 100 + i, 20, 6, i) for i in range(_MANY))
    return cell.neighbours


async def measure(core, kind, gci_count):
    """%NCELLMEAS: list of (cell, is_serving) when done, None when it failed."""
    name = "ncell_gci" if kind >= 3 else ("ncell_complete" if kind == 2 else "ncell_light")
    while kind >= 3 and core.radio.rrc:
        await asyncio.sleep(0.02)
    await core.clock.sleep(core.timing[name])
    core.radio.refresh_cell()
    found = neighbours(core)
    if found is None:
        return None
    cell = dataclasses.replace(core.radio.cell, neighbours=found)
    others = [(other, False) for other in cell.others[: gci_count - 1]] if kind >= 3 else []
    return [(cell, True), *others]
