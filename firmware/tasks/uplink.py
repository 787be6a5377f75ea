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
        """Send until the journal is empty; -> how many records were accepted."""
        sent = 0
        while self._records.pending():
            batch = self._records.peek(_BATCH)
            while batch:
                taken, counted = await self._send(batch)
                self._records.ack(batch[taken - 1][0])
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
                await self._tell(value, ts_ms)
                return 1, 1
            taken = await self._cloud.publish(batch[:good])
        except RecordRefused as refused:
            log.error("uplink", "record %d (%s) skipped: %s", seq, name, refused)
            return 1, 0
        return taken, taken

    async def _tell(self, job, ts_ms):
        """How a firmware job stands. One that the cloud has no place for any more is refused for good."""
        if UPDATE not in self._cloud.caps:
            raise RecordRefused("no jobs here")
        await self._cloud.update_report(job["id"], job["state"], job["detail"], ts_ms)
        log.info("fota", "job %s %s", job["id"][:8], job["state"].upper())

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
