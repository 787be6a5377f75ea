"""Uplink: bring what the journal holds to the cloud, oldest first, and move the cursor only when it said 2.xx.

An errand every `uplink_interval_s`, earlier when a batch has gathered (`state.records`). At-least-once: a record whose
answer was lost is sent again with the same content and time stamp.
"""

from micropython import const

import log
from cloud.base import RecordRefused

_BATCH = const(8)


class Uplink:
    def __init__(self, state, config, records, cloud):
        self._state = state
        self._config = config
        self._records = records
        self._cloud = cloud

    async def visit(self):
        """Bring everything up; -> seconds until the next time."""
        sent = await self._drain()
        if sent:
            log.info("uplink", "%d records accepted", sent)
        self._state.records.clear()
        return self._config["uplink_interval_s"]

    async def _drain(self):
        """Send until the journal is empty; -> how many records were accepted."""
        sent = 0
        while self._records.pending():
            for record in self._records.peek(_BATCH):
                seq, _, name, _ = record
                if name is None:
                    log.error("uplink", "record %d cannot be read and is skipped", seq)
                else:
                    sent += await self._send(record)
                self._records.ack(seq)
        return sent

    async def _send(self, record):
        """-> 1 when the cloud took `record`, 0 when it never will (said, and counted as skipped)."""
        try:
            return await self._cloud.publish((record,))
        except RecordRefused as refused:
            log.error("uplink", "record %d (%s) skipped: %s", record[0], record[2], refused)
            return 0
