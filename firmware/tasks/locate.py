"""Locate: where are we? By cells and Wi-Fi first (cheap, coarse), then by GNSS with what the receiver needs.

An errand, every `locate_interval_s`. The cloud computes the first position from what was measured and keeps it in its
own location history; a GNSS fix goes into the journal like any measurement. GNSS also runs without a link, then with
the predictions on flash, if any (tasks/assist). Policy by movement and energy belongs to a later issue.
"""

from micropython import const

import clock
import coap
import cold
import log
from cloud.base import LOCATE
from modem.base import ATError

_NEED_MS = const(2000)  # a receiver says at once what it needs; one that needs nothing says nothing


class Locate:
    """`scratch`: memoryview of at least cloud.base.ASSIST_MAX bytes, ours during a visit; `wifi`: radio with
    `async scan()` (boards/README.md), or None; `folder`: where predictions are on flash."""

    def __init__(self, state, config, records, modem, cloud, heap, scratch, wifi=None, folder=""):
        self._state = state
        self._config = config
        self._records = records
        self._modem = modem
        self._cloud = cloud
        self._wifi = wifi
        self._help = (state, config, modem, cloud, heap, scratch, folder)

    async def visit(self):
        """Find the position in every way that is open now; -> seconds until the next time."""
        linked = self._state.link.is_set()
        try:
            if linked:
                await self._by_network()
                cold.forget()  # measuring cells is over before the receiver's part begins
            await self._by_gnss(linked)
        except ATError as refused:
            log.warn("locate", "the modem refused: %s", refused)
        if self._state.link.is_set():
            await self._assist().refresh()
        return self._config["locate_interval_s"]

    def _assist(self):
        from tasks.assist import Assist

        return Assist(*self._help)

    async def _by_network(self):
        cells = await self._cells()
        points = await self._points()
        if LOCATE not in self._cloud.caps:
            return
        config = self._config
        flags = [config["ground_fix_" + flag] for flag in ("reply", "confident", "fallback")]
        try:
            place = await self._cloud.locate(cells, points, *flags)
        except (coap.Refused, ValueError) as problem:
            log.warn("locate", "no position by cell: %s", problem)
            return
        if place is None:
            log.info("locate", "the cloud does not know these cells")
            return
        if not place:
            log.info("locate", "the cloud keeps the position to itself, as it was asked to")
            return
        place["time"] = clock.now()
        self._state.place = place
        log.info(
            "locate", "by %s: %s within %d m", place["how"], degrees(place), place["acc_mm"] // 1000
        )

    async def _cells(self):
        """-> cell records, the serving one first; more than one only where the setting and the modem allow a search."""
        count = self._config["ground_fix_cells"]
        cells = None
        if count > 1 and "GCI" in self._modem.caps:
            try:
                cells = await self._modem.search(count)
            except ATError as refused:  # the radio is busy: the plain measurement will do
                log.info("locate", "no search for cells: %s", refused)
        if not cells:
            cells = [await self._modem.cells()]
        self._state.cell = cell = cells[0]
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

    async def _points(self):
        """-> Wi-Fi access points in range."""
        if self._wifi is None:
            return ()
        try:
            points = await self._wifi.scan()
        except (OSError, ValueError) as problem:
            log.warn("locate", "no Wi-Fi: %s", problem)
            return ()
        log.info("locate", "%d access points", len(points))
        return points

    async def _by_gnss(self, linked):
        modem = self._modem
        if "GNSS" not in modem.caps:
            return
        timeout_s = self._config["gnss_timeout_s"]
        started = clock.uptime_ms()
        await modem.gnss_start(timeout_s=timeout_s)
        try:
            await self._prepare(linked)
            fix = await modem.gnss_fix(timeout_s * 1000)
        finally:
            await modem.gnss_stop()
        seconds = (clock.uptime_ms() - started) // 1000
        if fix is None:
            log.warn("locate", "no GNSS fix in %d s", seconds)
            return
        self._state.fix = fix
        self._records.add("gnss", fix, fix["time"] * 1000)
        log.info("locate", "GNSS fix after %d s: %s within %d m", seconds, degrees(fix), fix["acc_mm"] // 1000)

    async def _prepare(self, linked):
        need = await self._modem.gnss_need(_NEED_MS)
        if need is None:
            log.info("locate", "receiver needs no assistance")
            return
        await self._assist().give(need, linked)


def degrees(place):
    """-> "latitude, longitude" with five decimals from integers of 1e-7 degree."""
    texts = []
    for value in (place["lat"], place["lon"]):
        sign = "-" if value < 0 else ""
        value = (abs(value) + 50) // 100
        texts.append("%s%d.%05d" % (sign, value // 100000, value % 100000))
    return ", ".join(texts)
