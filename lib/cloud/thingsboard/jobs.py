"""Firmware jobs of ThingsBoard (platforms.md 1.10): the assigned package in shared attributes, its status as telemetry.

An assignment has no end there: the attributes stay whatever became of the package. So the node keeps the id of the
job that has ended last in a client attribute, `fw_ended`, where an operator finds it too: who deletes it has the same
package tried again. RAM: none.
"""

from micropython import const

import coap
from cloud.base import (
    DOWNLOADED,
    FAILED,
    INSTALLING,
    REJECTED,
    STARTED,
    SUCCEEDED,
    TIMED_OUT,
    VERIFIED,
    RecordRefused,
)
from cloud.plain import job_id

from .attributes import current, post, read

_ENDED = "fw_ended"
_WANTED = (
    "clientKeys=" + _ENDED,
    "sharedKeys=fw_title,fw_version,fw_size,fw_checksum,fw_url",
)
_DIGITS = const(16)  # of the checksum in a job's id
_BAD_REQUEST = const(0x80)

# There is no word for a package that the node refuses to take.
_STATES = {
    STARTED: "DOWNLOADING",
    DOWNLOADED: "DOWNLOADED",
    VERIFIED: "VERIFIED",
    INSTALLING: "UPDATING",
    SUCCEEDED: "UPDATED",
    FAILED: "FAILED",
    REJECTED: "FAILED",
    TIMED_OUT: "FAILED",
}
# In the order of the platform's own convention. Two states of one millisecond would be one row: each gets its own.
_ORDER = ("DOWNLOADING", "DOWNLOADED", "VERIFIED", "UPDATING", "UPDATED", "FAILED")
_TERMINAL = _ORDER[-2:]


def parse(found, title, version):
    """-> job (cloud.base) from the attributes, None when there is none; `title` and `version` are what runs here.

    `id` is title/version/checksum (its first digits), which names a package for good: it can be deleted, and another
    one uploaded under its name. ValueError when an attribute is not what it should be."""
    shared = found.get("shared") or {}
    name, number = shared.get("fw_title"), shared.get("fw_version")
    if name is None or number is None:  # unassigned: all keys are deleted
        return None
    name, number, checksum = str(name), str(number), str(shared.get("fw_checksum") or "")
    label, usable = job_id("%s/%s/%s" % (name, number, checksum[:_DIGITS]))
    if (name, number) == (title, version) or (found.get("client") or {}).get(_ENDED) == label:
        return None
    size = shared.get("fw_size") or 0
    if not isinstance(size, int) or size < 0:
        raise ValueError("fw_size is not a number of bytes")
    refused = None
    if shared.get("fw_url"):
        refused = "the package is only a link"  # its download answers 4.04
    elif not size:
        refused = "the package has no size"
    elif not usable or "/" in number:
        refused = "title or version is not usable"
    return {
        "id": label,
        "kind": "APP",
        "version": number,
        "size": size,
        "key": label,
        "refused": refused,
        "title": name,
    }


def status(label, state, detail=None, ts_ms=0):
    """-> the telemetry that tells a neutral `state` of the job `label` since `ts_ms` (0: not known)."""
    word = _STATES[state]
    values = {"fw_state": word}
    if word == "UPDATED":
        title, version, _ = label.rsplit("/", 2)
        values.update(current(title, version))
    elif word == "FAILED":
        values["fw_error"] = detail or state
    return {"ts": ts_ms + _ORDER.index(word), "values": values} if ts_ms else values


async def update_check(cloud):
    """Verb of cloud.base: no attributes at all are 4.04, and no job."""
    return parse(await read(cloud, _WANTED), cloud.title, cloud.versions.get("cver", ""))


async def update_report(cloud, label, state, detail=None, ts_ms=0):
    """Verb of cloud.base. The same again is the same row there, if its time is known. That the job has ended is noted
    first, which may be done twice in any case."""
    try:
        if _STATES[state] in _TERMINAL:
            await post(cloud, "attributes", {_ENDED: label})
        await post(cloud, "telemetry", status(label, state, detail, ts_ms))
    except coap.Refused as refused:
        if refused.code == _BAD_REQUEST:
            raise RecordRefused(str(refused))
        raise
