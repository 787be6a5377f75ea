"""The contract between the tasks and a cloud backend, and the errors they share.

A backend is a class `Cloud` in its module or package with the verbs that its platform has; `caps` says which those
are, and a verb that is missing is absent, never a pretence. Callers own time-outs longer than one exchange and all
retries; a backend neither sleeps nor loops. Facts: platforms.md section 4, nrfcloud.md. RAM: a few names.

Verbs (all coroutines unless marked; each raises OSError or coap.CoapError for the link, CloudError for a no):
    open()                         connect and prove who we are -> lifetime in s; AuthError when we are not accepted
    close()                        let go of the connection; never raises for a dead one
    publish(records)               send in order -> how many were accepted, counted from the first        (PUBLISH)
    report(changes)                merge a dict into what the cloud shows as reported; None deletes a key  (CONFIG)
    request_desired(changes)       the same for the wanted state: how a setting is refused                 (CONFIG)
    fetch_config()                 -> dict of what the cloud wants changed, or None                        (CONFIG)
    locate(cell)                   -> place, or None when the cloud cannot tell                            (LOCATE)
    assistance_parts(need, cell)   (not a coroutine) -> list of opaque parts to fetch one by one, in the order of
                                   injection, each at most ASSIST_MAX bytes; [] when there is nothing to fetch (ASSIST)
    assistance(part, cell, mv)     fill memoryview `mv` with one part -> bytes, ready for agnss_inject()   (ASSIST)
    update_check()                 -> the job waiting for this device, or None                             (UPDATE)
    update_read(job, offset, mv)   fill `mv` with the image from `offset` -> bytes read, short at its end  (UPDATE)
    update_report(id, state, detail)  tell how job `id` stands: STARTED, SUCCEEDED, FAILED or REJECTED     (UPDATE)

Shapes
    record  (seq, ts_ms or 0, name, value): one measurement. name is a short neutral word ("temp", "battery", "gnss");
            value is an int, a str, a `cbor.Decimal`, or for "gnss" the fix dict of modem.base
    cell    the serving-cell dict of modem.base, with "neighbours"
    need    the assistance need of modem.base
    place   {"lat", "lon" (1e-7 degree), "acc_mm", "how" (str)}
    job     {"id", "kind", "version", "size", "key", ...}: an update on offer; "key" names the image, so that progress
            on one image is never taken for another's. Backends may add private entries.
"""

from micropython import const

ASSIST_MAX = const(2048)

CONFIG = "config"
PUBLISH = "publish"
LOCATE = "locate"
ASSIST = "assist"
UPDATE = "update"

# Neutral job states of update_report(); each backend maps them to its own words.
STARTED, SUCCEEDED, FAILED, REJECTED = "started", "succeeded", "failed", "rejected"


class CloudError(Exception):
    """A cloud said no in a way that retrying at once will not mend; the text is fit for a log line."""


class AuthError(CloudError):
    """The cloud does not accept who we are (unknown device, wrong key, wrong clock). Back off, keep the queue."""


class RecordRefused(CloudError):
    """The cloud will never take this record (malformed, too large): skip it, or it blocks the queue for ever."""
