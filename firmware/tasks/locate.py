"""Locate: where are we? By cells and Wi-Fi first (cheap, coarse), then by GNSS with what the receiver needs.

An errand, every `locate_interval_s`. The cloud computes the first position from what was measured and keeps it in its
own location history; a GNSS fix goes into the journal like any measurement. GNSS also runs without a link, then with
the predictions on flash, if any. What the steps do is in files of their own, each loaded for its step and forgotten:
the downloads want the heap. Policy by movement and energy belongs to a later issue.
"""

from micropython import const

import clock
import cold
import log
from cloud.base import ASSIST, PREDICT
from modem.base import ATError

_NEED_MS = const(2000)  # a receiver says at once what it needs; one that needs nothing says nothing


class Locate:
    """`scratch`: memoryview of at least cloud.base.ASSIST_MAX bytes, ours during a visit; `wifi`: radio with
    `async scan()` (boards/README.md), or None; `folder`: where predictions are on flash. The attributes are for the
    steps: place, assist, offline."""

    def __init__(self, state, config, records, modem, cloud, heap, scratch, wifi=None, folder=""):
        self.state = state
        self.config = config
        self.modem = modem
        self.cloud = cloud
        self.heap = heap
        self.scratch = scratch
        self.wifi = wifi
        self.folder = folder
        self._records = records

    async def visit(self):
        """Find the position in every way that is open now; -> seconds until the next time."""
        linked = self.state.link.is_set()
        try:
            if linked:
                await self._place()
            self._tidy()  # measuring cells is over before the receiver's part begins
            await self._by_gnss(linked)
        except ATError as refused:
            log.warn("locate", "the modem refused: %s", refused)
        if self.state.link.is_set() and self._predicts():
            self._tidy()
            from tasks.offline import refresh

            await refresh(self)
        return self.config["locate_interval_s"]

    async def _place(self):
        # A function of its own, here and below: the name in visit()'s frame would keep the code from being collected.
        from tasks.place import place

        await place(self)

    def _tidy(self):
        cold.forget()
        self.heap.mark()

    def _predicts(self):
        return self.config["pgps"] and PREDICT in self.cloud.caps

    async def _by_gnss(self, linked):
        modem = self.modem
        if "GNSS" not in modem.caps:
            return
        timeout_s = self.config["gnss_timeout_s"]
        started = clock.uptime_ms()
        await modem.gnss_start(timeout_s=timeout_s)
        try:
            need = await modem.gnss_need(_NEED_MS)
            if need is None:
                log.info("locate", "receiver needs no assistance")
            else:
                await self._help(need, linked)
            fix = await modem.gnss_fix(timeout_s * 1000)
        finally:
            await modem.gnss_stop()
        seconds = (clock.uptime_ms() - started) // 1000
        if fix is None:
            log.warn("locate", "no GNSS fix in %d s", seconds)
            return
        self.state.fix = fix
        self._records.add("gnss", fix, fix["time"] * 1000)
        log.info("locate", "GNSS fix after %d s: %s within %d m", seconds, degrees(fix), fix["acc_mm"] // 1000)

    async def _help(self, need, linked):
        """Hand over what the receiver needs; from flash, too, when the cloud did not give all of it."""
        if linked and ASSIST in self.cloud.caps:
            from tasks.assist import give

            if await give(self, need):
                return
        if self._predicts():
            from tasks import offline

            await offline.give(self, need)


def degrees(place):
    """-> "latitude, longitude" with five decimals from integers of 1e-7 degree."""
    texts = []
    for value in (place["lat"], place["lon"]):
        sign = "-" if value < 0 else ""
        value = (abs(value) + 50) // 100
        texts.append("%s%d.%05d" % (sign, value // 100000, value % 100000))
    return ", ".join(texts)
