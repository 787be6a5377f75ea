"""Following stored messages by polling: each one once, also when several arrive in one millisecond.

The service has no push for operators (nrfcloud.md 14). Every look asks from a little before the newest
arrival on, because what arrives late may sort in front of it; what was seen is told by its content and counted, so
that two equal messages of one bulk stay two. Times are the service's own: the operator's clock is not used.
"""

import json
import time
from collections import Counter
from datetime import timedelta

from . import times
from .errors import CloudError

_OVERLAP_S = 30  # how late a message may sort in behind a newer one
_IDLE_FACTOR, _IDLE_CAP_S = 1.3, 15.0
_FAIL_CAP_S = 60.0
_FATAL = (400, 401, 403, 404, 422)


class Watch:
    """Messages of a device (None: of all) with an appId (None: any), as they come."""

    def __init__(self, api, device=None, app_id=None, interval_s=2.0, note=None, clock=time.monotonic):
        self._api = api
        self._query = {"deviceId": device, "appId": app_id}
        self._interval = interval_s
        self._note = note or (lambda text: None)
        self._clock = clock
        self._seen = Counter()
        self._newest = None

    def items(self, last=10, seconds=None):
        """The last few messages, then every new one; ends after `seconds` (None: never). CloudError when the
        service refuses; a service that is away is waited for."""
        end = None if seconds is None else self._clock() + seconds
        yield from self._begin(last)
        pause, failures = self._interval, 0
        while end is None or self._clock() < end:
            self._api.wait(pause if end is None else max(0.0, min(pause, end - self._clock())))
            try:
                fresh = self._fresh()
                failures = 0
            except CloudError as error:
                if error.status in _FATAL:
                    raise
                failures += 1
                pause = min(_FAIL_CAP_S, self._interval * 2**failures)
                self._note(f"{error.message}; watching goes on in {pause:.0f} s")
                continue
            yield from fresh
            idle_cap = max(self._interval, _IDLE_CAP_S)
            pause = self._interval if fresh else min(idle_cap, pause * _IDLE_FACTOR)

    def _begin(self, last):
        """The `last` newest, oldest first; what is there already is not news."""
        there = list(self._api.pages("/messages", max(last, 1), pageSort="desc", **self._query))
        there.reverse()
        self._advance(there)
        if self._newest is not None:
            newest = self._newest  # what came between these two looks is news
            self._seen = Counter(_identity(item) for item in self._since() if not _later(item, newest))
        return there[-last:] if last else []

    def _fresh(self):
        found = self._since()
        present, fresh = Counter(), []
        for item in found:
            identity = _identity(item)
            present[identity] += 1
            if present[identity] > self._seen[identity]:
                fresh.append(item)
        self._advance(found)
        # what fell out of the window is never asked for again; what a page lost for a moment is kept
        floor = self._floor()
        kept = {one: count for one, count in self._seen.items() if floor is None or one[0] >= floor}
        self._seen = Counter(kept) | present
        return fresh

    def _since(self):
        return list(self._api.pages("/messages", None, pageSort="asc", start=self._floor(), **self._query))

    def _floor(self):
        return None if self._newest is None else times.iso(self._newest - timedelta(seconds=_OVERLAP_S))

    def _advance(self, items):
        for item in items:
            when = times.moment(item.get("receivedAt"))
            if when is not None and (self._newest is None or when > self._newest):
                self._newest = when


def _later(item, than):
    when = times.moment(item.get("receivedAt"))
    return when is not None and when > than


def _identity(item):
    body = json.dumps(item.get("message"), sort_keys=True)
    return str(item.get("receivedAt")), str(item.get("deviceId")), str(item.get("topic")), body
