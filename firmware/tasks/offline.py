"""Help for the receiver without the cloud: from predictions on flash, or from what we know. Steps of tasks/locate.

`give`, `hint` and `file` when there is no link, the cloud refused, or the receiver takes nothing of the cloud's; `keep`
while the link is there.
"""

from micropython import const

import clock
import coap
import cold
import log
import store
from cloud.base import CloudError
from modem.base import ATError

_SPEED_MM_S = const(10000)  # how fast the last position grows wider
_WIDEST_MM = const(1000000000)
_FRESH_S = const(3600)  # a file that serves longer than this is not fetched again
_MOST = const(65536)
_XTRA = "xtra xtra_valid_s"  # verbs by their names, which would be in the heap of nodes that have them not


def _last(state):
    """-> the newest position that we know, with a time, or None."""
    places = [place for place in (state.fix, state.place) if place and place.get("time")]
    return max(places, key=lambda one: one["time"]) if places else None


async def give(visit, need):
    """Hand over the time, where we were, and the ephemerides that were predicted for now; -> whether there were any."""
    try:
        found = visit.cloud.predicted(visit.folder, need, _last(visit.state), visit.scratch)
        cold.forget()
        if found is None:
            log.info("locate", "nothing on flash that would help the receiver")
            return False
        await visit.receiver.agnss_inject(found)
        log.info("locate", "%d bytes of assistance injected, without the cloud", len(found))
        return True
    except (CloudError, ATError, ValueError) as refused:
        log.warn("locate", "no assistance from flash: %s", refused)
    return False


async def hint(visit):
    """Tell the receiver the time, and where we were, if it takes that; -> "hint", or None when we do not know the
    time, or it refuses."""
    now_s = clock.now()
    place = _last(visit.state) if "POSHINT" in visit.receiver.caps else None
    if place and now_s:
        wide = (place["acc_mm"] or 0) + max(0, now_s - place["time"]) * _SPEED_MM_S
        place = {"lat": place["lat"], "lon": place["lon"], "acc_mm": min(wide, _WIDEST_MM)}
    else:
        place = None  # nobody knows how old it is
    if now_s is None:
        return None
    try:
        await visit.receiver.gnss_hint(now_s, place)
    except ATError as refused:
        log.warn("locate", "the receiver takes no hint: %s", refused)
        return None
    log.info("locate", "told the receiver the time%s", " and the last position" if place else "")
    return "hint"


async def file(visit):
    """See that the receiver has the file that the setting `xtra` names: an URL, which the modem fetches, or a file in
    our folder; -> "xtra" when it has one that is good, else "none"."""
    source = visit.config["xtra"]
    load, valid = [getattr(visit.receiver, name) for name in _XTRA.split()]
    try:
        valid_s = await valid()
        if valid_s < _FRESH_S:
            await load(_content(visit, source))
            valid_s = await valid()
            log.info("locate", "predictions of the receiver's maker, good for %d s", valid_s)
    except (ATError, OSError, ValueError, MemoryError, store.StoreError) as problem:
        log.warn("locate", "no file of predictions: %s", problem)
        valid_s = 0
    return "xtra" if valid_s else "none"


def _content(visit, source):
    """-> what xtra() takes: the URL itself while there is a link, or the bytes of a file. Raises ValueError."""
    if source[:4] == "http":
        if not visit.state.link.is_set():
            raise ValueError("no link to fetch it by")
        return source
    content = store.read_bytes(visit.config.folder + "/" + source, None, _MOST)
    if content is None:
        raise ValueError("there is no such file")
    return content


async def keep(visit):
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
