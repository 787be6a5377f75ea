"""Row P8: the firmware broken on purpose, one thing at a time. The other rows have to notice each.

A mutant is a function that replaces something by way of `swap(owner, name, new)`, and the (row, part) that is to find
it. A count of operations that has changed does not count as noticed.
"""

import bootsel
import journal
import records
import store
from cloud.base import UPDATE
from faults.device import cuts, errors, handles
from faults.device.node import Broken
from fota.blocks import FileBlocks
from fota.fetch import Fetch
from fota.slots import Slots
from tasks import job
from tasks.update import Update
from tasks.uplink import Uplink

_ROWS = {"P1": cuts.one, "P4": errors.refused, "P5": errors.full_disk, "P7": handles.unclean}


class Noticed(BaseException):
    """A case has failed, as it must."""


class _Ear:
    """A Tally that ends at the first failure."""

    def __init__(self):
        self.figures = {}
        self.cases = 0

    def case(self, name, function, *terms):
        self.cases += 1
        try:
            function(*terms)
        except Broken as e:
            raise Noticed("%s: %s" % (name, e)) from None
        except Exception as e:
            raise Noticed("%s: %s: %s" % (name, type(e).__name__, e)) from None

    def fail(self, name, text, kind):
        raise Noticed("%s: %s" % (name, text))

    def add(self, key):
        self.figures[key] = self.figures.get(key, 0) + 1

    def most(self, *_):
        pass

    counted = most


# The mutants


def blocks_not_flushed(swap):
    def write(self, i, view):
        if not self._writing:
            self.close()
            self._writing = True
        self._open("r+b" if i else "wb", i).write(view)

    swap(FileBlocks, "write", write)


def file_length_trusted(swap):
    """What is on flash of a block counts as that block, unlooked at."""

    def held(self, blocks, manifest):
        for i in range(manifest.count):
            if not blocks.read(i, self._view[: manifest.block_size_of(i)]):
                return i
        return manifest.count

    def keep(self, i, view):
        f = self._blocks._open("r+b" if i else "wb", i)
        self._blocks._writing = True
        f.write(view[:512])
        f.flush()
        f.write(view[512:])
        f.flush()

    swap(Fetch, "_held", held)
    swap(Fetch, "_keep", keep)


def armed_before_unpacking(swap):
    true = Slots._clear

    def clear(self, target):
        true(self, target)
        state = bootsel.read(self._root)
        state["pending"], state["digest"] = self.other, bytes(16)
        bootsel.write(self._root, state)

    swap(Slots, "_clear", clear)


def slot_not_checked_at_start(swap):
    """MANIFEST first, the slot armed with it, and no hashes at a start."""
    true = Slots._unpack

    def unpack(self, manifest, target, tick):
        self._seal(manifest, target)
        self._armed = manifest.digest[:16]
        self.arm()
        true(self, manifest, target, tick)

    swap(Slots, "_unpack", unpack)
    swap(bootsel, "check", bootsel.manifest)


def tries_not_counted(swap):
    """Not on flash before the image runs."""
    true = bootsel.write

    def trial(root, state, hung):
        return bootsel.check(root, state["pending"]) if state["tries"] < 3 else None

    swap(bootsel, "_trial", trial)
    swap(bootsel, "write", true)


def confirmed_at_start(swap):
    """As soon as it boots, before the cloud has heard of it."""
    true = bootsel._trial

    def trial(root, state, hung):
        found = true(root, state, hung)
        if found:
            state["active"], state["pending"] = state["pending"], None
            bootsel.write(root, state)
        return found

    swap(bootsel, "_trial", trial)


def floor_raised_when_armed(swap):
    true = Slots.arm

    def arm(self):
        true(self)
        state = bootsel.read(self._root)
        state["floor"] = 2
        bootsel.write(self._root, state)

    swap(Slots, "arm", arm)


def confirmation_not_written(swap):
    swap(Slots, "confirm", lambda self: True)


def failed_image_not_blacklisted(swap):
    true = bootsel.roll_back

    def roll_back(root, state, result):
        state["digest"] = bytes(16)
        true(root, state, result)

    swap(bootsel, "roll_back", roll_back)


def record_marked_after_arming(swap):
    """Which image the job is about is kept when that image may already have had its turn."""
    true = job.mark
    kept = []
    swap(job, "mark", lambda path, record, digest: kept.append((path, record, digest)))
    arm = Slots.arm

    def armed(self):
        arm(self)
        true(*kept.pop())

    swap(Slots, "arm", armed)


def report_before_its_number(swap):
    """Into the journal first, and then on record that it is there."""

    def tell(path, records, record, state, detail=None):
        records.add("job", {"id": record["id"], "state": state, "detail": detail})
        record.update({"state": state, "detail": detail, "seq": records.journal.next - 1})
        job.keep(path, record)

    swap(job, "tell", tell)


def report_without_guard(swap):
    """At each start the report on record is appended, whether it had been or not."""

    def finish(path, records):
        record = job.load(path)
        if record and record["state"]:
            job.tell(path, records, record, record["state"], record["detail"])
        return record

    swap(job, "finish", finish)


def report_not_made_good(swap):
    """A report that a cut kept from the journal stays out of it."""
    swap(job, "finish", lambda path, records: job.load(path))


def job_forgotten_too_early(swap):
    """The record goes with the report, which still waits in the journal: the job is taken again."""
    true = job.tell

    def tell(path, records, record, state, detail=None):
        true(path, records, record, state, detail)
        if state in job._ENDED:
            job.drop(path)

    swap(job, "tell", tell)


def acknowledged_before_sent(swap):
    true = Uplink._send

    async def send(self, batch):
        self._records.ack(batch[0][0])
        return await true(self, batch)

    swap(Uplink, "_send", send)


def journal_without_checksums(swap):
    swap(journal.Journal, "_crc", lambda self, n: 0)


def refused_record_called_kept(swap):
    true = records.Records.add

    def add(self, name, value, ts_ms=None):
        lost = self._state.lost
        seq = true(self, name, value, ts_ms)
        self._state.lost = lost
        return seq

    swap(records.Records, "add", add)


def no_question_of_room(swap):
    import parts

    swap(parts, "_room", lambda app, manifest: None)


def files_not_replaced(swap):
    """Written over in place, without a temporary name."""

    def write_bytes(path, data):
        with open(path, "wb") as f:
            f.write(data)

    swap(store, "write_bytes", write_bytes)


def no_update_at_all(swap):
    """Says that it is done, does nothing."""

    async def visit(self):
        job_offered = await self.cloud.update_check() if UPDATE in self.cloud.caps else None
        if job_offered:
            await self.cloud.update_report(job_offered["id"], "succeeded", "FOTA update completed successfully")
        return 60

    swap(Update, "visit", visit)


MUTANTS = (  # (mutant, row, part, the operation from which on a cut can tell)
    (blocks_not_flushed, "P1", "small", 40),
    (file_length_trusted, "P1", "small", 20),
    (armed_before_unpacking, "P1", "small", 130),
    (slot_not_checked_at_start, "P1", "small", 140),
    (tries_not_counted, "P1", "rollback"),
    (confirmed_at_start, "P1", "rollback"),
    (floor_raised_when_armed, "P1", "rollback"),
    (confirmation_not_written, "P1", "small"),
    (failed_image_not_blacklisted, "P1", "rollback"),
    (record_marked_after_arming, "P1", "small", 240),
    (report_before_its_number, "P1", "small"),
    (report_without_guard, "P1", "small"),
    (report_not_made_good, "P1", "small", 270),
    (job_forgotten_too_early, "P1", "lossy"),
    (acknowledged_before_sent, "P1", "lossy"),
    (journal_without_checksums, "P1", "small"),
    (refused_record_called_kept, "P4", "refused-once"),
    (no_question_of_room, "P5", ""),
    (no_update_at_all, "P1", "small"),
    (files_not_replaced, "P7", "update"),  # the last: it leaves its tap
)


class _From:
    """All cases from a number on."""

    def __init__(self, first):
        self._first = first

    def mine(self, n):
        return n >= self._first


def _noticed(mutant, row, part, first, seed):
    """-> (what noticed it, or None; cases until then)."""
    undo = []

    def swap(owner, name, new):
        undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, new)

    ear = _Ear()
    mutant(swap)
    try:
        _ROWS[row](ear, part, _From(first), seed, False)
    except Noticed as e:
        return str(e), ear.cases
    except Broken as e:
        return "undisturbed: %s" % e, ear.cases
    finally:
        for owner, name, old in reversed(undo):
            setattr(owner, name, old)
    return None, ear.cases


def _one(tally, n, seed):
    mutant, row, part, *first = MUTANTS[n]
    said, cases = _noticed(mutant, row, part, first[0] if first else 0, seed)
    print("mutant %s: %s, case %d of %s/%s" % (mutant.__name__, said or "NOT NOTICED", cases, row, part))
    if said is None:
        raise Broken("other", "%d cases of %s/%s and nothing noticed" % (cases, row, part))
    tally.add("found")


def mutants(tally, part, share, seed, full):
    """P8."""
    tally.most("ops", len(MUTANTS))
    for n in range(len(MUTANTS)):
        if share.mine(n):
            tally.case(MUTANTS[n][0].__name__, _one, tally, n, seed)


def again(tally, part, text):
    """--only of P8: one mutant, by name."""
    names = [mutant.__name__ for mutant, *_ in MUTANTS]
    tally.case(text, _one, tally, names.index(text), 1)
