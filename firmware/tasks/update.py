"""Update: take a firmware job from the cloud, fetch and check the image, install it in the other slot, restart into it,
confirm it once the health gate has opened, and report how that ended, also when the boot selector gave it up.

One visit sees what is to be done (tasks/job), the next takes one stretch: blocks until the image is complete, or
somebody else wants the node. Then the job is asked for again (nrfcloud.md 11.4), and so on. What survives a restart:
the blocks on flash are the download's progress (lib/fota/fetch), tasks/job keeps which job it is and what has been said
about it. Whether an image runs, failed its trial, or was never tried is read from the boot selector by its digest.
"""

import gc

from micropython import const

import clock
import coap
import cold
import log
from cloud.base import CloudError
from fota import FotaError

_SHORT_MS = const(60000)  # a stretch: a tenth of the image and as long as this, or
_LONG_MS = const(600000)


class Stop(Exception):
    """The stretch is over; the blocks so far are on flash. Passes through lib/fota/fetch."""


def _job(name):
    # The module in a waiting frame would keep its code.
    from tasks import job

    return getattr(job, name)


def _settle():
    cold.forget()
    gc.collect()


class Update:
    """`part(name, ...)`: parts.py's "slots", the installer (lib/fota Slots or Partitions), "fetch", a lib/fota Fetch,
    and "_room"; asked each time, because whoever keeps one of its functions keeps all of it. `file` is the path of the
    job record; `restart()` does not return. `running` is what the boot selector started: {"version", "digest",
    "pending", "rolled_back", ...}; tasks/trial adds "sound" when it may be confirmed."""

    def __init__(self, state, config, cloud, records, part, file, running, restart, heap):
        self.state = state
        self.config = config
        self.cloud = cloud
        self.records = records
        self._part = part
        self.file = file
        self.running = running
        self.restart = restart
        self.heap = heap
        self._began = None  # (clock.uptime_ms(), tenth of the image) of this stretch
        self._tenth = -1

    def make_slots(self):
        """-> the installer, with its code."""
        return self._part("slots")

    async def visit(self):
        """See what is to be done, or, when that has just been seen, take one stretch of the job: the heap is in one
        piece again by then. -> seconds until the next time."""
        state = self.state
        job, state.job = state.job, None
        if job is None:
            return await _job("begin")(self)
        try:
            manifest, fetched = await self._fetch(job)
            _settle()  # what downloads is not what installs
            if fetched:
                return _job("complete")(self)
            _job("install")(self, manifest)
        except Stop:
            return 1
        except (FotaError, coap.Refused, CloudError, MemoryError) as problem:
            _settle()
            return _job("failed")(self, problem)

    async def _fetch(self, job):
        """-> (manifest of the image that is now complete on flash, bytes that were read for it). A frame of its own:
        see parts._limits."""
        part = self._part

        async def read(offset, mv):
            return await self.cloud.update_read(job, offset, mv)

        self._began = None
        self._tenth = -1
        fetch = part("fetch", job, read, self._progress, _settle, lambda manifest: part("_room", manifest))
        manifest = await fetch.run()
        self.heap.mark()
        log.info("fota", "image complete, every block matches")
        return manifest, fetch.fetched

    def _progress(self, done, total):
        """Called per block. Raises Stop when somebody else wants the node, or it is time to ask for the job again."""
        now = clock.uptime_ms()
        log.info("fota", "progress %d %d", done, total)
        tenth = done * 10 // total
        if tenth != self._tenth:
            self._tenth = tenth
            self.heap.mark()
        if self._began is None:
            self._began = (now, tenth)  # what was there already: a stretch brings one block at least
            return
        self.state.heard = now  # whoever reads blocks has a way to the cloud
        if done < total and self._is_long(now - self._began[0], tenth != self._began[1]):
            raise Stop

    def _is_long(self, ms, further):
        if self.state.low or ms >= _LONG_MS or (further and ms >= _SHORT_MS):
            return True
        others_due = self.state.others_due
        return others_due is not None and others_due()
