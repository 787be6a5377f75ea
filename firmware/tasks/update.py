"""Update: take a firmware job from the cloud, fetch and check the image, install it in the other slot, restart into it,
confirm it once the health gate has opened, and report how that ended, also when the boot selector gave it up.

One visit is one stretch: what the job wants now (tasks/job), then blocks until the image is complete, or somebody
else wants the node. Then the next visit asks for the job again (nrfcloud.md 11.4) and goes on. What survives a restart:
the blocks on flash are the download's progress (lib/fota/fetch), tasks/job keeps which job it is and what has been said
about it. Whether an image runs, failed its trial, or was never tried is read from the boot selector by its digest.
"""

import gc

from micropython import const

import clock
import coap
import cold
import log
from cloud.base import UPDATE, CloudError
from fota import FotaError
from tasks import LINK_ERRORS, explain

_TRIAL_S = const(10)
_DAY_S = const(86400)
_SHORT_MS = const(60000)  # a stretch: a tenth of the image and as long as this, or
_LONG_MS = const(600000)
_PATIENCE = const(3)  # sessions without a block, after which the next one waits


class Stop(Exception):
    """The stretch is over; the blocks so far are on flash. Passes through lib/fota/fetch."""


def _job(name):
    # The module in a waiting frame would keep its code.
    from tasks import job

    return getattr(job, name)


class Update:
    """`make_slots()` -> installer (lib/fota Slots or Partitions); `make_fetch(job, read, progress)` -> a lib/fota
    Fetch; `file` is the path of the job record; `restart()` does not return. `running` is what the boot selector
    started: {"version", "digest", "pending", "rolled_back", ...}; tasks/trial adds "sound" when it may be confirmed."""

    def __init__(self, state, config, cloud, records, make_slots, make_fetch, file, running, restart, heap):
        self.state = state
        self.config = config
        self.cloud = cloud
        self.records = records
        self.make_slots = make_slots
        self._make_fetch = make_fetch
        self.file = file
        self.running = running
        self.restart = restart
        self.heap = heap
        self._began = None  # (clock.uptime_ms(), tenth of the image) of this stretch
        self._tenth = -1

    async def visit(self):
        """Confirm what has proved itself, then take one stretch of the job; -> seconds until the next time."""
        if self.running["pending"]:
            if not self.running.get("sound"):
                return _TRIAL_S  # tasks/trial waits for it, too, but not for ever; no other update meanwhile
            self._confirm()
        if UPDATE not in self.cloud.caps:
            return _DAY_S
        job, delay_s = await _job("begin")(self)
        if job is None:
            return delay_s
        try:
            manifest, fetched = await self._fetch(job)
            cold.forget()  # what downloads is not what installs
            gc.collect()
            if fetched:
                return _job("complete")(self)
            _job("install")(self, manifest)
        except Stop:
            return 0
        except LINK_ERRORS as error:
            self.state.stuck += 1
            if self.state.stuck < _PATIENCE:
                raise  # goes on as soon as the link is back
            self.state.fail(error)
            raise CloudError("not one block in %d sessions: %s" % (self.state.stuck, explain(error)))
        except (FotaError, coap.Refused, CloudError, MemoryError) as problem:
            cold.forget()
            gc.collect()
            return _job("failed")(self, problem)

    def _confirm(self):
        """The cloud has heard our version in an authenticated session, and the node is well: it stays."""
        try:
            self.make_slots().confirm()
        except FotaError as problem:
            raise CloudError("not confirmed: %s" % problem)
        self.running["pending"] = False
        log.info("fota", "version %s confirmed by an authenticated round trip", self.running["version"])

    async def _fetch(self, job):
        """-> (manifest of the image that is now complete on flash, bytes that were read for it). A frame of its own:
        see parts._limits."""

        async def read(offset, mv):
            return await self.cloud.update_read(job, offset, mv)

        self._began = None
        self._tenth = -1
        fetch = self._make_fetch(job, read, self._progress)
        manifest = await fetch.run()
        self.state.stuck = 0
        self.heap.mark()
        log.info("fota", "image complete, every block matches")
        return manifest, fetch.fetched

    def _progress(self, done, total):
        """Called per block. Raises Stop when somebody else wants the node, or it is time to ask for the job again."""
        now = self.state.heard = clock.uptime_ms()  # whoever reads blocks has a way to the cloud
        log.info("fota", "progress %d %d", done, total)
        tenth = done * 10 // total
        if tenth != self._tenth:
            self._tenth = tenth
            self.heap.mark()
        if self._began is None:
            self._began = (now, tenth)  # what was there already: a stretch brings one block at least
            return
        self.state.stuck = 0
        if done < total and self._is_long(now - self._began[0], tenth != self._began[1]):
            raise Stop

    def _is_long(self, ms, further):
        if self.state.low or ms >= _LONG_MS or (further and ms >= _SHORT_MS):
            return True
        others_due = self.state.others_due
        return others_due is not None and others_due()
