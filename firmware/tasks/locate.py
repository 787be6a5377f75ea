"""Locate: where are we? By the cells first (cheap, coarse), then by GNSS with what the receiver needs fetched for it.

An errand, every `locate_interval_s`. The cloud computes the cell position from the measured cells and keeps it in its
own location history; a GNSS fix goes into the journal like any measurement. GNSS also runs without a link, then
unassisted. Policy by movement and energy belongs to a later issue.
"""

from micropython import const

import clock
import coap
import cold
import log
from cloud.base import ASSIST, LOCATE, CloudError
from modem.base import ATError

_NEED_MS = const(2000)  # a receiver says at once what it needs; one that needs nothing says nothing


class Locate:
    """`scratch`: memoryview of at least cloud.base.ASSIST_MAX bytes, ours during a visit."""

    def __init__(self, state, config, records, modem, cloud, heap, scratch):
        self._state = state
        self._config = config
        self._records = records
        self._modem = modem
        self._cloud = cloud
        self._heap = heap
        self._scratch = scratch

    async def visit(self):
        """Find the position in every way that is open now; -> seconds until the next time."""
        linked = self._state.link.is_set()
        try:
            if linked:
                await self._by_cell()
                cold.forget()  # measuring cells is over before the receiver's part begins
            await self._by_gnss(linked)
        except ATError as refused:
            log.warn("locate", "the modem refused: %s", refused)
        return self._config["locate_interval_s"]

    async def _by_cell(self):
        cell = await self._modem.cells()
        self._state.cell = cell
        log.info(
            "locate",
            "cell %s-%02d %d, %s dBm, %d neighbours",
            cell["mcc"],
            cell["mnc"],
            cell["eci"],
            cell["rsrp_dbm"],
            len(cell["neighbours"]),
        )
        if LOCATE not in self._cloud.caps:
            return
        try:
            place = await self._cloud.locate(cell)
        except (coap.Refused, ValueError) as problem:
            log.warn("locate", "no position by cell: %s", problem)
            return
        if place is None:
            log.info("locate", "the cloud does not know these cells")
            return
        self._state.place = place
        log.info(
            "locate", "by %s: %s within %d m", place["how"], degrees(place), place["acc_mm"] // 1000
        )

    async def _by_gnss(self, linked):
        modem = self._modem
        if "GNSS" not in modem.caps:
            return
        timeout_s = self._config["gnss_timeout_s"]
        started = clock.uptime_ms()
        await modem.gnss_start(timeout_s=timeout_s)
        try:
            if linked and ASSIST in self._cloud.caps:
                await self._assist()
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

    async def _assist(self):
        """Fetch what the receiver says it needs and hand it over; a refusal costs the assistance, not the fix."""
        need = await self._modem.gnss_need(_NEED_MS)
        if need is None:
            log.info("locate", "receiver needs no assistance")
            return
        cell = self._state.cell
        size = 0
        try:
            parts = self._cloud.assistance_parts(need, cell)
            cold.forget()
            for part in parts:
                count = await self._cloud.assistance(part, cell, self._scratch)
                self._heap.mark()
                await self._modem.agnss_inject(self._scratch[:count])
                size += count
        except (coap.Refused, CloudError, ATError) as refused:
            log.warn("locate", "no assistance, or no more: %s", refused)
        log.info("locate", "%d bytes of assistance injected", size)


def degrees(place):
    """-> "latitude, longitude" with five decimals from integers of 1e-7 degree."""
    texts = []
    for value in (place["lat"], place["lon"]):
        sign = "-" if value < 0 else ""
        value = (abs(value) + 50) // 100
        texts.append("%s%d.%05d" % (sign, value // 100000, value % 100000))
    return ", ".join(texts)
