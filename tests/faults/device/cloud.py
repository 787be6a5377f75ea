"""The cloud of the campaign: offers one image, takes records and reports, and knows what it was told and when.

Every event carries the count of flash operations at which it happened, so that a cut at an operation can be given the
cloud as it was then. Answers can get lost: what the node asked for has happened, and it does not know.
"""

from cloud.base import FAILED, PUBLISH, REJECTED, STEPS, SUCCEEDED, TIMED_OUT, UPDATE

_TERMINAL = (SUCCEEDED, FAILED, REJECTED, TIMED_OUT)
_ETIMEDOUT = 110


class Cloud:
    """`image`: the bundle on offer; `head`: bytes of it before the payload; `loses(kind, n)`: whether the answer to
    event number n of that kind gets lost. `kept`: what the node's own queue has promised."""

    caps = (PUBLISH, UPDATE, STEPS)
    confirmable = True

    def __init__(self, chip, image, head, loses=None):
        self._chip = chip
        self._image = image
        self._head = head
        self._loses = loses
        self.events = []
        self.begin()

    def begin(self, before=None):
        """Nothing has happened, or what copy() has kept."""
        self.events = []
        self.fetched, told, records, self.resent, counts, kept = before or (0, (), {}, 0, {}, {})
        self.told, self.records, self.counts, self.kept = list(told), dict(records), dict(counts), dict(kept)

    def copy(self):
        """All that is known, for begin()."""
        return self.fetched, list(self.told), dict(self.records), self.resent, dict(self.counts), dict(self.kept)

    def replay(self, before, events, ops):
        """Become what began as `before` and saw of `events` those up to `ops` flash operations."""
        self.begin(before)
        for event in events:
            if event[0] > ops:
                break
            self._apply(*event[1:])

    def keep(self, seq, value):
        """The node was promised that record `seq` will arrive."""
        self._happen("kept", seq, value)

    def _happen(self, kind, *values):
        self.events.append((self._chip.ops, kind) + values)
        self._apply(kind, *values)
        if self._loses and self._loses(kind, self.counts[kind]):
            raise OSError(_ETIMEDOUT)

    def _apply(self, kind, *values):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "read":
            self.fetched += values[0]
        elif kind == "report":
            self.told.append(values)
        elif kind == "kept":
            self.kept[values[0]] = values[1]
        elif kind == "records":
            for seq, record in values[0]:
                self.resent += seq in self.records
                self.records[seq] = record

    @property
    def terminal(self):
        """The terminal reports that came, as (id, state, detail)."""
        return [told for told in self.told if told[1] in _TERMINAL]

    # What tasks ask of a backend (cloud.base)

    async def release(self):
        pass

    async def publish(self, records):
        self._happen("records", [(seq, (name, value)) for seq, _, name, value in records])
        return len(records)

    async def update_check(self):
        if self.terminal:
            return None
        return {"id": "job", "kind": "APP", "version": "1.1.0", "size": len(self._image), "key": "k", "refused": None}

    async def update_read(self, job, offset, mv):
        n = min(len(mv), len(self._image) - offset)
        mv[:n] = self._image[offset : offset + n]
        self._happen("read", n)
        return n

    async def update_report(self, job_id, state, detail=None, ts_ms=0):
        self._happen("report", job_id, state, detail)
