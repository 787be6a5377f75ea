"""Following a FOTA job: a live table on a terminal, else one line per change, with --json one object per change.

Polls the job and its execution statuses (nrfcloud.md 11.4: COMPLETED when every execution is terminal). A job may stay
CREATED for some seconds; a service that is away for a while is waited for.
"""

import time
from dataclasses import dataclass

from rich.live import Live
from rich.text import Text

from . import progress, times
from .api import part
from .doc import obj, texts
from .errors import CloudError
from .follow_view import View
from .screen import plain, status

TERMINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "CANCELLED", "REJECTED")
_JOB_OVER = ("COMPLETED", "CANCELLED", "DELETION_IN_PROGRESS")
_LOADING = ("IN_PROGRESS", "DOWNLOADING")
_STEP = 0.25  # of the download between two lines
_CAP_S = 30.0
_FATAL = (400, 401, 403, 404, 422)


@dataclass
class Execution:
    """One device's part of a job. `since`: our monotonic clock when this status was first seen."""

    device: str
    status: str
    detail: str | None
    updated: str | None
    since: float
    fraction: float | None = None
    told: float = -1.0

    @property
    def over(self):
        return self.status in TERMINAL


class Follower:
    """Watches one job. `clock` is monotonic."""

    def __init__(self, cloud, job, interval_s=2.0, clock=time.monotonic):
        self._cloud = cloud
        self._screen = cloud.screen
        self.job = job
        self.document = {}
        self.executions = {}
        self.clock = clock
        self.started = clock()
        self._interval = interval_s
        self._records = progress.Records(cloud)

    def run(self, seconds=None):
        """Follow to the end; returns the exit status: 0 when every device has succeeded. CloudError when the job
        is not there, or `seconds` are over."""
        self._look()
        try:
            if self._screen.live:
                with Live(View(self), console=self._screen.out, refresh_per_second=4, transient=False):
                    self._until_over(seconds)
            else:
                self._until_over(seconds)
        except KeyboardInterrupt:
            self._screen.note(f"the job goes on; `godwit cloud fota follow {self.job}` shows it again")
            raise
        return self._end()

    def _until_over(self, seconds):
        pause, failures = self._interval, 0
        while not self._over():
            if seconds is not None and self.clock() - self.started >= seconds:
                raise CloudError(f"job {self.job} is still {self.document.get('status')} after {times.span(seconds)}")
            self._cloud.api.wait(pause)
            try:
                self._look()
                pause, failures = self._interval, 0
            except CloudError as error:
                if error.status in _FATAL:
                    raise
                failures += 1
                pause = min(_CAP_S, self._interval * 2**failures)
                self._screen.note(f"{error.message}; looking again in {pause:.0f} s")

    def _look(self):
        """One look at everything; tells what has changed where nothing is drawn."""
        api, job = self._cloud.api, part(self.job)
        document = api.object("GET", f"/fota-jobs/{job}")
        first = not self.document
        moved = document.get("status") != self.document.get("status")
        self.document = document
        if not self._screen.live and moved and not self._screen.as_json:
            self._tell_job(first)
        changed = [self._take(item) for item in api.pages(f"/fota-job-execution-statuses/{job}")]
        self._measure()
        for execution in self.executions.values():
            self._tell(execution, execution.device in changed)

    def _take(self, item):
        """Note one execution status; returns its device when it has changed, else None."""
        device, word = str(item.get("deviceId")), str(item.get("status"))
        detail = item.get("statusDetail")
        detail = detail if isinstance(detail, str) else None
        before = self.executions.get(device)
        if before and (before.status, before.detail) == (word, detail):
            before.updated = item.get("lastUpdatedAt")
            return None
        since = before.since if before and before.status == word else self.clock()
        now = Execution(device, word, detail, item.get("lastUpdatedAt"), since)
        if before and word in _LOADING:
            now.fraction, now.told = before.fraction, before.told
        self.executions[device] = now
        return device

    def _measure(self):
        loading = [one for one in self.executions.values() if one.status in _LOADING]
        uris = texts(obj(self.document, "firmware").get("uris"))
        known = self._records.fractions([one.device for one in loading], uris)
        for one in loading:
            fraction = progress.in_words(one.detail)
            one.fraction = known.get(one.device, one.fraction) if fraction is None else fraction

    def _over(self):
        if self.document.get("status") in _JOB_OVER:
            return all(one.over for one in self.executions.values()) or self.document["status"] != "COMPLETED"
        return bool(self.executions) and all(one.over for one in self.executions.values()) and self._all_there()

    def _all_there(self):
        stats = obj(self.document, "executionStats")
        expected = stats.get("executions")
        return not isinstance(expected, (int, float)) or len(self.executions) >= expected

    def _tell_job(self, first):
        word = self.document.get("status")
        line = Text(f"job {plain(self.job)} ").append_text(status(word))
        if first and word == "CREATED":
            line.append(f"  (if it was made with --no-apply: godwit cloud fota apply {self.job})", "dim")
        self._screen.say(line)

    def _tell(self, execution, changed):
        """A line about a change, or about another quarter of the download."""
        step = execution.fraction is not None and execution.fraction - execution.told >= _STEP
        if not changed and not step or self._screen.live:
            return
        if execution.fraction is not None:
            execution.told = execution.fraction
        percent = None if execution.fraction is None or execution.over else round(100 * execution.fraction)
        if self._screen.as_json:
            return self._screen.json_line(
                {
                    "deviceId": execution.device,
                    "status": execution.status,
                    "statusDetail": execution.detail,
                    "lastUpdatedAt": execution.updated,
                    "percent": percent,
                }
            )
        line = Text(times.show(execution.updated) + " ", "dim").append(plain(execution.device) + " ", "bold")
        line.append_text(status(execution.status))
        if percent is not None:
            line.append(f" {percent} %")
        if execution.detail:
            line.append(f"  {plain(execution.detail)}")
        self._screen.say(line)

    def _end(self):
        good = sum(one.status == "SUCCEEDED" for one in self.executions.values())
        total = len(self.executions)
        result = 0 if total and good == total else 1
        if self._screen.as_json:
            word = self.document.get("status")
            self._screen.json_line({"jobId": self.job, "status": word, "devices": total, "succeeded": good})
        elif not total:
            self._screen.note(f"job {self.job} is {self.document.get('status')}: no device had it")
        else:
            took = times.span(self.clock() - self.started)
            self._screen.say(f"{good} of {total} succeeded, watched for {took}", "green" if not result else "bold red")
        return result
