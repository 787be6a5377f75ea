"""What the receiver is helped with: fetched from the cloud while the link is there, else what is on flash for that.

Loaded by tasks/locate when the receiver has said that it needs something. A refusal costs the assistance, not the fix.
"""

import coap
import cold
import log
from cloud.base import ASSIST, PREDICT, CloudError
from modem.base import ATError

_REFUSED = (coap.Refused, CloudError, ATError, ValueError)


class Assist:
    """`scratch`: memoryview of at least cloud.base.ASSIST_MAX bytes; `folder`: where predictions are on flash."""

    def __init__(self, state, config, modem, cloud, heap, scratch, folder):
        self._state = state
        self._config = config
        self._modem = modem
        self._cloud = cloud
        self._heap = heap
        self._scratch = scratch
        self._folder = folder

    async def give(self, need, linked):
        """Hand over what the receiver needs; from flash, too, when the cloud did not give all of it."""
        done = False
        if linked and ASSIST in self._cloud.caps:
            done = await self._fetched(need)
        if not done and self._predicts():
            await self._predicted(need)

    def _predicts(self):
        return self._config["pgps"] and PREDICT in self._cloud.caps

    async def _fetched(self, need):
        """-> whether every part was fetched and injected."""
        cell, given = self._state.cell, self._state.given
        mask = self._config["agnss_mask_deg"]
        size = 0
        done = False
        try:
            parts = self._cloud.assistance_parts(need, cell, given, None if mask < 0 else mask)
            cold.forget()
            for part in parts:
                count = await self._cloud.assistance(part, cell, self._scratch)
                self._heap.mark()
                await self._modem.agnss_inject(self._scratch[:count])
                size += count
            done = True
        except _REFUSED as refused:
            if isinstance(refused, ATError):
                given.clear()
            log.warn("locate", "no assistance, or no more: %s", refused)
        log.info("locate", "%d bytes of assistance injected", size)
        return done

    async def _predicted(self, need):
        """Time, where we were, and the ephemerides that were predicted for now."""
        places = [place for place in (self._state.fix, self._state.place) if place and place.get("time")]
        place = max(places, key=lambda one: one["time"]) if places else None
        try:
            found = self._cloud.predicted(self._folder, need, place, self._scratch)
            cold.forget()
            if found is None:
                log.info("locate", "nothing on flash that would help the receiver")
                return
            await self._modem.agnss_inject(found)
            log.info("locate", "%d bytes of assistance injected, without the cloud", len(found))
        except _REFUSED as refused:
            log.warn("locate", "no assistance from flash: %s", refused)

    async def refresh(self):
        """Keep the predictions on flash up to date: before the link is gone, that is."""
        if not self._predicts():
            return
        try:
            count = await self._cloud.predictions(self._folder, self._config["pgps"], self._scratch)
        except _REFUSED as refused:
            log.warn("locate", "no new predictions: %s", refused)
            return
        if count:
            log.info("locate", "%d bytes of predictions fetched", count)
