"""Update: take a firmware job from the cloud, fetch and check the image, install it in the other slot, restart into it,
confirm it once the cloud has heard of it, and report how that ended, also when the boot selector gave it up.

What survives a restart: the blocks on flash are the download's progress (lib/fota/fetch), and `<root>/data/job.json`
says which job an image belongs to, so that its result is reported however often we restart, and once when all goes
well. Whether the image runs, failed its trial, or was never tried is read from the boot selector by its digest.
"""

import gc
from binascii import hexlify, unhexlify

from micropython import const

import clock
import coap
import cold
import log
import store
from cloud.base import FAILED, REJECTED, STARTED, SUCCEEDED, UPDATE, CloudError
from fota import FotaError

_KIND = "APP"
_TRIAL_S = const(10)


class Update:
    """`make_slots()` -> lib/fota Slots; `make_fetch(job, read, progress)` -> a lib/fota Fetch; `job_file` is
    the path of the job record; `restart()` does not return. `running` is what the boot selector started: {"version",
    "digest", "pending", "rolled_back", ...}."""

    def __init__(self, state, config, cloud, make_slots, make_fetch, job_file, running, restart, heap):
        self._state = state
        self._config = config
        self._cloud = cloud
        self._make_slots = make_slots
        self._make_fetch = make_fetch
        self._file = job_file
        self._running = running
        self._restart = restart
        self._heap = heap
        self._tenth = -1

    async def visit(self):
        """Say how the last job ended, then take the next if there is one; -> seconds until the next time."""
        if self._running["pending"]:
            if not self._state.reported.is_set():
                return _TRIAL_S  # tasks/trial waits for it, too, but not for ever
            self._confirm()
        if UPDATE not in self._cloud.caps:
            return 86400
        await self._report_result()
        job = await self._cloud.update_check()
        if job:
            await self._take(job)
        return self._config["update_interval_s"]

    def _confirm(self):
        """The cloud has accepted our version over an authenticated session: it stays."""
        self._make_slots().confirm()
        self._running["pending"] = False
        log.info("fota", "version %s confirmed by an authenticated round trip", self._running["version"])

    def _job(self):
        """-> the job record {"id", "version", "state", "detail"} kept on flash, or None."""
        try:
            return store.read_json(self._file)
        except store.StoreError as problem:
            log.error("fota", "job record dropped: %s", problem)
            store.remove(self._file)
            return None

    def _keep_job(self, job_id, state, detail=None, digest=b""):
        record = {"id": job_id, "state": state, "detail": detail, "digest": hexlify(digest[:16]).decode()}
        try:
            store.write_json(self._file, record)
        except OSError as problem:  # not the link's fault, which an OSError would be taken for
            raise CloudError("job record not kept: %s" % problem)

    def _outcome(self, job):
        """-> (state, detail) of a job record, (None, None) when its image has not been tried yet."""
        if job["state"] != STARTED:
            return job["state"], job["detail"]
        digest = unhexlify(job["digest"])
        if digest == self._running["digest"]:
            return SUCCEEDED, "FOTA update completed successfully"
        if digest in self._make_slots().bad:
            return FAILED, "Update could not be validated (%s)" % self._running["rolled_back"]
        return None, None

    async def _report_result(self):
        """If a job has ended since we last spoke to the cloud, say how; then forget it."""
        job = self._job()
        if job is None:
            return
        state, detail = self._outcome(job)
        if state is None:
            store.remove(self._file)  # power was cut before the restart: the blocks are on flash, take the job again
            return
        try:
            await self._cloud.update_report(job["id"], state, detail)
        except coap.Refused as refused:
            if refused.code >= coap.SERVER_ERROR or refused.code == coap.TOO_MANY_REQUESTS:
                raise  # not now: ask again
            log.warn("fota", "the cloud no longer wants the result of this job: %s", refused)
        log.info("fota", "job %s %s", job["id"][:8], state.upper())
        store.remove(self._file)

    async def _take(self, job):
        log.info("fota", "job %s: %s %s, %d bytes", job["id"][:8], job["kind"], job["version"], job["size"])
        refused = job["refused"]
        if job["kind"] != _KIND:
            refused = "FW file does not match specified FOTA type"
        if refused:
            self._keep_job(job["id"], REJECTED, refused)
        else:
            await self._cloud.update_report(job["id"], STARTED)
            try:
                await self._fetch_and_install(job)
            except FotaError as problem:
                log.error("fota", "refused: %s", problem)
                self._keep_job(job["id"], REJECTED if problem.final else FAILED, str(problem))
        await self._report_result()

    async def _fetch_and_install(self, job):
        manifest = await self._fetch(job)
        cold.forget()  # what downloads is not what installs
        gc.collect()
        self._install(job, manifest)
        self._restart()

    async def _fetch(self, job):
        """-> the manifest of the image that is now complete on flash. A frame of its own: see parts._limits."""

        async def read(offset, mv):
            return await self._cloud.update_read(job, offset, mv)

        self._tenth = -1
        manifest = await self._make_fetch(job, read, self._progress).run()
        self._heap.mark()
        log.info("fota", "image complete, every block matches")
        return manifest

    def _install(self, job, manifest):
        slots = self._make_slots()
        slots.install(manifest)
        self._heap.mark()
        self._keep_job(job["id"], STARTED, digest=manifest.digest)
        slots.arm()
        log.info("fota", "version %s is in slot %s: restarting into it", manifest.version, slots.other)

    def _progress(self, done, total):
        self._state.heard = clock.uptime_ms()  # no uplink can be expected meanwhile
        log.info("fota", "progress %d %d", done, total)
        tenth = done * 10 // total
        if tenth != self._tenth:
            self._tenth = tenth
            self._heap.mark()
