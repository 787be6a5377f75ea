"""FOTA jobs of nRF Cloud (nrfcloud.md 11, 12): the job in JSON, its image through the proxy, its status back."""

import json

from micropython import const

import coap
from cloud.base import FAILED, REJECTED, STARTED, SUCCEEDED, CloudError

_JSON = const(50)
_LONGEST_URI = const(1034)  # RFC 7252 5.10: Proxy-Uri
# What /proxy fetches from (nrfcloud.md 12); other stages of the service have names like firmware.beta.nrfcloud.com.
_HOSTS = ("pgps", "firmware", "static", "bundles")
_DOMAIN = ".nrfcloud.com"

_STATUS = {STARTED: "IN_PROGRESS", SUCCEEDED: "SUCCEEDED", FAILED: "FAILED", REJECTED: "REJECTED"}
_TERMINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")


def parse(payload):
    """-> job (cloud.base) from the body of GET fota/exec/current, None when there is none; ValueError if malformed.

    `key` is the Proxy-Uri, because host and path are what names an image (NCS#29040: progress bound to anything
    less was applied to another image)."""
    if not payload:
        return None
    body = json.loads(bytes(payload))
    if not isinstance(body, dict):
        raise ValueError("job is not an object")
    if body.get("status") in _TERMINAL:
        return None
    document = body.get("jobDocument")
    if not isinstance(document, dict):
        raise ValueError("job without a document")
    try:
        job = {
            "id": str(body["jobId"]),
            "kind": document["firmwareType"],
            "size": int(document["fileSize"]),
            "version": document.get("version") or "",
            "key": None,
            "refused": None,
        }
        job["key"] = proxied(document["host"], document["path"])
        return job
    except CloudError as refused:
        job["refused"] = str(refused)
        return job
    except (KeyError, TypeError, AttributeError) as missing:
        raise ValueError("job without %s" % missing) from None


def proxied(host, path):
    """-> the Proxy-Uri of a file that /proxy of the service fetches for us; CloudError when it would not."""
    uri = "https://%s/%s" % (host, path)
    if not host.endswith(_DOMAIN) or host.split(".")[0] not in _HOSTS:
        raise CloudError("the proxy does not fetch from " + host[:64])
    if " " in path or len(uri) > _LONGEST_URI:
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


async def update_report(cloud, job_id, state, detail=None):
    """Verb of cloud.base: PATCH fota/exec/{jobId}."""
    body = status_body(state, detail)
    await cloud.request(coap.PATCH, "fota/exec/" + job_id, payload=body, content_format=_JSON)
