"""What the receiver needs, fetched from the cloud: a step of tasks/locate, while the link is there."""

import coap
import cold
import log
from cloud.base import CloudError
from modem.base import ATError


async def give(visit, need):
    """Fetch part by part and hand over; -> whether all of it was. A refusal costs the assistance, not the fix."""
    cell, given = visit.state.cell, visit.state.given
    mask = visit.config["agnss_mask_deg"]
    size = 0
    try:
        parts = visit.cloud.assistance_parts(need, cell, given, None if mask < 0 else mask)
        cold.forget()
        visit.heap.mark()  # what planned it is gone before the download is loaded
        for part in parts:
            count = await visit.cloud.assistance(part, cell, visit.scratch)
            cold.forget()
            visit.heap.mark()
            await visit.modem.agnss_inject(visit.scratch[:count])
            size += count
        return True
    except ATError as refused:
        given.clear()  # what the receiver did not take does not count as given
        log.warn("locate", "the receiver takes no more: %s", refused)
    except (coap.Refused, CloudError, ValueError) as refused:
        log.warn("locate", "no assistance, or no more: %s", refused)
    finally:
        log.info("locate", "%d bytes of assistance injected", size)
    return False
