"""Help for the receiver without the cloud: from predictions on flash. Two steps of tasks/locate.

`give` when there is no link, or the cloud refused; `refresh` while the link is there.
"""

import coap
import cold
import log
from cloud.base import CloudError
from modem.base import ATError


async def give(visit, need):
    """Hand over the time, where we were, and the ephemerides that were predicted for now."""
    state = visit.state
    places = [place for place in (state.fix, state.place) if place and place.get("time")]
    last = max(places, key=lambda one: one["time"]) if places else None
    try:
        found = visit.cloud.predicted(visit.folder, need, last, visit.scratch)
        cold.forget()
        if found is None:
            log.info("locate", "nothing on flash that would help the receiver")
            return
        await visit.modem.agnss_inject(found)
        log.info("locate", "%d bytes of assistance injected, without the cloud", len(found))
    except (CloudError, ATError, ValueError) as refused:
        log.warn("locate", "no assistance from flash: %s", refused)


async def refresh(visit):
    """Keep the predictions on flash up to date: before the link is gone, that is."""
    try:
        job = await visit.cloud.predictions_due(visit.folder, visit.config["pgps"])
        if job is None:
            return
        cold.forget()
        visit.heap.mark()  # what has asked is gone before the download is loaded
        count = await visit.cloud.predictions(visit.folder, job, visit.scratch)
        log.info("locate", "%d bytes of predictions fetched", count)
    except (coap.Refused, CloudError, ValueError) as refused:
        log.warn("locate", "no new predictions: %s", refused)
