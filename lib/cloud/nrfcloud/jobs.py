"""FOTA jobs of nRF Cloud (nrfcloud.md 11, 12): the job in JSON, its image through the proxy, its status back."""

import json

from micropython import const

import coap
from cloud.base import FAILED, REJECTED, STARTED, SUCCEEDED, TIMED_OUT, CloudError, RecordRefused

_JSON = const(50)
_LONGEST_URI = const(1034)  # RFC 7252 5.10: Proxy-Uri
# What /proxy fetches from (nrfcloud.md 12); other stages of the service have names like firmware.beta.nrfcloud.com.
_HOSTS = ("pgps", "firmware", "static", "bundles")
_DOMAIN = ".nrfcloud.com"

_STATUS = {
    STARTED: "IN_PROGRESS",
    SUCCEEDED: "SUCCEEDED",
    FAILED: "FAILED",
    REJECTED: "REJECTED",
    TIMED_OUT: "TIMED_OUT",
}
_TERMINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")
_LONGEST_ID = const(64)  # a UUID has 36
# Not about the report itself: 4.01, 4.03, 4.08, 4.29; and 4.00 when it is the plan that is used up (nrfcloud.md 14.1).
_LATER = (0x81, 0x83, 0x88, 0x9D)
_QUOTA = "40005"


def parse(payload):
    """-> job (cloud.base) from the body of GET fota/exec/current, None when there is none; ValueError if it is so
    malformed that nothing can be said about it. What is wrong with a job that has an id is in its "refused".

    `key` is the Proxy-Uri, because host and path are what names an image (NCS#29040: progress bound to anything
    less was applied to another image)."""
    if not payload:
        return None
    body = json.loads(bytes(payload))
    if not isinstance(body, dict):
        raise ValueError("job is not an object")
    if body.get("status") in _TERMINAL:
        return None
    job_id = body.get("jobId")
    if not isinstance(job_id, str) or not 0 < len(job_id) <= _LONGEST_ID or _has(job_id, "/"):
        raise ValueError("job without a jobId")
    job = {"id": job_id, "kind": "unknown", "version": "", "size": 0, "key": None, "refused": None}
    try:
        _fill(job, body.get("jobDocument"))
    except CloudError as refused:
        job["refused"] = str(refused)
    return job


def _fill(job, document):
    """Take what the document says of the image. Raises CloudError for one that cannot be fetched."""
    if not isinstance(document, dict):
        raise CloudError("job without a document")
    kind = document.get("firmwareType")
    if isinstance(kind, str):
        job["kind"] = kind
    job["version"] = str(document.get("version") or "")
    for name in ("host", "path"):
        if not isinstance(document.get(name), str):
            raise CloudError("job without " + name)
    size = document.get("fileSize")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise CloudError("job without fileSize")
    job["size"] = size
    job["key"] = proxied(document["host"], document["path"])


def _has(text, marks):
    """Would any of `marks`, or what is no letter at all, make a URI say something else than it seems?"""
    for letter in text:
        if letter in marks or not " " <= letter <= "~":
            return True
    return False


def proxied(host, path):
    """-> the Proxy-Uri of a file that /proxy of the service fetches for us; CloudError when it would not."""
    uri = "https://%s/%s" % (host, path)
    if not host.endswith(_DOMAIN) or host.split(".")[0] not in _HOSTS or _has(host, "/?#@:%\\"):
        raise CloudError("the proxy does not fetch from " + host[:64])
    if ".." in path or _has(path, " #\\") or len(uri) > _LONGEST_URI:
        raise CloudError("not one file that the proxy can fetch: " + path[:64])
    return uri


def status_body(state, detail=None):
    """-> JSON bytes of PATCH fota/exec/{jobId} for a neutral `state`."""
    body = {"status": _STATUS[state]}
    if detail:
        body["details"] = detail
    return json.dumps(body).encode()


async def update_check(cloud):
    """Verb of cloud.base: no job is 4.04, in older descriptions an empty 2.05 (nrfcloud.md 11.1)."""
    try:
        answer = await cloud.request(coap.GET, "fota/exec/current", accept=_JSON)
    except coap.Refused as refused:
        if refused.code == coap.NOT_FOUND:
            return None
        raise
    return parse(answer.payload)


async def update_report(cloud, job_id, state, detail=None, ts_ms=0):
    """Verb of cloud.base: PATCH fota/exec/{jobId}. The service knows the start of a job and its end, and no step."""
    if state not in _STATUS:
        return
    body = status_body(state, detail)
    try:
        await cloud.request(coap.PATCH, "fota/exec/" + job_id, payload=body, content_format=_JSON)
    except coap.Refused as refused:
        code = refused.code
        if code >= coap.SERVER_ERROR or code in _LATER or _QUOTA in refused.diagnostic:
            raise
        raise RecordRefused(str(refused)) from None
