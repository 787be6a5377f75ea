"""Firmware jobs of Exosite, by the agreement in this package's __init__.py (platforms.md 2.5): what is wanted, what is
known about that content, and how the job stands. RAM: none.
"""

from micropython import const

import coap
from cloud.base import FAILED, REJECTED, STARTED, SUCCEEDED, TIMED_OUT, RecordRefused
from cloud.plain import job_id

from .content import lookup
from .dataports import read, write

_TERMINAL = (SUCCEEDED, FAILED, REJECTED, TIMED_OUT)
_FINAL = (0x80, 0x83)  # of a report: 4.00, a dataport of another format; 4.03, there is no such dataport
_SEGMENT_MAX = const(64)


def ended(result):
    """-> the id of the job that `fw_result` (str or None) says has ended, None when it says nothing."""
    parts = (result or "").split(",", 2)
    return parts[1] if len(parts) > 1 and parts[0] in _TERMINAL else None


def make(content_id, found, version, result):
    """-> job (cloud.base), None when there is nothing to do: it runs here (`version`), or has ended (`result`).

    `found`: what lookup() gave, None when there is no such content."""
    size, updated, meta = found or (0, "0", "")
    label = job_id("%s/%d/%s" % (content_id, size, updated))[0]
    if ended(result) == label or meta and meta == version:
        return None
    return {
        "id": label,
        "kind": "APP",
        "version": meta,
        "size": size,
        "key": label,
        "refused": None if size else "there is no such content",
        "content": content_id,
        "updated": updated,
    }


def _usable(content_id):
    """Is it one segment of a path, and one field of what is reported?"""
    return len(content_id) <= _SEGMENT_MAX and "/" not in content_id and "," not in content_id


async def update_check(cloud):
    """Verb of cloud.base. Without the agreed dataports there are no jobs."""
    values = await read(cloud, "fw_target", "fw_result")
    wanted = str((values or {}).get("fw_target") or "").strip()
    if not wanted:
        return None
    found = await lookup(cloud, wanted) if _usable(wanted) else None
    return make(wanted.replace(",", " "), found, cloud.versions.get("cver", ""), values.get("fw_result"))


async def update_report(cloud, label, state, detail=None, ts_ms=0):
    """Verb of cloud.base. Between the start and the end nothing is said: reports may come within one second."""
    try:
        if state in _TERMINAL:
            await write(cloud, "fw_result", ",".join((state, label, detail) if detail else (state, label)))
        elif state == STARTED:
            await write(cloud, "fw_state", state + "," + label)
    except coap.Refused as refused:
        if refused.code in _FINAL:
            raise RecordRefused(str(refused))
        raise
