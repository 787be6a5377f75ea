"""Job: the firmware job in hand: its record on flash, what is to be done about it, and what the cloud is told of it.

Each state of a job is a record in the journal, which tasks/uplink brings to the cloud in its turn, whatever restarts
come between. It gets there exactly once: first `<root>/data/job.json` says under which sequence number, then it is
appended. Whoever finds that number not yet given knows that the power was cut between the two, as long as nothing else
was appended since, hence `finish()` at start. The file stays until the cloud offers no job or another one: a report
that still waits in the journal must not make us take the job again.

The half of tasks/update that is not needed while an image comes in; functions without a state (cold.py), those with an
`update` work on that object. Words of details: nrfcloud.md 11.3, then the reason.

The file: {"id", "state", "detail", "seq": sequence number of that report, "dropped": records that the journal had lost
by then, "digest": first 16 bytes of an image that was installed for it, hex, "fails": attempts in vain, "age": minutes
of uptime since it was first seen}. Other versions of the firmware may add to it and leave out all but "id" and "state".
"""

from binascii import hexlify, unhexlify

from micropython import const

import clock
import cloud.base as base
import coap
import log
import store
from fota import FotaError, InstallError

_ENDED = (base.SUCCEEDED, base.FAILED, base.REJECTED, base.TIMED_OUT)
_WAY = (base.STARTED, base.DOWNLOADED, base.VERIFIED, base.INSTALLING)
_NEVER = const(0x3FFFFFFF)  # as "seq": the report is not in the journal, however far that has got
_LONGEST = const(160)  # bytes of a detail
_KIND = "APP"
_TRIAL_S = const(10)
_DAY_S = const(86400)
_PATIENCE_S = const(600)  # between two looks at a battery
_TRIES = const(5)
_COUNT_MS = const(600000)  # a job's age goes to flash as often

_WRONG_TYPE = "FW file does not match specified FOTA type"
_REFUSED = "Device rejected the update: "
_DOWNLOAD = "Error occurred while downloading the file: "
_INVALID = "Update could not be validated: "
_TOO_SLOW = "Download did not complete in the allotted time"
_GOOD = "FOTA update completed successfully"


# --- the record


def new(job_id):
    """-> the record of a job that nothing has been said about yet."""
    return {"id": job_id, "state": "", "detail": None, "seq": 0, "dropped": 0, "digest": "", "fails": 0, "age": 0}


def load(path):
    """-> the record on flash, complete, or None. One that cannot be used is dropped, and said; not for one bad read."""
    for last in (False, True):
        try:
            found = store.read_json(path)
            if found is None:
                return None
            record = new(None)
            record.update(found)
            if isinstance(record["id"], str) and isinstance(record["state"], str) and isinstance(record["seq"], int):
                return record
            problem = "not one"
        except (store.StoreError, ValueError, TypeError) as error:
            problem = error
        except OSError as error:
            if last:
                raise base.CloudError("job record not read: %s" % error)  # an OSError would be taken for the link's
    log.error("fota", "job record dropped: %s", problem)
    drop(path)
    return None


def keep(path, record):
    """Make the record durable. Raises CloudError when flash does not take it."""
    try:
        store.write_json(path, record)
    except OSError as problem:
        raise base.CloudError("job record not kept: %s" % problem)


def drop(path):
    """Forget the job. Raises CloudError."""
    try:
        store.remove(path)
    except OSError as problem:
        raise base.CloudError("job record not removed: %s" % problem)


def tell(path, records, record, state, detail=None):
    """The job has come to `state`: on flash, and on its way to the cloud, once. Raises CloudError when flash takes
    neither; it is the caller's to come again, or finish()'s."""
    journal = records.journal
    if detail:
        detail = detail[:_LONGEST]
        while len(detail.encode()) > _LONGEST:
            detail = detail[:-8]
    record["state"] = state
    record["detail"] = detail
    record["seq"] = journal.next
    record["dropped"] = journal.dropped
    try:
        keep(path, record)
    except base.CloudError:
        if load(path) != record:  # flash that says no may have done it: then the number is taken
            raise
    _append(path, records, record)


def _append(path, records, record):
    value = {"id": record["id"], "state": record["state"], "detail": record["detail"]}
    # Twice: the journal goes on in another sector, and a first one that was written after all has the same number.
    if records.add("job", value) is None and records.add("job", value) is None:
        record["seq"] = _NEVER  # the number will be another record's
        keep(path, record)
        raise base.CloudError("job %s: %s not kept" % (record["id"][:8], record["state"]))
    records.reported = record["id"], record["state"], record["seq"]


def finish(path, records):
    """-> the record on flash, or None. A report that was cut off, or that flash did not take, gets into the journal."""
    record = load(path)
    if not records.reported:  # a start; else tasks/uplink may have moved it
        records.reported = (record["id"], record["state"], record["seq"]) if record else ("", "", 0)
    if record:
        number = records.journal.next
        if records.reported[:2] != (record["id"], record["state"]):
            number = 0  # want of memory has cut it off: by now the number may be another record's
        if record["seq"] == number:
            _append(path, records, record)
        elif record["seq"] > number:
            tell(path, records, record, record["state"], record["detail"])
    return record


def mark(path, record, digest):
    """An image is installed for this job, and about to be armed. Raises CloudError."""
    record["digest"] = hexlify(digest[:16]).decode()
    keep(path, record)


# --- what is to be done


async def begin(update):
    """Confirm an image that has proved itself, say how the last one did, and look what the cloud wants now. -> seconds
    until the next visit, which goes on with `state.job` if that is set; 0: once what was just put into the journal has
    had its turn. Raises CloudError, coap.CoapError, OSError."""
    if update.running["pending"]:
        if not update.running.get("sound"):
            return _TRIAL_S  # tasks/trial waits for it, too, but not for ever; no other update meanwhile
        _confirm(update)
    if base.UPDATE not in update.cloud.caps:
        return _DAY_S
    record = finish(update.file, update.records)
    if record and record["digest"] and record["state"] not in _ENDED:
        _outcome(update, record)
    offered = await update.cloud.update_check()
    if record and (offered is None or offered["id"] != record["id"]):
        if record["state"] not in _ENDED:
            log.warn("fota", "job %s was cancelled; what is here of its image is kept", record["id"][:8])
        drop(update.file)
        record = None
    if offered is None:
        return update.config["update_interval_s"]
    if record is None:
        return _first(update, offered)
    return _next(update, record, offered)


def _confirm(update):
    """The cloud has heard our version in an authenticated session, and the node is well: it stays."""
    try:
        update.make_slots().confirm()
    except FotaError as problem:
        raise base.CloudError("not confirmed: %s" % problem)
    update.running["pending"] = False
    log.info("fota", "version %s confirmed by an authenticated round trip", update.running["version"])


def _outcome(update, record):
    """An image was installed for this job: say what the boot selector made of it, if it had its turn."""
    running = update.running
    digest = unhexlify(record["digest"])
    if digest == running["digest"]:
        _tell(update, record, base.SUCCEEDED, _GOOD)
    elif digest in update.make_slots().bad:
        word = running["rolled_back"] or "given up"
        why = running.get("why")
        _tell(update, record, base.FAILED, _INVALID + (word + ": " + why if why else word))


def _first(update, offered):
    """A new job. -> seconds, as begin()."""
    log.info("fota", "job %s: %s %s, %d bytes", offered["id"][:8], offered["kind"], offered["version"], offered["size"])
    record = new(offered["id"])
    update.state.job_ms = clock.uptime_ms()
    if offered["kind"] != _KIND:
        return _end(update, record, base.REJECTED, _WRONG_TYPE)
    if offered["refused"]:
        return _end(update, record, base.REJECTED, _REFUSED + offered["refused"])
    _tell(update, record, base.STARTED)
    return 0


def _next(update, record, offered):
    """The job that we know of is still wanted: may it go on? -> seconds, as begin()."""
    if record["state"] in _ENDED:
        records = update.records
        if record["seq"] <= records.journal.cursor and record["dropped"] != records.journal.dropped:
            log.warn("fota", "the journal may have lost how job %s ended: said again", record["id"][:8])
            _tell(update, record, record["state"], record["detail"])
            return 0
        return update.config["update_interval_s"]
    if _age(update, record) >= update.config["update_hours"] * 60:
        return _end(update, record, base.TIMED_OUT, _TOO_SLOW)
    if update.state.low:
        log.info("fota", "job %s waits for the battery", record["id"][:8])
        return _PATIENCE_S
    update.state.job = offered
    return 0


def _age(update, record):
    """-> minutes of uptime since the job was first seen. No clock is asked, so none can make it too many; what a
    restart costs, and the time without power, are not in it."""
    state = update.state
    ms = clock.uptime_ms() - state.job_ms
    age = record["age"] + ms // 60000
    if ms >= _COUNT_MS:
        record["age"] = age
        keep(update.file, record)
        state.job_ms += ms // 60000 * 60000
    return age


def _tell(update, record, state, detail=None):
    tell(update.file, update.records, record, state, detail)
    log.info("fota", "job %s: %s", record["id"][:8], detail or state)


def _end(update, record, state, detail):
    """The job comes to nothing. -> seconds until the next look: a cloud that makes a new job of each one that ends so
    is not to keep us busy."""
    _tell(update, record, state, detail)
    return update.config["update_interval_s"]


def _walk(update, record, last):
    """Tell the steps up to `last` that have not been told, where the cloud has words for them."""
    while base.STEPS in update.cloud.caps and record["state"] in _WAY and record["state"] != last:
        _tell(update, record, _WAY[_WAY.index(record["state"]) + 1])


def complete(update):
    """Every block has come in and the whole is what was signed. -> seconds until the next visit, which installs it: by
    then what downloads is gone from the heap, and the cloud has had a chance to say no."""
    record = load(update.file)
    if record and record["state"] != base.INSTALLING:
        _walk(update, record, base.VERIFIED)
    return 1


def install(update, manifest):
    """Put the complete image into the other slot and restart into it. Raises FotaError, CloudError."""
    record = load(update.file) or new("")
    slots = update.make_slots()
    _walk(update, record, base.INSTALLING)
    slots.install(manifest)
    update.heap.mark()
    mark(update.file, record, manifest.digest)
    slots.arm()
    log.info("fota", "version %s is in slot %s: restarting into it", manifest.version, slots.other)
    update.restart()


def _text(problem):
    """-> what a detail says of a problem: the word, and what it is about."""
    if isinstance(problem, MemoryError):
        return "memory"
    reason = getattr(problem, "reason", None)
    if reason is None:
        return str(problem)
    return reason if problem.detail is None else "%s %s" % (reason, problem.detail)


def failed(update, problem):
    """An attempt ended with `problem`: FotaError, coap.Refused, CloudError, MemoryError. -> seconds until the next
    visit when that ends the job, else raises what the errands back off for."""
    record = load(update.file)
    if record is None or isinstance(problem, base.AuthError) or _is_busy(problem):
        raise problem
    text = _text(problem)
    if getattr(problem, "final", False):
        return _end(update, record, base.REJECTED, _REFUSED + text)
    record["fails"] += 1
    if record["fails"] >= _TRIES or getattr(problem, "reason", None) == "space":
        words = _INVALID if isinstance(problem, InstallError) else _DOWNLOAD
        return _end(update, record, base.FAILED, words + text)
    keep(update.file, record)
    if not isinstance(problem, FotaError):
        raise problem
    raise base.CloudError("attempt %d of %d: %s" % (record["fails"], _TRIES, text))


def _is_busy(problem):
    """The service is unwell, or has no time for us: not the image's fault, and not counted."""
    return isinstance(problem, coap.Refused) and (
        problem.code >= coap.SERVER_ERROR or problem.code in (coap.UNAUTHORIZED, coap.TOO_MANY_REQUESTS)
    )
