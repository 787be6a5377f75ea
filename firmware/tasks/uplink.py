"""Uplink: bring what the journal holds to the cloud, oldest first, and move the cursor only when it said 2.xx.

An errand every `uplink_interval_s`, earlier when a batch has gathered (`state.records`). At-least-once: records whose
answer was lost are sent again with the same content and time stamp. Log lines go after them, when there are any. What
the node itself has to say goes with them: how much heap it needs, every `health_interval_s`, that it recovered, and
how a firmware job stands (tasks/job), which the cloud is told in its turn.
"""

import gc

from micropython import const

import clock
import coap
import log
from cloud.base import LOGS, UPDATE, CloudError, RecordRefused
from tasks import LINK_ERRORS

_BATCH = const(32)  # records looked at together; the cloud takes as many of them as fit a datagram


class Uplink:
    """`logbook`: where log lines wait (logbook.Logbook); `heap`: tasks.health.Heap."""

    def __init__(self, state, config, records, cloud, logbook, heap):
        self._state = state
        self._config = config
        self._records = records
        self._cloud = cloud
        self._logbook = logbook
        self._heap = heap
        self._refused = None  # why a report was not taken in this visit

    async def visit(self):
        """Bring everything up; -> seconds until the next time."""
        self._cloud.confirmable = self._config["confirmable"]
        state = self._state
        if clock.uptime_ms() >= state.health and clock.now_ms() is not None:
            self._report()
        if state.ladder:
            from tasks.ladder import tell

            tell(self._records, state.ladder)
        try:
            sent = await self._drain()
        except (coap.Refused, CloudError):
            state.heard = clock.uptime_ms()  # the way is open, if nothing else
            raise
        state.heard = clock.uptime_ms()
        if sent and state.ladder:
            from tasks.ladder import proven

            proven(state, self._config)
        if sent:
            state.sent = True
            log.info("uplink", "%d records accepted", sent)
        state.records.clear()
        await self._send_log()
        return self._config["uplink_interval_s"]

    def _report(self):
        state = self._state
        state.health = clock.uptime_ms() + self._config["health_interval_s"] * 1000
        used = self._heap.mark()
        log.info("health", "heap %d in use, peak %d, free %d", used, state.heap_peak, gc.mem_free())
        if state.restarts:
            log.warn("health", "tasks restarted: %s", state.restarts)
        self._records.add("heap", state.heap_peak)

    async def _drain(self):
        """Send until the journal is empty, or holds only reports that the cloud does not take now; -> how many records
        were accepted."""
        sent = 0
        while self._records.pending():
            batch = self._records.peek(_BATCH)
            while batch:
                taken, counted = await self._send(batch)
                if not taken:
                    if not sent:
                        raise self._refused
                    log.warn("uplink", "report later: %s", self._refused)
                    return sent
                self._records.ack(batch[taken - 1][0])
                if counted:
                    self._state.heard = clock.uptime_ms()
                del batch[:taken]
                sent += counted
        return sent

    async def _send(self, batch):
        """Send records from the first on; -> (how many are dealt with, how many of them the cloud took). One that
        cannot be read, or that the cloud will never take, is skipped, and said."""
        seq, ts_ms, name, value = batch[0]
        if name is None:
            log.error("uplink", "record %d cannot be read and is skipped", seq)
            return 1, 0
        good = 1
        while good < len(batch) and batch[good][2] not in (None, "job"):
            good += 1
        try:
            if name == "job":
                return await self._tell(seq, value, ts_ms)
            taken = await self._cloud.publish(batch[:good])
        except RecordRefused as refused:
            log.error("uplink", "record %d (%s) skipped: %s", seq, name, refused)
            return 1, 0
        return taken, taken

    async def _tell(self, seq, job, ts_ms):
        """How a firmware job stands. One that the cloud has no place for any more is refused for good; one that it does
        not take now goes behind the measurements, which are not to wait for it, and so do the reports after it; a step
        that a later report has overtaken is left out then, or it would come after that one."""
        if UPDATE not in self._cloud.caps:
            raise RecordRefused("no jobs here")
        state = self._state
        last = self._records.reported
        passed = last and last[0] == job["id"] and last[1] != job["state"]  # there is a later report of this job
        if passed and seq > last[2]:
            return 1, 0  # ... and it was before this, which is a second copy
        if self._refused and seq >= state.later:
            return 0, 0  # all the rest had its turn
        try:
            if seq >= state.later:
                await self._cloud.update_report(job["id"], job["state"], job["detail"], ts_ms)
                log.info("fota", "job %s %s", job["id"][:8], job["state"].upper())
                return 1, 1
        except RecordRefused:
            raise
        except (coap.CoapError, CloudError, OSError) as problem:
            others = [record for record in self._records.peek(_BATCH) if record[2] not in (None, "job")]
            if not others or not self._put_back(seq, job, ts_ms):
                raise
            if isinstance(problem, LINK_ERRORS):
                self._records.ack(seq)
                raise
            self._refused = problem
            return 1, 0
        if passed and last[2] >= state.later:
            return 1, 0
        if not self._put_back(seq, job, ts_ms):
            raise CloudError("a report keeps its place: flash")
        return 1, 0

    def _put_back(self, seq, job, ts_ms):
        """Append a report anew: its place is to be given up. A power cut before that makes it two, which a cloud takes
        for one. -> 1; 0 when it stays where it is, because flash does not take it."""
        again = self._records.add("job", job, ts_ms)
        if again is None:
            return 0
        last = self._records.reported
        if last and last[:2] == (job["id"], job["state"]):
            self._records.reported = job["id"], job["state"], again
        if seq >= self._state.later:
            self._state.later = again
        return 1

    async def _send_log(self):
        """Log lines are worth one try: a refusal costs them, and nothing else."""
        entries = self._logbook.entries()
        if not entries or LOGS not in self._cloud.caps:
            return
        last = entries[-1][0]
        try:
            await self._cloud.logs(entries)
        except (coap.Refused, CloudError) as refused:
            log.warn("uplink", "log lines refused: %s", refused)
        self._logbook.taken(last)
