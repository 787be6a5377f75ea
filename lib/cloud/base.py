"""The contract between the tasks and a cloud backend, and the errors they share.

A backend is a class `Cloud` in its module or package with the verbs that its platform has; `caps` says which those
are, and a verb that is missing is absent, never a pretence. Callers own time-outs longer than one exchange and all
retries; a backend neither sleeps nor loops. Facts: platforms.md section 4, nrfcloud.md. RAM: a few names.

Attributes: `caps`; `device_id` and `versions` (dict of str: what runs here), which may be changed before open();
`heard`: clock.uptime_ms() of the last answer, a refusal included, to a request in an authenticated session.

Verbs (all coroutines unless marked; each raises OSError or coap.CoapError for the link, CloudError for a no):
    open()                         connect and prove who we are -> lifetime in s; AuthError when we are not accepted
    close(keep=False)              let go of the connection; never raises for a dead one. keep: open() may go on with
                                   the session, where the transport can
    release()                      nothing follows for a while: the network may have the radio connection back
    publish(records)               send in order -> how many were accepted, counted from the first, at least one;
                                   RecordRefused is about the first                                       (PUBLISH)
    logs(entries)                  send log lines                                                         (LOGS)
    report(changes)                merge a dict into what the cloud shows as reported; None deletes a key  (CONFIG)
    request_desired(changes)       the same for the wanted state: how a setting is refused                 (CONFIG)
    fetch_config()                 -> dict of what the cloud wants changed, or None. What is too large comes in parts,
                                   one a call; a member that is too large and cannot be divided is None   (CONFIG)
    locate(cells, points, reply, confident, fallback)
                                   -> place; None when the cloud cannot tell; {} when it was asked not to. All but
                                   `cells` may be left out: access points (), send an answer True, a radius for 95 %
                                   instead of 68 False, the area where the cell is unknown True           (LOCATE)
    assistance_parts(need, cell, given, mask)
                                   (not a coroutine) -> list of opaque parts to fetch one by one, in the order of
                                   injection, each at most ASSIST_MAX bytes; [] when there is nothing to fetch.
                                   `given`: a dict that the caller keeps, of what was fetched when, and empties when
                                   the receiver did not take it; `mask`: only satellites above so many degrees, or
                                   None                                                                   (ASSIST)
    assistance(part, cell, mv)     fill memoryview `mv` with one part -> bytes, ready for agnss_inject()   (ASSIST)
    predictions_due(folder, count) what is to be fetched to have predicted ephemerides for `count` times 4 h on flash in
                                   `folder` (made when absent) -> a job for predictions(), None when there is enough
                                                                                                         (PREDICT)
    predictions(folder, job, mv)   fetch them, from where an earlier call was cut off -> bytes; `mv`: 4096 bytes or
                                   more to work in                                                       (PREDICT)
    predicted(folder, need, place, mv)
                                   (not a coroutine) -> part of `mv` (4096 bytes or more): what the receiver can be
                                   given now without a network, ready for agnss_inject(); or None        (PREDICT)
    update_check()                 -> the job waiting for this device, or None                             (UPDATE)
    update_read(job, offset, mv)   fill `mv` with the image from `offset` -> bytes read, short at its end  (UPDATE)
    update_report(id, state, detail, ts_ms)
                                   tell how job `id` stands: one of the states below, a text or None, and since when
                                   (ms, 0: not known). A state that the platform has no word for is not sent. The same
                                   again, after a lost answer, changes nothing there; RecordRefused: it will never take
                                   this (the job is gone, or has ended already)                            (UPDATE)
    provision(node)                have the service's commands run by `node` (below), in sessions of its own; no other
                                   may be open -> how many were run; AuthError when nobody has claimed us (PROVISION)

Shapes
    node    has the coroutines token() -> a token that names the hardware; offline(), online(): radio off, and on again
            as far as a session needs; execute(correlation, command, parameters) -> (None, reply) or (CME code, text),
            the same correlation again when its answer got lost; and configure(texts), which takes settings as a dict
            of str, or raises ValueError; step(): here a node may forget code that it loads when needed
    record  (seq, ts_ms or 0, name, value): one measurement. name is a short neutral word ("temp", "battery", "gnss");
            value is an int, a str, a `cbor.Decimal`, for "gnss" the fix dict of modem.base, for "alert"
            {"type": "online" | "battery" | "died" (a task) | "fault" (a slot did not start) | "recovered" (value: by
            which rung of the ladder) | "safe" (safe mode; value: starts in a row), "value": int, "desc": str}
    entry   (seq, ts_ms or None, level 1..4, layer, text): one line of the log
    cell    the serving-cell dict of modem.base, with "neighbours"
    point   a Wi-Fi access point: {"mac" (6 bytes), "rssi_dbm", "channel"}, and what else the board knows
    need    the assistance need of modem.base
    place   {"lat", "lon" (1e-7 degree), "acc_mm", "how" (str)}, and "time" (Unix s) for predicted()
    job     {"id", "kind", "version", "size", "key", "refused"}: an update on offer; "key" names the image, so that
            progress on one image is never taken for another's; "refused" says why it cannot be fetched, or is None.
            "id" is at most 64 characters; "kind" is "APP" for what this node can install. Backends may add private
            entries. A job that has ended is not offered again, unless nothing or another one was in between.
"""

from micropython import const

ASSIST_MAX = const(2048)

CONFIG = "config"
PUBLISH = "publish"
LOCATE = "locate"
ASSIST = "assist"
PREDICT = "predict"
UPDATE = "update"
PROVISION = "provision"
LOGS = "logs"
STEPS = "steps"  # the platform has words for the steps of a job between its start and its end

# Neutral job states of update_report(); each backend maps them to its own words. Those between STARTED and the last
# four, which end a job, are told only where `caps` has STEPS. A detail begins with the words of nrfcloud.md 11.3.
STARTED = "started"
DOWNLOADED, VERIFIED, INSTALLING = "downloaded", "verified", "installing"
SUCCEEDED, FAILED, REJECTED, TIMED_OUT = "succeeded", "failed", "rejected", "timed_out"


class CloudError(Exception):
    """A cloud said no in a way that retrying at once will not mend; the text is fit for a log line."""


class AuthError(CloudError):
    """The cloud does not accept who we are (unknown device, wrong key, wrong clock). Back off, keep the queue."""


class RecordRefused(CloudError):
    """The cloud will never take this record (malformed, too large): skip it, or it blocks the queue for ever."""
