"""Bulk operations: sent, followed to their end, errors shown row by row (nrfcloud.md 14.2, BulkOpsRequests)."""

import json

from rich.text import Text

from . import rows
from .api import part
from .errors import CloudError, clean

_PENDING = ("IN_PROGRESS", "PENDING")
_FIRST_S, _CAP_S = 0.25, 5.0


def send(cloud, path, data, found, wait_s=300.0):
    """POST a CSV (bytes) to `path` and follow it. Writes problems to the rows `found`; returns (status, stray errors).

    CloudError when it is refused or does not end in `wait_s`.
    """
    answer = cloud.api.call(
        "POST", path, content=data, headers={"Content-Type": "application/octet-stream"}, makes="the devices"
    )
    request = answer.get("bulkOpsRequestId") if isinstance(answer, dict) else None
    if not isinstance(request, str):
        raise CloudError(f"POST {path}: the service answered without a bulkOpsRequestId")
    return follow(cloud.api, request, found, wait_s)


def follow(api, request, found, wait_s=300.0):
    """Follow a bulk operation of a service; returns and raises like `send`."""
    document = _until_over(api, request, wait_s)
    if document.get("status") == "SUCCEEDED":
        return "SUCCEEDED", []
    return str(document.get("status")), rows.place_errors(_errors(api, document), found)


def show(cloud, status, found, stray, done="onboarded"):
    """The result: JSON, or a line, or a table of what failed. Returns the exit status."""
    failed = [row for row in found if row.problem]
    good = status == "SUCCEEDED" and not failed
    if cloud.as_json:
        cloud.screen.json(
            {
                "status": status,
                "rows": [{"line": row.line, "deviceId": row.device, "error": row.problem} for row in found],
                "errors": stray,
            }
        )
        return 0 if good else 1
    if good:
        names = found[0].device if len(found) == 1 else f"{len(found)} devices"
        cloud.screen.say(f"{names} {done}", "green")
        return 0
    if failed:
        lines = ((row.line, row.device, Text(clean(row.problem), "red")) for row in failed)
        cloud.screen.table(("line>", "device", "error"), lines)
    for text in stray:
        cloud.screen.say(clean(text), "red")
    rest = f"; the other {len(found) - len(failed)} went well" if failed and len(failed) < len(found) else ""
    cloud.screen.note(f"{status}: {len(failed) or 'unknown'} of {len(found)} rows failed{rest}. Send those again")
    return 1


def _until_over(api, request, wait_s):
    waited, pause = 0.0, _FIRST_S
    while True:
        document = api.call("GET", f"/bulk-ops-requests/{part(request)}")
        if not isinstance(document, dict):
            raise CloudError(f"bulk operation {request}: no answer to make sense of")
        if document.get("status") not in _PENDING:
            return document
        if waited >= wait_s:
            raise CloudError(f"bulk operation {request} is still {document['status']} after {wait_s:.0f} s")
        api.wait(pause)
        waited += pause
        pause = min(_CAP_S, pause * 1.5)


def _errors(api, document):
    """The texts of the error file. One that cannot be read is an error as well, in words."""
    url = document.get("errorSummaryUrl")
    if not isinstance(url, str) or not url:
        return ["the service gives no reasons"]
    try:
        value = json.loads(api.download(url))
    except CloudError as error:
        return [f"the reasons cannot be read: {error.message}"]
    except (ValueError, RecursionError):
        return ["the reasons cannot be read: no JSON"]
    found = value.get("errors", value) if isinstance(value, dict) else value
    return [str(text) for text in found] if isinstance(found, list) else [clean(str(found))]
