"""Where we are by cells and Wi-Fi access points: the first step of tasks/locate, while the link is there."""

import clock
import coap
import log
from cloud.base import LOCATE
from modem.base import ATError
from tasks.locate import degrees


async def place(visit):
    """Measure, ask, and keep the answer in `visit.state.place`, with the time."""
    cells = await _cells(visit)
    points = await _points(visit.wifi)
    if LOCATE not in visit.cloud.caps:
        return
    config = visit.config
    flags = [config["ground_fix_" + flag] for flag in ("reply", "confident", "fallback")]
    try:
        found = await visit.cloud.locate(cells, points, *flags)
    except (coap.Refused, ValueError) as problem:
        log.warn("locate", "no position by cell: %s", problem)
        return
    if found is None:
        log.info("locate", "the cloud does not know these cells")
        return
    if not found:
        log.info("locate", "the cloud keeps the position to itself, as it was asked to")
        return
    found["time"] = clock.now()
    visit.state.place = found
    log.info("locate", "by %s: %s within %d m", found["how"], degrees(found), found["acc_mm"] // 1000)


async def _cells(visit):
    """-> cell records, the serving one first; more than one only where the setting and the modem allow a search."""
    count = visit.config["ground_fix_cells"]
    cells = None
    if count > 1 and "GCI" in visit.modem.caps:
        try:
            cells = await visit.modem.search(count)
        except ATError as refused:  # the radio is busy: the plain measurement will do
            log.info("locate", "no search for cells: %s", refused)
    if not cells:
        cells = [await visit.modem.cells()]
    visit.state.cell = cell = cells[0]
    log.info(
        "locate",
        "cell %s-%02d %d, %s dBm, %d neighbours",
        cell["mcc"],
        cell["mnc"],
        cell["eci"],
        cell["rsrp_dbm"],
        len(cell["neighbours"]) + len(cells) - 1,
    )
    return cells


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
