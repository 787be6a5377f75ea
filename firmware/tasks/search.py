"""Where we are by the sky: a step of tasks/locate. What helps a receiver without the cloud is in tasks/offline.

The receiver is the modem's, or the board's own. Where it works only while LTE is off the radio is borrowed from
tasks/link: the session is put away, and the link is not brought up until the radio is back, which it is whatever
happens. Nobody sees a failure in it: the errands wait for the link, as for any other reason, and no rung is climbed.
"""

import asyncio
from errno import ENODEV

from micropython import const

import clock
import coap
import log
from cloud.base import ASSIST, CloudError
from modem.base import ATError

_NEED_MS = const(2000)  # a receiver says at once what it needs; one that needs nothing says nothing
_HELP_S = const(600)  # longest that assistance may take to fetch
_EBUSY = const(16)  # not in every port's errno
_WAIT_S = const(360)  # for a link that is being brought up: longer than an attach takes
_MARGIN_MS = const(900000)


async def run(visit):
    """Search, with what help there is; -> whether there is a fix, which is then in the journal."""
    caps = visit.receiver.caps
    alone = "GNSS_ALONE" in caps
    how = "none"
    if "XTRA" in caps and visit.config["xtra"]:
        how = await _file(visit)
    limit_s = visit.config["gnss_timeout_s"] + _HELP_S
    fix = None
    began = clock.uptime_ms()
    try:
        if alone:
            await borrow(visit.link, limit_s)
        try:
            fix, how = await asyncio.wait_for(_find(visit, how), limit_s)
        finally:
            if alone:
                give_back(visit.link)
    except asyncio.TimeoutError:
        log.error("locate", "the search did not end")
    except (OSError, ATError) as problem:
        if visit.receiver is visit.modem and not alone and isinstance(problem, OSError):
            raise  # the modem is in trouble, and the link with it
        log.warn("locate", "no search: %s", problem)
    visit.step()
    from tasks.plan import take

    return take(visit, fix, how, (clock.uptime_ms() - began) // 1000)


async def _file(visit):
    # Not in run(): its frame would keep the code through the search.
    from tasks.offline import file

    return await file(visit)


async def _find(visit, how):
    """-> (fix or None, what helped)."""
    receiver = visit.receiver
    timeout_s = visit.config["gnss_timeout_s"]
    await receiver.gnss_start(timeout_s=timeout_s)
    try:
        helped = await _help(visit)
        if helped and (helped != "hint" or how == "none"):  # a file of predictions was more than a hint
            how = helped
        visit.step()  # what has helped is gone while we wait
        if visit.state.link.is_set():
            await visit.cloud.release()  # where GNSS and LTE share the radio, the search waits for it
        return await receiver.gnss_fix(timeout_s * 1000), how
    finally:
        await receiver.gnss_stop()


async def _help(visit):
    """The best help that there is: from the cloud, else from flash, else what we know; -> its name, None for none."""
    caps = visit.receiver.caps
    if "AGNSS" in caps:
        need = await visit.receiver.gnss_need(_NEED_MS)
        if need is None:
            log.info("locate", "receiver needs no assistance")
            return None
        if visit.state.link.is_set() and ASSIST in visit.cloud.caps and await _assist(visit, need):
            return "agnss"
        if visit.predictions():
            visit.step()
            from tasks import offline

            if await offline.give(visit, need):
                return "pgps"
    if "TIMEHINT" in caps or "POSHINT" in caps:
        from tasks.offline import hint

        return await hint(visit)
    return None


async def _assist(visit, need):
    """Fetch part by part and hand over; -> whether all of it was. A refusal costs the assistance, not the fix."""
    cell, given = visit.state.cell, visit.state.given
    mask = visit.config["agnss_mask_deg"]
    size = 0
    try:
        parts = visit.cloud.assistance_parts(need, cell, given, None if mask < 0 else mask)
        for part in parts:
            visit.step()  # what planned it, or handed the part before over, is gone before the download is loaded
            count = await visit.cloud.assistance(part, cell, visit.scratch)
            visit.step()
            await visit.receiver.agnss_inject(visit.scratch[:count])
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


async def borrow(link, limit_s, timeout_s=_WAIT_S):
    """The radio is ours, and off, until give_back(), which must come within `limit_s`. Raises OSError: EBUSY when the
    link is being brought up for longer than `timeout_s`, ENODEV when the modem is not started, or what detach() raises;
    ATError. Nothing is borrowed then."""
    try:
        await asyncio.wait_for(link.lock.acquire(), timeout_s)
    except asyncio.TimeoutError:
        raise OSError(_EBUSY, "the link is being brought up") from None
    try:
        if not link.started:
            raise OSError(ENODEV, "the modem is not started")
        state = link.state
        if state.link.is_set():
            state.link_error = None
            state.link.clear()
            await link.cloud.close(True)
        state.due_ms = clock.uptime_ms() + limit_s * 1000 + _MARGIN_MS
        await link.modem.detach()
    except BaseException:
        give_back(link)
        raise


def give_back(link):
    """The link may be brought up again, and is."""
    link.lock.release()
    link.state.link_lost.set()
