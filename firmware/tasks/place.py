"""Where we are by cells and Wi-Fi access points: a step of tasks/locate, while the link is there."""

import clock
import coap
import log
from cloud.base import LOCATE
from modem.base import ATError
from tasks.locate import degrees


async def measure(visit):
    """Measure the serving cell and its neighbours: `visit.state.cell`, None when the modem refuses."""
    visit.state.cell = None
    try:
        cell = visit.state.cell = await visit.modem.cells()
    except ATError as refused:  # the sky may do, or the access points
        log.warn("locate", "no cells: %s", refused)
        return
    log.info(
        "locate",
        "cell %s-%02d %d, %s dBm, %d neighbours",
        cell["mcc"],
        cell["mnc"],
        cell["eci"],
        cell["rsrp_dbm"],
        len(cell["neighbours"]),
    )


async def run(visit):
    """Ask with the cells that were measured; the answer is `visit.state.place`, with the time. -> whether it is as good
    as is wanted."""
    if LOCATE not in visit.cloud.caps or not visit.state.link.is_set():
        return False
    cells = await _cells(visit)
    points = await _points(visit.wifi)
    if not cells and not points:
        return False
    config = visit.config
    flags = [config["ground_fix_" + flag] for flag in ("reply", "confident", "fallback")]
    try:
        found = await visit.cloud.locate(cells, points, *flags)
    except (coap.Refused, ValueError) as problem:
        log.warn("locate", "no position by cell: %s", problem)
        return False
    if found is None:
        log.info("locate", "the cloud does not know these cells")
        return False
    if not found:
        log.info("locate", "the cloud keeps the position to itself, as it was asked to")
        return False
    found["time"] = clock.now()
    visit.state.place = found
    log.info("locate", "by %s: %s within %d m", found["how"], degrees(found), found["acc_mm"] // 1000)
    return found["acc_mm"] <= config["locate_accuracy_m"] * 1000


async def _cells(visit):
    """-> cell records, the serving one first; more than one only where the setting and the modem allow a search."""
    count = visit.config["ground_fix_cells"]
    if count > 1 and "GCI" in visit.modem.caps:
        try:
            cells = await visit.modem.search(count)
            if cells:
                log.info("locate", "%d cells with their neighbours", len(cells))
                visit.state.cell = cells[0]
                return cells
        except ATError as refused:  # the radio is busy: the plain measurement will do
            log.info("locate", "no search for cells: %s", refused)
    return [visit.state.cell] if visit.state.cell else []


async def _points(wifi):
    """-> Wi-Fi access points in range."""
    if wifi is None:
        return ()
    try:
        points = await wifi.scan()
    except (OSError, ValueError) as problem:
        log.warn("locate", "no Wi-Fi: %s", problem)
        return ()
    log.info("locate", "%d access points", len(points))
    return points
