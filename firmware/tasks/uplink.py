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
_SILENT = const(2)  # answers to reports that were lost in a row: it may be the reports that are not answered


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
        self._last = 0  # sequence number of the first report that stepped back in this visit, behind all the rest

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
        state = self._state
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
                    state.heard = clock.uptime_ms()
                    state.sent = True
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
                return await self._tell(batch)
            taken = await self._cloud.publish(batch[:good])
        except RecordRefused as refused:
            log.error("uplink", "record %d (%s) skipped: %s", seq, name, refused)
            return 1, 0
        return taken, taken

    async def _tell(self, batch):
        """How a firmware job stands. A report that the cloud has no place for any more is refused for good. One whose
        answer is lost is sent again. One that is not taken now, or never answered, steps back: the rest goes first."""
        if UPDATE not in self._cloud.caps:
            raise RecordRefused("no jobs here")
        state = self._state
        seq, ts_ms, _, job = batch[0]
        if self._last and seq >= self._last:
            if self._refused:
                return 0, 0  # all the rest had its turn
        elif state.silent >= _SILENT and self._step_back(batch):
            return 1, 0
        try:
            await self._cloud.update_report(job["id"], job["state"], job["detail"], ts_ms)
        except RecordRefused:
            raise
        except LINK_ERRORS:
            state.silent += 1
            raise
        except (coap.Refused, CloudError) as problem:
            self._refused = problem
            return int(self._step_back(batch)), 0
        state.silent = 0
        log.info("fota", "job %s %s", job["id"][:8], job["state"].upper())
        return 1, 1

    def _step_back(self, batch):
        """Give up the place of the report before measurements: it is appended anew, or left out when a later one of its
        job waits, so that none ever comes after one that has overtaken it. A power cut before the ack makes it two in a
        row, which a cloud takes for one. -> False when it stays: no measurement waits, or flash does not take it."""
        seq, ts_ms, _, job = batch[0]
        if all(record[2] in (None, "job") for record in batch):
            return False
        records = self._records
        last = records.reported
        is_same = last and last[0] == job["id"]
        if is_same and last[2] > seq:
            return True
        again = records.add("job", job, ts_ms)
        if again is None:
            return False
        if is_same:
            records.reported = job["id"], job["state"], again
        self._last = self._last or again
        return True

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
